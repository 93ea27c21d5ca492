//! What weir tells the endpoint about the client and the request: forwarding fields and the request id.

use std::net::IpAddr;

use weir_model::IdentityFields;
use weir_wire::{Known, KnownSet, forwarded};

use super::Exchange;
use crate::transit::Edits;

/// Fields that weir writes itself, so that the client's own do not pass (reliability: spoofing).
const OWN: KnownSet = KnownSet::of(&[Known::XForwardedFor, Known::XForwardedProto, Known::XRequestId]);
/// Fields that only a trusted peer may send on behalf of its clients.
const TRUSTED: KnownSet = KnownSet::of(&[
    Known::Forwarded,
    Known::XForwardedHost,
    Known::XForwardedPort,
    Known::XRealIp,
]);
/// Fields that stay as they are when a trusted peer sends them.
const KEPT: KnownSet = KnownSet::of(&[Known::XForwardedProto, Known::XRequestId]);

/// A longer request id is not kept.
const REQUEST_ID_BYTES: usize = 128;
const INTERNAL: &[u8] = b"x-envoy-internal";
const EXTERNAL_ADDRESS: &[u8] = b"x-envoy-external-address";

/// Where fields are written: behind the head under way, or to the side, where filters may still change them.
pub(super) enum FieldSink<'a> {
    Head(&'a mut Vec<u8>),
    Edits(&'a mut Edits),
}

impl FieldSink<'_> {
    fn field(&mut self, name: &[u8], fill: impl FnOnce(&mut Vec<u8>)) {
        match self {
            Self::Head(out) => {
                out.reserve(64);
                out.extend_from_slice(name);
                out.extend_from_slice(b": ");
                fill(out);
                out.extend_from_slice(b"\r\n");
            }
            Self::Edits(edits) => edits.add_with(name, fill),
        }
    }
}

/// Gives the request an id, unless a trusted peer has given it one (row KT16).
pub(super) fn name_request(exchange: &mut Exchange<'_>) {
    if exchange.request.is_peer_trusted && has_good_id(exchange) {
        exchange.request.keeps_id = true;
    } else if exchange.request.request_id == 0 {
        let mut rng = exchange.worker.rng.borrow_mut();
        exchange.request.request_id = u128::from(rng.next_u64()) << 64 | u128::from(rng.next_u64());
    }
}

/// Whether the request carries one id, in a form that may stand in a log and in a shell.
fn has_good_id(exchange: &Exchange<'_>) -> bool {
    let fields = &exchange.scratch.head.fields;
    let is_good = |id: &[u8]| {
        (1..=REQUEST_ID_BYTES).contains(&id.len())
            && id
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/+=@~".contains(byte))
    };
    !fields.is_repeated(Known::XRequestId)
        && fields
            .value(Known::XRequestId, exchange.head())
            .is_some_and(is_good)
}

/// The client's fields that do not pass.
pub(super) fn replaced(exchange: &Exchange<'_>) -> KnownSet {
    if exchange.request.keeps_id {
        OWN.without(KEPT)
    } else if exchange.request.is_peer_trusted {
        OWN.without(KEPT).union(Known::XRequestId.set())
    } else {
        OWN.union(TRUSTED)
    }
}

/// Whether a name that is not a known one is one that weir writes itself.
pub(super) fn is_own_name(name: &[u8]) -> bool {
    match name.len() {
        16 => name.eq_ignore_ascii_case(INTERNAL),
        24 => name.eq_ignore_ascii_case(EXTERNAL_ADDRESS),
        _ => false,
    }
}

/// A peer's address as weir writes it into every request of its connection.
#[derive(Clone, Copy)]
pub(crate) struct PeerText {
    text: [u8; 45],
    length: u8,
    is_internal: bool,
    pub(super) address: IpAddr,
}

impl PeerText {
    pub(crate) fn new(peer: IpAddr) -> Self {
        let mut written = Vec::with_capacity(45);
        forwarded::address_text(&mut written, peer);
        let mut text = [0; 45];
        // The longest address takes 45 bytes: IPv4 in IPv6, which is written as IPv4 anyway.
        let length = written.len().min(text.len());
        text[..length].copy_from_slice(&written[..length]);
        Self {
            text,
            length: length as u8,
            is_internal: is_internal(peer),
            address: peer.to_canonical(),
        }
    }

    fn as_bytes(&self) -> &[u8] {
        &self.text[..usize::from(self.length)]
    }
}

impl std::fmt::Debug for PeerText {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&String::from_utf8_lossy(self.as_bytes()))
    }
}

/// What a rule wants said besides weir's own fields, and the port that the client reached.
pub(super) type Extra = Option<(IdentityFields, u16)>;

/// Writes weir's fields (Envoy Gateway's defaults, so that backends find what they know), and what the rule adds.
pub(super) fn write(exchange: &Exchange<'_>, extra: Extra, sink: &mut FieldSink<'_>) {
    let fields = &exchange.scratch.head.fields;
    let peer = &exchange.client.peer_text;
    let has_forwarded = fields.has(Known::XForwardedFor);
    if let FieldSink::Head(out) = sink
        && extra.is_none()
        && !has_forwarded
        && !exchange.request.is_peer_trusted
        && peer.is_internal
    {
        return write_usual(exchange.request.request_id, peer, out);
    }
    sink.field(b"x-forwarded-for", |out| {
        let resets = extra.is_some_and(|(extra, _)| extra.resets_untrusted);
        let is_believed = exchange.request.is_peer_trusted || !resets;
        let values = fields.values(Known::XForwardedFor, exchange.head());
        for value in values.filter(|value| is_believed && !value.is_empty()) {
            out.extend_from_slice(value);
            out.extend_from_slice(b", ");
        }
        out.extend_from_slice(peer.as_bytes());
    });
    let kept = if exchange.request.is_peer_trusted {
        fields.present()
    } else {
        KnownSet::EMPTY
    };
    if !kept.contains(Known::XForwardedProto) {
        sink.field(b"x-forwarded-proto", |out| out.extend_from_slice(b"http"));
    }
    if !exchange.request.keeps_id {
        let id = exchange.request.request_id;
        sink.field(b"x-request-id", |out| out.extend_from_slice(&uuid_text(id)));
    }
    if !has_forwarded && peer.is_internal {
        sink.field(INTERNAL, |out| out.extend_from_slice(b"true"));
    } else {
        let client_ip = exchange.request.client_ip;
        sink.field(EXTERNAL_ADDRESS, |out| forwarded::address_text(out, client_ip));
    }
    if let Some(extra) = extra {
        write_extra(exchange, extra, kept, sink);
    }
}

/// What a trusted peer said is `kept`; `Forwarded` continues as one more field (RFC 7239 4).
fn write_extra(
    exchange: &Exchange<'_>,
    (extra, port): (IdentityFields, u16),
    kept: KnownSet,
    sink: &mut FieldSink<'_>,
) {
    let host = exchange.authority();
    if extra.forwarded_host && !host.is_empty() && !kept.contains(Known::XForwardedHost) {
        sink.field(b"x-forwarded-host", |out| out.extend_from_slice(host));
    }
    if extra.forwarded_port && !kept.contains(Known::XForwardedPort) {
        sink.field(b"x-forwarded-port", |out| {
            out.extend_from_slice(port.to_string().as_bytes());
        });
    }
    if extra.real_ip && !kept.contains(Known::XRealIp) {
        let client_ip = exchange.request.client_ip;
        sink.field(b"x-real-ip", |out| forwarded::address_text(out, client_ip));
    }
    if extra.forwarded {
        let peer = exchange.client.peer_text;
        sink.field(b"forwarded", |out| write_forwarded(peer, host, out));
    }
}

/// RFC 7239 4 and 6: addresses of IPv6 and hosts with a port go in quotes. A valid host holds nothing to escape.
fn write_forwarded(peer: PeerText, host: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"for=");
    if peer.address.is_ipv6() {
        out.extend_from_slice(b"\"[");
        out.extend_from_slice(peer.as_bytes());
        out.extend_from_slice(b"]\"");
    } else {
        out.extend_from_slice(peer.as_bytes());
    }
    if !host.is_empty() {
        out.extend_from_slice(b";host=\"");
        out.extend_from_slice(host);
        out.push(b'"');
    }
    out.extend_from_slice(b";proto=http");
}

/// Calls `tell` with the request's id as the endpoint gets it; with nothing before it has one.
pub(super) fn tell_request_id<T>(exchange: &Exchange<'_>, tell: impl FnOnce(&[u8]) -> T) -> T {
    let fields = &exchange.scratch.head.fields;
    match exchange.request.request_id {
        _ if exchange.request.keeps_id => {
            let own = fields.value(Known::XRequestId, exchange.head());
            tell(own.unwrap_or_default())
        }
        0 => tell(&[]),
        id => tell(&uuid_text(id)),
    }
}

/// The same for the usual case, in few steps.
fn write_usual(request_id: u128, peer: &PeerText, out: &mut Vec<u8>) {
    out.reserve(192);
    out.extend_from_slice(b"x-forwarded-for: ");
    out.extend_from_slice(peer.as_bytes());
    out.extend_from_slice(b"\r\nx-forwarded-proto: http\r\nx-request-id: ");
    out.extend_from_slice(&uuid_text(request_id));
    out.extend_from_slice(b"\r\nx-envoy-internal: true\r\n");
}

/// RFC 1918, RFC 4193 and loopback.
fn is_internal(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => address.is_private() || address.is_loopback(),
        IpAddr::V6(address) => address.is_unique_local() || address.is_loopback(),
    }
}

/// A version 4 UUID (RFC 9562 5.4) from random bits.
pub(super) fn uuid_text(random: u128) -> [u8; 36] {
    const VERSION: u128 = 0xf << 76;
    const VARIANT: u128 = 0x3 << 62;
    let bits = random & !VERSION & !VARIANT | 0x4 << 76 | 0x2 << 62;
    let mut text = [b'-'; 36];
    let digits = [96, 64, 32, 0].map(|shift| hex_digits((bits >> shift) as u32));
    text[..8].copy_from_slice(&digits[0]);
    text[9..13].copy_from_slice(&digits[1][..4]);
    text[14..18].copy_from_slice(&digits[1][4..]);
    text[19..23].copy_from_slice(&digits[2][..4]);
    text[24..28].copy_from_slice(&digits[2][4..]);
    text[28..].copy_from_slice(&digits[3]);
    text
}

/// The eight hex digits of a number, made all at once: each half byte moves to a byte of its own.
fn hex_digits(number: u32) -> [u8; 8] {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let spread = u64::from(number);
    let spread = (spread << 16 | spread) & 0x0000_ffff_0000_ffff;
    let spread = (spread << 8 | spread) & 0x00ff_00ff_00ff_00ff;
    let spread = (spread << 4 | spread) & 0x0f0f_0f0f_0f0f_0f0f;
    let letters = ((spread + 6 * ONES) >> 4) & ONES;
    (spread + u64::from(b'0') * ONES + letters * u64::from(b'a' - b'9' - 1)).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_are_version_4_uuids() {
        assert_eq!(&uuid_text(0), b"00000000-0000-4000-8000-000000000000");
        assert_eq!(&uuid_text(u128::MAX), b"ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(
            &uuid_text(0x0123_4567_89ab_cdef << 64 | 1),
            b"01234567-89ab-4def-8000-000000000001"
        );
    }

    #[test]
    fn internal_addresses() {
        for (address, internal) in [
            ("10.1.2.3", true),
            ("172.16.0.1", true),
            ("192.168.1.1", true),
            ("127.0.0.1", true),
            ("::ffff:10.0.0.1", true),
            ("fd00::1", true),
            ("::1", true),
            ("172.32.0.1", false),
            ("8.8.8.8", false),
            ("2001:db8::1", false),
        ] {
            assert_eq!(
                is_internal(address.parse().expect(address)),
                internal,
                "{address}"
            );
        }
    }
}
