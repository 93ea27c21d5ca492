//! `gateway.envoyproxy.io` `Backend`.

use std::net::SocketAddr;
use std::sync::Arc;

use weir_model::Port;

use crate::yaml::{Span, Spanned};

/// Endpoints that are written down.
#[derive(Clone, Debug, PartialEq)]
pub struct Backend {
    /// `spec.type`; `Endpoints` when not written.
    pub kind: Spanned<BackendType>,
    /// `spec.endpoints`: all of them FQDN, or none.
    pub endpoints: Vec<BackendEndpoint>,
    /// `spec.appProtocols`.
    pub app_protocols: Vec<Spanned<AppProtocol>>,
    /// `spec.fallback`: serves only when the others cannot.
    pub fallback: Option<Spanned<bool>>,
    /// `spec.tls`, which is not served.
    pub tls: Option<Span>,
}

/// `spec.type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackendType {
    /// The endpoints are listed.
    Endpoints,
    /// The request's host is the endpoint; not served.
    DynamicResolver,
}

/// One entry of `spec.endpoints`.
#[derive(Clone, Debug, PartialEq)]
pub struct BackendEndpoint {
    /// Where it is.
    pub address: BackendAddress,
    /// `hostname`: for health checks and auto SNI.
    pub hostname: Option<Spanned<Arc<str>>>,
    /// `zone`, empty when not written.
    pub zone: Arc<str>,
    /// Where it starts.
    pub span: Span,
}

/// Where an endpoint of a [`Backend`] is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackendAddress {
    /// A name to resolve.
    Fqdn(Arc<str>, Port),
    /// An IP address.
    Ip(SocketAddr),
    /// The path of a Unix stream socket.
    Unix(Arc<str>),
}

/// `spec.appProtocols[]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppProtocol {
    /// `gateway.envoyproxy.io/h2c`.
    H2c,
    /// `gateway.envoyproxy.io/ws`.
    Ws,
    /// `gateway.envoyproxy.io/wss`.
    Wss,
}
