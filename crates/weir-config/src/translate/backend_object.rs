//! Envoy Gateway Backends by themselves: which can be served, and what their status says.

use super::endpoint;
use super::index::{Index, Object};
use super::options::Options;
use super::reporter::{Reporter, sentence};
use crate::hash::QuickMap;
use crate::resource::{AppProtocol, Backend, BackendAddress, BackendType, Body, Placed};
use crate::status::{Condition, Status, StatusBody};
use crate::yaml::Finding;

/// Judges every Backend. Returns those that cannot be served, with the reason for routes that refer to them.
pub(crate) fn judge<'a>(
    index: &Index<'a>,
    options: &Options,
    statuses: &mut Vec<Status>,
    reporter: &mut Reporter,
) -> QuickMap<(&'a str, &'a str), &'static str> {
    let mut refused = QuickMap::default();
    for backend in index.backends.iter() {
        let refusals = refusals(backend, options);
        if let Some((reason, _)) = refusals.first() {
            refused.insert((backend.namespace(), backend.name()), *reason);
        }
        statuses.push(status(backend, refusals.first().map(|(_, finding)| finding)));
        for (_, finding) in refusals {
            reporter.add(
                backend.placed,
                finding.effect("rules that refer to this Backend answer 500 for its share"),
            );
        }
    }
    refused
}

/// Everything that keeps a Backend from being served, with the reason for `ResolvedRefs`. Bytes meant for TLS are
/// never sent in the clear.
fn refusals(backend: Object<'_, Backend>, options: &Options) -> Vec<(&'static str, Finding)> {
    let mut refusals = Vec::new();
    let spec = backend.spec;
    if spec.kind.value == BackendType::DynamicResolver {
        let finding = Finding::new(
            "E0240",
            spec.kind.span,
            "type DynamicResolver is not served".to_string(),
        )
        .label("not served")
        .help("list the endpoints, with type: Endpoints");
        refusals.push(("InvalidBackendRef", finding));
    }
    if let Some(span) = spec.tls {
        let finding = Finding::new("E0241", span, "TLS to backends is not served yet".to_string());
        refusals.push(("InvalidBackendRef", finding.label("not served")));
    }
    for protocol in &spec.app_protocols {
        let name = match protocol.value {
            AppProtocol::H2c => "gateway.envoyproxy.io/h2c",
            AppProtocol::Wss => "gateway.envoyproxy.io/wss",
            AppProtocol::Ws => continue,
        };
        let finding = Finding::new(
            "E0242",
            protocol.span,
            format!("appProtocol {name} is not served yet"),
        )
        .label("not served")
        .help("weir speaks HTTP/1.1 without TLS to backends");
        refusals.push(("UnsupportedProtocol", finding));
    }
    for listed in &spec.endpoints {
        match listed.address {
            BackendAddress::Ip(address) if address.ip().is_loopback() && !options.loopback_endpoints => {
                refusals.push(("InvalidBackendRef", endpoint::loopback(address.ip(), listed.span)));
            }
            BackendAddress::Ip(_) | BackendAddress::Fqdn(..) | BackendAddress::Unix(_) => {}
        }
    }
    refusals
}

fn status(backend: Object<'_, Backend>, refusal: Option<&Finding>) -> Status {
    let condition = match refusal {
        None => Condition::yes("Accepted", "Accepted", "The Backend is valid."),
        Some(finding) => Condition::no("Accepted", "Invalid", sentence(&finding.message)),
    };
    Status {
        object: backend.id().clone(),
        generation: backend.placed.resource.metadata.generation,
        body: StatusBody::Conditions(vec![condition]),
    }
}

/// Whether versions of one Backend differ in their endpoints only, and are all served.
pub(crate) fn differ_in_endpoints(versions: &[&Placed], options: &Options) -> bool {
    let mut specs = versions.iter().map(|placed| match &placed.resource.body {
        Body::Backend(spec)
            if !placed.resource.faulty && refusals(Object::new(placed, spec), options).is_empty() =>
        {
            Some(Backend {
                endpoints: Vec::new(),
                ..spec.clone()
            })
        }
        _ => None,
    });
    // The place of a field that is not an endpoint may have moved; nothing is said about those of a served Backend.
    let unplaced = |spec: Backend| {
        let is_fallback = spec.fallback.is_some_and(|fallback| fallback.value);
        (spec.kind.value, spec.app_protocols.len(), is_fallback)
    };
    let first = specs.next().flatten().map(unplaced);
    first.is_some() && specs.all(|spec| spec.map(unplaced) == first)
}

/// A few words for a reason, beside the reference.
pub(crate) fn word_for(reason: &str) -> &'static str {
    match reason {
        "UnsupportedProtocol" => "its appProtocols are not served",
        _ => "not valid",
    }
}
