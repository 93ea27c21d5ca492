//! References to backends, and the table of backends that they lead to.

use std::fmt::Write;
use std::sync::Arc;

use weir_model::{Backend as ModelBackend, BackendId, ObjectName, Port, Problem};

use super::endpoint;
use super::hash::QuickMap;
use super::index::{Index, Object};
use super::options::Options;
use super::reference::{self, Unresolved};
use super::reporter::Reporter;
use crate::resource::{Backend, BackendReference, Placed, Service, ServicePort};
use crate::yaml::Finding;

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
    ) -> Result<BackendId, Box<Unresolved>> {
        let definition = reference::definition(index, &self.refused, route, reference)?;
        let next = self.definitions.len() as u32;
        let id = *self.ids.entry(definition.identity()).or_insert(next);
        if id == next {
            self.definitions.push(definition);
        }
        Ok(BackendId(id))
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
