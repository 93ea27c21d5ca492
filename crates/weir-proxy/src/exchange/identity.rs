//! What weir tells the endpoint about the client and the request: forwarding fields and the request id.

use std::net::IpAddr;

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
                out.extend_from_slice(name);
                out.extend_from_slice(b": ");
                fill(out);
                out.extend_from_slice(b"\r\n");
            }
            Self::Edits(edits) => edits.add_with(name, fill),
        }
    }
}

/// The client's fields that do not pass.
pub(super) fn replaced(exchange: &Exchange<'_>) -> KnownSet {
    if exchange.request.is_peer_trusted {
        OWN.without(KEPT)
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

/// Writes weir's fields (Envoy Gateway's defaults, so that backends find what they know).
pub(super) fn write(exchange: &Exchange<'_>, sink: &mut FieldSink<'_>) {
    let fields = &exchange.scratch.head.fields;
    let peer = exchange.client.peer.ip();
    let has_forwarded = fields.has(Known::XForwardedFor);
    sink.field(b"x-forwarded-for", |out| {
        for value in fields
            .values(Known::XForwardedFor, exchange.head())
            .filter(|value| !value.is_empty())
        {
            out.extend_from_slice(value);
            out.extend_from_slice(b", ");
        }
        forwarded::address_text(out, peer);
    });
    let kept = if exchange.request.is_peer_trusted {
        fields.present()
    } else {
        KnownSet::EMPTY
    };
    if !kept.contains(Known::XForwardedProto) {
        sink.field(b"x-forwarded-proto", |out| out.extend_from_slice(b"http"));
    }
    if !kept.contains(Known::XRequestId) {
        let id = exchange.request.request_id;
        sink.field(b"x-request-id", |out| out.extend_from_slice(&uuid_text(id)));
    }
    if !has_forwarded && is_internal(peer) {
        sink.field(INTERNAL, |out| out.extend_from_slice(b"true"));
    } else {
        sink.field(EXTERNAL_ADDRESS, |out| {
            forwarded::address_text(out, exchange.request.client_ip)
        });
    }
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
    let mut text = *b"00000000-0000-0000-0000-000000000000";
    let mut shift = 128;
    for place in &mut text {
        if *place != b'-' {
            shift -= 4;
            *place = b"0123456789abcdef"[(bits >> shift) as usize & 15];
        }
    }
    text
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
