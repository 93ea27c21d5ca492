//! All policies of one translation, judged once and asked many times.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use weir_model::{ClientIp, ObjectName, Problem, limits};

use super::claims::Claims;
use super::client::{self, Client};
use super::merge::merged;
use super::owner::Owner;
use super::reach::{Chain, Relations, Verdict, relations};
use super::report;
use super::spec::{limit_of, settings};
use super::target::Targets;
use super::traffic::TrafficDraft;
use crate::resource::decode::Decoder;
use crate::resource::{Finding, MergeType, Placed, UNKNOWN_TYPE};
use crate::status::Status;
use crate::translate::attach::Attached;
use crate::translate::effective::{
    AppliedPolicy, EffectivePolicy, PolicyPoint, PolicySettings, UpstreamSpecs,
};
use crate::translate::index::Index;
use crate::translate::options::Options;

/// Everything that policies mean for one set of resources.
pub(crate) struct PolicyIndex<'a> {
    index: &'a Index<'a>,
    claims: Claims<'a>,
    /// What each policy means by itself, in the order of the claims.
    alone: Vec<Arc<EffectivePolicy>>,
    /// What is wrong with each policy that is refused.
    faults: Vec<Option<String>>,
    relations: Vec<Relations>,
    /// Pairs that have been merged, with their common result.
    merged: RefCell<HashMap<Verdict, Arc<EffectivePolicy>>>,
    problems: RefCell<Vec<Problem>>,
    upstreams: UpstreamSpecs,
    attached: &'a [Attached<'a>],
    clients: Vec<Client>,
    client_claims: Claims<'a>,
    controller: Arc<str>,
}

impl<'a> PolicyIndex<'a> {
    /// Judges every policy. `attached` holds every accepted route on every listener that serves it.
    pub(crate) fn build(index: &'a Index<'a>, attached: &'a [Attached<'a>], options: &Options) -> Self {
        let targets = Targets::new(index);
        let balancing = index
            .backend_traffic_policies
            .iter()
            .chain(index.traffic_policies.iter());
        let claims = Claims::collect(&targets, balancing);
        let client_claims = Claims::collect(&targets, index.client_traffic_policies.iter());
        let relations = relations(&claims, attached);
        let mut problems = Vec::new();
        let (mut alone, mut faults) = (Vec::new(), Vec::new());
        for claim in &claims.policies {
            let mut decoder = Decoder::default();
            let owner = Owner {
                object: &claim.placed.resource.object,
                index: Some(index),
            };
            let found = settings(&mut decoder, &claim.policy.spec, owner);
            let found = report::merge_type_rule(&mut decoder, claim, found);
            let findings = report::with_effect(decoder.into_findings());
            faults.push(report::first_error(&findings));
            // An unknown type was found while reading, too.
            let unsaid = findings
                .into_iter()
                .filter(|finding| finding.code != UNKNOWN_TYPE);
            problems.extend(unsaid.map(|finding| claim.placed.problem(finding)));
            alone.push(Arc::new(effective(claim.placed, found)));
        }
        let clients = client::judged(&client_claims, &mut problems);
        report::target_problems(&claims, &targets, &mut problems);
        report::target_problems(&client_claims, &targets, &mut problems);
        Self {
            index,
            claims,
            alone,
            faults,
            relations,
            merged: RefCell::default(),
            problems: RefCell::new(problems),
            upstreams: UpstreamSpecs::default(),
            attached,
            clients,
            client_claims,
            controller: options.controller_names.first().cloned().unwrap_or_default(),
        }
    }

    /// Whether no policy can have an effect on any route.
    pub(crate) fn is_empty(&self) -> bool {
        self.claims.is_empty()
    }

    /// How endpoints are treated, by all policies and without any.
    pub(crate) fn upstreams(&self) -> &UpstreamSpecs {
        &self.upstreams
    }

    /// The policy that applies at a place.
    pub(crate) fn applied(&self, at: &PolicyPoint<'_>) -> Option<AppliedPolicy> {
        let (route, gateway) = (&at.route.resource.object, &at.gateway.resource.object);
        let chain = Chain::at(&self.claims, route, at.rule, gateway, at.listener);
        let verdict = chain.verdict(&self.claims)?;
        Some(AppliedPolicy {
            policy: self.effective(verdict),
            is_of_route: chain.is_of_route(),
        })
    }

    /// What a verdict comes to. Equal answers are the same allocation.
    fn effective(&self, verdict: Verdict) -> Arc<EffectivePolicy> {
        let Some(base) = verdict.base else {
            return self.alone[verdict.policy].clone();
        };
        if let Some(known) = self.merged.borrow().get(&verdict) {
            return known.clone();
        }
        let (result, problem) = self.merge(verdict.policy, base);
        self.problems.borrow_mut().extend(problem);
        let result = Arc::new(result);
        self.merged.borrow_mut().insert(verdict, result.clone());
        result
    }

    /// A policy laid over another one, and what is wrong with that.
    fn merge(
        &self,
        policy: usize,
        (base, merge_type): (usize, MergeType),
    ) -> (EffectivePolicy, Option<Problem>) {
        let (patch, base_claim) = (&self.claims.policies[policy], &self.claims.policies[base]);
        let tree = merged(&base_claim.policy.spec, &patch.policy.spec, merge_type);
        let mut decoder = Decoder::default();
        let owner = Owner {
            object: &patch.placed.resource.object,
            index: Some(self.index),
        };
        let mut found = settings(&mut decoder, &tree, owner);
        if let Some(found) = &mut found {
            let both = [patch, base_claim].map(|claim| {
                let object = &claim.placed.resource.object;
                limit_of(&claim.policy.spec, object)
            });
            found.traffic = TrafficDraft::with_limits(found.traffic.take(), both);
        }
        if let Some(traffic) = found.as_ref().and_then(|found| found.traffic.as_ref())
            && traffic.limits() > limits::RATE_LIMIT_RULES
        {
            let message = format!("together they have {} rate limits", traffic.limits());
            let label = format!("at most {}", limits::RATE_LIMIT_RULES);
            decoder.report(Finding::new("E0303", tree.span, message).label(label));
            found = None;
        }
        // What is wrong with either policy by itself has been said; the merge can only add conflicts between them.
        let fault = report::first_error(&decoder.into_findings());
        let mut problem = None;
        if let (Some(fault), None, None) = (fault, &self.faults[policy], &self.faults[base]) {
            let other = &base_claim.placed.resource.object;
            let span = patch
                .policy
                .merge_type
                .as_ref()
                .map_or(self.claims.span(policy), |kind| kind.span);
            let finding = Finding::new(
                "E0314",
                span,
                format!("merged over {other}, this policy is invalid: {fault}"),
            )
            .label("merged here")
            .effect("rules under the merged policy answer 500");
            problem = Some(patch.placed.problem(finding));
        }
        (effective(patch.placed, found), problem)
    }

    /// All policies of routes and Gateways.
    pub(super) fn claims(&self) -> &Claims<'a> {
        &self.claims
    }

    /// All policies of clients.
    pub(super) fn client_claims(&self) -> &Claims<'a> {
        &self.client_claims
    }

    /// What is wrong with a policy, by itself or where it is merged over another one.
    pub(super) fn fault(&self, number: usize, verdict: &Verdict) -> Option<String> {
        let alone = self.faults[number].clone();
        let base = verdict.base.filter(|_| number == verdict.policy);
        alone.or_else(|| Some(self.merge(number, base?).1?.message))
    }

    /// What is wrong with a policy of clients.
    pub(super) fn client_fault(&self, number: usize) -> Option<String> {
        self.clients[number].fault.clone()
    }

    /// How the client's address is found on a Gateway's listener.
    pub(crate) fn client_ip(&self, gateway: &ObjectName, listener: &str) -> Option<ClientIp> {
        let holder = self.client_claims.holder(gateway, Some(listener));
        let number = holder.or_else(|| self.client_claims.holder(gateway, None))?;
        self.clients[number].client_ip.clone()
    }

    /// Statuses and problems, when everything else is done.
    pub(crate) fn into_report(self) -> (Vec<Status>, Vec<Problem>) {
        let mut statuses = report::statuses(
            &self.claims,
            &report::Findings {
                faults: &self.faults,
                relations: &self.relations,
            },
            self.attached,
            &self.controller,
        );
        let client_faults: Vec<Option<String>> =
            self.clients.iter().map(|client| client.fault.clone()).collect();
        let client_relations = vec![Relations::default(); self.clients.len()];
        statuses.extend(report::statuses(
            &self.client_claims,
            &report::Findings {
                faults: &client_faults,
                relations: &client_relations,
            },
            self.attached,
            &self.controller,
        ));
        (statuses, self.problems.into_inner())
    }
}

fn effective(placed: &Placed, found: Option<PolicySettings>) -> EffectivePolicy {
    EffectivePolicy {
        object: placed.resource.object.clone(),
        origin: placed.origin(placed.resource.metadata.name.span),
        outcome: found.ok_or("Invalid"),
    }
}
