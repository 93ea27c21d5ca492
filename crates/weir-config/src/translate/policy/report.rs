//! What policies are told: problems for people, conditions for programs (Gateway API `PolicyStatus`).

use std::collections::BTreeMap;
use std::sync::Arc;

use weir_model::{ObjectName, Problem, Severity};

use super::claims::{Claim, Claims};
use super::reach::Relations;
use super::target::{Found, TARGET_GROUP, Target, Targets};
use crate::resource::Finding;
use crate::resource::decode::Decoder;
use crate::status::{Condition, ParentName, ParentStatus, Status, StatusBody};
use crate::translate::attach::Attached;
use crate::translate::effective::PolicySettings;

/// Ancestors that one status may hold (Gateway API `PolicyStatus.ancestors`).
const ANCESTORS_MAX: usize = 16;

/// What was found out about policies, in the order of their claims.
pub(super) struct Findings<'f> {
    pub(super) faults: &'f [Option<String>],
    pub(super) relations: &'f [Relations],
}

/// The Gateway, and its listener where one is named.
type AncestorKey = (ObjectName, Option<Arc<str>>);

/// Only a policy of routes can be merged: one of a Gateway has nothing to be merged over.
pub(super) fn merge_type_rule(
    decoder: &mut Decoder,
    claim: &Claim<'_>,
    found: Option<PolicySettings>,
) -> Option<PolicySettings> {
    let Some(merge_type) = &claim.policy.merge_type else {
        return found;
    };
    if claim
        .targets
        .iter()
        .all(|target| *target.key.object.kind != *"Gateway")
    {
        return found;
    }
    let finding = Finding::new(
        "E0312",
        merge_type.span,
        "mergeType cannot be set on a policy that targets a Gateway",
    );
    decoder.report(
        finding
            .label("nothing to merge over")
            .help("remove mergeType, or target routes"),
    );
    None
}

/// Says of each error what it means for traffic.
pub(super) fn with_effect(mut findings: Vec<Finding>) -> Vec<Finding> {
    for finding in findings
        .iter_mut()
        .filter(|finding| finding.severity == Severity::Error)
    {
        if finding.effect.is_none() {
            finding.effect =
                Some("the policy is refused (Accepted=False, Invalid): its rules answer 500".into());
        }
    }
    findings
}

/// The message of the first error.
pub(super) fn first_error(findings: &[Finding]) -> Option<String> {
    findings
        .iter()
        .find(|finding| finding.severity == Severity::Error)
        .map(|finding| finding.message.clone())
}

/// Problems with what policies are attached to.
pub(super) fn target_problems(claims: &Claims<'_>, targets: &Targets<'_>, problems: &mut Vec<Problem>) {
    for (number, claim) in claims.policies.iter().enumerate() {
        for target in &claim.targets {
            let finding = missing_target(target, targets);
            problems.extend(finding.map(|finding| claim.placed.problem(finding)));
        }
        for (target, holder) in claims.lost(number) {
            let winner = claims.policies[holder].placed;
            let message = conflict_message(target, &claim.placed.resource.object.kind);
            let origin = winner.origin(winner.resource.metadata.name.span);
            let finding = Finding::new("E0315", target.span, message)
                .label(format!("{} has it ({origin})", winner.resource.object))
                .effect("this policy has no effect there (Accepted=False, Conflicted)");
            problems.push(claim.placed.problem(finding));
        }
    }
}

fn missing_target(target: &Target, targets: &Targets<'_>) -> Option<Finding> {
    let (object, effect) = (&target.key.object, "the policy has no effect there");
    let finding = match target.found {
        Found::Yes => return None,
        Found::NoObject => {
            let finding = Finding::new(
                "W0311",
                target.span,
                format!("the target {object} does not exist"),
            );
            match targets.near(object) {
                Some(near) => finding
                    .label("not found")
                    .help(format!("did you mean \"{near}\"?")),
                None => finding.label("not found"),
            }
        }
        Found::NoSection => {
            let section = target.key.section.as_deref().unwrap_or_default();
            Finding::new(
                "E0316",
                target.span,
                format!("{object} has no section named \"{section}\""),
            )
            .label("no such section (Accepted=False, TargetNotFound)")
            .help("a sectionName is the name of a Gateway's listener or of a route's rule")
        }
        Found::NotServed => Finding::new(
            "W0313",
            target.span,
            format!("the target {object} is of a kind that is not served yet"),
        )
        .label("not served"),
    };
    Some(finding.effect(effect))
}

fn conflict_message(target: &Target, kind: &str) -> String {
    let object = &target.key.object;
    format!(
        "Unable to target {} {}, another {kind} has already attached to it",
        object.kind, object.name
    )
}

/// The statuses of all policies that have an ancestor.
pub(super) fn statuses(
    claims: &Claims<'_>,
    findings: &Findings<'_>,
    attached: &[Attached<'_>],
    controller: &Arc<str>,
) -> Vec<Status> {
    let mut statuses = Vec::new();
    for (number, claim) in claims.policies.iter().enumerate() {
        let mut ancestors: BTreeMap<AncestorKey, Vec<Condition>> = BTreeMap::new();
        for target in &claim.targets {
            let accepted = accepted(claims, number, target, findings.faults[number].as_deref());
            for key in ancestors_of(target, attached) {
                let conditions = ancestors.entry(key).or_default();
                // Several targets may share a Gateway: the worst of them is what its owner must see.
                match conditions.first_mut() {
                    Some(first) if first.holds => *first = accepted.clone(),
                    Some(_) => {}
                    None => conditions.push(accepted.clone()),
                }
            }
        }
        let further = further_conditions(claims, number, &findings.relations[number]);
        let parents = ancestors.into_iter().map(|(key, mut conditions)| {
            conditions.extend(further.iter().cloned());
            ParentStatus {
                parent: parent_name(key),
                controller: controller.clone(),
                conditions: conditions.into(),
            }
        });
        let parents = bounded(parents.collect());
        if !parents.is_empty() {
            statuses.push(Status {
                object: claim.placed.resource.object.clone(),
                generation: claim.placed.resource.metadata.generation,
                body: StatusBody::Policy(parents),
            });
        }
    }
    statuses
}

fn accepted(claims: &Claims<'_>, number: usize, target: &Target, fault: Option<&str>) -> Condition {
    let kind = &claims.policies[number].placed.resource.object.kind;
    if target.found == Found::NoSection {
        let section = target.key.section.as_deref().unwrap_or_default();
        let message = format!("No section name {section} found for {}", target.key.object);
        return Condition::no("Accepted", "TargetNotFound", message);
    }
    if claims.lost(number).any(|(lost, _)| lost.key == target.key) {
        return Condition::no("Accepted", "Conflicted", conflict_message(target, kind));
    }
    match fault {
        Some(fault) => Condition::no("Accepted", "Invalid", fault.to_owned()),
        None => Condition::yes("Accepted", "Accepted", "Policy has been accepted."),
    }
}

/// Gateways through which a target takes effect.
fn ancestors_of(target: &Target, attached: &[Attached<'_>]) -> Vec<AncestorKey> {
    let object = &target.key.object;
    match (target.found, &*object.kind) {
        (Found::NoObject | Found::NotServed, _) => Vec::new(),
        (Found::Yes, "Gateway") => vec![(object.clone(), target.key.section.clone())],
        (Found::NoSection, "Gateway") => vec![(object.clone(), None)],
        _ => {
            let places = attached
                .iter()
                .filter(|place| place.route.resource.object == *object);
            let key = |place: &Attached<'_>| {
                let section = place
                    .parent
                    .section_name
                    .as_ref()
                    .map(|section| section.value.clone());
                (place.gateway.resource.object.clone(), section)
            };
            places.map(key).collect()
        }
    }
}

/// `Merged`, `Overridden` and `Warning`.
fn further_conditions(claims: &Claims<'_>, number: usize, relations: &Relations) -> Vec<Condition> {
    let claim = &claims.policies[number];
    let list = |names: &std::collections::BTreeSet<String>| {
        names.iter().map(String::as_str).collect::<Vec<_>>().join(" ")
    };
    let family = "backendTrafficPolicies";
    let mut conditions = Vec::new();
    if let Some(base) = relations.merged_over.first() {
        let object = &claims.policies[*base].placed.resource.object;
        let message = format!("Merged with policy {}/{}", object.namespace, object.name);
        conditions.push(Condition::yes("Merged", "Merged", message));
    } else if !relations.merged_on.is_empty() {
        let routes = list(&relations.merged_on);
        let message = format!("This policy is being merged by other {family} for these routes: [{routes}]");
        conditions.push(Condition::yes("Merged", "Merged", message));
    }
    if !relations.overridden_on.is_empty() {
        let routes = list(&relations.overridden_on);
        let message =
            format!("This policy is being overridden by other {family} for these routes: [{routes}]");
        conditions.push(Condition::yes("Overridden", "Overridden", message));
    }
    if claim.policy.target_ref.is_some() {
        let message = "spec.targetRef is deprecated, use spec.targetRefs instead";
        conditions.push(Condition::yes("Warning", "DeprecatedField", message));
    }
    conditions
}

fn parent_name((gateway, section_name): AncestorKey) -> ParentName {
    ParentName {
        group: TARGET_GROUP.into(),
        kind: gateway.kind,
        namespace: Some(gateway.namespace),
        name: gateway.name,
        section_name,
        port: None,
    }
}

/// Cuts a list of ancestors that is too long, with a condition that says so.
fn bounded(mut ancestors: Vec<ParentStatus>) -> Vec<ParentStatus> {
    if ancestors.len() > ANCESTORS_MAX {
        ancestors.truncate(ANCESTORS_MAX);
        if let Some(last) = ancestors.last_mut() {
            let message = "Ancestors have been aggregated because the number of policy ancestors exceeds 16.";
            let aggregated = Condition::yes("Aggregated", "Aggregated", message);
            last.conditions = last.conditions.iter().cloned().chain([aggregated]).collect();
        }
    }
    ancestors
}
