//! Listeners of a `Gateway`.

use std::sync::Arc;

use weir_model::{HostPattern, Port};

use super::decode::{Decoder, Field, Fields};
use super::{LabelSelector, Reference, hostname, selector, words};
use crate::nearest::nearest;
use crate::yaml::{Finding, Span, Spanned};

/// One entry of `spec.listeners`.
#[derive(Clone, Debug, PartialEq)]
pub struct GatewayListener {
    /// Its name, unique in the Gateway.
    pub name: Spanned<Arc<str>>,
    /// Hosts that it takes; [`HostPattern::Any`] when not written.
    pub hostname: Spanned<HostPattern>,
    /// The port.
    pub port: Spanned<Port>,
    /// The protocol.
    pub protocol: Spanned<Protocol>,
    /// `tls`.
    pub tls: Option<ListenerTls>,
    /// `allowedRoutes`.
    pub allowed: AllowedRoutes,
    /// Something in it is an error, already reported: it must not be opened.
    pub refused: bool,
    /// Where it starts.
    pub span: Span,
}

/// `protocol` of a listener.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS that ends here.
    Https,
    /// TLS, ended here or passed through.
    Tls,
    /// Plain TCP.
    Tcp,
    /// UDP.
    Udp,
    /// An implementation-specific protocol such as `example.com/bar`.
    Other(Arc<str>),
}

/// `tls` of a listener.
#[derive(Clone, Debug, PartialEq)]
pub struct ListenerTls {
    /// Whether TLS ends here; `Terminate` when not written.
    pub mode: TlsMode,
    /// `certificateRefs`: group `""` and kind `Secret` unless written otherwise.
    pub certificates: Vec<Reference>,
    /// Where it starts.
    pub span: Span,
}

/// `tls.mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    /// TLS ends here.
    Terminate,
    /// Bytes go to the backend undeciphered.
    Passthrough,
}

/// `allowedRoutes` of a listener.
#[derive(Clone, Debug, PartialEq)]
pub struct AllowedRoutes {
    /// Namespaces whose routes may attach; `Same` when not written.
    pub namespaces: AllowedNamespaces,
    /// Kinds that may attach; empty means those of the protocol.
    pub kinds: Vec<RouteKind>,
}

/// `allowedRoutes.namespaces`.
#[derive(Clone, Debug, PartialEq)]
pub enum AllowedNamespaces {
    /// The Gateway's own.
    Same,
    /// Every namespace.
    All,
    /// No namespace.
    None,
    /// Namespaces whose labels match.
    Selector(LabelSelector),
}

/// One entry of `allowedRoutes.kinds`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteKind {
    /// API group; `gateway.networking.k8s.io` unless written otherwise.
    pub group: Arc<str>,
    /// The kind.
    pub kind: Spanned<Arc<str>>,
}

impl Protocol {
    /// The word of `protocol`.
    pub fn word(&self) -> &str {
        match self {
            Self::Http => "HTTP",
            Self::Https => "HTTPS",
            Self::Tls => "TLS",
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Other(word) => word,
        }
    }
}

const TLS_MODES: &[(&str, TlsMode)] = &[
    ("Terminate", TlsMode::Terminate),
    ("Passthrough", TlsMode::Passthrough),
];

/// Reads one entry of `listeners`; `None` without a name, port or protocol.
pub(super) fn decode(decoder: &mut Decoder, item: Field<'_>) -> Option<GatewayListener> {
    let known = ["name", "hostname", "port", "protocol", "tls", "allowedRoutes"];
    let fields = decoder.fields_with_vital(item, &known, ["hostname"])?;
    let name = fields
        .required(decoder, "name")
        .and_then(|field| decoder.name(field));
    let port = fields
        .required(decoder, "port")
        .and_then(|field| decoder.port(field));
    let protocol = fields
        .required(decoder, "protocol")
        .and_then(|field| protocol(decoder, field));
    // An empty hostname means all hosts (Gateway API `Listener.hostname`).
    let hostname = fields
        .optional("hostname")
        .filter(|field| !field.node.scalar().is_some_and(|s| s.text.is_empty()));
    let hostname = match hostname {
        // With an unreadable hostname the listener is refused, so the value does not matter.
        Some(field) => {
            hostname::decode(decoder, field).unwrap_or(Spanned::new(HostPattern::Any, field.span()))
        }
        None => Spanned::default_of(HostPattern::Any),
    };
    let tls = fields.optional("tls").and_then(|field| tls(decoder, field));
    let allowed = match fields.optional("allowedRoutes") {
        Some(field) => allowed_routes(decoder, field),
        None => AllowedRoutes {
            namespaces: AllowedNamespaces::Same,
            kinds: Vec::new(),
        },
    };
    let span = fields.span();
    let listener = GatewayListener {
        name: name?,
        hostname,
        port: port?,
        protocol: protocol?,
        tls,
        allowed,
        refused: false,
        span,
    };
    protocol_rules(decoder, &fields, &listener);
    Some(listener)
}

/// What goes with which protocol (Gateway API, CEL rules of `GatewaySpec.listeners`).
fn protocol_rules(decoder: &mut Decoder, fields: &Fields<'_>, listener: &GatewayListener) {
    let mode = listener.tls.as_ref().map(|tls| tls.mode);
    let has_tls = fields.optional("tls").is_some();
    let word = listener.protocol.word();
    match &listener.protocol.value {
        Protocol::Http | Protocol::Tcp | Protocol::Udp if has_tls => {
            let message = format!("a listener of protocol {word} takes no \"tls\"");
            let help = "use protocol HTTPS or TLS, or remove \"tls\"";
            decoder.conflict(fields.key_span("tls"), message, help);
        }
        Protocol::Https if mode == Some(TlsMode::Passthrough) => {
            let message = "a listener of protocol HTTPS ends TLS: its mode is Terminate";
            decoder.conflict(
                fields.key_span("tls"),
                message,
                "use protocol TLS to pass TLS through",
            );
        }
        Protocol::Tls if !has_tls => {
            let message = "a listener of protocol TLS needs \"tls\" with a \"mode\"";
            decoder.conflict(
                listener.protocol.span,
                message,
                "add tls: {mode: Passthrough} or certificates",
            );
        }
        Protocol::Http
        | Protocol::Https
        | Protocol::Tls
        | Protocol::Tcp
        | Protocol::Udp
        | Protocol::Other(_) => {}
    }
    if matches!(listener.protocol.value, Protocol::Tcp | Protocol::Udp)
        && listener.hostname.value != HostPattern::Any
    {
        let message = format!("a listener of protocol {word} takes no \"hostname\"");
        decoder.conflict(
            listener.hostname.span,
            message,
            "remove it: these protocols carry no host name",
        );
    }
}

fn protocol(decoder: &mut Decoder, field: Field<'_>) -> Option<Spanned<Protocol>> {
    let text = decoder.nonempty(field)?;
    let protocol = match &*text.value {
        "HTTP" => Protocol::Http,
        "HTTPS" => Protocol::Https,
        "TLS" => Protocol::Tls,
        "TCP" => Protocol::Tcp,
        "UDP" => Protocol::Udp,
        other => {
            let words = ["HTTP", "HTTPS", "TLS", "TCP", "UDP"];
            let meant = nearest(other, words).filter(|word| word.eq_ignore_ascii_case(other));
            // Implementations may have protocols of their own, with a domain before a slash or a plain word.
            if meant.is_some()
                || !other
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-./".contains(&b))
            {
                let finding = Finding::new("E0104", text.span, format!("\"protocol\" cannot be \"{other}\""));
                decoder.report(match meant {
                    Some(meant) => finding.help(format!("did you mean {meant}?")),
                    None => finding.help("possible are HTTP, HTTPS, TLS, TCP and UDP"),
                });
                return None;
            }
            Protocol::Other(text.value.clone())
        }
    };
    Some(Spanned::new(protocol, text.span))
}

fn tls(decoder: &mut Decoder, field: Field<'_>) -> Option<ListenerTls> {
    let known = ["mode", "certificateRefs", "options", "frontendValidation"];
    let fields = decoder.fields(field, &known)?;
    let mode = match fields.optional("mode") {
        Some(field) => decoder.choice(field, TLS_MODES)?.value,
        None => TlsMode::Terminate,
    };
    let items = fields
        .optional("certificateRefs")
        .map(|field| decoder.items(field, 64))
        .unwrap_or_default();
    let certificates: Vec<_> = items
        .into_iter()
        .filter_map(|item| Reference::decode(decoder, item, ("", "Secret")))
        .collect();
    let has_options = fields
        .optional("options")
        .is_some_and(|field| !field.node.entries().is_empty());
    let has_certificates = fields
        .optional("certificateRefs")
        .is_some_and(|field| !field.node.items().is_empty());
    // Gateway API, CEL rule of `ListenerTLSConfig`.
    if mode == TlsMode::Terminate && !has_certificates && !has_options {
        let message = "TLS of mode Terminate needs \"certificateRefs\"";
        decoder.conflict(
            fields.span(),
            message,
            "name a Secret with a certificate, or use mode Passthrough",
        );
    }
    Some(ListenerTls {
        mode,
        certificates,
        span: fields.span(),
    })
}

fn allowed_routes(decoder: &mut Decoder, field: Field<'_>) -> AllowedRoutes {
    let mut allowed = AllowedRoutes {
        namespaces: AllowedNamespaces::Same,
        kinds: Vec::new(),
    };
    let Some(fields) = decoder.fields(field, &["namespaces", "kinds"]) else {
        return allowed;
    };
    if let Some(field) = fields.optional("namespaces") {
        // What cannot be read has been reported and refuses the listener: it opens to nobody.
        allowed.namespaces = namespaces(decoder, field).unwrap_or(AllowedNamespaces::None);
    }
    let items = fields
        .optional("kinds")
        .map(|field| decoder.items(field, 8))
        .unwrap_or_default();
    allowed.kinds = items
        .into_iter()
        .filter_map(|item| route_kind(decoder, item))
        .collect();
    allowed
}

fn namespaces(decoder: &mut Decoder, field: Field<'_>) -> Option<AllowedNamespaces> {
    let fields = decoder.fields(field, &["from", "selector"])?;
    let words = &[("Same", 0), ("All", 1), ("None", 2), ("Selector", 3)];
    let from = match fields.optional("from") {
        Some(field) => decoder.choice(field, words)?,
        None => Spanned::new(0, fields.span()),
    };
    Some(match from.value {
        0 => AllowedNamespaces::Same,
        1 => AllowedNamespaces::All,
        2 => AllowedNamespaces::None,
        _ => match fields.optional("selector") {
            Some(field) => AllowedNamespaces::Selector(selector::decode(decoder, field)?),
            None => {
                let message = "\"from: Selector\" needs a \"selector\"";
                decoder.conflict(from.span, message, "add selector: {matchLabels: {...}}");
                return None;
            }
        },
    })
}

fn route_kind(decoder: &mut Decoder, item: Field<'_>) -> Option<RouteKind> {
    let fields = decoder.fields(item, &["group", "kind"])?;
    let kind = fields
        .required(decoder, "kind")
        .and_then(|field| decoder.nonempty(field));
    let group = match fields.optional("group") {
        Some(field) => decoder.text(field)?.value,
        None => words::shared("gateway.networking.k8s.io"),
    };
    Some(RouteKind { group, kind: kind? })
}
