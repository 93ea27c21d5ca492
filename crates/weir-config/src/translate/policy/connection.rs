//! `connection`, `tcpKeepalive`, `proxyProtocol` and `dns`: connections to endpoints, and how names are resolved.

use std::num::NonZeroU32;

use weir_model::{ConnectionSpec, DnsSpec, LookupFamily, Preconnect, ProxyProtocol, TcpKeepalive, limits};

use super::values::{flag, overwrite, period, positive, quantity, read};
use crate::resource::Finding;
use crate::resource::decode::{Decoder, Field, Fields};
use crate::yaml::{Node, Scalar};

/// Decodes the blocks of a policy that are about connections to endpoints.
pub(super) fn connection(decoder: &mut Decoder, policy: Fields<'_>) -> ConnectionSpec {
    let own = read(decoder, policy, "connection", |decoder, block| {
        own(decoder, block, policy)
    });
    let own = own.unwrap_or_default();
    ConnectionSpec {
        buffer_bytes: own.exchange_bytes,
        socket_buffer_bytes: own.socket_bytes,
        preconnect: own.preconnect,
        keepalive: read(decoder, policy, "tcpKeepalive", keepalive),
        proxy_protocol: read(decoder, policy, "proxyProtocol", proxy_protocol),
        ..ConnectionSpec::default()
    }
}

/// What `connection` says.
#[derive(Default)]
struct Own {
    exchange_bytes: Option<NonZeroU32>,
    socket_bytes: Option<NonZeroU32>,
    preconnect: Option<Preconnect>,
}

fn own(decoder: &mut Decoder, block: Field<'_>, policy: Fields<'_>) -> Option<Own> {
    let fields = decoder.fields(block, &["bufferLimit", "socketBufferLimit", "preconnect"])?;
    Some(Own {
        exchange_bytes: read(decoder, fields, "bufferLimit", bytes),
        socket_bytes: read(decoder, fields, "socketBufferLimit", bytes),
        preconnect: read(decoder, fields, "preconnect", |decoder, block| {
            preconnect(decoder, block, policy)
        }),
    })
}

/// Types of a balancer that say where the next request goes, whatever becomes of those before it (Envoy Gateway
/// `preconnect.predictivePercent`).
const PREDICTABLE: [&str; 2] = ["Random", "RoundRobin"];

fn preconnect(decoder: &mut Decoder, block: Field<'_>, policy: Fields<'_>) -> Option<Preconnect> {
    let fields = decoder.fields(block, &["perEndpointPercent", "predictivePercent"])?;
    let percent = |most: u32| {
        move |decoder: &mut Decoder, field: Field<'_>| {
            let number = decoder.integer(field, 100..=i64::from(most))?;
            u32::try_from(number.value).ok()
        }
    };
    let most = limits::PRECONNECT_ENDPOINT_PERCENT;
    let mut preconnect = Preconnect {
        endpoint_percent: read(decoder, fields, "perEndpointPercent", percent(most)),
        predictive_percent: read(decoder, fields, "predictivePercent", percent(u32::MAX)),
    };
    if policy.optional("proxyProtocol").is_some() {
        let message = "\"preconnect\" has no effect with \"proxyProtocol\"";
        let finding = Finding::new("W0321", block.span(), message);
        let finding = finding.label("each connection belongs to the client that it names");
        let finding = finding.help("remove one of the two");
        decoder.report(finding.effect(WHEN_NEEDED));
        return None;
    }
    if preconnect.predictive_percent.is_some() && !is_predictable(policy) {
        let message = "\"predictivePercent\" has no effect with this load balancer";
        let finding = Finding::new("W0321", fields.key_span("predictivePercent"), message);
        let finding = finding.label("needs a loadBalancer of type Random or RoundRobin");
        let finding =
            finding.help("write that loadBalancer in this policy, or use \"perEndpointPercent\" alone");
        decoder.report(finding.effect("no connections are opened ahead over the whole backend"));
        preconnect.predictive_percent = None;
    }
    let is_any = preconnect.endpoint_percent.is_some() || preconnect.predictive_percent.is_some();
    is_any.then_some(preconnect)
}

/// What becomes of connections that are not opened ahead.
const WHEN_NEEDED: &str = "connections are opened when they are needed";

/// Whether the policy itself names such a type.
fn is_predictable(policy: Fields<'_>) -> bool {
    let block = policy.optional("loadBalancer");
    let kind = block
        .and_then(|block| block.node.field("type"))
        .and_then(Node::scalar);
    kind.is_some_and(|Scalar { text, .. }| PREDICTABLE.contains(&&**text))
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
