//! Addresses that names resolved to, by backend.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use weir_model::{Endpoint, NamedEndpoint, Port};

/// The last good answers of every name. A name that stops resolving keeps what it had.
#[derive(Debug, Default)]
pub(crate) struct NameTable {
    answers: HashMap<(Arc<str>, Port), Vec<SocketAddr>>,
}

impl NameTable {
    /// Remembers an answer; says whether it differs from the one before.
    pub(crate) fn learn(&mut self, name: &Arc<str>, port: Port, addresses: Vec<SocketAddr>) -> bool {
        let key = (Arc::clone(name), port);
        self.answers.insert(key, addresses.clone()).as_ref() != Some(&addresses)
    }

    /// The endpoints of a backend that is made of names; those that never resolved give none.
    pub(crate) fn endpoints(&self, names: &[NamedEndpoint]) -> Arc<[Endpoint]> {
        let mut endpoints: Vec<Endpoint> = Vec::new();
        for named in names {
            let literal = literal(named);
            let answers = match &literal {
                Some(address) => std::slice::from_ref(address),
                None => self.answer(named),
            };
            for address in answers {
                let found = named.at(*address);
                if endpoints.iter().all(|endpoint| endpoint.address != found.address) {
                    endpoints.push(found);
                }
            }
        }
        endpoints.into()
    }

    fn answer(&self, named: &NamedEndpoint) -> &[SocketAddr] {
        let key = (Arc::clone(&named.host), named.port);
        self.answers.get(&key).map_or(&[], Vec::as_slice)
    }

    /// Forgets names that `is_used` does not know.
    pub(crate) fn retain(&mut self, is_used: impl Fn(&str, Port) -> bool) {
        self.answers.retain(|(name, port), _| is_used(name, *port));
    }
}

/// The address that a name is itself; there is nothing to resolve then.
pub(super) fn literal(named: &NamedEndpoint) -> Option<SocketAddr> {
    let address: IpAddr = named.host.parse().ok()?;
    Some(SocketAddr::new(address, named.port.number()))
}
