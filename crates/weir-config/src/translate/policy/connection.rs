//! `connection`, `tcpKeepalive`, `proxyProtocol` and `dns`: connections to endpoints, and how names are resolved.

use std::num::NonZeroU32;

use weir_model::{ConnectionSpec, DnsSpec, LookupFamily, ProxyProtocol, TcpKeepalive};

use super::spec::report_unserved;
use super::values::{flag, overwrite, period, positive, quantity, read};
use crate::resource::decode::{Decoder, Field, Fields};

/// Decodes the blocks of a policy that are about connections to endpoints.
pub(super) fn connection(decoder: &mut Decoder, policy: Fields<'_>) -> ConnectionSpec {
    let buffers = read(decoder, policy, "connection", buffers).unwrap_or_default();
    ConnectionSpec {
        buffer_bytes: buffers.exchange_bytes,
        socket_buffer_bytes: buffers.socket_bytes,
        keepalive: read(decoder, policy, "tcpKeepalive", keepalive),
        proxy_protocol: read(decoder, policy, "proxyProtocol", proxy_protocol),
        ..ConnectionSpec::default()
    }
}

/// What `connection` says.
#[derive(Default)]
struct Buffers {
    exchange_bytes: Option<NonZeroU32>,
    socket_bytes: Option<NonZeroU32>,
}

fn buffers(decoder: &mut Decoder, block: Field<'_>) -> Option<Buffers> {
    let fields = decoder.fields(block, &["bufferLimit", "socketBufferLimit", "preconnect"])?;
    let unserved = [("preconnect", "connections are opened when they are needed")];
    report_unserved(decoder, fields, "connection.", &unserved);
    Some(Buffers {
        exchange_bytes: read(decoder, fields, "bufferLimit", bytes),
        socket_bytes: read(decoder, fields, "socketBufferLimit", bytes),
    })
}

fn bytes(decoder: &mut Decoder, field: Field<'_>) -> Option<NonZeroU32> {
    let limit = quantity(decoder, field, 1..=u64::from(u32::MAX))?;
    u32::try_from(limit.value).ok().and_then(NonZeroU32::new)
}

fn keepalive(decoder: &mut Decoder, block: Field<'_>) -> Option<TcpKeepalive> {
    let fields = decoder.fields(block, &["probes", "idleTime", "interval"])?;
    let mut keepalive = TcpKeepalive::default();
    overwrite(&mut keepalive.probes, read(decoder, fields, "probes", positive));
    overwrite(&mut keepalive.idle, read(decoder, fields, "idleTime", period));
    overwrite(&mut keepalive.interval, read(decoder, fields, "interval", period));
    Some(keepalive)
}

fn proxy_protocol(decoder: &mut Decoder, block: Field<'_>) -> Option<ProxyProtocol> {
    let fields = decoder.fields(block, &["version"])?;
    let version = fields.required(decoder, "version")?;
    let versions = [("V1", ProxyProtocol::V1), ("V2", ProxyProtocol::V2)];
    Some(decoder.choice(version, &versions)?.value)
}

/// How `lookupFamily` is written.
const FAMILIES: [(&str, LookupFamily); 5] = [
    ("IPv4", LookupFamily::V4),
    ("IPv6", LookupFamily::V6),
    ("IPv4Preferred", LookupFamily::PreferV4),
    ("IPv6Preferred", LookupFamily::PreferV6),
    ("IPv4AndIPv6", LookupFamily::Both),
];

/// Decodes `dns`.
pub(super) fn dns(decoder: &mut Decoder, block: Field<'_>) -> Option<DnsSpec> {
    let fields = decoder.fields(block, &["dnsRefreshRate", "respectDnsTtl", "lookupFamily"])?;
    let mut dns = DnsSpec::default();
    overwrite(&mut dns.refresh, read(decoder, fields, "dnsRefreshRate", period));
    overwrite(&mut dns.respect_ttl, read(decoder, fields, "respectDnsTtl", flag));
    let family = read(decoder, fields, "lookupFamily", |decoder, field| {
        decoder.choice(field, &FAMILIES)
    });
    overwrite(&mut dns.family, family.map(|word| word.value));
    Some(dns)
}
