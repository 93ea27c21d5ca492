//! Backends: named groups of endpoints.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::{ObjectName, Origin, Port, Weight};

/// A named group of endpoints that serve the same thing (a Service port, an Envoy Gateway `Backend`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// Stable key over reloads: `service/NAMESPACE/NAME/PORT` or `backend/NAMESPACE/NAME`.
    pub key: Arc<str>,
    /// The object that defines it.
    pub object: ObjectName,
    /// Its endpoints, in a stable order.
    pub endpoints: EndpointSource,
    /// Where the defining object is written.
    pub origin: Origin,
}

/// Where a backend's endpoints come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndpointSource {
    /// The endpoints are written down. Shared so that unchanged endpoints compare by pointer first.
    Static(Arc<[Endpoint]>),
    /// Host names that the data plane resolves and keeps resolving; every address becomes an endpoint.
    Names(Arc<[(Arc<str>, Port)]>),
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
