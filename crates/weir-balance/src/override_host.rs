//! Endpoint override: the request names its endpoint in a header, `IP:PORT[,IP:PORT...]`, IPv6 in brackets.
//!
//! A name is only ever looked up among the endpoints that the rule has anyway, so that no request can make weir
//! connect to somewhere else (row EO07).

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::net::{IpAddr, SocketAddr};

use weir_model::{EndpointAddress, EndpointOverride};

use crate::balancer::Member;
use crate::key::KeyView;
use crate::ready::Ready;

/// Headers that may name an endpoint (Envoy Gateway `endpointOverride.extractFrom`).
const HEADERS_MAX: usize = 10;

/// The values that name endpoints in a request, in the order in which they count.
#[derive(Clone, Copy, Debug)]
pub struct OverrideHosts<'a> {
    values: [&'a [u8]; HEADERS_MAX],
    length: usize,
}

impl<'a> OverrideHosts<'a> {
    /// The first value of each header that `spec` names. `None` when all are absent or blank, or when the peer is not
    /// trusted to name endpoints (row EO09): then the policy decides as usual, also under a strict override.
    pub fn find<V: KeyView + ?Sized>(spec: &EndpointOverride, view: &'a V) -> Option<Self> {
        let trusted =
            spec.trusted.is_empty() || spec.trusted.iter().any(|cidr| cidr.contains(view.peer().ip()));
        if !trusted {
            return None;
        }
        let mut found = Self {
            values: [&[]; HEADERS_MAX],
            length: 0,
        };
        for name in spec.headers.iter().take(HEADERS_MAX) {
            let mut first = None;
            view.header_values(name, &mut |value| {
                first.get_or_insert(value);
            });
            if let Some(value) = first.filter(|value| !value.trim_ascii().is_empty()) {
                found.values[found.length] = value;
                found.length += 1;
            }
        }
        (found.length > 0).then_some(found)
    }

    /// The addresses named, in order. What is not an address with a port is passed over.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.values[..self.length]
            .iter()
            .flat_map(|value| value.split(|byte| *byte == b','))
            .filter_map(|name| std::str::from_utf8(name.trim_ascii()).ok()?.parse().ok())
    }
}

/// Endpoints by address. Built only for rules with an override.
#[derive(Debug)]
pub(crate) struct ByAddress {
    // The names come from configuration and only lookups from the network, so a fixed hash seed is harmless.
    positions: HashMap<(IpAddr, u16), u32, BuildHasherDefault<DefaultHasher>>,
    pub(crate) strict: bool,
}

impl ByAddress {
    pub(crate) fn new(spec: &EndpointOverride, members: &[Member], ready: &Ready) -> Self {
        let mut positions = HashMap::default();
        for position in 0..ready.len() {
            if let EndpointAddress::Tcp(address) = &members[ready.index(position) as usize].endpoint.address {
                positions.entry(name(*address)).or_insert(position);
            }
        }
        Self {
            positions,
            strict: spec.strict,
        }
    }

    /// The position of the first endpoint named that may serve this try (row EO04).
    pub(crate) fn find(&self, hosts: &OverrideHosts<'_>, ready: &Ready, tried: &[u32]) -> Option<u32> {
        hosts
            .addresses()
            .filter_map(|address| self.positions.get(&name(address)).copied())
            .find(|position| ready.is_usable(*position, tried))
    }
}

/// An IPv4-mapped address names the IPv4 endpoint.
fn name(address: SocketAddr) -> (IpAddr, u16) {
    (address.ip().to_canonical(), address.port())
}
