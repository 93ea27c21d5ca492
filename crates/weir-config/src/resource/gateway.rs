//! `gateway.networking.k8s.io` `Gateway`.

use std::sync::Arc;

use weir_model::{HostPattern, Port};

use super::{LabelSelector, Reference};
use crate::yaml::{Span, Spanned};

/// Where traffic comes in.
#[derive(Clone, Debug, PartialEq)]
pub struct Gateway {
    /// `spec.gatewayClassName`.
    pub class: Spanned<Arc<str>>,
    /// `spec.listeners`, names unique.
    pub listeners: Vec<GatewayListener>,
    /// `spec.addresses`.
    pub addresses: Vec<GatewayAddress>,
    /// `spec.infrastructure`, which weir has no use for.
    pub infrastructure: Option<Span>,
    /// `spec.allowedListeners`, which is not served.
    pub allowed_listeners: Option<Span>,
    /// `spec.tls` (client certificates and backend certificates), which is not served.
    pub tls: Option<Span>,
}

/// One entry of `spec.listeners`.
#[derive(Clone, Debug, PartialEq)]
pub struct GatewayListener {
    /// Its name, unique in the Gateway.
    pub name: Spanned<Arc<str>>,
    /// Hosts that it takes; [`HostPattern::Any`] when not written.
    pub hostname: Spanned<HostPattern>,
    /// The port.
    pub port: Spanned<Port>,
    /// The protocol.
    pub protocol: Spanned<Protocol>,
    /// `tls`.
    pub tls: Option<ListenerTls>,
    /// `allowedRoutes`.
    pub allowed: AllowedRoutes,
    /// Something in it is an error, already reported: it must not be opened.
    pub refused: bool,
    /// Where it starts.
    pub span: Span,
}

/// `protocol` of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS that ends here.
    Https,
    /// TLS, ended here or passed through.
    Tls,
    /// Plain TCP.
    Tcp,
    /// UDP.
    Udp,
    /// An implementation-specific protocol such as `example.com/bar`.
    Other(Arc<str>),
}

/// `tls` of a listener.
#[derive(Clone, Debug, PartialEq)]
pub struct ListenerTls {
    /// Whether TLS ends here; `Terminate` when not written.
    pub mode: TlsMode,
    /// `certificateRefs`: group `""` and kind `Secret` unless written otherwise.
    pub certificates: Vec<Reference>,
    /// Where it starts.
    pub span: Span,
}

/// `tls.mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    /// TLS ends here.
    Terminate,
    /// Bytes go to the backend undeciphered.
    Passthrough,
}

/// `allowedRoutes` of a listener.
#[derive(Clone, Debug, PartialEq)]
pub struct AllowedRoutes {
    /// Namespaces whose routes may attach; `Same` when not written.
    pub namespaces: AllowedNamespaces,
    /// Kinds that may attach; empty means those of the protocol.
    pub kinds: Vec<RouteKind>,
}

/// `allowedRoutes.namespaces`.
#[derive(Clone, Debug, PartialEq)]
pub enum AllowedNamespaces {
    /// The Gateway's own.
    Same,
    /// Every namespace.
    All,
    /// No namespace.
    None,
    /// Namespaces whose labels match.
    Selector(LabelSelector),
}

/// One entry of `allowedRoutes.kinds`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteKind {
    /// API group; `gateway.networking.k8s.io` unless written otherwise.
    pub group: Arc<str>,
    /// The kind.
    pub kind: Spanned<Arc<str>>,
}

/// One entry of `spec.addresses`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayAddress {
    /// `type`; `IPAddress` when not written.
    pub kind: AddressKind,
    /// `value`; empty when not written (any address of that type).
    pub value: Spanned<Arc<str>>,
}

/// `addresses[].type`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressKind {
    /// An IP address; the value parses as one.
    Ip,
    /// A host name.
    Hostname,
    /// `NamedAddress` or an implementation-specific type, as written.
    Other(Arc<str>),
}
