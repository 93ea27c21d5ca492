//! Core `Service`.

use std::collections::HashSet;
use std::sync::Arc;

use weir_model::Port;

use super::decode::{Decoder, Field, Fields, portability};
use super::{hostname, words};
use crate::yaml::{Finding, Span, Spanned};

/// A named set of ports; who serves them is in EndpointSlices.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Service {
    /// `spec.ports`.
    pub ports: Vec<ServicePort>,
    /// `spec.clusterIP` is `None`.
    pub headless: bool,
    /// `spec.sessionAffinity` is `ClientIP`, and where that is written.
    pub affinity: Option<Span>,
    /// `spec.type` is `ExternalName`: this DNS name.
    pub external_name: Option<Spanned<Arc<str>>>,
}

impl Service {
    /// The port of that number; protocols other than TCP do not count.
    pub fn tcp_port(&self, number: Port) -> Option<&ServicePort> {
        self.ports
            .iter()
            .find(|port| *port.port == number && port.protocol == TransportProtocol::Tcp)
    }
}

/// One entry of `spec.ports`.
#[derive(Clone, Debug, PartialEq)]
pub struct ServicePort {
    /// Its name, by which EndpointSlices refer to it; may be empty when it is the only one.
    pub name: Arc<str>,
    /// The number that backendRefs use.
    pub port: Spanned<Port>,
    /// Where pods listen; `None` means the same number.
    pub target: Option<TargetPort>,
    /// TCP when not written.
    pub protocol: TransportProtocol,
    /// `appProtocol`.
    pub app_protocol: Option<Spanned<Arc<str>>>,
    /// Where it starts.
    pub span: Span,
}

/// `targetPort`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetPort {
    /// A number.
    Number(Port),
    /// The name of a container port.
    Name(Arc<str>),
}

/// `protocol` of a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TransportProtocol {
    /// TCP, the default.
    #[default]
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

const SPEC_FIELDS: [&str; 21] = [
    "ports",
    "type",
    "clusterIP",
    "clusterIPs",
    "externalName",
    "selector",
    "sessionAffinity",
    "sessionAffinityConfig",
    "externalIPs",
    "externalTrafficPolicy",
    "internalTrafficPolicy",
    "ipFamilies",
    "ipFamilyPolicy",
    "loadBalancerIP",
    "loadBalancerClass",
    "loadBalancerSourceRanges",
    "allocateLoadBalancerNodePorts",
    "healthCheckNodePort",
    "publishNotReadyAddresses",
    "topologyKeys",
    "trafficDistribution",
];

const PROTOCOLS: &[(&str, TransportProtocol)] = &[
    ("TCP", TransportProtocol::Tcp),
    ("UDP", TransportProtocol::Udp),
    ("SCTP", TransportProtocol::Sctp),
];

const AFFINITIES: &[(&str, bool)] = &[("None", false), ("ClientIP", true)];

const TYPES: &[(&str, bool)] = &[
    ("ClusterIP", false),
    ("NodePort", false),
    ("LoadBalancer", false),
    ("ExternalName", true),
];

/// Reads `spec`. Ports that cannot be read are left out.
pub(super) fn decode(decoder: &mut Decoder, spec: Field<'_>) -> Option<Service> {
    let fields = decoder.fields(spec, &SPEC_FIELDS)?;
    let kind = fields
        .optional("type")
        .and_then(|field| decoder.choice(field, TYPES));
    let mut service = Service::default();
    if kind.is_some_and(|kind| kind.value) {
        let name = fields
            .required(decoder, "externalName")
            .and_then(|field| hostname::decode_precise(decoder, field));
        service.external_name = Some(name?);
    }
    let cluster_ip = fields.optional("clusterIP").and_then(|field| field.node.scalar());
    service.headless = cluster_ip.is_some_and(|scalar| *scalar.text == *"None");
    service.affinity = fields.optional("sessionAffinity").and_then(|field| {
        let choice = decoder.choice(field, AFFINITIES)?;
        choice.value.then_some(choice.span)
    });
    let mut seen = HashSet::new();
    let mark = decoder.mark();
    let items = fields
        .optional("ports")
        .map(|field| decoder.items(field, usize::MAX))
        .unwrap_or_default();
    for item in &items {
        let Some(port) = service_port(decoder, *item) else {
            continue;
        };
        if !seen.insert((port.port.value, port.protocol)) {
            let message = format!("port {} is listed twice", port.port.number());
            decoder.report(Finding::new("W0106", port.port.span, message).label("the first entry counts"));
            continue;
        }
        service.ports.push(port);
    }
    if items.is_empty() && !service.headless && service.external_name.is_none() {
        let message = "the Service has no \"ports\"";
        decoder.report(Finding::new("E0102", fields.span(), message).help("list at least one port"));
    }
    if items.len() > 1 && service.ports.iter().any(|port| port.name.is_empty()) {
        let message = "a Service with several ports must name each of them";
        decoder.report(portability(fields.key_span("ports"), message).help("add \"name\" to every port"));
    }
    decoder.effect_since(
        mark,
        "references to a port that the Service does not have answer 500",
    );
    Some(service)
}

fn service_port(decoder: &mut Decoder, item: Field<'_>) -> Option<ServicePort> {
    let known = [
        "name",
        "port",
        "targetPort",
        "protocol",
        "appProtocol",
        "nodePort",
    ];
    let fields = decoder.fields(item, &known)?;
    let port = fields
        .required(decoder, "port")
        .and_then(|field| decoder.port(field));
    let name = fields.optional("name").and_then(|field| decoder.text(field));
    let protocol = protocol(decoder, &fields);
    let target = match fields.optional("targetPort") {
        Some(field)
            if field
                .node
                .scalar()
                .is_some_and(|scalar| scalar.integer().is_some()) =>
        {
            Some(TargetPort::Number(decoder.port(field)?.value))
        }
        Some(field) => Some(TargetPort::Name(decoder.nonempty(field)?.value)),
        None => None,
    };
    let app_protocol = fields
        .optional("appProtocol")
        .and_then(|field| decoder.nonempty(field));
    Some(ServicePort {
        name: name.map_or_else(|| words::shared(""), |name| name.value),
        port: port?,
        target,
        protocol: protocol?,
        app_protocol,
        span: fields.span(),
    })
}

/// Reads the field `protocol`; TCP when it is not written.
pub(super) fn protocol(decoder: &mut Decoder, fields: &Fields<'_>) -> Option<TransportProtocol> {
    match fields.optional("protocol") {
        Some(field) => decoder.choice(field, PROTOCOLS).map(|protocol| protocol.value),
        None => Some(TransportProtocol::Tcp),
    }
}
