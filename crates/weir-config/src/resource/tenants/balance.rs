//! `load_balancer`, `policy` and `timeouts`: how a tenant's services are used.

use std::time::Duration;

use super::settings::seconds;
use crate::resource::decode::{Decoder, Field, Fields};
use crate::resource::policy_type::{self, Origin};
use crate::yaml::{Entry, Node, Span, Value};

/// How a tenant's services are balanced, in the words of a `TrafficPolicy`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TenantBalance {
    /// A `spec` without targets; `None` when neither key is written.
    pub spec: Option<Node>,
    /// Whether it says how endpoints are picked.
    pub has_load_balancer: bool,
}

impl TenantBalance {
    /// Whether it has the field at the end of this path, such as `healthCheck`.
    pub fn says(&self, path: &[&str]) -> bool {
        let found = path
            .iter()
            .try_fold(self.spec.as_ref(), |node, key| Some(node?.field(key)));
        found.flatten().is_some()
    }
}

/// `timeouts`; `Some(ZERO)` switches a bound off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TenantTimeouts {
    /// The whole request.
    pub request: Option<Duration>,
    /// One try at a service.
    pub service: Option<Duration>,
    /// Connecting to a service.
    pub connect: Option<Duration>,
}

/// Reads `timeouts`.
pub(super) fn timeouts(decoder: &mut Decoder, field: Field<'_>) -> TenantTimeouts {
    let Some(fields) = decoder.fields(field, &["request", "service", "connect"]) else {
        return TenantTimeouts::default();
    };
    let mut bound = |name| {
        let field = fields.optional(name)?;
        seconds(decoder, field).map(|bound| bound.value)
    };
    TenantTimeouts {
        request: bound("request"),
        service: bound("service"),
        connect: bound("connect"),
    }
}

/// The `spec` of a TrafficPolicy that `policy` and `load_balancer` amount to. `load_balancer` is its `loadBalancer`;
/// without a `type` but with other fields of a policy it is a whole `spec`.
pub(super) fn decode(decoder: &mut Decoder, fields: &Fields<'_>) -> TenantBalance {
    let mut entries: Vec<Entry> = Vec::new();
    let mut span = Span::NONE;
    if let Some(field) = fields.optional("policy")
        && decoder.any_fields(field).is_some()
    {
        span = field.span();
        entries.extend_from_slice(field.node.entries());
    }
    if let Some(field) = fields.optional("load_balancer")
        && !policy_type::is_bare(decoder, field)
        && decoder.any_fields(field).is_some()
    {
        span = field.span();
        if field.node.field("type").is_none() && field.node.field("loadBalancer").is_some() {
            entries.extend_from_slice(field.node.entries());
        } else {
            entries.push(Entry {
                key: "loadBalancer".into(),
                key_span: fields.key_span("load_balancer"),
                node: field.node.clone(),
            });
        }
    }
    let mut balancers = entries.iter().filter(|entry| *entry.key == *"loadBalancer");
    let has_load_balancer = balancers.next().is_some();
    if balancers.next().is_some() {
        let span = fields.key_span("load_balancer");
        decoder.conflict(
            span,
            "\"load_balancer\" and \"policy.loadBalancer\" say the same thing twice",
            "remove one of the two",
        );
    }
    let node = |entries| Node {
        value: Value::Mapping(entries),
        span,
    };
    let spec = (!entries.is_empty()).then(|| node(entries));
    if let Some(spec) = &spec {
        policy_type::check(decoder, spec, Origin::Weir);
    }
    TenantBalance {
        spec,
        has_load_balancer,
    }
}
