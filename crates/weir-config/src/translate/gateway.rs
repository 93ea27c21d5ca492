//! Gateways and their listeners: what can be served, and what the statuses say (Gateway API Gateway).

use std::net::IpAddr;
use std::sync::Arc;

use weir_model::{HostPattern, Port};

use super::class::Classes;
use super::index::{Index, Object};
use super::options::Options;
use super::reporter::{Reporter, listed};
use crate::hash::QuickMap;
use crate::resource::{AddressKind, Gateway, GatewayListener, Protocol};
use crate::yaml::{Finding, Span};

/// Group of the Gateway API's own kinds.
pub(crate) const GATEWAY_GROUP: &str = "gateway.networking.k8s.io";

/// A Gateway of ours, with a verdict on everything in it.
#[derive(Debug)]
pub(crate) struct JudgedGateway<'a> {
    /// The Gateway.
    pub(crate) object: Object<'a, Gateway>,
    /// The controller name under which it is served.
    pub(crate) controller: Arc<str>,
    /// Addresses to bind; empty when the Gateway is not accepted.
    pub(crate) addresses: Vec<IpAddr>,
    /// Address types that weir does not serve, as written. Not empty: the Gateway is not accepted.
    pub(crate) unsupported_addresses: Vec<String>,
    /// Its listeners in the order written.
    pub(crate) listeners: Vec<JudgedListener<'a>>,
    by_name: QuickMap<&'a str, usize>,
}

/// A listener with its verdict.
#[derive(Debug)]
pub(crate) struct JudgedListener<'a> {
    /// The listener.
    pub(crate) spec: &'a GatewayListener,
    /// Whether it is served.
    pub(crate) verdict: Verdict,
    /// Kinds of route that may attach.
    pub(crate) kinds: Vec<&'static str>,
    /// Some of `allowedRoutes.kinds` is not a kind that its protocol can serve.
    pub(crate) invalid_kinds: bool,
    /// Accepted routes that select it.
    pub(crate) attached_routes: u32,
}

/// Whether a listener is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is.
    Served,
    /// Something in it is not valid; already reported.
    Invalid,
    /// Its protocol is not served.
    UnsupportedProtocol,
    /// Another listener claims the same.
    Conflicted {
        /// `HostnameConflict` or `ProtocolConflict`.
        reason: &'static str,
        /// With what, for people.
        with: String,
    },
}

impl<'a> JudgedGateway<'a> {
    /// The listener of that name.
    pub(crate) fn listener(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }
}

/// Judges all Gateways of ours; the result is ordered by seniority.
pub(crate) fn judge<'a>(
    index: &Index<'a>,
    classes: &Classes<'a>,
    options: &Options,
    reporter: &mut Reporter,
) -> Vec<JudgedGateway<'a>> {
    let mut gateways = Vec::new();
    for object in index.gateways.iter() {
        if let Some(controller) = classes.controller_of(object, options, reporter) {
            gateways.push(judge_one(object, controller, options, reporter));
        }
    }
    gateways.sort_by(|left, right| left.object.seniority().cmp(&right.object.seniority()));
    conflicts_between(&mut gateways, reporter);
    gateways
}

fn judge_one<'a>(
    object: Object<'a, Gateway>,
    controller: Arc<str>,
    options: &Options,
    reporter: &mut Reporter,
) -> JudgedGateway<'a> {
    report_unserved_fields(object, reporter);
    let (addresses, unsupported_addresses) = judge_addresses(object, options, reporter);
    let listeners = object.spec.listeners.iter();
    let mut listeners: Vec<_> = listeners
        .map(|spec| judge_listener(object, spec, reporter))
        .collect();
    conflicts_inside(object, &mut listeners, reporter);
    let names = object.spec.listeners.iter().map(|listener| &*listener.name.value);
    // The first of equal names counts; decoding has refused the others.
    let by_name = names
        .enumerate()
        .map(|(place, name)| (name, place))
        .rev()
        .collect();
    JudgedGateway {
        object,
        controller,
        addresses,
        unsupported_addresses,
        listeners,
        by_name,
    }
}

fn report_unserved_fields(gateway: Object<'_, Gateway>, reporter: &mut Reporter) {
    let fields = [
        (
            "spec.tls",
            gateway.spec.tls,
            "listeners are served without these TLS settings",
        ),
        (
            "spec.allowedListeners",
            gateway.spec.allowed_listeners,
            "no ListenerSet is attached",
        ),
    ];
    for (field, span, effect) in fields {
        if let Some(span) = span {
            let finding = Finding::new("W0210", span, format!("{field} is not served yet"));
            reporter.add(gateway.placed, finding.label("not served").effect(effect));
        }
    }
}

/// The addresses to bind, and the types that cannot be (Gateway API: an unknown type is `UnsupportedAddress`).
fn judge_addresses(
    gateway: Object<'_, Gateway>,
    options: &Options,
    reporter: &mut Reporter,
) -> (Vec<IpAddr>, Vec<String>) {
    let mut addresses = Vec::new();
    let mut unsupported = Vec::new();
    for address in &gateway.spec.addresses {
        let kind = match &address.kind {
            AddressKind::Ip if address.value.is_empty() => {
                addresses.push(options.listen_address);
                continue;
            }
            AddressKind::Ip => {
                // Decoding has refused everything that does not parse.
                addresses.extend(address.value.parse::<IpAddr>().ok());
                continue;
            }
            AddressKind::Hostname => "Hostname",
            AddressKind::Other(kind) => kind,
        };
        unsupported.push(kind.to_string());
        let finding = Finding::new(
            "E0208",
            address.value.span,
            format!("addresses of type {kind} are not served"),
        )
        .label("not an IP address")
        .help("name the IPAddress to listen on, or remove spec.addresses to listen on all of them")
        .effect("the whole Gateway is not served");
        reporter.add(gateway.placed, finding);
    }
    if !unsupported.is_empty() {
        return (Vec::new(), unsupported);
    }
    if gateway.spec.addresses.is_empty() {
        addresses.push(options.listen_address);
    }
    addresses.sort();
    addresses.dedup();
    (addresses, unsupported)
}

fn judge_listener<'a>(
    gateway: Object<'a, Gateway>,
    spec: &'a GatewayListener,
    reporter: &mut Reporter,
) -> JudgedListener<'a> {
    let mut listener = JudgedListener {
        spec,
        verdict: Verdict::Served,
        kinds: Vec::new(),
        invalid_kinds: false,
        attached_routes: 0,
    };
    if spec.refused {
        listener.verdict = Verdict::Invalid;
    } else if spec.protocol.value != Protocol::Http {
        listener.verdict = Verdict::UnsupportedProtocol;
        let message = format!(
            "protocol {} is not served yet",
            protocol_name(&spec.protocol.value)
        );
        let finding = Finding::new("E0205", spec.protocol.span, message)
            .label("only HTTP is served")
            .effect(format!("listener {} is not opened", spec.name.value));
        reporter.add(gateway.placed, finding);
        return listener;
    }
    judge_kinds(gateway, &mut listener, reporter);
    listener
}

/// `allowedRoutes.kinds`: only kinds that the protocol can serve count (Gateway API `InvalidRouteKinds`).
fn judge_kinds(gateway: Object<'_, Gateway>, listener: &mut JudgedListener<'_>, reporter: &mut Reporter) {
    let written = &listener.spec.allowed.kinds;
    for kind in written {
        if *kind.group == *GATEWAY_GROUP && **kind.kind == *"HTTPRoute" {
            listener.kinds = vec!["HTTPRoute"];
        } else {
            listener.invalid_kinds = true;
            let finding = Finding::new(
                "E0209",
                kind.kind.span,
                format!("{} cannot attach here", kind.kind.value),
            )
            .label("not served by an HTTP listener of weir")
            .help("an HTTP listener serves HTTPRoute of group gateway.networking.k8s.io")
            .effect("routes of this kind are not served; the others are");
            reporter.add(gateway.placed, finding);
        }
    }
    if written.is_empty() {
        listener.kinds = vec!["HTTPRoute"];
    }
}

/// Listeners of one Gateway that claim the same port in incompatible ways: all of them are refused.
fn conflicts_inside(
    gateway: Object<'_, Gateway>,
    listeners: &mut [JudgedListener<'_>],
    reporter: &mut Reporter,
) {
    let mut ports: QuickMap<Port, Vec<usize>> = QuickMap::default();
    for (place, listener) in listeners.iter().enumerate() {
        // UDP has ports of its own, and what an unknown protocol runs on nobody knows.
        let apart = matches!(listener.spec.protocol.value, Protocol::Udp | Protocol::Other(_));
        if listener.verdict != Verdict::Invalid && !apart {
            ports.entry(listener.spec.port.value).or_default().push(place);
        }
    }
    let mut found = Vec::new();
    for places in ports.values() {
        for place in places {
            let others = places.iter().filter(|other| *other != place);
            let other = |reason, rivals: Vec<usize>| (!rivals.is_empty()).then_some((*place, reason, rivals));
            let of = |place: &usize| listeners[*place].spec;
            let apart = |other: &&usize| family(of(other)) != family(of(place));
            let alike =
                |other: &&usize| of(other).hostname.value == of(place).hostname.value && !apart(other);
            let protocol = other(
                "ProtocolConflict",
                others.clone().filter(apart).copied().collect(),
            );
            let hostname = || {
                other(
                    "HostnameConflict",
                    others.clone().filter(alike).copied().collect(),
                )
            };
            found.extend(protocol.or_else(hostname));
        }
    }
    found.sort();
    for (place, reason, rivals) in found {
        let names: Vec<&str> = rivals
            .iter()
            .map(|rival| &*listeners[*rival].spec.name.value)
            .collect();
        let with = format!("listener {}", listed(&names));
        let spec = listeners[place].spec;
        let (span, what) = match reason {
            "ProtocolConflict" => (spec.protocol.span, "use a different port"),
            _ => (hostname_span(spec), "give each its own hostname or port"),
        };
        let message = format!(
            "listener {} claims the same port and {} as {with}",
            spec.name.value,
            if reason == "ProtocolConflict" {
                "another protocol"
            } else {
                "hostname"
            },
        );
        let finding = Finding::new("E0206", span, message)
            .label(format!("conflicts with {with}"))
            .help(what)
            .effect("none of the conflicting listeners is opened (Gateway API: the Gateway cannot choose)");
        reporter.add(gateway.placed, finding);
        listeners[place].verdict = Verdict::Conflicted { reason, with };
    }
}

/// Listeners of several Gateways share an address and port as long as their hostnames differ. For a hostname
/// that several claim, the most senior Gateway wins.
fn conflicts_between(gateways: &mut [JudgedGateway<'_>], reporter: &mut Reporter) {
    let mut claims: QuickMap<(IpAddr, Port, HostPattern), usize> = QuickMap::default();
    for place in 0..gateways.len() {
        let (seniors, rest) = gateways.split_at_mut(place);
        let Some(gateway) = rest.first_mut() else { break };
        for listener in gateway
            .listeners
            .iter_mut()
            .filter(|listener| listener.verdict == Verdict::Served)
        {
            let claim = |address: &IpAddr| {
                (
                    *address,
                    listener.spec.port.value,
                    listener.spec.hostname.value.clone(),
                )
            };
            let rival = gateway
                .addresses
                .iter()
                .find_map(|address| claims.get(&claim(address)));
            let Some(rival) = rival.filter(|rival| **rival != place) else {
                claims.extend(gateway.addresses.iter().map(|address| (claim(address), place)));
                continue;
            };
            let rival = seniors[*rival].object;
            let with = format!("Gateway {}/{}", rival.namespace(), rival.name());
            let message = format!(
                "hostname {} on port {} already belongs to {with}",
                listener.spec.hostname.value,
                listener.spec.port.value.number(),
            );
            let finding = Finding::new("E0207", hostname_span(listener.spec), message)
                .label("already taken")
                .help("give one of the two Gateways another hostname, port or address")
                .effect(format!(
                    "listener {} is not served; the older Gateway keeps the hostname",
                    listener.spec.name.value
                ));
            reporter.add(gateway.object.placed, finding);
            listener.verdict = Verdict::Conflicted {
                reason: "HostnameConflict",
                with,
            };
        }
    }
}

/// Where the hostname is written; the port when there is none.
fn hostname_span(listener: &GatewayListener) -> Span {
    if listener.hostname.span == Span::NONE {
        listener.port.span
    } else {
        listener.hostname.span
    }
}

/// Protocols that may share a port with each other (they are told apart by SNI or host).
fn family(listener: &GatewayListener) -> u8 {
    match &listener.protocol.value {
        Protocol::Http => 0,
        Protocol::Https | Protocol::Tls => 1,
        Protocol::Tcp => 2,
        Protocol::Udp => 3,
        Protocol::Other(_) => 4,
    }
}

/// The protocol as written.
pub(crate) fn protocol_name(protocol: &Protocol) -> &str {
    match protocol {
        Protocol::Http => "HTTP",
        Protocol::Https => "HTTPS",
        Protocol::Tls => "TLS",
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
        Protocol::Other(name) => name,
    }
}
