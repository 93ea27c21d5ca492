//! Who may speak for a target: precedence and conflicts.

use std::collections::HashMap;
use std::sync::Arc;

use weir_model::ObjectName;

use super::target::{Found, Target, TargetKey, Targets};
use crate::resource::{Body, Placed, Policy, ResourceSet};
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
    /// Indexes into `policies`; the first one has the target, the others are in conflict with it.
    pub(super) by_target: HashMap<TargetKey, Vec<usize>>,
}

impl<'a> Claims<'a> {
    /// Collects the policies that `pick` selects. Older policies come first, then by namespace, then by name
    /// (Gateway API policy conflict resolution); a policy without creation time counts as youngest.
    pub(super) fn collect(
        set: &'a ResourceSet,
        targets: &Targets<'a>,
        pick: fn(&Body) -> Option<&Policy>,
    ) -> Self {
        let mut policies: Vec<Claim<'a>> = set
            .objects
            .iter()
            .filter_map(|placed| {
                let policy = pick(&placed.resource.body)?;
                Some(Claim { placed, policy, targets: targets.of(placed, policy) })
            })
            .collect();
        policies.sort_by_cached_key(|claim| {
            let resource = &claim.placed.resource;
            (resource.metadata.created.unwrap_or(i64::MAX), resource.object.clone())
        });
        let mut by_target: HashMap<TargetKey, Vec<usize>> = HashMap::new();
        for (number, claim) in policies.iter().enumerate() {
            for target in claim.targets.iter().filter(|target| target.found == Found::Yes) {
                by_target.entry(target.key.clone()).or_default().push(number);
            }
        }
        Self { policies, by_target }
    }

    /// The policy that has this target.
    pub(super) fn holder(&self, object: &ObjectName, section: Option<&str>) -> Option<usize> {
        let key = TargetKey { object: object.clone(), section: section.map(Arc::from) };
        self.by_target.get(&key).and_then(|claims| claims.first().copied())
    }

    /// Targets that policy `number` asked for and another one has, with the other one.
    pub(super) fn lost(&self, number: usize) -> impl Iterator<Item = (&Target, usize)> {
        self.policies[number].targets.iter().filter_map(move |target| {
            let holder = *self.by_target.get(&target.key)?.first()?;
            (holder != number).then_some((target, holder))
        })
    }

    /// Where policy `number` is written.
    pub(super) fn span(&self, number: usize) -> Span {
        self.policies[number].placed.resource.metadata.name.span
    }
}
