//! `loadBalancer`: how requests are spread, with every rule of the CRD checked.

use std::sync::Arc;
use std::time::Duration;

use weir_model::{
    Algorithm, BalanceSpec, Choices, Cidr, EndpointOverride, LeastRequest, SlowStart,
};

use super::fields::Fields;
use super::hash::consistent_hash;
use crate::yaml::{Finding, Node, Spanned};

/// Whose policy it is: weir's TrafficPolicy knows fields that Envoy Gateway's kind does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// `gateway.envoyproxy.io` BackendTrafficPolicy, exactly.
    Envoy,
    /// `weir.dev` TrafficPolicy.
    Weir,
}

/// Fields of weir's own that a BackendTrafficPolicy does not have.
const WEIR_FIELDS: [&str; 12] = [
    "fallbacks", "onMissingKey", "sourceIP", "leastRequest", "reportHeader", "strict", "trustedCIDRs", "stripHeaders",
    "aggression", "minWeightPercent", "choices", "bias",
];

/// Types of `loadBalancer`.
const TYPES: [&str; 6] =
    ["ConsistentHash", "LeastRequest", "Random", "RoundRobin", "BackendUtilization", "DynamicModule"];

impl Dialect {
    /// Says of a field unknown here that weir's own kind has it.
    pub(super) fn hint(self, field: &str) -> Option<String> {
        (self == Self::Envoy && WEIR_FIELDS.contains(&field)).then(|| {
            format!("\"{field}\" is a field of weir's own kind: apiVersion weir.dev/v1alpha1, kind TrafficPolicy")
        })
    }

    fn with(self, fields: &[&'static str], own: &[&'static str]) -> Vec<&'static str> {
        let mut known = fields.to_vec();
        if self == Self::Weir {
            known.extend(own);
        }
        known
    }
}

/// Decodes the block. `None` when it cannot be used; findings say why.
pub(super) fn balance_spec(mut fields: Fields<'_, '_>, dialect: Dialect) -> Option<BalanceSpec> {
    let common = ["type", "consistentHash", "endpointOverride", "slowStart", "zoneAware", "backendUtilization"];
    let known = dialect.with(&[&common[..], &["dynamicModule"]].concat(), &["leastRequest", "reportHeader"]);
    fields.expect_only(&known, |name| dialect.hint(name));
    let kind = fields.required_text("type")?;
    if !TYPES.contains(&&*kind.value) {
        let mut finding = Finding::new("E0303", kind.span, format!("\"{}\" is not a load balancer type", kind.value))
            .label("unknown type");
        let near = crate::resource::nearest(&kind.value, TYPES.iter().copied());
        finding.help = near.map(|near| format!("did you mean \"{near}\"?"));
        fields.findings().push(finding);
        return None;
    }
    let combined = rules_hold(&mut fields, &kind);
    let algorithm = algorithm(&mut fields, &kind, dialect);
    let endpoint_override = match fields.mapping("endpointOverride") {
        Some(block) => Some(endpoint_override(block, dialect)?),
        None => None,
    };
    let slow_start = match fields.mapping("slowStart") {
        Some(block) => Some(slow_start(block, dialect)?),
        None => None,
    };
    let report_header = match (dialect, fields.node("reportHeader")) {
        (Dialect::Weir, Some(_)) => Some(fields.header_name("reportHeader")?.value),
        _ => None,
    };
    not_served(&mut fields);
    combined.then_some(())?;
    Some(BalanceSpec { algorithm: algorithm?, endpoint_override, slow_start, report_header })
}

/// The CRD's rules about which blocks go together (CEL rules of Envoy Gateway's `LoadBalancer`).
fn rules_hold(fields: &mut Fields<'_, '_>, kind: &Spanned<Arc<str>>) -> bool {
    let before = fields.findings().len();
    for (kind_name, field) in
        [("ConsistentHash", "consistentHash"), ("BackendUtilization", "backendUtilization"), ("DynamicModule", "dynamicModule")]
    {
        let wanted = *kind.value == *kind_name;
        match fields.node(field) {
            // BackendUtilization has defaults for everything, so its block may be absent.
            None if wanted && kind_name != "BackendUtilization" => {
                let message = format!("load balancer type {kind_name} needs the field \"{field}\"");
                let finding = Finding::new("E0305", kind.span, message);
                fields.findings().push(finding.label(format!("\"{field}\" is missing")));
            }
            Some(node) if !wanted => {
                let message = format!("the field \"{field}\" goes with load balancer type {kind_name} only");
                let finding = Finding::new("E0305", node.span, message);
                fields.findings().push(finding.label(format!("the type is {}", kind.value)));
            }
            _ => {}
        }
    }
    let excluded: [(&str, &[&str], &str); 3] = [
        (
            "slowStart",
            &["Random", "ConsistentHash", "DynamicModule"],
            "slowStart is supported for RoundRobin, LeastRequest and BackendUtilization only",
        ),
        ("zoneAware", &["DynamicModule"], "zoneAware is not supported for DynamicModule"),
        ("endpointOverride", &["DynamicModule"], "endpointOverride is not supported for DynamicModule"),
    ];
    for (field, kinds, message) in excluded {
        if let Some(node) = fields.node(field).filter(|_| kinds.contains(&&*kind.value)) {
            let finding = Finding::new("E0308", node.span, message);
            fields.findings().push(finding.label(format!("the type is {}", kind.value)));
        }
    }
    zone_rules(fields, kind);
    fields.findings().len() == before
}

fn zone_rules(fields: &mut Fields<'_, '_>, kind: &Spanned<Arc<str>>) {
    let Some(mut zones) = fields.mapping("zoneAware") else { return };
    zones.expect_only(&["preferLocal", "weightedZones"], |_| None);
    let local = zones.node("preferLocal");
    if let Some(node) = local.filter(|_| matches!(&*kind.value, "ConsistentHash" | "BackendUtilization")) {
        let message = "zoneAware.preferLocal is not supported for ConsistentHash and BackendUtilization";
        let finding = Finding::new("E0308", node.span, message).label(format!("the type is {}", kind.value));
        zones.findings().push(finding);
    }
    if let (Some(_), Some(weighted)) = (local, zones.node("weightedZones")) {
        let message = "zoneAware takes preferLocal or weightedZones, not both";
        zones.findings().push(Finding::new("E0308", weighted.span, message).label("second of the two"));
    }
}

fn algorithm(fields: &mut Fields<'_, '_>, kind: &Spanned<Arc<str>>, dialect: Dialect) -> Option<Algorithm> {
    match &*kind.value {
        "RoundRobin" => Some(Algorithm::RoundRobin),
        "Random" => Some(Algorithm::Random),
        "LeastRequest" => match (dialect, fields.mapping("leastRequest")) {
            (Dialect::Weir, Some(block)) => least_request(block).map(Algorithm::LeastRequest),
            _ => Some(Algorithm::LeastRequest(LeastRequest::default())),
        },
        "ConsistentHash" => {
            fields.mapping("consistentHash").and_then(|block| consistent_hash(block, dialect)).map(Algorithm::ConsistentHash)
        }
        "BackendUtilization" => {
            let finding = Finding::new("W0309", kind.span, "BackendUtilization is not supported yet")
                .label("load reports are not read")
                .effect("requests are spread round robin, as they are before the first load report");
            fields.findings().push(finding);
            Some(Algorithm::RoundRobin)
        }
        _ => {
            let message = "DynamicModule load balancers are not supported";
            fields.findings().push(Finding::new("E0310", kind.span, message).label("not supported"));
            None
        }
    }
}

/// weir's `leastRequest` block (rows LB06, LB07).
fn least_request(mut fields: Fields<'_, '_>) -> Option<LeastRequest> {
    fields.expect_only(&["choices", "bias"], |_| None);
    let mut options = LeastRequest::default();
    if let Some(node) = fields.node("choices") {
        let all = node.scalar().is_some_and(|scalar| &*scalar.text == "All");
        options.choices = match all {
            true => Choices::All,
            false => Choices::Sample(fields.integer("choices", 2..=10)?.value as u8),
        };
    }
    if fields.node("bias").is_some() {
        options.bias_milli = fields.thousandths("bias", 10.0)?;
    }
    Some(options)
}

fn slow_start(mut fields: Fields<'_, '_>, dialect: Dialect) -> Option<SlowStart> {
    fields.expect_only(&dialect.with(&["window"], &["aggression", "minWeightPercent"]), |name| dialect.hint(name));
    if fields.node("window").is_none() {
        fields.missing("window");
        return None;
    }
    let window = fields.duration("window")?;
    if window.value == Duration::ZERO {
        let finding = Finding::new("E0303", window.span, "slowStart.window must be longer than 0s");
        fields.findings().push(finding.label("no time at all"));
        return None;
    }
    let mut options = SlowStart { window: window.value, aggression_milli: 1000, min_weight_percent: 10 };
    if dialect == Dialect::Weir {
        if fields.node("aggression").is_some() {
            options.aggression_milli = fields.thousandths("aggression", 10.0)?.max(1);
        }
        if fields.node("minWeightPercent").is_some() {
            options.min_weight_percent = fields.integer("minWeightPercent", 0..=100)?.value as u8;
        }
    }
    Some(options)
}

fn endpoint_override(mut fields: Fields<'_, '_>, dialect: Dialect) -> Option<EndpointOverride> {
    let own = ["strict", "trustedCIDRs", "stripHeaders", "reportHeader"];
    fields.expect_only(&dialect.with(&["extractFrom"], &own), |name| dialect.hint(name));
    if fields.node("extractFrom").is_none() {
        fields.missing("extractFrom");
        return None;
    }
    let items = fields.list("extractFrom")?;
    if !(1..=10).contains(&items.len()) {
        let message = format!("endpointOverride.extractFrom takes 1 to 10 entries, not {}", items.len());
        fields.findings().push(Finding::new("E0303", items.span, message).label("out of range"));
        return None;
    }
    let mut headers = Vec::with_capacity(items.len());
    for (number, item) in items.iter().enumerate() {
        headers.push(extract_from(&mut fields, number, item)?);
    }
    let mut result = EndpointOverride {
        headers,
        strict: false,
        trusted: Vec::new(),
        strip: false,
        report_header: None,
    };
    if dialect == Dialect::Weir {
        result.strict = fields.flag("strict");
        result.strip = fields.flag("stripHeaders");
        result.trusted = cidrs(&mut fields, "trustedCIDRs")?;
        if fields.node("reportHeader").is_some() {
            result.report_header = Some(fields.header_name("reportHeader")?.value);
        }
    }
    Some(result)
}

/// One entry of `extractFrom`; an empty one is refused (row EO06).
fn extract_from(fields: &mut Fields<'_, '_>, number: usize, item: &Node) -> Option<Arc<str>> {
    let path = format!("{}[{number}]", fields.path_of("extractFrom"));
    let mut block = Fields::open(item, path, fields.findings())?;
    block.expect_only(&["header"], |_| None);
    if block.node("header").is_none() {
        let span = block.span();
        let message = "an entry of endpointOverride.extractFrom must name a header";
        block.findings().push(Finding::new("E0302", span, message).label("\"header\" is missing"));
        return None;
    }
    block.header_name("header").map(|name| name.value)
}

/// A list of address prefixes.
pub(super) fn cidrs(fields: &mut Fields<'_, '_>, key: &str) -> Option<Vec<Cidr>> {
    let Some(items) = fields.list(key) else { return fields.node(key).is_none().then(Vec::new) };
    let mut result = Vec::with_capacity(items.len());
    for item in items.iter() {
        match item.scalar().and_then(|scalar| Cidr::parse(&scalar.text)) {
            Some(cidr) => result.push(cidr),
            None => {
                let message = format!("an entry of {} is not an address prefix", fields.path_of(key));
                let finding = Finding::new("E0303", item.span, message)
                    .label("not an address prefix")
                    .help("write prefixes such as \"10.0.0.0/8\" or \"fd00::/8\"");
                fields.findings().push(finding);
                return None;
            }
        }
    }
    Some(result)
}

/// Valid blocks that weir does not act on yet.
fn not_served(fields: &mut Fields<'_, '_>) {
    for (field, effect) in [
        ("zoneAware", "endpoints of all zones are used alike"),
        ("backendUtilization", "its options have no effect"),
    ] {
        if let Some(node) = fields.node(field) {
            let finding = Finding::new("W0309", node.span, format!("loadBalancer.{field} is not supported yet"))
                .label("not supported yet")
                .effect(effect);
            fields.findings().push(finding);
        }
    }
}
