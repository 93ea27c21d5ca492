//! Which policies meet at a place, and which of them has its way.

use std::collections::BTreeSet;

use weir_model::ObjectName;

use super::claims::Claims;
use crate::resource::{Body, MergeType};
use crate::translate::attach::Attached;

/// The policies that have a claim at a place, nearest first.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Chain {
    rule: Option<usize>,
    route: Option<usize>,
    listener: Option<usize>,
    gateway: Option<usize>,
}

/// What comes of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Verdict {
    /// The policy that applies.
    pub(super) policy: usize,
    /// The policy that it is merged over.
    pub(super) base: Option<(usize, MergeType)>,
}

impl Chain {
    /// The claims at a rule of a route on a listener of a Gateway.
    pub(super) fn at(
        claims: &Claims<'_>,
        route: &ObjectName,
        rule: Option<&str>,
        gateway: &ObjectName,
        listener: &str,
    ) -> Self {
        Self {
            rule: rule.and_then(|rule| claims.holder(route, Some(rule))),
            route: claims.holder(route, None),
            listener: claims.holder(gateway, Some(listener)),
            gateway: claims.holder(gateway, None),
        }
    }

    /// The most specific policy applies as a whole, unless it asks to be merged: then it is laid over the
    /// nearest policy of the Gateway side (Envoy Gateway: rule, route, listener, Gateway).
    pub(super) fn verdict(self, claims: &Claims<'_>) -> Option<Verdict> {
        let parent = self.listener.or(self.gateway);
        match self.rule.or(self.route) {
            None => parent.map(|policy| Verdict { policy, base: None }),
            Some(policy) => {
                let merge_type = claims.policies[policy].policy.merge_type.as_ref();
                let base = merge_type.and_then(|merge_type| Some((parent?, merge_type.value)));
                Some(Verdict { policy, base })
            }
        }
    }

    /// Whether the policy that applies is attached to the route or the rule.
    pub(super) fn is_of_route(self) -> bool {
        self.rule.or(self.route).is_some()
    }

    fn members(self) -> impl Iterator<Item = usize> {
        [self.rule, self.route, self.listener, self.gateway]
            .into_iter()
            .flatten()
    }
}

/// For one policy: the routes where it does not act alone.
#[derive(Clone, Debug, Default)]
pub(super) struct Relations {
    /// Routes that another policy takes over.
    pub(super) overridden_on: BTreeSet<String>,
    /// Routes whose own policy is merged over this one.
    pub(super) merged_on: BTreeSet<String>,
    /// The policy that this one is merged over.
    pub(super) merged_over: BTreeSet<usize>,
}

/// Walks over every rule that is served and notes how its policies relate.
pub(super) fn relations(claims: &Claims<'_>, attached: &[Attached<'_>]) -> Vec<Relations> {
    let mut relations = vec![Relations::default(); claims.policies.len()];
    if claims.is_empty() {
        return relations;
    }
    for place in attached {
        let Body::HttpRoute(route) = &place.route.resource.body else {
            continue;
        };
        let object = &place.route.resource.object;
        let mut names: Vec<Option<&str>> = route
            .rules
            .iter()
            .map(|rule| rule.name.as_ref().map(|name| &*name.value))
            .collect();
        names.dedup();
        for rule in names {
            let chain = Chain::at(
                claims,
                object,
                rule,
                &place.gateway.resource.object,
                &place.listener.name.value,
            );
            let Some(verdict) = chain.verdict(claims) else {
                continue;
            };
            let name = format!("{}/{}", object.namespace, object.name);
            if let Some((base, _)) = verdict.base {
                relations[base].merged_on.insert(name.clone());
                relations[verdict.policy].merged_over.insert(base);
            }
            let merged = verdict.base.map(|(base, _)| base);
            for other in chain
                .members()
                .filter(|other| *other != verdict.policy && Some(*other) != merged)
            {
                relations[other].overridden_on.insert(name.clone());
            }
        }
    }
    relations
}
