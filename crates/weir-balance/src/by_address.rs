//! Endpoints by the address that an override names.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::net::{IpAddr, SocketAddr};

use weir_model::{EndpointAddress, EndpointOverride};

use crate::endpoint::Member;
use crate::override_host::OverrideHosts;
use crate::ready::Ready;

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
