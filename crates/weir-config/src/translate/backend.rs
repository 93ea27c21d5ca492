//! References to backends, and the table of backends that they lead to.

use std::fmt::Write;
use std::sync::Arc;

use weir_model::{Backend as ModelBackend, BackendId, DnsSpec, ObjectName, Port, Problem};

use super::change::Previous;
use super::endpoint;
use super::index::{Index, Object};
use super::options::Options;
use super::reference::{self, Unresolved};
use super::reporter::Reporter;
use crate::hash::QuickMap;
use crate::resource::{
    Backend, BackendAddress, BackendReference, Placed, Service, ServicePort, SliceAddress,
};
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

/// Namespace and name, for a Service its port, and how names are resolved.
type Identity<'a> = (&'a str, &'a str, Option<Port>, DnsSpec);

/// All backends that routes refer to, in the order of the first reference.
#[derive(Debug)]
pub(crate) struct Backends<'a> {
    entries: Vec<Entry<'a>>,
    ids: QuickMap<Identity<'a>, u32>,
    refused: QuickMap<(&'a str, &'a str), &'static str>,
}

#[derive(Debug)]
struct Entry<'a> {
    definition: Definition<'a>,
    dns: DnsSpec,
    /// What it was in the last translation, if it still is, and what was wrong with it.
    known: Option<(Arc<ModelBackend>, Vec<Problem>)>,
}

/// The backends of a `Config`.
#[derive(Debug, Default)]
pub(crate) struct FinishedBackends {
    /// Ordered by key.
    pub(crate) backends: Vec<Arc<ModelBackend>>,
    /// The final id of each backend in order of first reference; `u32::MAX` for backends that nobody uses.
    pub(crate) ids: Vec<BackendId>,
    /// What was found wrong with the endpoints, for each backend that has something wrong.
    pub(crate) problems: Vec<(BackendId, Vec<Problem>)>,
}

impl<'a> Backends<'a> {
    /// A table with the backends of the last translation, as far as they are still what they were. `refused` are
    /// the Envoy Gateway Backends that cannot be served, each with the reason.
    pub(crate) fn new(
        index: &Index<'a>,
        refused: QuickMap<(&'a str, &'a str), &'static str>,
        previous: Option<&Previous<'_>>,
    ) -> Self {
        let mut table = Self {
            entries: Vec::new(),
            ids: QuickMap::default(),
            refused,
        };
        for (place, backend) in previous.map_or(&[][..], Previous::backends).iter().enumerate() {
            // Nothing but routes changed, so all of them are there.
            let Some(definition) = Definition::of(index, backend) else {
                break;
            };
            table.ids.insert(definition.identity(backend.dns), place as u32);
            let problems = previous.map_or(&[][..], |previous| previous.problems_of(place));
            table.entries.push(Entry {
                definition,
                dns: backend.dns,
                known: Some((backend.clone(), problems.to_vec())),
            });
        }
        table
    }

    /// Number of backends so far.
    pub(crate) fn count(&self) -> usize {
        self.entries.len()
    }

    /// The backend that a route refers to. The id holds until [`Backends::finish`].
    pub(crate) fn resolve(
        &mut self,
        index: &Index<'a>,
        route: &'a Placed,
        reference: &'a BackendReference,
    ) -> Result<BackendId, Box<Unresolved>> {
        let definition = reference::definition(index, &self.refused, route, reference)?;
        Ok(self.id_of(definition, DnsSpec::default()))
    }

    /// The same backend with its names resolved in another way; itself when it has no names.
    pub(crate) fn with_dns(&mut self, index: &Index<'a>, backend: BackendId, dns: DnsSpec) -> BackendId {
        let entry = &self.entries[backend.0 as usize];
        if entry.dns == dns || !entry.definition.has_names(index) {
            return backend;
        }
        self.id_of(entry.definition, dns)
    }

    fn id_of(&mut self, definition: Definition<'a>, dns: DnsSpec) -> BackendId {
        let next = self.entries.len() as u32;
        let id = *self.ids.entry(definition.identity(dns)).or_insert(next);
        if id == next {
            self.entries.push(Entry {
                definition,
                dns,
                known: None,
            });
        }
        BackendId(id)
    }

    /// Whether a backend serves only when others cannot (Envoy Gateway `Backend.spec.fallback`).
    pub(crate) fn is_fallback(&self, backend: BackendId) -> bool {
        match self.entries[backend.0 as usize].definition {
            Definition::Service(..) => false,
            Definition::Backend(backend) => backend.spec.fallback.is_some_and(|fallback| fallback.value),
        }
    }

    /// The Service behind a backend, if it keeps clients by their address (`sessionAffinity`).
    pub(crate) fn service_with_affinity(&self, backend: BackendId) -> Option<Object<'a, Service>> {
        match self.entries[backend.0 as usize].definition {
            Definition::Service(service, _) => service.spec.affinity.map(|_| service),
            Definition::Backend(_) => None,
        }
    }

    /// Whether endpoints of a backend have host names of their own.
    pub(crate) fn has_hosts(&self, backend: BackendId) -> bool {
        match self.entries[backend.0 as usize].definition {
            Definition::Service(..) => false,
            Definition::Backend(backend) => {
                let mut endpoints = backend.spec.endpoints.iter();
                endpoints.any(|endpoint| endpoint::host_of(endpoint).is_some())
            }
        }
    }

    /// Gives the used backends their final ids, and finds their endpoints.
    pub(crate) fn finish(self, index: &Index<'a>, options: &Options, used: &[bool]) -> FinishedBackends {
        let count = self.entries.len();
        let mut order: Vec<(Arc<str>, usize, Entry<'a>)> = Vec::with_capacity(count);
        let mut buffer = String::new();
        for (place, entry) in self
            .entries
            .into_iter()
            .enumerate()
            .filter(|(place, _)| used[*place])
        {
            let key = match &entry.known {
                Some((backend, _)) => backend.key.clone(),
                None => entry.definition.key(entry.dns, &mut buffer),
            };
            order.push((key, place, entry));
        }
        order.sort_unstable_by(|left, right| left.0.cmp(&right.0));
        let mut finished = FinishedBackends::default();
        finished.ids.resize(count, BackendId(u32::MAX));
        finished.backends.reserve(order.len());
        for (id, (key, place, entry)) in order.into_iter().enumerate() {
            let id = BackendId(id as u32);
            finished.ids[place] = id;
            let (backend, problems) = entry.known.unwrap_or_else(|| {
                let (backend, problems) = entry.definition.build(index, options, key, entry.dns);
                (Arc::new(backend), problems)
            });
            finished.backends.push(backend);
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
                let rest = rest.strip_prefix(&**namespace)?.strip_prefix('/')?;
                let rest = rest.strip_prefix(&**name)?.strip_prefix('/')?;
                let port = Port::new(rest.split('/').next()?.parse().ok()?)?;
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
        dns: DnsSpec,
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
            dns,
            origin,
        };
        (backend, reporter.into_problems())
    }

    fn identity(&self, dns: DnsSpec) -> Identity<'a> {
        match self {
            Self::Service(service, port) => (service.namespace(), service.name(), Some(port.port.value), dns),
            Self::Backend(backend) => (backend.namespace(), backend.name(), None, dns),
        }
    }

    /// Whether endpoints are listed by name, so that it matters how names are resolved.
    fn has_names(&self, index: &Index<'a>) -> bool {
        match self {
            Self::Service(service, _) => {
                let slices = index.slices_of(service.namespace(), service.name());
                let mut endpoints = slices.iter().flat_map(|slice| &slice.spec.endpoints);
                endpoints.any(|endpoint| matches!(endpoint.addresses.first(), Some(SliceAddress::Name(_))))
            }
            Self::Backend(backend) => {
                let mut endpoints = backend.spec.endpoints.iter();
                endpoints.any(|endpoint| matches!(endpoint.address, BackendAddress::Fqdn(..)))
            }
        }
    }

    /// The backend's key, written by way of `buffer`.
    fn key(&self, dns: DnsSpec, buffer: &mut String) -> Arc<str> {
        buffer.clear();
        let (namespace, name, port, _) = self.identity(dns);
        // Writing to a String cannot fail.
        let _ = match port {
            Some(port) => write!(buffer, "service/{namespace}/{name}/{}", port.number()),
            None => write!(buffer, "backend/{namespace}/{name}"),
        };
        if dns != DnsSpec::default() {
            let ttl = if dns.respect_ttl { "ttl" } else { "fixed" };
            let _ = write!(
                buffer,
                "/dns/{}-{ttl}-{:?}",
                dns.refresh.milliseconds(),
                dns.family
            );
        }
        buffer.as_str().into()
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
