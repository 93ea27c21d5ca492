//! Endpoints by the address that an override names.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::net::{IpAddr, SocketAddr};

use weir_model::{EndpointAddress, EndpointOverride};

use crate::endpoint::Member;
use crate::override_host::OverrideHosts;
use crate::ready::Ready;

/// A tier's index and a position in it.
type Place = (usize, u32);

/// Endpoints by address. Built only for rules with an override.
#[derive(Debug)]
pub(crate) struct ByAddress {
    // The names come from configuration and only lookups from the network, so a fixed hash seed is harmless.
    places: HashMap<(IpAddr, u16), Place, BuildHasherDefault<DefaultHasher>>,
    pub(crate) strict: bool,
}

impl ByAddress {
    pub(crate) fn new<'r>(
        spec: &EndpointOverride,
        members: &[Member],
        tiers: impl Iterator<Item = &'r Ready>,
    ) -> Self {
        let mut places = HashMap::default();
        for (tier, ready) in tiers.enumerate() {
            for position in 0..ready.len() {
                let member = &members[ready.index(position) as usize];
                if let EndpointAddress::Tcp(address) = &member.endpoint.address {
                    places.entry(name(*address)).or_insert((tier, position));
                }
            }
        }
        Self {
            places,
            strict: spec.strict,
        }
    }

    /// The place of the first endpoint named that `is_usable` (row EO04).
    pub(crate) fn find(&self, hosts: &OverrideHosts<'_>, is_usable: impl Fn(Place) -> bool) -> Option<Place> {
        hosts
            .addresses()
            .filter_map(|address| self.places.get(&name(address)).copied())
            .find(|place| is_usable(*place))
    }
}

/// An IPv4-mapped address names the IPv4 endpoint.
fn name(address: SocketAddr) -> (IpAddr, u16) {
    (address.ip().to_canonical(), address.port())
}
