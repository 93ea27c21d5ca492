//! Why a route is not attached, or attached to nothing that is served: the problems that say so.

use crate::nearest::nearest;
use crate::resource::{HttpRoute, ParentReference};
use crate::yaml::Finding;

use super::attach::Attached;
use super::gateway::{JudgedGateway, JudgedListener, Verdict, protocol_name};
use super::index::Object;
use super::reporter::{Reporter, listed};
use super::route::is_served;

/// Why a Gateway does not take a route.
#[derive(Debug)]
pub(crate) struct Refusal {
    code: &'static str,
    /// Reason of `Accepted=False`.
    pub(crate) reason: &'static str,
    /// What is wrong, as a clause.
    pub(crate) message: String,
    help: String,
}

impl Refusal {
    /// Says so where the reference that led here is written.
    pub(crate) fn report(
        &self,
        route: Object<'_, HttpRoute>,
        parent: &ParentReference,
        reporter: &mut Reporter,
    ) {
        let span = match (
            self.code,
            &parent.section_name,
            parent.port,
            route.spec.hostnames.first(),
        ) {
            ("E0213", Some(section), _, _) => section.span,
            ("E0213", None, Some(port), _) => port.span,
            ("E0215", _, _, Some(hostname)) => hostname.span,
            _ => parent.object.span,
        };
        let finding = Finding::new(self.code, span, self.message.clone())
            .label(self.reason)
            .help(self.help.clone())
            .effect("the route is not attached through this parentRef");
        reporter.add(route.placed, finding);
    }
}

pub(crate) fn no_parent(gateway: &JudgedGateway<'_>, reference: &ParentReference) -> Refusal {
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
    let near = nearest(section, names.map(|listener| &*listener.name.value));
    let help = match near {
        Some(near) => format!("did you mean {near}?"),
        None => format!("its listeners are {}", listed(&ports)),
    };
    refusal("E0213", "NoMatchingParent", gateway, &message, help)
}

pub(crate) fn not_allowed(
    gateway: &JudgedGateway<'_>,
    route: Object<'_, HttpRoute>,
    parent: &ParentReference,
) -> Refusal {
    let listeners = selected(gateway, parent);
    let unserved = listeners
        .iter()
        .find(|listener| listener.verdict == Verdict::UnsupportedProtocol);
    let (message, help) = if let (Some(listener), 1) = (unserved, listeners.len()) {
        let protocol = protocol_name(&listener.spec.protocol.value);
        let message = format!("serves no listener for it: protocol {protocol} is not served yet");
        (message, "attach it to an HTTP listener")
    } else if listeners.iter().all(|listener| listener.kinds.is_empty()) {
        let help = "allowedRoutes.kinds of the listener decides; without it HTTPRoutes are allowed";
        ("does not allow HTTPRoutes there".to_string(), help)
    } else {
        let message = format!(
            "does not allow HTTPRoutes of namespace {} there",
            route.namespace()
        );
        (
            message,
            "allowedRoutes.namespaces of the listener decides: from Same (the default), All, or a Selector",
        )
    };
    refusal(
        "E0214",
        "NotAllowedByListeners",
        gateway,
        &message,
        help.to_string(),
    )
}

pub(crate) fn no_hostname(
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
    let theirs = selected(gateway, parent).into_iter();
    let theirs: Vec<String> = theirs
        .map(|listener| listener.spec.hostname.value.to_string())
        .collect();
    let message = match &hosts[..] {
        [host] => format!("has no listener that takes the hostname {host}"),
        _ => format!(
            "has no listener that takes one of the hostnames {}",
            listed(&hosts)
        ),
    };
    let help = format!(
        "its listeners take {}; a hostname must lie inside one of them",
        listed(&theirs)
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
    let name = gateway.object.id();
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

/// A route that no request can reach, although nothing that was reported so far says so.
pub(crate) fn report_idle(
    route: Object<'_, HttpRoute>,
    gateways: &[JudgedGateway<'_>],
    attached: &[Attached<'_>],
    reporter: &mut Reporter,
) {
    let (code, span, what, help) = if route.spec.parents.is_empty() {
        let help = "add spec.parentRefs with the Gateway that should serve it";
        ("W0217", route.placed.resource.span, "names no parent", help)
    } else if attached.is_empty() || attached.iter().any(|one| is_served(gateways, one.place)) {
        report_lost_hostnames(route, attached, reporter);
        return;
    } else {
        let what = "is attached to listeners that are not served";
        (
            "W0218",
            attached[0].parent.object.span,
            what,
            "the problems of the Gateway say why",
        )
    };
    let finding = Finding::new(code, span, format!("{} {what}", route.id()));
    reporter.add(route.placed, finding.help(help).effect("it serves no request"));
}

/// Hostnames of an attached route that lie inside no listener (Gateway API: they are ignored).
fn report_lost_hostnames(route: Object<'_, HttpRoute>, attached: &[Attached<'_>], reporter: &mut Reporter) {
    if attached.is_empty() {
        return;
    }
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
