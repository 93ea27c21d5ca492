//! `healthCheck.passive`: endpoints are judged by how they answer requests.

use weir_model::{FailurePercentage, PassiveCheck, SuccessRate};

use super::dialect::Dialect;
use super::values::{count, count_or_off, flag, overwrite, percent, period, read, thousandths};
use crate::resource::decode::{Decoder, Field, Fields};

/// Decodes the block; `None` when it is no mapping.
pub(super) fn passive(decoder: &mut Decoder, block: Field<'_>, dialect: Dialect) -> Option<PassiveCheck> {
    let common = [
        "splitExternalLocalOriginErrors",
        "interval",
        "consecutiveLocalOriginFailures",
        "consecutiveGatewayErrors",
        "consecutive5XxErrors",
        "baseEjectionTime",
        "maxEjectionPercent",
        "failurePercentageThreshold",
        "alwaysEjectOneEndpoint",
    ];
    let own = [
        "maxEjectionTime",
        "failurePercentageMinEndpoints",
        "failurePercentageMinRequests",
        "successRate",
    ];
    let fields = dialect.fields(decoder, block, &common, &own)?;
    let mut check = PassiveCheck::default();
    overwrite(&mut check.interval, read(decoder, fields, "interval", period));
    overwrite(
        &mut check.base_ejection,
        read(decoder, fields, "baseEjectionTime", period),
    );
    overwrite(
        &mut check.max_ejection_percent,
        read(decoder, fields, "maxEjectionPercent", percent),
    );
    overwrite(
        &mut check.always_eject_one,
        read(decoder, fields, "alwaysEjectOneEndpoint", flag),
    );
    overwrite(
        &mut check.split_local,
        read(decoder, fields, "splitExternalLocalOriginErrors", flag),
    );
    consecutive(decoder, fields, &mut check);
    check.failure_percentage =
        read(decoder, fields, "failurePercentageThreshold", percent).map(|threshold| FailurePercentage {
            threshold,
            ..FailurePercentage::default()
        });
    if let Some(field) = dialect.own(fields, "maxEjectionTime") {
        overwrite(&mut check.max_ejection, period(decoder, field));
    }
    for (name, is_endpoints) in [
        ("failurePercentageMinEndpoints", true),
        ("failurePercentageMinRequests", false),
    ] {
        let Some(field) = dialect.own(fields, name) else {
            continue;
        };
        let number = count(decoder, field);
        let rule = check.failure_percentage.get_or_insert_default();
        let place = if is_endpoints {
            &mut rule.endpoints_min
        } else {
            &mut rule.requests_min
        };
        overwrite(place, number);
    }
    check.success_rate = dialect
        .own(fields, "successRate")
        .and_then(|block| success_rate(decoder, block));
    Some(check)
}

/// Counts of failures in a row.
fn consecutive(decoder: &mut Decoder, fields: Fields<'_>, check: &mut PassiveCheck) {
    // A count that is never reached: zero is off, as in Envoy.
    overwrite(
        &mut check.consecutive_5xx,
        read(decoder, fields, "consecutive5XxErrors", count_or_off),
    );
    overwrite(
        &mut check.consecutive_gateway,
        read(decoder, fields, "consecutiveGatewayErrors", count_or_off),
    );
    overwrite(
        &mut check.consecutive_local,
        read(decoder, fields, "consecutiveLocalOriginFailures", count_or_off),
    );
}

/// weir's `successRate` block: Envoy's rule of standard deviations, which Envoy Gateway does not offer.
fn success_rate(decoder: &mut Decoder, block: Field<'_>) -> Option<SuccessRate> {
    let fields = decoder.fields(block, &["factor", "minEndpoints", "minRequests"])?;
    let mut rule = SuccessRate::default();
    overwrite(
        &mut rule.factor_milli,
        read(decoder, fields, "factor", thousandths),
    );
    overwrite(
        &mut rule.endpoints_min,
        read(decoder, fields, "minEndpoints", count),
    );
    overwrite(
        &mut rule.requests_min,
        read(decoder, fields, "minRequests", count),
    );
    Some(rule)
}
