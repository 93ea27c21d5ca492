//! What one policy asks for, by itself.

use std::sync::Arc;

use weir_model::{BalanceSpec, ObjectName, RateLimit, UpstreamSpec};

use super::breakers::breakers;
use super::connection::{connection, dns};
use super::dialect::Dialect;
use super::failover::failover;
use super::health::health;
use super::load_balancer::balance_spec;
use super::owner::Owner;
use super::rate_limit::rate_limit;
use super::retry::retry;
use super::timeouts::timeouts;
use super::traffic::traffic;
use super::values::{overwrite, read};
use crate::resource::decode::{Decoder, Field, Fields};
use crate::resource::{Finding, session_persistence};
use crate::translate::effective::PolicySettings;
use crate::yaml::Node;

/// Where a policy applies; decoded with the resource.
const TARGET_FIELDS: [&str; 4] = ["targetRef", "targetRefs", "targetSelectors", "mergeType"];

/// Fields of a policy that weir acts on.
const SERVED: [&str; 15] = [
    "loadBalancer",
    "timeout",
    "retry",
    "healthCheck",
    "circuitBreaker",
    "connection",
    "tcpKeepalive",
    "dns",
    "proxyProtocol",
    "rateLimit",
    "faultInjection",
    "compression",
    "compressor",
    "requestBuffer",
    "responseOverride",
];

/// Fields that only weir's own kind has.
const OWN: [&str; 3] = ["failover", "requestLimits", "sessionPersistence"];

/// Fields of a BackendTrafficPolicy that weir knows but does not act on yet, and what that means for traffic.
const UNSERVED: [(&str, &str); 7] = [
    ("http2", "endpoints are spoken to in HTTP/1.1"),
    ("bandwidthLimit", "bandwidth is not limited"),
    ("admissionControl", "no requests are shed"),
    ("httpUpgrade", "upgrades are not served"),
    ("telemetry", "it has no effect"),
    ("useClientProtocol", "endpoints are spoken to in HTTP/1.1"),
    ("routingType", "weir always balances over endpoints itself"),
];

/// Decodes a whole `spec`. `None` when the policy must be refused; the decoder's findings say why.
pub(crate) fn settings(decoder: &mut Decoder, spec: &Node, owner: Owner<'_>) -> Option<PolicySettings> {
    let object = owner.object;
    let dialect = match &*object.kind {
        "TrafficPolicy" => Dialect::Weir,
        _ => Dialect::Envoy,
    };
    let mark = decoder.mark();
    let mut known = TARGET_FIELDS.to_vec();
    known.extend(SERVED);
    known.extend(UNSERVED.map(|(name, _)| name));
    let fields = dialect.fields(decoder, Field::new("spec", spec), &known, &OWN)?;
    report_unserved(decoder, fields, "", &UNSERVED);
    let balance = match fields.optional("loadBalancer") {
        Some(block) => balance_spec(decoder, block, dialect),
        None => Some(BalanceSpec::default()),
    };
    let mut settings = PolicySettings {
        retry: read(decoder, fields, "retry", retry).map(Arc::new),
        dns: read(decoder, fields, "dns", dns),
        traffic: traffic(decoder, fields, dialect, owner),
        ..PolicySettings::default()
    };
    let mut upstream = UpstreamSpec {
        connection: connection(decoder, fields),
        ..UpstreamSpec::default()
    };
    let health = read(decoder, fields, "healthCheck", |decoder, block| {
        Some(health(decoder, block, dialect))
    });
    overwrite(&mut upstream.health, health);
    let limits = read(decoder, fields, "circuitBreaker", |decoder, block| {
        breakers(decoder, block, dialect)
    });
    if let Some((breakers, requests_max)) = limits {
        upstream.breakers = breakers;
        upstream.connection.requests_max = requests_max;
    }
    let bounds = read(decoder, fields, "timeout", |decoder, block| {
        timeouts(decoder, block, &mut upstream.connection)
    });
    overwrite(&mut settings.timeouts, bounds);
    if let Some(block) = dialect.own(fields, "failover") {
        overwrite(&mut settings.failover, failover(decoder, block));
    }
    if let Some(block) = dialect.own(fields, "sessionPersistence") {
        settings.persistence = session_persistence::decode_own(decoder, block);
    }
    if decoder.failed_since(mark) {
        return None;
    }
    settings.balance = Arc::new(balance?);
    settings.upstream = Arc::new(upstream);
    Some(settings)
}

/// The local rate limit of a policy, when it is valid.
pub(super) fn limit_of(spec: &Node, object: &ObjectName) -> Option<(RateLimit, Vec<bool>)> {
    rate_limit(
        &mut Decoder::default(),
        Field::new("rateLimit", spec.field("rateLimit")?),
        object,
    )
}

/// A warning for each valid field that has no effect yet.
pub(super) fn report_unserved(
    decoder: &mut Decoder,
    fields: Fields<'_>,
    prefix: &str,
    unserved: &[(&'static str, &str)],
) {
    for (name, effect) in unserved {
        if fields.optional(name).is_some() {
            let message = format!("{prefix}{name} is not supported yet");
            let finding = Finding::new("W0309", fields.key_span(name), message);
            decoder.report(finding.label("not supported yet").effect(*effect));
        }
    }
}
