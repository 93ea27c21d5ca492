//! References to backends: what they lead to, or why they lead nowhere.

use super::backend::{Definition, ENVOY_GATEWAY_GROUP};
use super::backend_object;
use super::gateway::GATEWAY_GROUP;
use super::grant::Referrer;
use super::index::{Index, Object};
use super::reporter::listed;
use crate::hash::QuickMap;
use crate::resource::{BackendReference, Placed, Service, ServicePort, TargetPort};
use crate::yaml::Finding;

/// Why a reference leads nowhere.
#[derive(Debug)]
pub(crate) struct Unresolved {
    /// Reason of `ResolvedRefs=False`.
    pub(crate) reason: &'static str,
    /// The problem, still without its effect.
    pub(crate) finding: Finding,
}

/// What a route's reference leads to. `refused_backends` are the Backends that cannot be served, with the reason.
pub(crate) fn definition<'a>(
    index: &Index<'a>,
    refused_backends: &QuickMap<(&'a str, &'a str), &'static str>,
    route: &'a Placed,
    reference: &'a BackendReference,
) -> Result<Definition<'a>, Box<Unresolved>> {
    let object = &reference.object;
    let is_service = match (&*object.group, &*object.kind) {
        ("", "Service") => true,
        (ENVOY_GATEWAY_GROUP, "Backend") => false,
        _ => return Err(unknown_kind(reference)),
    };
    let home: &str = &route.resource.object.namespace;
    let namespace = object.namespace.as_ref().map_or(home, |written| &written.value);
    let from = Referrer {
        group: GATEWAY_GROUP,
        kind: "HTTPRoute",
        namespace: home,
    };
    if !index.grants.permits(from, object) {
        return Err(not_permitted(home, namespace, reference));
    }
    if is_service {
        let found = index.services.get(namespace, &object.name.value);
        let service = found.ok_or_else(|| {
            not_found(
                reference,
                namespace,
                index.services.near(namespace, &object.name.value),
            )
        })?;
        let port = service_port(service, reference)?;
        match index.tls_targets.refusal(service, Some(&port.name), reference) {
            Some(finding) => Err(unresolved("InvalidBackendRef", finding)),
            None => Ok(Definition::Service(service, port)),
        }
    } else {
        let found = index.backends.get(namespace, &object.name.value);
        let backend = found.ok_or_else(|| {
            not_found(
                reference,
                namespace,
                index.backends.near(namespace, &object.name.value),
            )
        })?;
        if let Some(reason) = refused_backends.get(&(backend.namespace(), backend.name())) {
            return Err(refused(reference, reason, backend.placed));
        }
        match index.tls_targets.refusal(backend, None, reference) {
            Some(finding) => Err(unresolved("InvalidBackendRef", finding)),
            None => Ok(Definition::Backend(backend)),
        }
    }
}

/// The port that a reference names, if weir can speak to it.
fn service_port<'a>(
    service: Object<'a, Service>,
    reference: &BackendReference,
) -> Result<&'a ServicePort, Box<Unresolved>> {
    let span = reference.object.name.span;
    if service.spec.external_name.is_some() {
        let finding = Finding::new("E0224", span, format!("{} is of type ExternalName", service.id()))
            .label("not served")
            .help("an ExternalName can be pointed at anything inside the cluster; list the host as a gateway.envoyproxy.io Backend with an fqdn endpoint instead");
        return Err(unresolved("InvalidBackendRef", finding));
    }
    let Some(number) = reference.port else {
        // Decoding marks such a reference as refused and nobody asks for it.
        let finding = Finding::new("E0223", span, "a reference to a Service needs a port".to_string());
        return Err(unresolved("PortNotFound", finding));
    };
    let Some(port) = service.spec.tcp_port(number.value) else {
        let ports: Vec<String> = service.spec.ports.iter().map(describe_port).collect();
        let message = format!("{} has no TCP port {}", service.id(), number.value.number());
        let finding = Finding::new("E0223", number.span, message).label("no such port");
        let targets = service.spec.ports.iter();
        let target = targets.filter(|port| port.target == Some(TargetPort::Number(number.value)));
        let help = match target.map(|port| port.port.value.number()).next() {
            Some(port) => format!(
                "{} is a targetPort; references use the Service's port, {port}",
                number.value.number()
            ),
            None if ports.is_empty() => "the Service lists no ports".to_string(),
            None => format!("its ports are {}", listed(&ports)),
        };
        return Err(unresolved("PortNotFound", finding.help(help)));
    };
    match port
        .app_protocol
        .as_ref()
        .map(|protocol| (&*protocol.value, protocol))
    {
        Some(("kubernetes.io/h2c" | "kubernetes.io/wss", protocol)) => {
            let message = format!(
                "{} speaks {}, which is not served yet",
                service.id(),
                protocol.value
            );
            let finding = Finding::new("E0225", number.span, message)
                .label("port with an unsupported appProtocol")
                .help("weir speaks HTTP/1.1 without TLS to backends");
            Err(unresolved("UnsupportedProtocol", finding))
        }
        _ => Ok(port),
    }
}

fn describe_port(port: &ServicePort) -> String {
    match &*port.name {
        "" => port.port.value.number().to_string(),
        name => format!("{} ({name})", port.port.value.number()),
    }
}

fn unknown_kind(reference: &BackendReference) -> Box<Unresolved> {
    let object = &reference.object;
    let group = if object.group.is_empty() {
        "core"
    } else {
        &object.group
    };
    let help = match &*object.kind {
        "Backend" => format!("a Backend needs group: {ENVOY_GATEWAY_GROUP}"),
        _ => format!("a backend is a Service (the default) or a Backend of group {ENVOY_GATEWAY_GROUP}"),
    };
    let finding = Finding::new(
        "E0220",
        object.span,
        format!("{} of group {group} is no backend", object.kind),
    )
    .label("kind not served")
    .help(help);
    unresolved("InvalidKind", finding)
}

fn not_permitted(home: &str, namespace: &str, reference: &BackendReference) -> Box<Unresolved> {
    let object = &reference.object;
    let message = format!(
        "no ReferenceGrant lets HTTPRoutes of {home} refer to {} {namespace}/{}",
        object.kind, object.name.value
    );
    let span = object
        .namespace
        .as_ref()
        .map_or(object.span, |namespace| namespace.span);
    let finding = Finding::new("E0221", span, message).label("another namespace").help(format!(
        "add a ReferenceGrant in namespace {namespace}: from HTTPRoute (gateway.networking.k8s.io) of {home}, to {}",
        object.kind
    ));
    unresolved("RefNotPermitted", finding)
}

fn not_found(reference: &BackendReference, namespace: &str, near: Option<String>) -> Box<Unresolved> {
    let object = &reference.object;
    let message = format!(
        "there is no {} {} in namespace {namespace}",
        object.kind, object.name.value
    );
    let help = match near {
        Some(near) => format!("did you mean {near}?"),
        None => format!("define the {}, or name one that exists", object.kind),
    };
    let finding = Finding::new("E0222", object.name.span, message)
        .label("not found")
        .help(help);
    unresolved("BackendNotFound", finding)
}

fn refused(reference: &BackendReference, reason: &'static str, backend: &Placed) -> Box<Unresolved> {
    let span = reference.object.name.span;
    let finding = Finding::new(
        "E0228",
        span,
        format!("{} cannot be served", backend.resource.object),
    )
    .label(backend_object::word_for(reason))
    .help(format!(
        "see the problem at {}",
        backend.origin(backend.resource.span)
    ));
    unresolved(reason, finding)
}

fn unresolved(reason: &'static str, finding: Finding) -> Box<Unresolved> {
    Box::new(Unresolved { reason, finding })
}
