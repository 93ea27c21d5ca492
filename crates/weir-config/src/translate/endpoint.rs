//! The endpoints of a backend: EndpointSlices of a Service, or what an Envoy Gateway Backend lists.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use weir_model::{
    Endpoint, EndpointAddress, EndpointCondition, EndpointSource, EndpointTraits, NamedEndpoint, Port, Weight,
};

use super::index::{Index, Object};
use super::options::Options;
use super::reporter::listed;
use super::weights::Weights;
use crate::resource::{
    Backend, BackendAddress, BackendEndpoint, EndpointSlice, Placed, Service, ServicePort, SliceAddress,
    SliceEndpoint, SlicePort, TargetPort, TransportProtocol,
};
use crate::yaml::{Finding, Span};

/// Endpoints, and what was found wrong on the way.
#[derive(Debug)]
pub(crate) struct Found<'a> {
    /// The endpoints; none at all when nothing serves.
    pub(crate) source: EndpointSource,
    /// Problems, each with the object that it is written in.
    pub(crate) findings: Vec<(&'a Placed, Finding)>,
}

/// The endpoints of one port of a Service (Gateway API: EndpointSlices by the label
/// `kubernetes.io/service-name`, port by name).
pub(crate) fn of_service<'a>(
    index: &Index<'a>,
    service: Object<'a, Service>,
    port: &'a ServicePort,
    options: &Options,
) -> Found<'a> {
    let slices = index.slices_of(service.namespace(), service.name());
    let mut collected = Collected::default();
    if let Some(span) = service.spec.affinity {
        let message = format!("sessionAffinity of {} is not served", service.id());
        let help = "a policy can say the same: loadBalancer {type: ConsistentHash, consistentHash: {type: SourceIP}}";
        let finding = Finding::new("W0236", span, message)
            .label("has no effect")
            .help(help);
        let finding = finding.effect("its clients are spread as policies say");
        collected.findings.push((service.placed, finding));
    }
    let mut port_names = Vec::new();
    let mut port_found = false;
    for slice in &slices {
        match slice.spec.ports.iter().find(|candidate| serves(candidate, port)) {
            Some(slice_port) => {
                port_found = true;
                collected.add_slice(*slice, target(slice_port, port), options);
            }
            None => port_names.extend(slice.spec.ports.iter().map(|port| &*port.name)),
        }
    }
    if !port_found {
        collected.findings.push((
            service.placed,
            not_listed(service, port, slices.is_empty(), &mut port_names),
        ));
    } else if collected.endpoints.is_empty() && collected.names.is_empty() {
        let message = format!(
            "no EndpointSlice of {} lists an endpoint for this port",
            service.id()
        );
        collected
            .findings
            .push((service.placed, without_endpoints(port.span, message)));
    }
    collected.finish(service.placed, port.span)
}

/// The endpoints that a Backend lists. The Backend has been judged valid.
pub(crate) fn of_backend<'a>(backend: Object<'a, Backend>) -> Found<'a> {
    let mut collected = Collected::default();
    let mut weights = Weights::read(backend.placed, &mut collected.findings);
    for endpoint in &backend.spec.endpoints {
        let weight = weights
            .as_mut()
            .map_or(Weight::ONE, |weights| weight_of(weights, endpoint));
        let address = match &endpoint.address {
            BackendAddress::Fqdn(name, port) => {
                collected.names.push(NamedEndpoint {
                    weight,
                    traits: traits(endpoint),
                    ..NamedEndpoint::new(name.clone(), *port)
                });
                continue;
            }
            BackendAddress::Ip(address) => EndpointAddress::Tcp(*address),
            BackendAddress::Unix(path) => EndpointAddress::Unix(path.clone()),
        };
        let name = endpoint
            .hostname
            .as_ref()
            .map(|hostname| hostname.value.clone())
            .unwrap_or_default();
        collected.endpoints.push(Endpoint {
            weight,
            name,
            zone: endpoint.zone.clone(),
            traits: traits(endpoint),
            ..Endpoint::new(address)
        });
    }
    if let Some(weights) = weights {
        weights.finish(backend.placed, &mut collected.findings);
    }
    collected.finish(backend.placed, backend.placed.resource.span)
}

/// The weight of an endpoint by its host name, its address, or both with the port.
fn weight_of(weights: &mut Weights<'_>, endpoint: &BackendEndpoint) -> Weight {
    let (whole, bare) = match &endpoint.address {
        BackendAddress::Fqdn(name, port) => (format!("{name}:{}", port.number()), name.to_string()),
        BackendAddress::Ip(address) => (address.to_string(), address.ip().to_string()),
        BackendAddress::Unix(path) => (path.to_string(), path.to_string()),
    };
    let hostname = endpoint
        .hostname
        .as_ref()
        .map_or(&*whole, |hostname| &*hostname.value);
    weights.of(&[&whole, &bare, hostname])
}

/// The host name that an endpoint has of its own: as written, or the name that it is found by.
pub(crate) fn host_of(endpoint: &BackendEndpoint) -> Option<&Arc<str>> {
    match (&endpoint.hostname, &endpoint.address) {
        (Some(hostname), _) => Some(&hostname.value),
        (None, BackendAddress::Fqdn(name, _)) => Some(name),
        (None, BackendAddress::Ip(_) | BackendAddress::Unix(_)) => None,
    }
}

fn traits(endpoint: &BackendEndpoint) -> Option<Arc<EndpointTraits>> {
    host_of(endpoint).map(|host| {
        Arc::new(EndpointTraits {
            host: Some(host.clone()),
            ..EndpointTraits::default()
        })
    })
}

/// What the slices of one Service port yield.
#[derive(Debug, Default)]
struct Collected<'a> {
    endpoints: Vec<Endpoint>,
    names: Vec<NamedEndpoint>,
    findings: Vec<(&'a Placed, Finding)>,
}

impl<'a> Collected<'a> {
    fn add_slice(&mut self, slice: Object<'a, EndpointSlice>, port: Port, options: &Options) {
        self.endpoints.reserve(slice.spec.endpoints.len());
        let mut weights = Weights::read(slice.placed, &mut self.findings);
        for endpoint in &slice.spec.endpoints {
            let weight = weights.as_mut().map_or(Weight::ONE, |weights| {
                let address = match endpoint.addresses.first() {
                    Some(SliceAddress::Ip(ip)) => ip.to_string(),
                    Some(SliceAddress::Name(name)) => name.to_string(),
                    None => String::new(),
                };
                weights.of(&[&address, &endpoint.name])
            });
            match endpoint.addresses.first() {
                Some(SliceAddress::Ip(ip)) if ip.is_loopback() && !options.loopback_endpoints => {
                    self.findings.push((slice.placed, loopback(*ip, endpoint.span)));
                }
                Some(SliceAddress::Ip(ip)) => self.endpoints.push(Endpoint {
                    weight,
                    condition: condition(endpoint),
                    name: endpoint.name.clone(),
                    zone: endpoint.zone.clone(),
                    ..Endpoint::new(EndpointAddress::Tcp(SocketAddr::new(*ip, port.number())))
                }),
                Some(SliceAddress::Name(name)) if condition(endpoint) == EndpointCondition::Ready => {
                    self.names.push(NamedEndpoint {
                        weight,
                        ..NamedEndpoint::new(name.clone(), port)
                    });
                }
                Some(SliceAddress::Name(_)) | None => {}
            }
        }
        if let Some(weights) = weights {
            weights.finish(slice.placed, &mut self.findings);
        }
    }

    /// Endpoints are ordered by address and unique, so that writing them in another order changes nothing.
    fn finish(mut self, placed: &'a Placed, span: Span) -> Found<'a> {
        let draining = |endpoint: &Endpoint| endpoint.condition == EndpointCondition::Draining;
        if !self
            .endpoints
            .is_sorted_by(|left, right| left.address < right.address)
        {
            self.endpoints.sort_by(|left, right| {
                left.address
                    .cmp(&right.address)
                    .then(draining(left).cmp(&draining(right)))
            });
            self.endpoints
                .dedup_by(|later, earlier| later.address == earlier.address);
        }
        let key = |named: &NamedEndpoint| (named.host.clone(), named.port);
        self.names.sort_by_key(key);
        self.names.dedup_by_key(|named| key(named));
        if !self.endpoints.is_empty() && self.endpoints.iter().all(draining) {
            let message = format!(
                "all endpoints of {} are terminating or not ready",
                placed.resource.object
            );
            let effect = "no endpoint may be picked: requests are answered 503";
            self.findings.push((
                placed,
                Finding::new("W0232", span, message)
                    .label("no endpoint is ready")
                    .effect(effect),
            ));
        }
        if !self.endpoints.is_empty() && !self.names.is_empty() {
            let message = format!(
                "{} has endpoints by address and endpoints by name",
                placed.resource.object
            );
            let finding = Finding::new("W0233", span, message)
                .help("list either addresses or host names")
                .effect("the endpoints by name are left out");
            self.findings.push((placed, finding));
            self.names.clear();
        }
        let source = match self.names.is_empty() {
            true => EndpointSource::Static(self.endpoints.into()),
            false => EndpointSource::Names(self.names.into()),
        };
        Found {
            source,
            findings: self.findings,
        }
    }
}

/// Whether a port of a slice is the one that a Service port stands for.
fn serves(candidate: &SlicePort, port: &ServicePort) -> bool {
    candidate.name == port.name && candidate.protocol == TransportProtocol::Tcp
}

/// Where the endpoints of a slice listen. A slice port without number means every port, so the Service decides.
fn target(slice: &SlicePort, port: &ServicePort) -> Port {
    match (slice.port, &port.target) {
        (Some(number), _) => number.value,
        (None, Some(TargetPort::Number(number))) => *number,
        (None, Some(TargetPort::Name(_)) | None) => port.port.value,
    }
}

/// Only an endpoint that is ready, serving and not terminating may be picked; unknown counts as good
/// (EndpointSlice `conditions`).
fn condition(endpoint: &SliceEndpoint) -> EndpointCondition {
    let leaving = endpoint.terminating == Some(true)
        || endpoint.serving == Some(false)
        || endpoint.ready == Some(false);
    if leaving {
        EndpointCondition::Draining
    } else {
        EndpointCondition::Ready
    }
}

fn not_listed(
    service: Object<'_, Service>,
    port: &ServicePort,
    no_slices: bool,
    names: &mut Vec<&str>,
) -> Finding {
    if no_slices {
        let message = format!("{} has no EndpointSlice", service.id());
        let help =
            "add an EndpointSlice with the label kubernetes.io/service-name: ".to_string() + service.name();
        return without_endpoints(port.span, message).help(help);
    }
    names.sort_unstable();
    names.dedup();
    let message = match &*port.name {
        "" => format!(
            "the EndpointSlices of {} have no TCP port without name",
            service.id()
        ),
        name => format!(
            "the EndpointSlices of {} have no TCP port named {name}",
            service.id()
        ),
    };
    let names: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    let help = match names.is_empty() {
        true => "add the port to the EndpointSlice, with the name that the Service gives it".to_string(),
        false => format!("ports are matched by name; the slices have {}", listed(&names)),
    };
    Finding {
        code: "W0231",
        ..without_endpoints(port.span, message).help(help)
    }
}

fn without_endpoints(span: Span, message: String) -> Finding {
    Finding::new("W0230", span, message)
        .label("no endpoints")
        .effect("its share of the requests is answered 503 until it has endpoints")
}

/// Loopback endpoints are the proxy's own host, which is no backend in a cluster.
pub(crate) fn loopback(ip: IpAddr, span: Span) -> Finding {
    Finding::new("E0234", span, format!("{ip} is a loopback address"))
        .label("would be weir's own host")
        .help("loopback endpoints are served when configuration comes from files")
        .effect("this endpoint is left out")
}
