//! Addresses that names resolved to, by backend.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use weir_model::{Config, DnsSpec, Endpoint, EndpointSource, LookupFamily, NamedEndpoint};

/// A name, and how it is resolved.
pub(crate) type Name = (Arc<str>, DnsSpec);

/// The last good answers of every name. A name that stops resolving keeps what it had.
#[derive(Debug, Default)]
pub(crate) struct NameTable {
    answers: HashMap<Arc<str>, Vec<(DnsSpec, Vec<IpAddr>)>>,
}

impl NameTable {
    /// Remembers an answer; says whether it differs from the one before.
    pub(crate) fn learn(&mut self, name: Name, addresses: Vec<IpAddr>) -> bool {
        let (host, dns) = name;
        let answers = self.answers.entry(host).or_default();
        match answers.iter_mut().find(|(of, _)| *of == dns) {
            Some((_, known)) if *known == addresses => false,
            Some((_, known)) => {
                *known = addresses;
                true
            }
            None => {
                answers.push((dns, addresses));
                true
            }
        }
    }

    /// The endpoints of a backend that is made of names; those that never resolved give none.
    pub(crate) fn endpoints(&self, names: &[NamedEndpoint], dns: DnsSpec) -> Arc<[Endpoint]> {
        let mut endpoints: Vec<Endpoint> = Vec::new();
        for named in names {
            let literal = literal(named);
            let answers = match &literal {
                Some(address) => std::slice::from_ref(address),
                None => self.answer(&named.host, dns),
            };
            for address in answers
                .iter()
                .filter(|one| literal.is_some() || is_wanted(one, dns))
            {
                let found = named.at(SocketAddr::new(*address, named.port.number()));
                if endpoints.iter().all(|endpoint| endpoint.address != found.address) {
                    endpoints.push(found);
                }
            }
        }
        endpoints.into()
    }

    /// The answer for a name. One that was asked for in another way has to do until its own is there: a new policy about
    /// names takes no endpoint away.
    fn answer(&self, host: &str, dns: DnsSpec) -> &[IpAddr] {
        let answers = self.answers.get(host).map_or(&[][..], Vec::as_slice);
        let own = answers.iter().find(|(of, _)| *of == dns);
        own.or(answers.first()).map_or(&[], |(_, addresses)| addresses)
    }

    /// Forgets names that are not among `used`, and answers that no other has to stand in for.
    pub(crate) fn retain(&mut self, used: &HashSet<Name>) {
        let hosts: HashSet<&str> = used.iter().map(|(host, _)| &**host).collect();
        self.answers.retain(|host, answers| {
            let is_used = |(dns, _): &(DnsSpec, Vec<IpAddr>)| used.contains(&(Arc::clone(host), *dns));
            if answers.iter().any(is_used) {
                answers.retain(is_used);
            }
            hosts.contains(&**host)
        });
    }
}

/// The names that backends of `config` are made of, each with how it is resolved; some more than once.
pub(crate) fn names_of(config: &Config) -> impl Iterator<Item = Name> {
    config.backends.iter().flat_map(|backend| {
        let names = match &backend.endpoints {
            EndpointSource::Static(_) => &[][..],
            EndpointSource::Names(names) => names,
        };
        let names = names.iter().filter(|named| literal(named).is_none());
        names.map(|named| (Arc::clone(&named.host), backend.dns))
    })
}

/// Whether an address is of the family that is asked for.
fn is_wanted(address: &IpAddr, dns: DnsSpec) -> bool {
    match dns.family {
        LookupFamily::V4 => address.is_ipv4(),
        LookupFamily::V6 => address.is_ipv6(),
        LookupFamily::PreferV4 | LookupFamily::PreferV6 | LookupFamily::Both => true,
    }
}

/// The address that a name is itself; there is nothing to resolve then.
fn literal(named: &NamedEndpoint) -> Option<IpAddr> {
    named.host.parse().ok()
}
