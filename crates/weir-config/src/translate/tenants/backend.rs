//! Services become endpoints: of one backend as long as their URLs differ in host and port only.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use weir_model::{
    Backend, BackendId, DnsSpec, Endpoint, EndpointProbe, EndpointSource, EndpointTraits, NamedEndpoint,
    ObjectName, Origin, Weight, limits,
};

use crate::resource::{HostHeader, ServiceCheck, ServiceUrl, Tenant, TenantService};

/// Backends in the order of their keys, each with its number in order of creation.
#[derive(Debug, Default)]
pub(super) struct TenantBackends {
    by_key: BTreeMap<Arc<str>, (u32, Backend)>,
}

/// Services that get requests in the same form: their URLs have the same path, query and, where it matters, host.
#[derive(Debug)]
pub(super) struct Group<'a> {
    /// Never empty.
    pub(super) services: Vec<&'a TenantService>,
    /// The `Host` that they get instead of the client's.
    pub(super) host: Option<Arc<str>>,
}

impl TenantBackends {
    /// The backend of that key, made of these services unless it is there already. `unwritten` is how a service
    /// that says nothing of it is probed.
    pub(super) fn add(
        &mut self,
        key: Arc<str>,
        object: &ObjectName,
        services: &[&TenantService],
        unwritten: &EndpointProbe,
        origin: Origin,
    ) -> BackendId {
        let endpoint = |service: &&TenantService| of_service(service, unwritten);
        let endpoints = || services.iter().map(endpoint).collect();
        self.insert(key, object, endpoints, origin)
    }

    /// The same for a URL that is no service.
    pub(super) fn add_url(
        &mut self,
        key: Arc<str>,
        object: &ObjectName,
        url: &ServiceUrl,
        origin: Origin,
    ) -> BackendId {
        let endpoints = || vec![NamedEndpoint::new(host(url), url.port)];
        self.insert(key, object, endpoints, origin)
    }

    /// The backends, and their ids by number of creation, counted from `first`.
    pub(super) fn finish(self, first: BackendId) -> (Vec<Arc<Backend>>, Vec<BackendId>) {
        let mut ids = vec![BackendId(u32::MAX); self.by_key.len()];
        let mut backends = Vec::with_capacity(self.by_key.len());
        for (place, (number, backend)) in (0..).zip(self.by_key.into_values()) {
            ids[number as usize] = BackendId(first.0 + place);
            backends.push(Arc::new(backend));
        }
        (backends, ids)
    }

    /// The backend of that key; made when it is asked for first.
    fn insert(
        &mut self,
        key: Arc<str>,
        object: &ObjectName,
        endpoints: impl FnOnce() -> Vec<NamedEndpoint>,
        origin: Origin,
    ) -> BackendId {
        let next = self.by_key.len() as u32;
        let backend = || Backend {
            key: key.clone(),
            object: object.clone(),
            endpoints: source(endpoints()),
            dns: DnsSpec::default(),
            origin,
        };
        let (number, _) = self
            .by_key
            .entry(key.clone())
            .or_insert_with(|| (next, backend()));
        BackendId(*number)
    }
}

/// Sorts services into groups, in the order written.
pub(super) fn groups<'a>(
    tenant: &Tenant,
    services: impl IntoIterator<Item = &'a TenantService>,
) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    for service in services {
        let host = match &tenant.host_header {
            HostHeader::Original => None,
            HostHeader::Service => Some(service.url.authority()),
            HostHeader::Name(name) => Some(name.clone()),
        };
        let same = |group: &&mut Group<'a>| {
            let first = &group.services[0].url;
            group.host == host && first.path == service.url.path && first.query == service.url.query
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.services.push(service),
            None => groups.push(Group {
                services: vec![service],
                host,
            }),
        }
    }
    groups
}

/// The sum of the services' weights.
pub(super) fn weight(services: &[&TenantService]) -> u64 {
    services
        .iter()
        .map(|service| u64::from(service.weight.number()))
        .sum()
}

/// A service as an endpoint. Its traits say how it is probed; path and query of its URL are its group's.
fn of_service(service: &TenantService, unwritten: &EndpointProbe) -> NamedEndpoint {
    let url = &service.url;
    let probe = match &service.check {
        ServiceCheck::Path(path) => EndpointProbe::Path(path.value.clone()),
        ServiceCheck::Connect => EndpointProbe::Connect,
        ServiceCheck::Off => EndpointProbe::Off,
        ServiceCheck::Unwritten { .. } => unwritten.clone(),
    };
    NamedEndpoint {
        weight: service.weight,
        tier: service.tier,
        name: service.name.value.clone(),
        traits: Some(Arc::new(EndpointTraits {
            host: Some(url.authority()),
            probe,
            connections_max: service.connections_max,
            ..EndpointTraits::default()
        })),
        ..NamedEndpoint::new(host(url), url.port)
    }
}

/// Addresses are known at once; names are resolved by the data plane.
fn source(mut named: Vec<NamedEndpoint>) -> EndpointSource {
    let address = |named: &NamedEndpoint| {
        let ip: IpAddr = named.host.parse().ok()?;
        Some(SocketAddr::new(ip, named.port.number()))
    };
    named.sort_by(|left, right| (&left.host, left.port).cmp(&(&right.host, right.port)));
    // One address is one endpoint, whatever number of services it is: it gets the shares of all of them.
    named.dedup_by(|later, earlier| {
        let is_same = (&later.host, later.port) == (&earlier.host, earlier.port);
        if is_same {
            let sum = u64::from(later.weight.number()) + u64::from(earlier.weight.number());
            let sum = sum.min(u64::from(limits::WEIGHT_MAX));
            earlier.weight = Weight::new(sum).unwrap_or(earlier.weight);
        }
        is_same
    });
    let endpoints: Option<Vec<Endpoint>> = named
        .iter()
        .map(|named| address(named).map(|address| named.at(address)))
        .collect();
    match endpoints {
        Some(mut endpoints) => {
            endpoints.sort_by(|left, right| left.address.cmp(&right.address));
            EndpointSource::Static(endpoints.into())
        }
        None => EndpointSource::Names(named.into()),
    }
}

/// What is resolved. `localhost` is 127.0.0.1 (RFC 6761 6.3 leaves the family open): resolving it would make two
/// endpoints of a service that listens on one of them.
pub(super) fn host(url: &ServiceUrl) -> Arc<str> {
    match &*url.host {
        "localhost" => Ipv4Addr::LOCALHOST.to_string().into(),
        host => host.trim_matches(['[', ']']).into(),
    }
}
