//! `gateway.envoyproxy.io` `Backend`.

use std::net::SocketAddr;
use std::sync::Arc;

use weir_model::Port;

use super::decode::{Decoder, Field};
use super::endpoint_slice::ip_address;
use super::{hostname, words};
use crate::yaml::{Finding, Span, Spanned};

/// Endpoints that are written down.
#[derive(Clone, Debug, PartialEq)]
pub struct Backend {
    /// `spec.type`; `Endpoints` when not written.
    pub kind: Spanned<BackendType>,
    /// `spec.endpoints`: all of them FQDN, or none.
    pub endpoints: Vec<BackendEndpoint>,
    /// `spec.appProtocols`.
    pub app_protocols: Vec<Spanned<AppProtocol>>,
    /// `spec.fallback`: serves only when the others cannot.
    pub fallback: Option<Spanned<bool>>,
    /// `spec.tls`, which is not served.
    pub tls: Option<Span>,
}

/// `spec.type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackendType {
    /// The endpoints are listed.
    Endpoints,
    /// The request's host is the endpoint; not served.
    DynamicResolver,
}

/// One entry of `spec.endpoints`.
#[derive(Clone, Debug, PartialEq)]
pub struct BackendEndpoint {
    /// Where it is.
    pub address: BackendAddress,
    /// `hostname`: for health checks and auto SNI.
    pub hostname: Option<Spanned<Arc<str>>>,
    /// `zone`, empty when not written.
    pub zone: Arc<str>,
    /// Where it starts.
    pub span: Span,
}

/// Where an endpoint of a [`Backend`] is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackendAddress {
    /// A name to resolve.
    Fqdn(Arc<str>, Port),
    /// An IP address.
    Ip(SocketAddr),
    /// The path of a Unix stream socket.
    Unix(Arc<str>),
}

/// `spec.appProtocols[]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppProtocol {
    /// `gateway.envoyproxy.io/h2c`.
    H2c,
    /// `gateway.envoyproxy.io/ws`.
    Ws,
    /// `gateway.envoyproxy.io/wss`.
    Wss,
}

const TYPES: &[(&str, BackendType)] = &[
    ("Endpoints", BackendType::Endpoints),
    ("DynamicResolver", BackendType::DynamicResolver),
];

const APP_PROTOCOLS: &[(&str, AppProtocol)] = &[
    ("gateway.envoyproxy.io/h2c", AppProtocol::H2c),
    ("gateway.envoyproxy.io/ws", AppProtocol::Ws),
    ("gateway.envoyproxy.io/wss", AppProtocol::Wss),
];

/// Reads `spec`. Endpoints that cannot be read are left out.
pub(super) fn decode(decoder: &mut Decoder, spec: Field<'_>) -> Option<Backend> {
    let known = ["type", "endpoints", "appProtocols", "fallback", "tls"];
    let fields = decoder.fields(spec, &known)?;
    let kind = match fields.optional("type") {
        Some(field) => decoder.choice(field, TYPES)?,
        None => Spanned::default_of(BackendType::Endpoints),
    };
    let items = match fields.optional("endpoints") {
        Some(field) if kind.value == BackendType::DynamicResolver => {
            decoder.conflict(
                field.span(),
                "a DynamicResolver has no \"endpoints\"",
                "remove one of the two",
            );
            return None;
        }
        Some(field) => decoder.items(field, 256),
        None => Vec::new(),
    };
    if items.is_empty() && kind.value == BackendType::Endpoints {
        let finding = Finding::new(
            "E0102",
            fields.key_span("endpoints"),
            "the Backend has no \"endpoints\"",
        );
        decoder.report(
            finding
                .help("list at least one")
                .effect("requests to it are answered 503"),
        );
    }
    let mark = decoder.mark();
    let endpoints: Vec<_> = items
        .into_iter()
        .filter_map(|item| endpoint(decoder, item))
        .collect();
    decoder.effect_since(mark, "this endpoint gets no requests; the others do");
    let is_name = |endpoint: &&BackendEndpoint| matches!(endpoint.address, BackendAddress::Fqdn(..));
    let names = endpoints.iter().filter(is_name).count();
    if names != 0 && names != endpoints.len() {
        let message = "fqdn endpoints cannot be mixed with ip and unix ones";
        decoder.conflict(fields.key_span("endpoints"), message, "make two Backends of it");
        return None;
    }
    let items = fields
        .optional("appProtocols")
        .map(|field| decoder.items(field, usize::MAX))
        .unwrap_or_default();
    let app_protocols = items
        .into_iter()
        .filter_map(|item| decoder.choice(item, APP_PROTOCOLS))
        .collect();
    let fallback = fields
        .optional("fallback")
        .and_then(|field| decoder.boolean(field));
    let tls = fields.optional("tls").map(|_| fields.key_span("tls"));
    Some(Backend {
        kind,
        endpoints,
        app_protocols,
        fallback,
        tls,
    })
}

fn endpoint(decoder: &mut Decoder, item: Field<'_>) -> Option<BackendEndpoint> {
    let fields = decoder.fields(item, &["fqdn", "ip", "unix", "hostname", "zone"])?;
    let hostname = fields
        .optional("hostname")
        .map(|field| hostname::decode_precise(decoder, field));
    let zone = fields.optional("zone").and_then(|field| decoder.text(field));
    let address = match (
        fields.optional("fqdn"),
        fields.optional("ip"),
        fields.optional("unix"),
    ) {
        (Some(field), None, None) => fqdn(decoder, field),
        (None, Some(field), None) => ip(decoder, field),
        (None, None, Some(field)) => unix(decoder, field),
        (None, None, None) => {
            let message = "an endpoint needs one of fqdn, ip and unix";
            decoder.conflict(
                fields.span(),
                message,
                "write ip: {address: 10.0.0.1, port: 8080}",
            );
            None
        }
        _ => {
            decoder.conflict(
                fields.span(),
                "an endpoint takes only one of fqdn, ip and unix",
                "make two of it",
            );
            None
        }
    };
    Some(BackendEndpoint {
        address: address?,
        hostname: hostname.map_or(Some(None), |read| read.map(Some))?,
        zone: zone.map_or_else(|| words::shared(""), |zone| zone.value),
        span: fields.span(),
    })
}

fn fqdn(decoder: &mut Decoder, field: Field<'_>) -> Option<BackendAddress> {
    let fields = decoder.fields(field, &["hostname", "port"])?;
    let name = fields
        .required(decoder, "hostname")
        .and_then(|field| hostname::decode_precise(decoder, field));
    let port = fields
        .required(decoder, "port")
        .and_then(|field| decoder.port(field));
    Some(BackendAddress::Fqdn(name?.value, port?.value))
}

fn ip(decoder: &mut Decoder, field: Field<'_>) -> Option<BackendAddress> {
    let fields = decoder.fields(field, &["address", "port"])?;
    let address = fields
        .required(decoder, "address")
        .and_then(|field| ip_address(decoder, field));
    let port = fields
        .required(decoder, "port")
        .and_then(|field| decoder.port(field));
    Some(BackendAddress::Ip(SocketAddr::new(
        address?.value,
        port?.number(),
    )))
}

fn unix(decoder: &mut Decoder, field: Field<'_>) -> Option<BackendAddress> {
    let fields = decoder.fields(field, &["path"])?;
    let path = fields
        .required(decoder, "path")
        .and_then(|field| decoder.nonempty(field))?;
    // Envoy Gateway allows 108; the kernel's `sun_path` has 108 bytes with the closing zero.
    if path.len() > 107 || path.contains('\0') {
        let message = format!("the path has {} bytes", path.len());
        decoder
            .report(Finding::new("E0103", path.span, message).label("a socket's path has at most 107 bytes"));
        return None;
    }
    Some(BackendAddress::Unix(path.value))
}
