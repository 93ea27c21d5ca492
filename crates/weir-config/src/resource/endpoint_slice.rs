//! `discovery.k8s.io/v1` `EndpointSlice` and core `Endpoints`.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use weir_model::Port;

use super::decode::{Decoder, Field, Fields};
use super::{Labels, TransportProtocol, hostname, service, words};
use crate::yaml::{Finding, Span, Spanned};

/// Some of the endpoints of a Service.
#[derive(Clone, Debug, PartialEq)]
pub struct EndpointSlice {
    /// Label `kubernetes.io/service-name`: the Service in the slice's namespace.
    pub service: Option<Arc<str>>,
    /// `addressType`.
    pub address_type: AddressType,
    /// `endpoints`.
    pub endpoints: Vec<SliceEndpoint>,
    /// `ports`; they hold for every endpoint.
    pub ports: Vec<SlicePort>,
}

/// Core `Endpoints`: the Service of the same name; one slice per subset and condition.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Endpoints {
    /// The subsets.
    pub subsets: Vec<EndpointSlice>,
}

/// `addressType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressType {
    /// IPv4 addresses.
    Ipv4,
    /// IPv6 addresses.
    Ipv6,
    /// Host names.
    Fqdn,
}

/// One entry of `endpoints`.
#[derive(Clone, Debug, PartialEq)]
pub struct SliceEndpoint {
    /// `addresses`; all are the same endpoint, the first one is used.
    pub addresses: Vec<SliceAddress>,
    /// `conditions.ready`; `None` means unknown, which counts as ready.
    pub ready: Option<bool>,
    /// `conditions.serving`; `None` means the same as ready.
    pub serving: Option<bool>,
    /// `conditions.terminating`; `None` means no.
    pub terminating: Option<bool>,
    /// `targetRef.name`, else `hostname`, else empty: who it is, for people.
    pub name: Arc<str>,
    /// `zone`, empty when not written.
    pub zone: Arc<str>,
    /// Where it starts.
    pub span: Span,
}

/// One address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SliceAddress {
    /// Of type IPv4 or IPv6.
    Ip(IpAddr),
    /// Of type FQDN.
    Name(Arc<str>),
}

/// One entry of `ports`.
#[derive(Clone, Debug, PartialEq)]
pub struct SlicePort {
    /// Equals the Service port's name; may be empty.
    pub name: Arc<str>,
    /// The number; `None` means all ports.
    pub port: Option<Spanned<Port>>,
    /// TCP when not written.
    pub protocol: TransportProtocol,
    /// `appProtocol`.
    pub app_protocol: Option<Arc<str>>,
}

/// The label that ties a slice to its Service.
const SERVICE_LABEL: &str = "kubernetes.io/service-name";

const ADDRESS_TYPES: &[(&str, AddressType)] = &[
    ("IPv4", AddressType::Ipv4),
    ("IPv6", AddressType::Ipv6),
    ("FQDN", AddressType::Fqdn),
];

/// Reads an EndpointSlice, which has no `spec`. Endpoints that cannot be read are left out.
pub(super) fn decode(decoder: &mut Decoder, object: &Fields<'_>, labels: &Labels) -> Option<EndpointSlice> {
    let kind = object
        .required(decoder, "addressType")
        .and_then(|field| decoder.choice(field, ADDRESS_TYPES));
    let kind = kind?.value;
    let mark = decoder.mark();
    let items = object
        .optional("endpoints")
        .map(|field| decoder.items(field, usize::MAX))
        .unwrap_or_default();
    let endpoints = items
        .into_iter()
        .filter_map(|item| slice_endpoint(decoder, item, kind))
        .collect();
    decoder.effect_since(mark, "this endpoint gets no requests; the others do");
    let mark = decoder.mark();
    let ports = slice_ports(decoder, object);
    decoder.effect_since(mark, "this port has no endpoints from this slice");
    let service = labels.get(SERVICE_LABEL).cloned();
    if service.is_none() {
        let message = format!("the EndpointSlice has no label {SERVICE_LABEL}");
        let finding = Finding::new("W0107", object.span(), message).label("belongs to no Service");
        decoder.report(
            finding
                .help("add the label with the Service's name")
                .effect("its endpoints get no requests"),
        );
    }
    Some(EndpointSlice {
        service,
        address_type: kind,
        endpoints,
        ports,
    })
}

/// Reads an Endpoints object, which has no `spec`.
pub(super) fn decode_endpoints(
    decoder: &mut Decoder,
    object: &Fields<'_>,
    name: &Arc<str>,
) -> Option<Endpoints> {
    let mark = decoder.mark();
    let items = object
        .optional("subsets")
        .map(|field| decoder.items(field, usize::MAX))
        .unwrap_or_default();
    let mut subsets = Vec::new();
    for item in items {
        let known = ["addresses", "notReadyAddresses", "ports"];
        let Some(fields) = decoder.fields(item, &known) else {
            continue;
        };
        let mut endpoints = Vec::new();
        for (list, ready) in [("addresses", true), ("notReadyAddresses", false)] {
            let items = fields
                .optional(list)
                .map(|field| decoder.items(field, usize::MAX))
                .unwrap_or_default();
            endpoints.extend(
                items
                    .into_iter()
                    .filter_map(|item| subset_address(decoder, item, ready)),
            );
        }
        let address_type = match endpoints
            .first()
            .map(|endpoint: &SliceEndpoint| endpoint.addresses.as_slice())
        {
            Some([SliceAddress::Ip(IpAddr::V6(_)), ..]) => AddressType::Ipv6,
            _ => AddressType::Ipv4,
        };
        let ports = slice_ports(decoder, &fields);
        subsets.push(EndpointSlice {
            service: Some(name.clone()),
            address_type,
            endpoints,
            ports,
        });
    }
    decoder.effect_since(mark, "this endpoint gets no requests; the others do");
    Some(Endpoints { subsets })
}

fn slice_endpoint(decoder: &mut Decoder, item: Field<'_>, kind: AddressType) -> Option<SliceEndpoint> {
    let known = [
        "addresses",
        "conditions",
        "hostname",
        "nodeName",
        "zone",
        "targetRef",
        "hints",
        "deprecatedTopology",
    ];
    let fields = decoder.fields(item, &known)?;
    let addresses = fields.required(decoder, "addresses")?;
    let mark = decoder.mark();
    let addresses: Vec<_> = decoder
        .items(addresses, 100)
        .into_iter()
        .filter_map(|item| address(decoder, item, kind))
        .collect();
    if addresses.is_empty() {
        if !decoder.failed_since(mark) {
            decoder.report(Finding::new(
                "E0103",
                fields.key_span("addresses"),
                "\"addresses\" is empty",
            ));
        }
        return None;
    }
    let mark = decoder.mark();
    let conditions = fields.optional("conditions");
    let conditions = conditions.and_then(|field| decoder.fields(field, &["ready", "serving", "terminating"]));
    let mut condition = |name| {
        let field = conditions.and_then(|fields| fields.optional(name));
        field
            .and_then(|field| decoder.boolean(field))
            .map(|found| found.value)
    };
    let (ready, serving, terminating) = (condition("ready"), condition("serving"), condition("terminating"));
    if decoder.failed_since(mark) {
        // It may be meant to be out of service.
        return None;
    }
    let zone = fields.optional("zone").and_then(|field| decoder.text(field));
    let zone = zone.map_or_else(|| words::shared(""), |zone| zone.value);
    let name = endpoint_name(decoder, &fields);
    Some(SliceEndpoint {
        addresses,
        ready,
        serving,
        terminating,
        name,
        zone,
        span: fields.span(),
    })
}

fn subset_address(decoder: &mut Decoder, item: Field<'_>, ready: bool) -> Option<SliceEndpoint> {
    let fields = decoder.fields(item, &["ip", "hostname", "nodeName", "targetRef"])?;
    let ip = fields
        .required(decoder, "ip")
        .and_then(|field| ip_address(decoder, field))?;
    Some(SliceEndpoint {
        addresses: vec![SliceAddress::Ip(ip.value)],
        ready: Some(ready),
        serving: None,
        terminating: None,
        name: endpoint_name(decoder, &fields),
        zone: words::shared(""),
        span: fields.span(),
    })
}

/// `targetRef.name`, else `hostname`, else nothing.
fn endpoint_name(decoder: &mut Decoder, fields: &Fields<'_>) -> Arc<str> {
    let target = fields
        .optional("targetRef")
        .and_then(|field| decoder.any_fields(field));
    let name = target
        .and_then(|target| target.optional("name"))
        .or_else(|| fields.optional("hostname"));
    name.and_then(|field| decoder.text(field))
        .map_or_else(|| words::shared(""), |name| name.value)
}

fn address(decoder: &mut Decoder, field: Field<'_>, kind: AddressType) -> Option<SliceAddress> {
    if kind == AddressType::Fqdn {
        return hostname::decode_precise(decoder, field).map(|name| SliceAddress::Name(name.value));
    }
    let ip = ip_address(decoder, field)?;
    if ip.is_ipv4() != (kind == AddressType::Ipv4) {
        let message = format!("{} does not belong in a slice of this addressType", ip.value);
        decoder.conflict(
            ip.span,
            message,
            "put IPv4 and IPv6 addresses into slices of their own",
        );
        return None;
    }
    Some(SliceAddress::Ip(ip.value))
}

/// Reads an IP address.
pub(super) fn ip_address(decoder: &mut Decoder, field: Field<'_>) -> Option<Spanned<IpAddr>> {
    let text = decoder.nonempty(field)?;
    let address = text.parse().ok();
    if address.is_none() {
        let message = format!("\"{}\" is not an IP address", text.value);
        let finding = Finding::new("E0103", text.span, message);
        decoder.report(match text.parse::<SocketAddr>() {
            Ok(_) => finding.help("the port is a field of its own"),
            Err(_) => finding.help("write an address such as 10.0.0.1 or 2001:db8::1"),
        });
    }
    Some(Spanned::new(address?, text.span))
}

fn slice_ports(decoder: &mut Decoder, fields: &Fields<'_>) -> Vec<SlicePort> {
    let items = fields
        .optional("ports")
        .map(|field| decoder.items(field, usize::MAX))
        .unwrap_or_default();
    items
        .into_iter()
        .filter_map(|item| slice_port(decoder, item))
        .collect()
}

fn slice_port(decoder: &mut Decoder, item: Field<'_>) -> Option<SlicePort> {
    let fields = decoder.fields(item, &["name", "port", "protocol", "appProtocol"])?;
    let name = fields.optional("name").and_then(|field| decoder.text(field));
    let port = match fields.optional("port") {
        Some(field) => Some(decoder.port(field)?),
        None => None,
    };
    let app_protocol = fields
        .optional("appProtocol")
        .and_then(|field| decoder.nonempty(field));
    Some(SlicePort {
        name: name.map_or_else(|| words::shared(""), |name| name.value),
        port,
        protocol: service::protocol(decoder, &fields)?,
        app_protocol: app_protocol.map(|found| found.value),
    })
}
