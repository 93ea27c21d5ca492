//! Who may speak for a target: precedence and conflicts.

use std::collections::HashMap;
use std::sync::Arc;

use weir_model::ObjectName;

use super::target::{Found, Target, Targets};
use crate::resource::{Placed, Policy};
use crate::translate::index::Object;
use crate::yaml::Span;

/// One policy and what it is attached to.
pub(super) struct Claim<'a> {
    pub(super) placed: &'a Placed,
    pub(super) policy: &'a Policy,
    pub(super) targets: Vec<Target>,
}

/// All policies of one family, the best claim first for every target.
pub(super) struct Claims<'a> {
    pub(super) policies: Vec<Claim<'a>>,
    by_object: HashMap<ObjectName, Vec<Sectional>>,
}

/// Who claims an object as a whole, or one section of it.
struct Sectional {
    section: Option<Arc<str>>,
    /// Indexes into the policies; the first one has the target, the others are in conflict with it.
    policies: Vec<usize>,
}

impl<'a> Claims<'a> {
    /// Collects policies of one family. Older policies come first, then by namespace, then by name
    /// (Gateway API policy conflict resolution); a policy without creation time counts as youngest.
    pub(super) fn collect(targets: &Targets<'a>, policies: impl Iterator<Item = Object<'a, Policy>>) -> Self {
        let mut policies: Vec<Claim<'a>> = policies
            .map(
                |Object {
                     placed, spec: policy, ..
                 }| Claim {
                    placed,
                    policy,
                    targets: targets.of(placed, policy),
                },
            )
            .collect();
        policies.sort_by_cached_key(|claim| {
            let resource = &claim.placed.resource;
            (
                resource.metadata.created.unwrap_or(i64::MAX),
                resource.object.clone(),
            )
        });
        let mut by_object: HashMap<ObjectName, Vec<Sectional>> = HashMap::new();
        for (number, claim) in policies.iter().enumerate() {
            for target in claim.targets.iter().filter(|target| target.found == Found::Yes) {
                let sections = by_object.entry(target.key.object.clone()).or_default();
                let section = &target.key.section;
                match sections.iter_mut().find(|known| known.section == *section) {
                    Some(known) => known.policies.push(number),
                    None => sections.push(Sectional {
                        section: section.clone(),
                        policies: vec![number],
                    }),
                }
            }
        }
        Self { policies, by_object }
    }

    /// Whether no policy has a target.
    pub(super) fn is_empty(&self) -> bool {
        self.by_object.is_empty()
    }

    /// The policy that has this target.
    pub(super) fn holder(&self, object: &ObjectName, section: Option<&str>) -> Option<usize> {
        self.claimants(object, section).first().copied()
    }

    /// All policies that ask for this target, in order of their numbers; the first one has it.
    pub(super) fn claimants(&self, object: &ObjectName, section: Option<&str>) -> &[usize] {
        let sections = self.by_object.get(object).map(Vec::as_slice).unwrap_or_default();
        let found = sections.iter().find(|known| known.section.as_deref() == section);
        found.map(|found| found.policies.as_slice()).unwrap_or_default()
    }

    /// Targets that policy `number` asked for and another one has, with the other one.
    pub(super) fn lost(&self, number: usize) -> impl Iterator<Item = (&Target, usize)> {
        self.policies[number].targets.iter().filter_map(move |target| {
            let holder = self.holder(&target.key.object, target.key.section.as_deref())?;
            (holder != number).then_some((target, holder))
        })
    }

    /// Where policy `number` is written.
    pub(super) fn span(&self, number: usize) -> Span {
        self.policies[number].placed.resource.metadata.name.span
    }
}
