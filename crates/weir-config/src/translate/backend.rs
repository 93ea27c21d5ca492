//! References to backends, and the table of backends that they lead to.

use std::fmt::Write;
use std::sync::Arc;

use weir_model::{Backend as ModelBackend, BackendId, ObjectName, Port, Problem};

use super::grant::Referrer;
use super::hash::QuickMap;
use super::index::{Index, Object};
use super::options::Options;
use super::reporter::{Reporter, listed};
use super::{backend_object, endpoint};
use crate::resource::{Backend, BackendReference, Placed, Service, ServicePort};
use crate::yaml::{Finding, Span};

/// Group of Envoy Gateway's kinds.
pub(crate) const ENVOY_GATEWAY_GROUP: &str = "gateway.envoyproxy.io";

/// What defines a backend.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Definition<'a> {
    /// One port of a Service.
    Service(Object<'a, Service>, &'a ServicePort),
    /// An Envoy Gateway Backend.
    Backend(Object<'a, Backend>),
}

/// Namespace and name, and for a Service its port.
type Identity<'a> = (&'a str, &'a str, Option<Port>);

/// Why a reference leads nowhere.
#[derive(Debug)]
pub(crate) struct Unresolved {
    /// Reason of `ResolvedRefs=False`.
    pub(crate) reason: &'static str,
    /// The problem, still without its effect.
    pub(crate) finding: Finding,
}

/// All backends that routes refer to, in the order of the first reference.
#[derive(Debug)]
pub(crate) struct Backends<'a> {
    definitions: Vec<Definition<'a>>,
    ids: QuickMap<Identity<'a>, u32>,
    refused: QuickMap<(&'a str, &'a str), &'static str>,
}

/// The backends of a `Config`.
#[derive(Debug, Default)]
pub(crate) struct FinishedBackends {
    /// Ordered by key.
    pub(crate) backends: Vec<Arc<ModelBackend>>,
    /// The final id of each backend in order of first reference; of no meaning for backends that nobody uses.
    pub(crate) ids: Vec<BackendId>,
    /// What was found wrong with the endpoints, for each backend that has something wrong.
    pub(crate) problems: Vec<(BackendId, Vec<Problem>)>,
}

impl<'a> Backends<'a> {
    /// An empty table. `refused` are the Envoy Gateway Backends that cannot be served, each with the reason.
    pub(crate) fn new(refused: QuickMap<(&'a str, &'a str), &'static str>) -> Self {
        Self {
            definitions: Vec::new(),
            ids: QuickMap::default(),
            refused,
        }
    }

    /// Number of backends so far.
    pub(crate) fn count(&self) -> usize {
        self.definitions.len()
    }

    /// The backend that a route refers to. The id holds until [`Backends::finish`].
    pub(crate) fn resolve(
        &mut self,
        index: &Index<'a>,
        route: &'a Placed,
        reference: &'a BackendReference,
    ) -> Result<BackendId, Unresolved> {
        let definition = self.definition(index, route, reference)?;
        let next = self.definitions.len() as u32;
        let id = *self.ids.entry(definition.identity()).or_insert(next);
        if id == next {
            self.definitions.push(definition);
        }
        Ok(BackendId(id))
    }

    fn definition(
        &self,
        index: &Index<'a>,
        route: &'a Placed,
        reference: &'a BackendReference,
    ) -> Result<Definition<'a>, Unresolved> {
        let object = &reference.object;
        let is_service = match (&*object.group, &*object.kind) {
            ("", "Service") => true,
            (ENVOY_GATEWAY_GROUP, "Backend") => false,
            _ => return Err(unknown_kind(reference)),
        };
        let home: &str = &route.resource.object.namespace;
        let namespace = object.namespace.as_ref().map_or(home, |written| &written.value);
        let from = Referrer {
            group: super::gateway::GATEWAY_GROUP,
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
            Ok(Definition::Service(service, port))
        } else {
            let found = index.backends.get(namespace, &object.name.value);
            let backend = found.ok_or_else(|| {
                not_found(
                    reference,
                    namespace,
                    index.backends.near(namespace, &object.name.value),
                )
            })?;
            match self.refused.get(&(backend.namespace(), backend.name())) {
                Some(reason) => Err(refused(reference, reason, backend.placed)),
                None => Ok(Definition::Backend(backend)),
            }
        }
    }

    /// Gives the used backends their final ids, and finds their endpoints.
    pub(crate) fn finish(self, index: &Index<'a>, options: &Options, used: &[bool]) -> FinishedBackends {
        let mut order: Vec<(Arc<str>, usize)> = Vec::with_capacity(self.definitions.len());
        let mut key = String::new();
        for (place, definition) in self
            .definitions
            .iter()
            .enumerate()
            .filter(|(place, _)| used[*place])
        {
            definition.write_key(&mut key);
            order.push((key.as_str().into(), place));
        }
        order.sort_unstable();
        let mut finished = FinishedBackends::default();
        finished.ids.resize(self.definitions.len(), BackendId(0));
        finished.backends.reserve(order.len());
        for (id, (key, place)) in order.into_iter().enumerate() {
            let id = BackendId(id as u32);
            finished.ids[place] = id;
            let (backend, problems) = self.definitions[place].build(index, options, key);
            finished.backends.push(Arc::new(backend));
            if !problems.is_empty() {
                finished.problems.push((id, problems));
            }
        }
        finished
    }
}

impl<'a> Definition<'a> {
    /// What defines a backend of a `Config`, found again in another set of resources.
    pub(crate) fn of(index: &Index<'a>, backend: &ModelBackend) -> Option<Self> {
        let ObjectName { namespace, name, .. } = &backend.object;
        match backend.key.strip_prefix("service/") {
            Some(rest) => {
                let port = Port::new(rest.rsplit_once('/')?.1.parse().ok()?)?;
                let service = index.services.get(namespace, name)?;
                Some(Self::Service(service, service.spec.tcp_port(port)?))
            }
            None => index.backends.get(namespace, name).map(Self::Backend),
        }
    }

    /// The backend with its endpoints, and what is wrong with them.
    pub(crate) fn build(
        &self,
        index: &Index<'a>,
        options: &Options,
        key: Arc<str>,
    ) -> (ModelBackend, Vec<Problem>) {
        let (object, origin, mut found) = match *self {
            Self::Service(service, port) => {
                let mut found = endpoint::of_service(index, service, port, options);
                found
                    .findings
                    .extend(protocol_finding(port).map(|finding| (service.placed, finding)));
                (service.id(), service.origin(port.span), found)
            }
            Self::Backend(backend) => {
                let origin = backend.origin(backend.placed.resource.span);
                (backend.id(), origin, endpoint::of_backend(backend))
            }
        };
        let mut reporter = Reporter::default();
        for (placed, finding) in found.findings.drain(..) {
            reporter.add(placed, finding);
        }
        let backend = ModelBackend {
            key,
            object: object.clone(),
            endpoints: found.source,
            origin,
        };
        (backend, reporter.into_problems())
    }

    fn identity(&self) -> Identity<'a> {
        match self {
            Self::Service(service, port) => (service.namespace(), service.name(), Some(port.port.value)),
            Self::Backend(backend) => (backend.namespace(), backend.name(), None),
        }
    }

    /// Writes the backend's key over `key`.
    fn write_key(&self, key: &mut String) {
        key.clear();
        let (namespace, name, port) = self.identity();
        // Writing to a String cannot fail.
        let _ = match port {
            Some(port) => write!(key, "service/{namespace}/{name}/{}", port.number()),
            None => write!(key, "backend/{namespace}/{name}"),
        };
    }
}

/// The port that a reference names, if weir can speak to it.
fn service_port<'a>(
    service: Object<'a, Service>,
    reference: &BackendReference,
) -> Result<&'a ServicePort, Unresolved> {
    let span = reference.object.name.span;
    if service.spec.external_name.is_some() {
        let finding = Finding::new("E0224", span, format!("{} is of type ExternalName", service.id()))
            .label("not served")
            .help("an ExternalName can be pointed at anything inside the cluster; list the host as a gateway.envoyproxy.io Backend with an fqdn endpoint instead");
        return Err(Unresolved {
            reason: "InvalidBackendRef",
            finding,
        });
    }
    let Some(number) = reference.port else {
        // Decoding marks such a reference as refused and nobody asks for it.
        let finding = Finding::new("E0223", span, "a reference to a Service needs a port".to_string());
        return Err(Unresolved {
            reason: "PortNotFound",
            finding,
        });
    };
    let Some(port) = service.spec.tcp_port(number.value) else {
        let ports: Vec<String> = service.spec.ports.iter().map(describe_port).collect();
        let message = format!("{} has no TCP port {}", service.id(), number.value.number());
        let finding = Finding::new("E0223", number.span, message).label("no such port");
        let targets = service.spec.ports.iter();
        let target =
            targets.filter(|port| port.target == Some(crate::resource::TargetPort::Number(number.value)));
        let help = match target.map(|port| port.port.value.number()).next() {
            Some(port) => format!(
                "{} is a targetPort; references use the Service's port, {port}",
                number.value.number()
            ),
            None if ports.is_empty() => "the Service lists no ports".to_string(),
            None => format!("its ports are {}", listed(&ports)),
        };
        return Err(Unresolved {
            reason: "PortNotFound",
            finding: finding.help(help),
        });
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
            Err(Unresolved {
                reason: "UnsupportedProtocol",
                finding,
            })
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

/// What is worth saying about the `appProtocol` of a port that is served.
fn protocol_finding(port: &ServicePort) -> Option<Finding> {
    let protocol = port.app_protocol.as_ref()?;
    if protocol.value.eq_ignore_ascii_case("https") {
        let finding = Finding::new(
            "W0226",
            protocol.span,
            "TLS to backends is not served yet".to_string(),
        );
        return Some(
            finding
                .label("needs TLS")
                .effect("requests to this port are sent as plain HTTP/1.1"),
        );
    }
    if *protocol.value == *"kubernetes.io/ws" {
        let finding = Finding::new(
            "N0227",
            protocol.span,
            "WebSocket upgrades are not served yet".to_string(),
        );
        return Some(finding.effect("requests to this port are served as plain HTTP/1.1"));
    }
    None
}

fn unknown_kind(reference: &BackendReference) -> Unresolved {
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
    Unresolved {
        reason: "InvalidKind",
        finding,
    }
}

fn not_permitted(home: &str, namespace: &str, reference: &BackendReference) -> Unresolved {
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
    Unresolved {
        reason: "RefNotPermitted",
        finding,
    }
}

fn not_found(reference: &BackendReference, namespace: &str, near: Option<String>) -> Unresolved {
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
    Unresolved {
        reason: "BackendNotFound",
        finding,
    }
}

fn refused(reference: &BackendReference, reason: &'static str, backend: &Placed) -> Unresolved {
    let span: Span = reference.object.name.span;
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
    Unresolved { reason, finding }
}
