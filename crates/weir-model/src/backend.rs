//! Backends: named groups of endpoints.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::{DnsSpec, ObjectName, Origin, Port, Tier, Weight};

/// A named group of endpoints that serve the same thing (a Service port, an Envoy Gateway `Backend`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// Stable key over reloads: `service/NAMESPACE/NAME/PORT`, `backend/NAMESPACE/NAME`, or `tenant/NAME` and what
    /// part of the tenant it is.
    pub key: Arc<str>,
    /// The object that defines it.
    pub object: ObjectName,
    /// Its endpoints, in a stable order.
    pub endpoints: EndpointSource,
    /// How names among its endpoints become addresses.
    pub dns: DnsSpec,
    /// Where the defining object is written.
    pub origin: Origin,
}

/// Where a backend's endpoints come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndpointSource {
    /// The endpoints are written down. Shared so that unchanged endpoints compare by pointer first.
    Static(Arc<[Endpoint]>),
    /// Host names that the data plane resolves and keeps resolving; every address becomes an endpoint.
    Names(Arc<[NamedEndpoint]>),
}

/// A host name that stands for endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedEndpoint {
    /// The name, or an IP address without brackets, which stands for itself.
    pub host: Arc<str>,
    /// Where the endpoints listen.
    pub port: Port,
    /// Share of each of them among the backend's endpoints.
    pub weight: Weight,
    /// When they are used.
    pub tier: Tier,
    /// Their name, for people.
    pub name: Arc<str>,
    /// What they have of their own.
    pub traits: Option<Arc<EndpointTraits>>,
}

impl NamedEndpoint {
    /// Endpoints of weight 1 in the first tier, called like their host.
    pub fn new(host: Arc<str>, port: Port) -> Self {
        Self {
            name: Arc::clone(&host),
            host,
            port,
            weight: Weight::ONE,
            tier: Tier::FIRST,
            traits: None,
        }
    }

    /// The endpoint at one address of the name.
    pub fn at(&self, address: SocketAddr) -> Endpoint {
        Endpoint {
            weight: self.weight,
            tier: self.tier,
            name: Arc::clone(&self.name),
            traits: self.traits.clone(),
            ..Endpoint::new(EndpointAddress::Tcp(address))
        }
    }
}

/// One address that serves a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Where to connect to.
    pub address: EndpointAddress,
    /// Share among the backend's endpoints.
    pub weight: Weight,
    /// Whether it may be picked.
    pub condition: EndpointCondition,
    /// The pod or host behind it, for people; empty when unknown.
    pub name: Arc<str>,
    /// Topology zone; empty when unknown.
    pub zone: Arc<str>,
    /// When it is used: the others of its backend come before or after it.
    pub tier: Tier,
    /// What it has of its own.
    pub traits: Option<Arc<EndpointTraits>>,
}

impl Endpoint {
    /// A ready endpoint of weight 1 in the first tier, without a name.
    pub fn new(address: EndpointAddress) -> Self {
        Self {
            address,
            weight: Weight::ONE,
            condition: EndpointCondition::Ready,
            name: "".into(),
            zone: "".into(),
            tier: Tier::FIRST,
            traits: None,
        }
    }
}

/// What an endpoint has of its own, besides what its backend and its rules say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointTraits {
    /// Its host name (Envoy Gateway `Backend.spec.endpoints[].hostname`): the `Host` of probes that name none.
    pub host: Option<Arc<str>>,
    /// Path that is put before every request's path; begins with `/`, has no `/` at its end; empty for none (row KT12).
    pub base_path: Arc<str>,
    /// Query that is put before every request's query; empty for none (row KT12).
    pub base_query: Arc<str>,
    /// How it is probed.
    pub probe: EndpointProbe,
    /// Connections to it at once, in place of [`crate::Breakers::endpoint_connections`].
    pub connections_max: Option<u32>,
}

/// How an endpoint is probed by an HTTP check.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum EndpointProbe {
    /// As the check says.
    #[default]
    AsBackend,
    /// At this path instead; begins with `/`.
    Path(Arc<str>),
    /// By connecting only (row HC05).
    Connect,
    /// Not at all: it counts as healthy (row HC05).
    Off,
}

/// Where to connect to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EndpointAddress {
    /// A TCP address.
    Tcp(SocketAddr),
    /// A Unix stream socket's path.
    Unix(Arc<str>),
}

impl fmt::Display for EndpointAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(out),
            Self::Unix(path) => out.write_str(path),
        }
    }
}

/// What an EndpointSlice says of an endpoint (`conditions.ready`, `serving`, `terminating`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointCondition {
    /// May be picked.
    Ready,
    /// Finishes what it has; never picked.
    Draining,
}
