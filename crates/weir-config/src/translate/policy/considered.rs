//! Every policy with a claim at one place, and what became of it: what `weir explain` tells.
//!
//! Asked for one place at a time and answered from the resources again, so that neither the `Config` nor a
//! translation carries what only a person wants to know.

use std::collections::BTreeSet;

use weir_model::{ObjectName, Origin};

use super::claims::Claims;
use super::index::PolicyIndex;
use super::reach::{Chain, Verdict};
use super::target::Found;
use crate::resource::{Body, HttpRule, ResourceSet};
use crate::translate::index::Index;
use crate::translate::options::Options;

/// A rule of a route as reached through one listener of a Gateway.
#[derive(Clone, Copy, Debug)]
pub struct PolicyPlace<'p> {
    /// The route.
    pub route: &'p ObjectName,
    /// Which of its rules as written, from 0.
    pub rule: usize,
    /// The Gateway.
    pub gateway: &'p ObjectName,
    /// Name of its listener.
    pub listener: &'p str,
}

/// One policy with a claim at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsideredPolicy {
    /// The policy.
    pub object: ObjectName,
    /// Where it is written.
    pub origin: Origin,
    /// What it is attached to.
    pub level: PolicyLevel,
    /// What became of it here.
    pub verdict: PolicyVerdict,
    /// What is wrong with it; when it applies, its rules answer 500 (Envoy Gateway: `Accepted=False`, `Invalid`).
    pub fault: Option<String>,
}

/// What a policy is attached to, the most specific first (Envoy Gateway's order of precedence).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PolicyLevel {
    /// A named rule of the route.
    Rule,
    /// The whole route.
    Route,
    /// A listener of the Gateway.
    Listener,
    /// The whole Gateway.
    Gateway,
}

/// What became of a policy at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyVerdict {
    /// It applies as a whole.
    Applies,
    /// It applies, laid over another one (`mergeType`).
    MergedOver(ObjectName),
    /// Another one is laid over it; what that one leaves open is taken from here.
    MergedUnder(ObjectName),
    /// A more specific one applies instead.
    Overridden(ObjectName),
    /// Another one has the same target.
    Conflicted {
        /// The one that has it.
        with: ObjectName,
        /// Why that one: by age, or by name when age does not decide.
        by_age: bool,
    },
    /// It names a section that its target does not have.
    NoSection(String),
}

impl PolicyVerdict {
    /// Whether the policy has any effect at the place.
    pub fn has_effect(&self) -> bool {
        matches!(self, Self::Applies | Self::MergedOver(_) | Self::MergedUnder(_))
    }
}

/// Every policy with a claim at `place`, by kind the nearest first: those that apply and those that lost. Empty
/// when there is no such rule.
pub fn considered_policies(
    set: &ResourceSet,
    options: &Options,
    place: PolicyPlace<'_>,
) -> Vec<ConsideredPolicy> {
    let index = Index::build(set);
    let Some(rule) = rule_at(&index, place) else {
        return Vec::new();
    };
    let name = rule.name.as_ref().map(|name| &*name.value);
    // Whose routes a policy reaches matters to statuses only.
    let policies = PolicyIndex::build(&index, &[], options);
    let mut considered = Vec::new();
    let chain = Chain::at(
        policies.claims(),
        place.route,
        name,
        place.gateway,
        place.listener,
    );
    let found = Family {
        claims: policies.claims(),
        verdict: chain.verdict(policies.claims()),
    };
    found.collect(
        place,
        name,
        |number, verdict| policies.fault(number, verdict),
        &mut considered,
    );
    let claims = policies.client_claims();
    let holder = claims.holder(place.gateway, Some(place.listener));
    let holder = holder.or_else(|| claims.holder(place.gateway, None));
    let found = Family {
        claims,
        verdict: holder.map(|policy| Verdict { policy, base: None }),
    };
    found.collect(
        place,
        name,
        |number, _| policies.client_fault(number),
        &mut considered,
    );
    considered
}

/// Policies that compete with each other, and who wins.
struct Family<'f, 'a> {
    claims: &'f Claims<'a>,
    verdict: Option<Verdict>,
}

impl Family<'_, '_> {
    fn collect(
        &self,
        place: PolicyPlace<'_>,
        rule: Option<&str>,
        fault: impl Fn(usize, &Verdict) -> Option<String>,
        considered: &mut Vec<ConsideredPolicy>,
    ) {
        let Some(verdict) = self.verdict else {
            considered.extend(self.lost_sections(place));
            return;
        };
        let levels = [
            (PolicyLevel::Rule, place.route, rule),
            (PolicyLevel::Route, place.route, None),
            (PolicyLevel::Listener, place.gateway, Some(place.listener)),
            (PolicyLevel::Gateway, place.gateway, None),
        ];
        for (level, object, section) in levels {
            if level == PolicyLevel::Rule && section.is_none() {
                continue;
            }
            let claimants = self.claims.claimants(object, section);
            let Some(holder) = claimants.first() else { continue };
            for number in unique(claimants) {
                let fate = match number == *holder {
                    true => self.fate(number, &verdict),
                    false => self.conflict(number, *holder),
                };
                considered.push(self.entry(number, level, fate, fault(number, &verdict)));
            }
        }
        considered.extend(self.lost_sections(place));
    }

    fn fate(&self, number: usize, verdict: &Verdict) -> PolicyVerdict {
        let base = verdict.base.map(|(base, _)| base);
        if number == verdict.policy {
            return base.map_or(PolicyVerdict::Applies, |base| {
                PolicyVerdict::MergedOver(self.name(base))
            });
        }
        if base == Some(number) {
            return PolicyVerdict::MergedUnder(self.name(verdict.policy));
        }
        PolicyVerdict::Overridden(self.name(verdict.policy))
    }

    fn conflict(&self, number: usize, holder: usize) -> PolicyVerdict {
        let created = |number: usize| self.claims.policies[number].placed.resource.metadata.created;
        PolicyVerdict::Conflicted {
            with: self.name(holder),
            by_age: created(number) != created(holder),
        }
    }

    /// Policies that name a section of the route or the Gateway which is not there.
    fn lost_sections(&self, place: PolicyPlace<'_>) -> Vec<ConsideredPolicy> {
        let mut lost = Vec::new();
        for (number, claim) in self.claims.policies.iter().enumerate() {
            for target in claim
                .targets
                .iter()
                .filter(|target| target.found == Found::NoSection)
            {
                let level = match &target.key.object {
                    object if object == place.route => PolicyLevel::Rule,
                    object if object == place.gateway => PolicyLevel::Listener,
                    _ => continue,
                };
                let section = target.key.section.as_deref().unwrap_or_default().to_owned();
                lost.push(self.entry(number, level, PolicyVerdict::NoSection(section), None));
            }
        }
        lost
    }

    fn entry(
        &self,
        number: usize,
        level: PolicyLevel,
        verdict: PolicyVerdict,
        fault: Option<String>,
    ) -> ConsideredPolicy {
        let placed = self.claims.policies[number].placed;
        ConsideredPolicy {
            object: placed.resource.object.clone(),
            origin: placed.origin(placed.resource.metadata.name.span),
            level,
            verdict,
            fault,
        }
    }

    fn name(&self, number: usize) -> ObjectName {
        self.claims.policies[number].placed.resource.object.clone()
    }
}

/// A policy that names a target twice claims it once.
fn unique(claimants: &[usize]) -> BTreeSet<usize> {
    claimants.iter().copied().collect()
}

fn rule_at<'a>(index: &Index<'a>, place: PolicyPlace<'_>) -> Option<&'a HttpRule> {
    let route = index.http_routes.get(&place.route.namespace, &place.route.name)?;
    let Body::HttpRoute(spec) = &route.placed.resource.body else {
        return None;
    };
    spec.rules.get(place.rule)
}
