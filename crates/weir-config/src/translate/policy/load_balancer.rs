//! `loadBalancer`: how requests are spread, with every rule of the CRD checked.

use std::sync::Arc;
use std::time::Duration;

use weir_model::{
    Algorithm, BalanceSpec, Choices, Cidr, EndpointOverride, LeastRequest, LoadBound, LoadReport, SlowStart,
};

use super::dialect::Dialect;
use super::hash::{consistent_hash, header_name, union_rule};
use super::values::{flag, overwrite, period, read, thousandths};
use crate::resource::decode::{Decoder, Field, Fields};
use crate::resource::{Finding, policy_type};

/// `loadBalancer.type`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum BalancerType {
    ConsistentHash,
    LeastRequest,
    Random,
    RoundRobin,
    BackendUtilization,
    DynamicModule,
    Adaptive,
    PeakEwma,
}

/// How the types are written; the last two are weir's own (rows BX01, LB08).
const TYPES: [(&str, BalancerType); 8] = [
    ("ConsistentHash", BalancerType::ConsistentHash),
    ("LeastRequest", BalancerType::LeastRequest),
    ("Random", BalancerType::Random),
    ("RoundRobin", BalancerType::RoundRobin),
    ("BackendUtilization", BalancerType::BackendUtilization),
    ("DynamicModule", BalancerType::DynamicModule),
    ("Adaptive", BalancerType::Adaptive),
    ("PeakEwma", BalancerType::PeakEwma),
];
/// How many of them are Envoy Gateway's.
const ENVOY_TYPES: usize = 6;

/// Fields that a type excludes, and why (CEL rules of Envoy Gateway's `LoadBalancer`).
const EXCLUDED: [(&str, &[BalancerType], &str); 4] = [
    (
        "slowStart",
        &[
            BalancerType::Random,
            BalancerType::ConsistentHash,
            BalancerType::DynamicModule,
        ],
        "slowStart is supported for RoundRobin, LeastRequest and BackendUtilization only",
    ),
    (
        "loadReport",
        &[BalancerType::Random, BalancerType::ConsistentHash],
        "loadReport is supported for RoundRobin and LeastRequest only",
    ),
    (
        "zoneAware",
        &[BalancerType::DynamicModule],
        "zoneAware is not supported for DynamicModule",
    ),
    (
        "endpointOverride",
        &[BalancerType::DynamicModule],
        "endpointOverride is not supported for DynamicModule",
    ),
];

/// Decodes the block. `None` when it cannot be used; findings say why.
pub(super) fn balance_spec(decoder: &mut Decoder, field: Field<'_>, dialect: Dialect) -> Option<BalanceSpec> {
    let common = [
        "type",
        "consistentHash",
        "endpointOverride",
        "slowStart",
        "zoneAware",
        "backendUtilization",
        "dynamicModule",
    ];
    let own = ["leastRequest", "loadBoundPercent", "loadReport", "reportHeader"];
    let fields = dialect.fields(decoder, field, &common, &own)?;
    let kind_field = fields.required(decoder, "type")?;
    let types = match dialect {
        Dialect::Envoy => &TYPES[..ENVOY_TYPES],
        Dialect::Weir => &TYPES,
    };
    let kind = policy_type::choice(decoder, kind_field, types)?;
    let mark = decoder.mark();
    check_rules(decoder, fields, kind_field, kind);
    if decoder.failed_since(mark) {
        return None;
    }
    let algorithm = algorithm(decoder, fields, kind_field, kind, dialect);
    let endpoint_override = fields
        .optional("endpointOverride")
        .and_then(|block| endpoint_override(decoder, block, dialect));
    let slow_start = fields
        .optional("slowStart")
        .and_then(|block| slow_start(decoder, block, dialect));
    let load_report = dialect
        .own(fields, "loadReport")
        .and_then(|block| load_report(decoder, block));
    let load_bound = dialect
        .own(fields, "loadBoundPercent")
        .and_then(|field| decoder.integer(field, 100..=10_000))
        .and_then(|percent| LoadBound::new(u64::try_from(percent.value).ok()?));
    let report_header = dialect
        .own(fields, "reportHeader")
        .and_then(|field| header_name(decoder, field));
    report_unserved(decoder, fields);
    if decoder.failed_since(mark) {
        return None;
    }
    Some(BalanceSpec {
        algorithm: algorithm?,
        endpoint_override,
        slow_start,
        load_report,
        load_bound,
        report_header,
    })
}

/// The CRD's rules about which blocks go together.
fn check_rules(decoder: &mut Decoder, fields: Fields<'_>, kind_field: Field<'_>, kind: BalancerType) {
    let name = name_of(kind);
    for (owner, block) in [
        ("ConsistentHash", "consistentHash"),
        ("DynamicModule", "dynamicModule"),
    ] {
        union_rule(
            decoder,
            fields,
            ("load balancer type", name, owner),
            block,
            kind_field,
        );
    }
    // Everything in this block has a default, so its own type may go without it.
    if kind != BalancerType::BackendUtilization {
        let words = ("load balancer type", name, "BackendUtilization");
        union_rule(decoder, fields, words, "backendUtilization", kind_field);
    }
    for (block, kinds, message) in EXCLUDED {
        if fields.optional(block).is_some() && kinds.contains(&kind) {
            let finding = Finding::new("E0308", fields.key_span(block), message);
            decoder.report(finding.label(format!("the type is {name}")));
        }
    }
    if let Some(zones) = fields.optional("zoneAware") {
        check_zones(decoder, zones, kind);
    }
}

fn check_zones(decoder: &mut Decoder, field: Field<'_>, kind: BalancerType) {
    let Some(zones) = decoder.fields(field, &["preferLocal", "weightedZones"]) else {
        return;
    };
    let (local, weighted) = (zones.optional("preferLocal"), zones.optional("weightedZones"));
    if local.is_some()
        && matches!(
            kind,
            BalancerType::ConsistentHash | BalancerType::BackendUtilization
        )
    {
        let message = "zoneAware.preferLocal is not supported for ConsistentHash and BackendUtilization";
        let finding = Finding::new("E0308", zones.key_span("preferLocal"), message);
        decoder.report(finding.label(format!("the type is {}", name_of(kind))));
    }
    if local.is_some() && weighted.is_some() {
        let message = "zoneAware takes preferLocal or weightedZones, not both";
        let finding = Finding::new("E0308", zones.key_span("weightedZones"), message);
        decoder.report(finding.label("the second of the two"));
    }
}

fn name_of(kind: BalancerType) -> &'static str {
    TYPES
        .iter()
        .find(|(_, candidate)| *candidate == kind)
        .map_or("", |(name, _)| name)
}

fn algorithm(
    decoder: &mut Decoder,
    fields: Fields<'_>,
    kind_field: Field<'_>,
    kind: BalancerType,
    dialect: Dialect,
) -> Option<Algorithm> {
    match kind {
        BalancerType::RoundRobin => Some(Algorithm::RoundRobin),
        BalancerType::Random => Some(Algorithm::Random),
        BalancerType::Adaptive => Some(Algorithm::Adaptive),
        BalancerType::PeakEwma => Some(Algorithm::PeakEwma),
        BalancerType::LeastRequest => match dialect.own(fields, "leastRequest") {
            Some(block) => least_request(decoder, block).map(Algorithm::LeastRequest),
            None => Some(Algorithm::LeastRequest(LeastRequest::default())),
        },
        BalancerType::ConsistentHash => {
            let block = fields.required(decoder, "consistentHash")?;
            consistent_hash(decoder, block, dialect).map(Algorithm::ConsistentHash)
        }
        BalancerType::BackendUtilization => {
            let finding = Finding::new(
                "W0309",
                kind_field.span(),
                "BackendUtilization is not supported yet",
            )
            .label("load reports are not read")
            .effect("requests are spread round robin, as they would be before the first load report");
            decoder.report(finding);
            Some(Algorithm::RoundRobin)
        }
        BalancerType::DynamicModule => {
            let message = "DynamicModule load balancers are not supported";
            decoder.report(Finding::new("E0310", kind_field.span(), message).label("not supported"));
            None
        }
    }
}

/// weir's `leastRequest` block (rows LB06, LB07).
fn least_request(decoder: &mut Decoder, block: Field<'_>) -> Option<LeastRequest> {
    let fields = decoder.fields(block, &["choices", "bias"])?;
    let mut options = LeastRequest::default();
    if let Some(field) = fields.optional("choices") {
        let all = field.node.scalar().is_some_and(|scalar| &*scalar.text == "All");
        options.choices = match all {
            true => Choices::All,
            false => Choices::Sample(u8::try_from(decoder.integer(field, 2..=10)?.value).ok()?),
        };
    }
    if let Some(field) = fields.optional("bias") {
        options.bias_milli = thousandths(decoder, field)?;
    }
    Some(options)
}

fn slow_start(decoder: &mut Decoder, block: Field<'_>, dialect: Dialect) -> Option<SlowStart> {
    let fields = dialect.fields(decoder, block, &["window"], &["aggression", "minWeightPercent"])?;
    let field = fields.required(decoder, "window")?;
    let window = decoder.duration(field)?;
    if window.value == Duration::ZERO {
        let finding = Finding::new("E0303", window.span, "slowStart.window must be longer than 0s");
        decoder.report(finding.label("no time at all"));
        return None;
    }
    let mut options = SlowStart {
        window: window.value,
        aggression_milli: 1000,
        min_weight_percent: 10,
    };
    if let Some(field) = dialect.own(fields, "aggression") {
        options.aggression_milli = thousandths(decoder, field)?.max(1);
    }
    if let Some(field) = dialect.own(fields, "minWeightPercent") {
        options.min_weight_percent = u8::try_from(decoder.integer(field, 0..=100)?.value).ok()?;
    }
    Some(options)
}

/// weir's `loadReport` block (row HC15).
fn load_report(decoder: &mut Decoder, block: Field<'_>) -> Option<LoadReport> {
    let fields = decoder.fields(block, &["header", "expiry", "keepHeader"])?;
    let mut options = LoadReport::default();
    overwrite(&mut options.header, read(decoder, fields, "header", header_name));
    overwrite(&mut options.expiry, read(decoder, fields, "expiry", period));
    overwrite(&mut options.keep, read(decoder, fields, "keepHeader", flag));
    Some(options)
}

fn endpoint_override(decoder: &mut Decoder, block: Field<'_>, dialect: Dialect) -> Option<EndpointOverride> {
    let own = ["strict", "trustedCIDRs", "stripHeaders", "reportHeader"];
    let fields = dialect.fields(decoder, block, &["extractFrom"], &own)?;
    let list = fields.required(decoder, "extractFrom")?;
    let items = decoder.items(list, 10);
    if !(1..=10).contains(&items.len()) {
        let message = format!(
            "endpointOverride.extractFrom takes 1 to 10 entries, not {}",
            items.len()
        );
        decoder.report(Finding::new("E0303", list.span(), message).label("out of range"));
        return None;
    }
    let mut headers = Vec::with_capacity(items.len());
    for item in items {
        // An entry that names nothing is refused rather than skipped (row EO06).
        let entry = decoder.fields(item, &["header"])?;
        let header = entry.required(decoder, "header")?;
        headers.push(header_name(decoder, header)?);
    }
    let flag = |decoder: &mut Decoder, name: &'static str| match dialect.own(fields, name) {
        Some(field) => decoder.boolean(field).is_some_and(|value| value.value),
        None => false,
    };
    Some(EndpointOverride {
        headers,
        strict: flag(decoder, "strict"),
        strip: flag(decoder, "stripHeaders"),
        trusted: dialect
            .own(fields, "trustedCIDRs")
            .map_or(Some(Vec::new()), |field| cidrs(decoder, field))?,
        report_header: match dialect.own(fields, "reportHeader") {
            Some(field) => Some(header_name(decoder, field)?),
            None => None::<Arc<str>>,
        },
    })
}

/// A list of address prefixes.
pub(super) fn cidrs(decoder: &mut Decoder, field: Field<'_>) -> Option<Vec<Cidr>> {
    let mut result = Vec::new();
    for item in decoder.items(field, 256) {
        match item.node.scalar().and_then(|scalar| Cidr::parse(&scalar.text)) {
            Some(cidr) => result.push(cidr),
            None => {
                let finding = Finding::new("E0303", item.span(), "not an address prefix")
                    .label("not an address prefix")
                    .help("write prefixes such as 10.0.0.0/8 or \"fd00::/8\"");
                decoder.report(finding);
                return None;
            }
        }
    }
    Some(result)
}

/// Valid blocks that weir does not act on yet.
fn report_unserved(decoder: &mut Decoder, fields: Fields<'_>) {
    for (block, effect) in [
        ("zoneAware", "endpoints of all zones are used alike"),
        ("backendUtilization", "its options have no effect"),
    ] {
        if fields.optional(block).is_some() {
            let message = format!("loadBalancer.{block} is not supported yet");
            let finding = Finding::new("W0309", fields.key_span(block), message);
            decoder.report(finding.label("not supported yet").effect(effect));
        }
    }
}
