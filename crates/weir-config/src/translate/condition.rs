//! Conditions of Gateways, listeners and routes, with the reasons that Gateway API gives them.

use std::sync::Arc;

use super::attach::{AttachTable, Parent, RouteAttachments};
use super::gateway::{JudgedGateway, JudgedListener, Verdict, protocol_name};
use super::reporter::listed;
use super::route::Outcome;
use super::rule::UNSUPPORTED_VALUE;
use crate::resource::ParentReference;
use crate::status::{Condition, ListenerStatus, ParentName, ParentStatus, Status, StatusBody};

/// What is said of a Gateway and its listeners.
pub(crate) fn of_gateway(gateway: &JudgedGateway<'_>) -> Status {
    let accepted = gateway.unsupported_addresses.is_empty();
    let listeners = gateway
        .listeners
        .iter()
        .map(|listener| of_listener(listener, accepted));
    Status {
        object: gateway.object.id().clone(),
        generation: gateway.object.placed.resource.metadata.generation,
        body: StatusBody::Gateway {
            conditions: gateway_conditions(gateway),
            listeners: listeners.collect(),
        },
    }
}

fn gateway_conditions(gateway: &JudgedGateway<'_>) -> Vec<Condition> {
    if !gateway.unsupported_addresses.is_empty() {
        let message = format!(
            "Addresses of type {} are not served.",
            listed(&gateway.unsupported_addresses)
        );
        return vec![
            Condition::no("Accepted", "UnsupportedAddress", message),
            Condition::no("Programmed", "Invalid", "The Gateway is not accepted."),
        ];
    }
    let valid = gateway
        .listeners
        .iter()
        .filter(|listener| listener.verdict == Verdict::Served)
        .count();
    let invalid = |(number, listener): (usize, &JudgedListener<'_>)| {
        (listener.verdict != Verdict::Served).then(|| gateway.listeners[number].spec.name.value.to_string())
    };
    let invalid: Vec<String> = gateway.listeners.iter().enumerate().filter_map(invalid).collect();
    let message = || format!("Not served: listener {}.", listed(&invalid));
    let accepted = match (valid, invalid.len()) {
        (0, _) => Condition::no("Accepted", "ListenersNotValid", "No listener is valid."),
        (_, 0) => Condition::yes("Accepted", "Accepted", "All listeners are valid."),
        _ => Condition::yes("Accepted", "ListenersNotValid", message()),
    };
    let programmed = match valid {
        0 => Condition::no("Programmed", "Invalid", "No listener is valid."),
        _ => Condition::yes(
            "Programmed",
            "Programmed",
            "The configuration has been translated.",
        ),
    };
    vec![accepted, programmed]
}

fn of_listener(listener: &JudgedListener<'_>, gateway_accepted: bool) -> ListenerStatus {
    let spec = listener.spec;
    let (accepted, conflicted) = match &listener.verdict {
        Verdict::Served => (
            Condition::yes("Accepted", "Accepted", "The listener is valid."),
            no_conflict(),
        ),
        Verdict::Invalid => (
            Condition::no("Accepted", "Invalid", "The listener is not valid."),
            no_conflict(),
        ),
        Verdict::UnsupportedProtocol => {
            let message = format!("Protocol {} is not served.", protocol_name(&spec.protocol.value));
            (
                Condition::no("Accepted", "UnsupportedProtocol", message),
                no_conflict(),
            )
        }
        Verdict::Conflicted { reason, with } => (
            Condition::no("Accepted", reason, format!("Conflicts with {with}.")),
            Condition::yes("Conflicted", reason, format!("Conflicts with {with}.")),
        ),
    };
    let programmed = match listener.verdict == Verdict::Served && gateway_accepted {
        true => Condition::yes("Programmed", "Programmed", "The listener has been translated."),
        false => Condition::no("Programmed", "Invalid", "The listener is not served."),
    };
    let resolved = match listener.invalid_kinds {
        true => {
            let message = "allowedRoutes names a kind that this listener does not serve.";
            Condition::no("ResolvedRefs", "InvalidRouteKinds", message)
        }
        false => Condition::yes("ResolvedRefs", "ResolvedRefs", "All references are resolved."),
    };
    ListenerStatus {
        name: spec.name.value.clone(),
        supported_kinds: listener.kinds.clone(),
        attached_routes: listener.attached_routes,
        conditions: vec![accepted, conflicted, programmed, resolved],
    }
}

fn no_conflict() -> Condition {
    Condition::no("Conflicted", "NoConflicts", "No other listener claims the same.")
}

/// What is said of routes. Routes that are served as written share one list of conditions.
pub(crate) struct RouteConditions {
    flawless: Arc<[Condition]>,
}

impl RouteConditions {
    pub(crate) fn new() -> Self {
        Self {
            flawless: [accepted(), resolved()].into(),
        }
    }

    /// What is said of a route, per parentRef that names a Gateway of ours; `None` when there is no such
    /// parentRef.
    pub(crate) fn of(
        &self,
        table: &AttachTable<'_>,
        attachments: &RouteAttachments<'_>,
        outcome: &Outcome,
        gateways: &[JudgedGateway<'_>],
    ) -> Option<Status> {
        let route = attachments.route;
        if attachments.parents.is_empty() {
            return None;
        }
        let rules = route.spec.rules.len();
        let one = |parent: &Parent<'_>| ParentStatus {
            parent: parent_name(parent.reference),
            controller: gateways[parent.gateway].controller.clone(),
            conditions: match parent.outcome.is_ok() && outcome.is_flawless() {
                true => self.flawless.clone(),
                false => flawed(parent, outcome, rules).into(),
            },
        };
        Some(Status {
            object: route.id().clone(),
            generation: route.placed.resource.metadata.generation,
            body: StatusBody::Route(
                table.parents[attachments.parents.clone()]
                    .iter()
                    .map(one)
                    .collect(),
            ),
        })
    }
}

fn flawed(parent: &Parent<'_>, outcome: &Outcome, rules: usize) -> Vec<Condition> {
    let refused = outcome.refused.len();
    let mut conditions = Vec::with_capacity(3);
    conditions.push(match &parent.outcome {
        Err(refusal) => Condition::no("Accepted", refusal.reason, format!("{}.", refusal.message)),
        Ok(()) if refused > 0 && refused == rules => {
            Condition::no("Accepted", UNSUPPORTED_VALUE, "No rule can be served as written.")
        }
        Ok(()) => accepted(),
    });
    conditions.push(match &outcome.unresolved {
        None => resolved(),
        Some((reason, message)) => Condition::no("ResolvedRefs", reason, message.clone()),
    });
    if refused > 0 && refused < rules {
        let numbers: Vec<String> = outcome
            .refused
            .iter()
            .map(|place| (place + 1).to_string())
            .collect();
        let word = if refused == 1 { "rule" } else { "rules" };
        let message = format!("Not served as written: {word} {}.", listed(&numbers));
        conditions.push(Condition::yes("PartiallyInvalid", UNSUPPORTED_VALUE, message));
    }
    conditions
}

fn accepted() -> Condition {
    Condition::yes("Accepted", "Accepted", "The route is attached.")
}

fn resolved() -> Condition {
    Condition::yes("ResolvedRefs", "ResolvedRefs", "All references are resolved.")
}

/// A parentRef as a status repeats it: with the defaults of group and kind, and the rest as written.
pub(crate) fn parent_name(reference: &ParentReference) -> ParentName {
    let object = &reference.object;
    ParentName {
        group: object.group.clone(),
        kind: object.kind.clone(),
        namespace: object.namespace.as_ref().map(|namespace| namespace.value.clone()),
        name: object.name.value.clone(),
        section_name: reference
            .section_name
            .as_ref()
            .map(|section| section.value.clone()),
        port: reference.port.map(|port| port.value),
    }
}
