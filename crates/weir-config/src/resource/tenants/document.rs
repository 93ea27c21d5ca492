//! From a tenants document to one object per tenant.

use std::sync::Arc;

use weir_model::{ObjectName, Port};

use super::environment::{Environment, expanded};
use super::settings::{self, KEYS, TenantSettings};
use super::{Tenant, tenant};
use crate::nearest::nearest;
use crate::resource::decode::{Decoder, Field};
use crate::resource::{Body, Decoded, Metadata, Resource, words};
use crate::yaml::{Finding, Node, Span, Spanned, Value};

/// Whether a document is a tenants file.
pub(in crate::resource) fn is_tenants(root: &Node) -> bool {
    root.entry("tenants").is_some() && root.entry("apiVersion").is_none() && root.entry("kind").is_none()
}

/// The key that was to be `tenants`, in a document that is nothing that weir knows.
pub(in crate::resource) fn looks_like_tenants(root: &Node) -> Option<&'static str> {
    let is_known = root.entries().iter().any(|entry| KEYS.contains(&&*entry.key));
    let is_near = || {
        let mut keys = root
            .entries()
            .iter()
            .map(|entry| nearest(&entry.key, ["tenants"]));
        keys.any(|found| found.is_some())
    };
    (is_known || is_near()).then_some("a tenants file lists its tenants under \"tenants\"")
}

/// Reads a tenants document. `broken`: it was not all YAML.
pub(in crate::resource) fn read(root: &Node, environment: &Environment, broken: bool, decoded: &mut Decoded) {
    let mut decoder = Decoder::default();
    let mut failed = Vec::new();
    // The tenants are expanded one by one, so that a bad one costs the others nothing.
    let own: Vec<_> = root
        .entries()
        .iter()
        .filter(|entry| *entry.key != *"tenants")
        .cloned()
        .collect();
    let own = Node {
        value: Value::Mapping(own),
        span: root.span,
    };
    let own = expanded(&own, environment, &mut decoder, &mut failed).unwrap_or(own);
    let mark = decoder.mark();
    let is_unexpanded = !failed.is_empty();
    let settings = match decoder.fields(Field::new("a tenants file", &own), &KEYS) {
        Some(fields) => settings::decode(&mut decoder, &fields),
        None => TenantSettings::default(),
    };
    let is_faulty = broken || is_unexpanded || decoder.failed_since(mark);
    let settings = Arc::new(TenantSettings {
        refused: settings.refused || is_unexpanded,
        port: settings.port.or_else(|| gateway_port(environment)),
        ..settings
    });
    let tenants = root.field("tenants").map(|node| Field::new("tenants", node));
    let items = tenants
        .map(|field| decoder.items(field, usize::MAX))
        .unwrap_or_default();
    if items.is_empty() && !decoder.failed_since(mark) {
        let span = root.entry("tenants").map_or(root.span, |entry| entry.key_span);
        decoder.report(Finding::new("N0411", span, "the file has no tenants"));
    }
    decoded.incomplete |= tenants.is_some_and(|field| match &field.node.value {
        Value::Sequence(all) => all.len() != items.len(),
        Value::Null | Value::Scalar(_) | Value::Mapping(_) => true,
    });
    take(decoded, decoder, &failed, None);
    for item in items {
        read_tenant(item, environment, &settings, is_faulty, decoded);
    }
}

/// The port that keystone-gateway's documents promise to take from the environment.
fn gateway_port(environment: &Environment) -> Option<Spanned<Port>> {
    let number = environment.value("GATEWAY_PORT")?.parse().ok()?;
    Port::new(number).map(Spanned::default_of)
}

fn read_tenant(
    item: Field<'_>,
    environment: &Environment,
    settings: &Arc<TenantSettings>,
    is_faulty: bool,
    decoded: &mut Decoded,
) {
    let mut decoder = Decoder::default();
    let mark = decoder.mark();
    let mut failed = Vec::new();
    let own = expanded(item.node, environment, &mut decoder, &mut failed);
    decoder.effect_since(mark, "the tenant is not served; the others are");
    let item = Field {
        node: own.as_ref().unwrap_or(item.node),
        ..item
    };
    let found = tenant::decode(&mut decoder, item, settings);
    let Some((name, mut tenant)) = found else {
        decoded.incomplete = true;
        decoder.effect_since(mark, "this tenant is not served; the others are");
        return take(decoded, decoder, &failed, None);
    };
    // A value that is not known may be anything, an open door too.
    tenant.unreachable |= !failed.is_empty();
    let resource = resource(name, tenant, is_faulty || decoder.failed_since(mark));
    let object = resource.object.clone();
    decoded.resources.push(Arc::new(resource));
    take(decoded, decoder, &failed, Some(&object));
}

fn resource(name: Spanned<Arc<str>>, tenant: Tenant, faulty: bool) -> Resource {
    Resource {
        object: ObjectName::new(words::shared("Tenant"), words::shared(""), name.value.clone()),
        api_version: words::shared(""),
        span: tenant.span,
        metadata: Metadata {
            name,
            ..Metadata::default()
        },
        body: Body::Tenant(Box::new(tenant)),
        faulty,
    }
}

/// Moves what was found. Of a value that could not be expanded nothing else is said.
fn take(decoded: &mut Decoded, decoder: Decoder, failed: &[Span], object: Option<&ObjectName>) {
    let findings = decoder.into_findings().into_iter();
    let kept = findings.filter(|finding| finding.code == "E0407" || !failed.contains(&finding.span));
    decoded
        .findings
        .extend(kept.map(|finding| (finding, object.cloned())));
}
