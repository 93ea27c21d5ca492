//! Which routes attach to which listeners (Gateway API: parentRefs, allowedRoutes, hostnames).

use weir_model::{HostPattern, ObjectName};

use super::gateway::{GATEWAY_GROUP, JudgedGateway, JudgedListener, Verdict, protocol_name};
use super::hash::QuickMap;
use super::index::{Index, Object};
use super::reporter::Reporter;
use crate::resource::{AllowedNamespaces, GatewayListener, HttpRoute, ParentReference, Placed};
use crate::yaml::Finding;

/// One accepted pair of a route and a listener.
#[derive(Debug)]
pub(crate) struct Attached<'a> {
    /// The route.
    pub(crate) route: &'a Placed,
    /// The Gateway.
    pub(crate) gateway: &'a Placed,
    /// The listener, which need not be served.
    pub(crate) listener: &'a GatewayListener,
    /// The reference that led here; the first when several do.
    pub(crate) parent: &'a ParentReference,
    /// Place of the Gateway and of the listener in the judged list.
    pub(crate) place: (usize, usize),
    /// The route's hosts on this listener; never empty.
    pub(crate) hosts: Vec<HostPattern>,
}

/// A route and what became of each of its parentRefs that names a Gateway of ours.
#[derive(Debug)]
pub(crate) struct Attachments<'a> {
    /// The route.
    pub(crate) route: Object<'a, HttpRoute>,
    /// In the order written.
    pub(crate) parents: Vec<Parent<'a>>,
    /// The route's entries in the list of all [`Attached`].
    pub(crate) attached: std::ops::Range<usize>,
}

/// A parentRef that names a Gateway of ours.
#[derive(Debug)]
pub(crate) struct Parent<'a> {
    /// The reference.
    pub(crate) reference: &'a ParentReference,
    /// Place of the Gateway in the judged list.
    pub(crate) gateway: usize,
    /// `Ok` when at least one listener accepted the route, else the reason of `Accepted=False` and its message.
    pub(crate) outcome: Result<(), (&'static str, String)>,
}

/// Attaches all routes; counts them on the listeners.
pub(crate) fn attach<'a>(
    index: &Index<'a>,
    gateways: &mut [JudgedGateway<'a>],
    reporter: &mut Reporter,
) -> (Vec<Attachments<'a>>, Vec<Attached<'a>>) {
    let places = gateways.iter().enumerate();
    let places = places.map(|(place, gateway)| ((gateway.object.namespace(), gateway.object.name()), place));
    let places: QuickMap<(&str, &str), usize> = places.collect();
    let mut all = Vec::with_capacity(index.http_routes.iter().count());
    let mut attached: Vec<Attached<'a>> = Vec::with_capacity(all.capacity());
    for route in index.http_routes.iter() {
        let first = attached.len();
        let mut parents = Vec::with_capacity(route.spec.parents.len());
        for reference in &route.spec.parents {
            let Some(gateway) = gateway_of(index, &places, route, reference, reporter) else {
                continue;
            };
            let mine = first..attached.len();
            let outcome = attach_to(
                index,
                &gateways[gateway],
                gateway,
                route,
                reference,
                mine,
                &mut attached,
            );
            if let Err(refusal) = &outcome {
                report_refusal(route, reference, refusal, reporter);
            }
            let outcome = outcome.map_err(|refusal| (refusal.reason, refusal.message));
            parents.push(Parent {
                reference,
                gateway,
                outcome,
            });
        }
        for one in &attached[first..] {
            gateways[one.place.0].listeners[one.place.1].attached_routes += 1;
        }
        report_idle(route, gateways, &attached[first..], &parents, reporter);
        all.push(Attachments {
            route,
            parents,
            attached: first..attached.len(),
        });
    }
    (all, attached)
}

/// The Gateway of ours that a parentRef names.
fn gateway_of(
    index: &Index<'_>,
    places: &QuickMap<(&str, &str), usize>,
    route: Object<'_, HttpRoute>,
    reference: &ParentReference,
    reporter: &mut Reporter,
) -> Option<usize> {
    let object = &reference.object;
    if (&*object.group, &*object.kind) != (GATEWAY_GROUP, "Gateway") {
        let finding = Finding::new(
            "W0212",
            object.span,
            format!("parents of kind {} are not served", object.kind),
        )
        .label("not a Gateway")
        .effect("the route is not attached through this parentRef");
        reporter.add(route.placed, finding);
        return None;
    }
    let namespace = object
        .namespace
        .as_ref()
        .map_or(route.namespace(), |written| &written.value);
    let place = places.get(&(namespace, &*object.name.value)).copied();
    // A Gateway of somebody else has its own note.
    if place.is_none() && index.gateways.get(namespace, &object.name.value).is_none() {
        let message = format!(
            "there is no Gateway {} in namespace {namespace}",
            object.name.value
        );
        let help = match index.gateways.near(namespace, &object.name.value) {
            Some(near) => format!("did you mean {near}?"),
            None => "define the Gateway, or name one that exists".to_string(),
        };
        let finding = Finding::new("E0211", object.name.span, message)
            .label("not found")
            .help(help);
        reporter.add(
            route.placed,
            finding.effect("the route is not attached through this parentRef"),
        );
    }
    place
}

/// Why a Gateway does not take a route.
#[derive(Debug)]
struct Refusal {
    code: &'static str,
    reason: &'static str,
    message: String,
    help: String,
}

/// Attaches a route to all listeners that a parentRef selects. `mine` are the route's earlier attachments.
fn attach_to<'a>(
    index: &Index<'a>,
    gateway: &JudgedGateway<'a>,
    gateway_place: usize,
    route: Object<'a, HttpRoute>,
    reference: &'a ParentReference,
    mine: std::ops::Range<usize>,
    attached: &mut Vec<Attached<'a>>,
) -> Result<(), Refusal> {
    let candidates = match &reference.section_name {
        Some(name) => gateway
            .listener(&name.value)
            .map_or(0..0, |place| place..place + 1),
        None => 0..gateway.listeners.len(),
    };
    let (mut selected, mut allowed, mut matched) = (0, 0, 0);
    for place in candidates {
        let listener = &gateway.listeners[place];
        if reference
            .port
            .is_some_and(|port| port.value != listener.spec.port.value)
        {
            continue;
        }
        selected += 1;
        if !allows(index, gateway, listener, route) {
            continue;
        }
        allowed += 1;
        let hosts = common_hosts(listener, route.spec);
        if hosts.is_empty() {
            continue;
        }
        matched += 1;
        let place = (gateway_place, place);
        // Two parentRefs may select the same listener; the route is there once.
        if attached[mine.clone()]
            .iter()
            .all(|earlier| earlier.place != place)
        {
            let gateway = gateway.object.placed;
            let listener = listener.spec;
            attached.push(Attached {
                route: route.placed,
                gateway,
                listener,
                parent: reference,
                place,
                hosts,
            });
        }
    }
    match (selected, allowed, matched) {
        (0, _, _) => Err(no_parent(gateway, reference)),
        (_, 0, _) => Err(not_allowed(gateway, route, reference)),
        (_, _, 0) => Err(no_hostname(gateway, route, reference)),
        _ => Ok(()),
    }
}

/// `allowedRoutes`: whether the listener takes routes of this kind from this namespace.
fn allows(
    index: &Index<'_>,
    gateway: &JudgedGateway<'_>,
    listener: &JudgedListener<'_>,
    route: Object<'_, HttpRoute>,
) -> bool {
    listener.kinds.contains(&"HTTPRoute")
        && match &listener.spec.allowed.namespaces {
            AllowedNamespaces::Same => gateway.object.namespace() == route.namespace(),
            AllowedNamespaces::All => true,
            AllowedNamespaces::None => false,
            AllowedNamespaces::Selector(selector) => {
                selector.matches(&index.namespace_labels(route.namespace()))
            }
        }
}

/// Hosts that both the listener and the route cover. A route without hostnames takes the listener's.
fn common_hosts(listener: &JudgedListener<'_>, route: &HttpRoute) -> Vec<HostPattern> {
    let hostname = &listener.spec.hostname.value;
    if route.hostnames.is_empty() {
        return vec![hostname.clone()];
    }
    let mut hosts: Vec<HostPattern> = Vec::with_capacity(route.hostnames.len());
    for host in route
        .hostnames
        .iter()
        .filter_map(|written| hostname.intersect(&written.value))
    {
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    hosts
}

fn no_parent(gateway: &JudgedGateway<'_>, reference: &ParentReference) -> Refusal {
    let names = gateway.object.spec.listeners.iter();
    let ports = names
        .clone()
        .map(|listener| format!("{} (port {})", listener.name.value, listener.port.number()));
    let ports: Vec<String> = ports.collect();
    let message = match (&reference.section_name, reference.port) {
        (Some(section), Some(port)) => {
            format!(
                "has no listener {} on port {}",
                section.value,
                port.value.number()
            )
        }
        (Some(section), None) => format!("has no listener {}", section.value),
        (None, Some(port)) => format!("has no listener on port {}", port.value.number()),
        (None, None) => "has no listener".to_string(),
    };
    let section = reference
        .section_name
        .as_ref()
        .map(|section| &*section.value)
        .unwrap_or_default();
    let near = crate::nearest::nearest(section, names.map(|listener| &*listener.name.value));
    let help = match near {
        Some(near) => format!("did you mean {near}?"),
        None => format!("its listeners are {}", super::reporter::listed(&ports)),
    };
    refusal("E0213", "NoMatchingParent", gateway, &message, help)
}

fn not_allowed(
    gateway: &JudgedGateway<'_>,
    route: Object<'_, HttpRoute>,
    parent: &ParentReference,
) -> Refusal {
    let listeners = selected(gateway, parent);
    let unserved = listeners
        .iter()
        .find(|listener| listener.verdict == Verdict::UnsupportedProtocol);
    if let (Some(listener), 1) = (unserved, listeners.len()) {
        let protocol = protocol_name(&listener.spec.protocol.value);
        let message = format!("serves no listener for it: protocol {protocol} is not served yet");
        return refusal(
            "E0214",
            "NotAllowedByListeners",
            gateway,
            &message,
            "attach it to an HTTP listener".into(),
        );
    }
    let message = format!(
        "does not allow HTTPRoutes of namespace {} on this listener",
        route.namespace()
    );
    let help =
        "allowedRoutes.namespaces of the listener decides: from Same (the default), All, or a Selector";
    refusal("E0214", "NotAllowedByListeners", gateway, &message, help.into())
}

fn no_hostname(
    gateway: &JudgedGateway<'_>,
    route: Object<'_, HttpRoute>,
    parent: &ParentReference,
) -> Refusal {
    let hosts: Vec<String> = route
        .spec
        .hostnames
        .iter()
        .map(|host| host.value.to_string())
        .collect();
    let theirs = selected(gateway, parent);
    let theirs: Vec<String> = theirs
        .iter()
        .map(|listener| listener.spec.hostname.value.to_string())
        .collect();
    let message = format!(
        "has no listener for the hostname {}",
        super::reporter::listed(&hosts)
    );
    let help = format!(
        "its listeners take {}; a hostname must lie inside one of them",
        super::reporter::listed(&theirs)
    );
    refusal("E0215", "NoMatchingListenerHostname", gateway, &message, help)
}

fn refusal(
    code: &'static str,
    reason: &'static str,
    gateway: &JudgedGateway<'_>,
    message: &str,
    help: String,
) -> Refusal {
    let name: &ObjectName = gateway.object.id();
    Refusal {
        code,
        reason,
        message: format!("{name} {message}"),
        help,
    }
}

/// The listeners that a parentRef selects.
fn selected<'g, 'a>(gateway: &'g JudgedGateway<'a>, parent: &ParentReference) -> Vec<&'g JudgedListener<'a>> {
    let listeners = gateway.listeners.iter().filter(|listener| {
        parent
            .section_name
            .as_ref()
            .is_none_or(|section| section.value == listener.spec.name.value)
            && parent
                .port
                .is_none_or(|port| port.value == listener.spec.port.value)
    });
    listeners.collect()
}

fn report_refusal(
    route: Object<'_, HttpRoute>,
    parent: &ParentReference,
    refusal: &Refusal,
    reporter: &mut Reporter,
) {
    let span = match (
        refusal.code,
        &parent.section_name,
        parent.port,
        route.spec.hostnames.first(),
    ) {
        ("E0213", Some(section), _, _) => section.span,
        ("E0213", None, Some(port), _) => port.span,
        ("E0215", _, _, Some(hostname)) => hostname.span,
        _ => parent.object.span,
    };
    let finding = Finding::new(refusal.code, span, refusal.message.clone())
        .label(refusal.reason)
        .help(refusal.help.clone())
        .effect("the route is not attached through this parentRef");
    reporter.add(route.placed, finding);
}

/// A route that no request can reach, although nothing that was reported so far says so.
fn report_idle(
    route: Object<'_, HttpRoute>,
    gateways: &[JudgedGateway<'_>],
    attached: &[Attached<'_>],
    parents: &[Parent<'_>],
    reporter: &mut Reporter,
) {
    if route.spec.parents.is_empty() {
        let span = route.placed.resource.span;
        let finding = Finding::new("W0217", span, format!("{} names no parent", route.id()))
            .help("add spec.parentRefs with the Gateway that should serve it")
            .effect("it serves no request");
        reporter.add(route.placed, finding);
        return;
    }
    let served = |one: &Attached<'_>| {
        let gateway = &gateways[one.place.0];
        !gateway.addresses.is_empty() && gateway.listeners[one.place.1].verdict == Verdict::Served
    };
    if !attached.is_empty() && !attached.iter().any(served) {
        let span = attached
            .first()
            .map_or(route.placed.resource.span, |one| one.parent.object.span);
        let finding = Finding::new(
            "W0218",
            span,
            format!("{} is attached to listeners that are not served", route.id()),
        )
        .label("accepted, but not served")
        .help("the problems of the Gateway say why")
        .effect("it serves no request");
        reporter.add(route.placed, finding);
    }
    let accepted = parents.iter().any(|parent| parent.outcome.is_ok());
    if accepted {
        report_lost_hostnames(route, attached, reporter);
    }
}

/// Hostnames of an attached route that lie inside no listener (Gateway API: they are ignored).
fn report_lost_hostnames(route: Object<'_, HttpRoute>, attached: &[Attached<'_>], reporter: &mut Reporter) {
    for hostname in &route.spec.hostnames {
        let kept = attached
            .iter()
            .any(|one| one.listener.hostname.value.intersect(&hostname.value).is_some());
        if !kept {
            let message = format!(
                "no listener of its Gateways takes the hostname {}",
                hostname.value
            );
            let finding = Finding::new("W0216", hostname.span, message)
                .label("ignored")
                .effect("requests for this hostname are not served by this route; its other hostnames are");
            reporter.add(route.placed, finding);
        }
    }
}
