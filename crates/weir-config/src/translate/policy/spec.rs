//! What one policy asks for, by itself.

use std::sync::Arc;

use weir_model::{BalanceSpec, ObjectName};

use super::dialect::Dialect;
use super::load_balancer::balance_spec;
use crate::resource::Finding;
use crate::resource::decode::{Decoder, Field, Fields};
use crate::translate::effective::PolicySettings;
use crate::yaml::Node;

/// Where a policy applies; decoded with the resource.
const TARGET_FIELDS: [&str; 4] = ["targetRef", "targetRefs", "targetSelectors", "mergeType"];

/// Fields of a BackendTrafficPolicy that weir knows but does not act on yet, and what that means for traffic.
const UNSERVED: [(&str, &str); 20] = [
    ("retry", "failed requests are not tried again"),
    ("healthCheck", "endpoints are taken to be healthy"),
    (
        "circuitBreaker",
        "there is no bound on connections and requests per backend",
    ),
    ("connection", "weir's own buffer limits apply"),
    ("tcpKeepalive", "endpoint connections are not probed"),
    ("dns", "names are resolved every 30 seconds"),
    ("proxyProtocol", "endpoints get no PROXY protocol header"),
    ("http2", "endpoints are spoken to in HTTP/1.1"),
    ("rateLimit", "requests are not limited"),
    ("bandwidthLimit", "bandwidth is not limited"),
    ("faultInjection", "no faults are injected"),
    ("admissionControl", "no requests are shed"),
    ("compression", "responses are not compressed"),
    ("compressor", "responses are not compressed"),
    ("requestBuffer", "requests are streamed, not buffered"),
    ("httpUpgrade", "upgrades are not served"),
    ("responseOverride", "responses pass as they are"),
    ("telemetry", "it has no effect"),
    ("useClientProtocol", "endpoints are spoken to in HTTP/1.1"),
    ("routingType", "weir always balances over endpoints itself"),
];

/// Decodes a whole `spec`. `None` when the policy must be refused; the decoder's findings say why.
pub(crate) fn settings(decoder: &mut Decoder, spec: &Node, object: &ObjectName) -> Option<PolicySettings> {
    let dialect = match &*object.kind {
        "TrafficPolicy" => Dialect::Weir,
        _ => Dialect::Envoy,
    };
    let mark = decoder.mark();
    let mut known = TARGET_FIELDS.to_vec();
    known.extend(["loadBalancer", "timeout"]);
    known.extend(UNSERVED.map(|(name, _)| name));
    let fields = decoder.fields(Field::new("spec", spec), &known)?;
    report_unserved(decoder, fields, "", &UNSERVED);
    let balance = match fields.optional("loadBalancer") {
        Some(block) => balance_spec(decoder, block, dialect),
        None => Some(BalanceSpec::default()),
    };
    let mut settings = PolicySettings {
        balance: Arc::default(),
        connect_timeout: None,
        request_timeout: None,
    };
    if let Some(block) = fields.optional("timeout") {
        timeouts(decoder, block, &mut settings);
    }
    if decoder.failed_since(mark) {
        return None;
    }
    settings.balance = Arc::new(balance?);
    Some(settings)
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

fn timeouts(decoder: &mut Decoder, block: Field<'_>, settings: &mut PolicySettings) {
    let Some(fields) = decoder.fields(block, &["tcp", "http"]) else {
        return;
    };
    if let Some(tcp) = fields
        .optional("tcp")
        .and_then(|tcp| decoder.fields(tcp, &["connectTimeout"]))
    {
        let field = tcp.optional("connectTimeout");
        let value = field.and_then(|field| decoder.duration(field));
        settings.connect_timeout = value.map(|value| value.value).filter(|value| !value.is_zero());
    }
    let unserved = [
        (
            "connectionIdleTimeout",
            "unused endpoint connections close after 60 seconds",
        ),
        (
            "maxConnectionDuration",
            "endpoint connections are kept as long as they work",
        ),
        (
            "maxStreamDuration",
            "the request timeout alone bounds an exchange",
        ),
        ("streamIdleTimeout", "weir's own progress bounds apply"),
    ];
    let mut known = vec!["requestTimeout"];
    known.extend(unserved.map(|(name, _)| name));
    if let Some(http) = fields
        .optional("http")
        .and_then(|http| decoder.fields(http, &known))
    {
        report_unserved(decoder, http, "timeout.http.", &unserved);
        let field = http.optional("requestTimeout");
        let value = field.and_then(|field| decoder.duration(field));
        settings.request_timeout = value.map(|value| Some(value.value).filter(|value| !value.is_zero()));
    }
}
