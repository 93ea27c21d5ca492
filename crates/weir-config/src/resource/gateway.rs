//! `gateway.networking.k8s.io` `Gateway`.

use std::collections::HashSet;
use std::sync::Arc;

use super::decode::{Decoder, Field};
use super::endpoint_slice::ip_address;
use super::{GatewayListener, hostname, listener, words};
use crate::yaml::{Finding, Span, Spanned};

/// Where traffic comes in.
#[derive(Clone, Debug, PartialEq)]
pub struct Gateway {
    /// `spec.gatewayClassName`.
    pub class: Spanned<Arc<str>>,
    /// `spec.listeners`, names unique.
    pub listeners: Vec<GatewayListener>,
    /// `spec.addresses`.
    pub addresses: Vec<GatewayAddress>,
    /// `spec.infrastructure`, which weir has no use for.
    pub infrastructure: Option<Span>,
    /// `spec.allowedListeners`, which is not served.
    pub allowed_listeners: Option<Span>,
    /// `spec.tls` (client certificates and backend certificates), which is not served.
    pub tls: Option<Span>,
}

/// One entry of `spec.addresses`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayAddress {
    /// `type`; `IPAddress` when not written.
    pub kind: AddressKind,
    /// `value`; empty when not written (any address of that type).
    pub value: Spanned<Arc<str>>,
}

/// `addresses[].type`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressKind {
    /// An IP address; the value parses as one.
    Ip,
    /// A host name.
    Hostname,
    /// `NamedAddress` or an implementation-specific type, as written.
    Other(Arc<str>),
}

/// Entries of `listeners` that an API server accepts.
const LISTENERS_USUAL: usize = 64;

/// Reads `spec`. Listeners without a name, port or protocol are left out.
pub(super) fn decode(decoder: &mut Decoder, spec: Field<'_>) -> Option<Gateway> {
    let known = [
        "gatewayClassName",
        "listeners",
        "addresses",
        "infrastructure",
        "allowedListeners",
        "tls",
        "backendTLS",
        "defaultScope",
    ];
    let fields = decoder.fields_with_vital(spec, &known, ["addresses"])?;
    let class = fields
        .required(decoder, "gatewayClassName")
        .and_then(|field| decoder.name(field));
    let mut listeners: Vec<GatewayListener> = Vec::new();
    let mut taken = Taken::default();
    let items = fields
        .required(decoder, "listeners")
        .map(|field| decoder.items(field, LISTENERS_USUAL));
    for item in items.unwrap_or_default() {
        let mark = decoder.mark();
        if let Some(mut listener) = listener::decode(decoder, item) {
            let refused = decoder.failed_since(mark);
            taken.take(decoder, &listener, refused);
            listener.refused = decoder.failed_since(mark);
            listeners.push(listener);
        }
        decoder.effect_since(mark, "this listener is not opened; the others are");
    }
    let mark = decoder.mark();
    let addresses = fields
        .optional("addresses")
        .map(|field| addresses(decoder, field))
        .unwrap_or_default();
    let written = |name| fields.optional(name).map(|_| fields.key_span(name));
    // Without any address the Gateway would listen on all of them.
    if fields.has_misspelt() || addresses.is_empty() && decoder.failed_since(mark) {
        return None;
    }
    decoder.effect_since(mark, "this address is not used");
    Some(Gateway {
        class: class?,
        listeners,
        addresses,
        infrastructure: written("infrastructure"),
        allowed_listeners: written("allowedListeners"),
        tls: written("tls").or_else(|| written("backendTLS")),
    })
}

/// What listeners of one Gateway must not share.
#[derive(Default)]
struct Taken {
    names: HashSet<Arc<str>>,
}

impl Taken {
    /// Names are unique (Gateway API, CEL rule of `GatewaySpec`). A listener that is refused takes nothing.
    fn take(&mut self, decoder: &mut Decoder, listener: &GatewayListener, refused: bool) {
        let name = &listener.name.value;
        if self.names.contains(name) {
            let message = format!("two listeners have the name \"{name}\"");
            decoder.conflict(
                listener.name.span,
                message,
                "give each listener a name of its own",
            );
            return;
        }
        // That listeners share port, protocol and hostname is a conflict of all of them (`translate::gateway`).
        if !refused {
            self.names.insert(name.clone());
        }
    }
}

fn addresses(decoder: &mut Decoder, field: Field<'_>) -> Vec<GatewayAddress> {
    let mut addresses: Vec<GatewayAddress> = Vec::new();
    let mut seen = HashSet::new();
    for item in decoder.items(field, 16) {
        let Some(address) = address(decoder, item) else {
            continue;
        };
        // Gateway API, CEL rules of `GatewaySpec.addresses`.
        if !address.value.is_empty() && !seen.insert(address.value.value.clone()) {
            let message = format!("the address \"{}\" is listed twice", address.value.value);
            decoder
                .report(Finding::new("W0106", address.value.span, message).label("the first entry counts"));
            continue;
        }
        addresses.push(address);
    }
    addresses
}

fn address(decoder: &mut Decoder, item: Field<'_>) -> Option<GatewayAddress> {
    let fields = decoder.fields(item, &["type", "value"])?;
    let kind = match fields.optional("type") {
        Some(field) => decoder.nonempty(field)?.value,
        None => words::shared("IPAddress"),
    };
    let value = match fields.optional("value") {
        Some(field) => decoder.text(field)?,
        None => Spanned::new(words::shared(""), fields.span()),
    };
    let kind = match &*kind {
        "IPAddress" => AddressKind::Ip,
        "Hostname" => AddressKind::Hostname,
        _ => AddressKind::Other(kind),
    };
    if let (AddressKind::Ip, Some(field)) = (&kind, fields.optional("value").filter(|_| !value.is_empty())) {
        ip_address(decoder, field)?;
    }
    if kind == AddressKind::Hostname && !value.is_empty() {
        hostname::decode(decoder, fields.optional("value")?)?;
    }
    Some(GatewayAddress { kind, value })
}
