//! Listeners: the addresses that weir accepts on, and which routes are served there.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::{Cidr, HostPattern, Origin, RouteId};

/// An address that weir accepts plain HTTP on. Gateway listeners that share a port share one of these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// What identifies it over reloads.
    pub key: ListenerKey,
    /// Gateway listeners on this address. A request belongs to the one with the most specific host
    /// (Gateway API listener isolation) and to no other.
    pub sections: Vec<Section>,
    /// How the client's address is found.
    pub client_ip: ClientIp,
}

/// The address that identifies a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListenerKey {
    /// Address and port to bind.
    pub address: SocketAddr,
}

/// One listener of a Gateway object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// `NAMESPACE/GATEWAY/LISTENER`.
    pub name: Arc<str>,
    /// Hosts that belong here.
    pub host: HostPattern,
    /// Port as the Gateway names it; redirects without a port of their own use it.
    pub port: u16,
    /// Routes served here.
    pub attachments: Vec<Attachment>,
    /// Where the Gateway's listener is written.
    pub origin: Origin,
}

/// A route on a section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// Which route.
    pub route: RouteId,
    /// Its hosts, already intersected with the section's. Never empty.
    pub hosts: Vec<HostPattern>,
}

/// How the client's address is found (Envoy Gateway `clientIPDetection`).
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum ClientIp {
    /// The peer's address; nothing in the request is believed.
    #[default]
    Peer,
    /// The N-th entry of `X-Forwarded-For` from the right; the peer's address when there are fewer.
    TrustedHops(u32),
    /// Walking `X-Forwarded-For` from the right, starting with the peer, the first address outside these
    /// prefixes; the leftmost when all are inside.
    TrustedCidrs(Vec<Cidr>),
}
