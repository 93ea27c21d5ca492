//! One route, compiled.

use std::sync::Arc;

use weir_balance::Split;
use weir_model::{BackendId, Config, Destination, Filter, PathMatch, Route, Rule, Target};

use super::backends::Usage;
use super::failover;
use super::filters::Policy;
use super::live::Live;
use super::sessions::CompiledSessions;
use super::snapshot::{
    Action, BalancerSlot, CompiledDestination, CompiledForward, CompiledRoute, CompiledRule, Goal,
};
use super::traffic::CompiledTraffic;

/// The balancers that a route needs, in the order in which [`compile`] asks for them.
pub(super) fn claims<'a>(
    route: &'a Route,
    mirror_usage: &'a Usage,
) -> impl Iterator<Item = (BackendId, Usage)> {
    route.rules.iter().flat_map(move |rule| {
        let forward = match &rule.action {
            weir_model::Action::Forward(forward) => Some(forward),
            weir_model::Action::Redirect(_) | weir_model::Action::Answer(_) => None,
        };
        let destinations = forward.into_iter().flat_map(move |forward| {
            forward.destinations.iter().flat_map(move |destination| {
                let own = match &destination.target {
                    Target::Backend(backend) => Some(*backend),
                    Target::Answer(_) => None,
                };
                let own = own.into_iter().flat_map(move |backend| {
                    let usages =
                        std::iter::once(failover::usage(forward)).chain(failover::calm_usage(forward));
                    usages.map(move |usage| (backend, usage))
                });
                own.chain(mirrors(&destination.filters, mirror_usage))
            })
        });
        mirrors(&rule.filters, mirror_usage).chain(destinations)
    })
}

/// Compiles `route`; `slots` answers its [`claims`] in their order.
pub(super) fn compile(
    route: &Route,
    config: &Config,
    live: &mut Live,
    slots: Vec<BalancerSlot>,
) -> CompiledRoute {
    let mut unused = slots.iter().copied();
    let mut next = || {
        let slot = unused.next();
        debug_assert!(slot.is_some(), "`claims` asks as often as `compile`");
        slot.unwrap_or(BalancerSlot(u32::MAX))
    };
    let mut compile = |rule| {
        RuleCompiler {
            rule,
            config,
            live: &mut *live,
            next: &mut next,
        }
        .compile()
    };
    let rules = route.rules.iter().map(&mut compile).collect();
    CompiledRoute { rules, slots }
}

/// What compiling one rule needs at hand.
struct RuleCompiler<'a> {
    rule: &'a Rule,
    config: &'a Config,
    live: &'a mut Live,
    next: &'a mut dyn FnMut() -> BalancerSlot,
}

impl RuleCompiler<'_> {
    fn compile(&mut self) -> CompiledRule {
        let rule = self.rule;
        let policy = self.policy(&Policy::default(), &rule.filters);
        let action = match &rule.action {
            weir_model::Action::Forward(forward) => Action::Forward(self.forward(&policy, forward)),
            weir_model::Action::Redirect(redirect) => Action::Redirect(redirect.clone()),
            weir_model::Action::Answer(answer) => Action::Answer(answer.clone()),
        };
        let prefix_length = |one: &weir_model::Match| match &one.path {
            PathMatch::Prefix(prefix) => u32::try_from(prefix.len()).unwrap_or(0),
            PathMatch::Exact(_) | PathMatch::Regex(_) => 0,
        };
        let traffic = rule.traffic.as_ref();
        CompiledRule {
            live: self.live.rule(&rule.key),
            policy,
            traffic: traffic.map(|spec| Box::new(CompiledTraffic::new(spec, &mut self.live.limits))),
            action,
            timeouts: (&rule.timeouts).into(),
            prefix_lengths: rule.matches.iter().map(prefix_length).collect(),
        }
    }

    fn forward(&mut self, policy: &Policy, forward: &weir_model::Forward) -> CompiledForward {
        let config = self.config;
        let identity = |destination: &'_ Destination| match &destination.target {
            Target::Backend(backend) => Arc::clone(&config.backend(*backend).key),
            Target::Answer(answer) => Arc::clone(&answer.reason),
        };
        let identities: Vec<_> = forward.destinations.iter().map(identity).collect();
        let weights = forward.destinations.iter().map(|destination| destination.weight);
        CompiledForward {
            spec: Arc::clone(&forward.balance),
            sessions: forward.persistence.as_ref().map(|spec| {
                let keys = &self.live.session_keys;
                Box::new(CompiledSessions::new(spec, self.rule, keys))
            }),
            retry: forward.retry.clone(),
            try_ms: forward
                .retry
                .as_ref()
                .and_then(|retry| retry.try_timeout)
                .map(|timeout| timeout.milliseconds()),
            spread: failover::spread(forward, &self.rule.key, &identities, self.live),
            split: Split::new(weights.zip(identities.iter().map(|identity| &**identity))),
            destinations: forward
                .destinations
                .iter()
                .map(|one| self.destination(policy, one, forward))
                .collect(),
        }
    }

    fn destination(
        &mut self,
        policy: &Policy,
        destination: &Destination,
        forward: &weir_model::Forward,
    ) -> CompiledDestination {
        let goal = match &destination.target {
            Target::Backend(backend) => {
                let slot = (self.next)();
                let calm = failover::calm_usage(forward).map(|_| (self.next)());
                let key = &self.config.backend(*backend).key;
                Goal::Balancer {
                    slot,
                    calm: calm.unwrap_or(slot),
                    live: self.live.destination(&self.rule.key, key),
                    upstream: self.live.upstreams.of(key, &forward.upstream),
                }
            }
            Target::Answer(answer) => Goal::Answer(answer.clone()),
        };
        CompiledDestination {
            goal,
            policy: self.policy(policy, &destination.filters),
        }
    }

    fn policy(&mut self, before: &Policy, filters: &[Filter]) -> Policy {
        let upstream = match &self.rule.action {
            weir_model::Action::Forward(forward) => Arc::clone(&forward.upstream),
            weir_model::Action::Redirect(_) | weir_model::Action::Answer(_) => Arc::default(),
        };
        Policy::compile(before, filters, |backend| {
            let key = &self.config.backend(backend).key;
            let cursor = self.live.mirror_cursor(&self.rule.key, key);
            ((self.next)(), cursor, self.live.upstreams.of(key, &upstream))
        })
    }
}

fn mirrors<'a>(filters: &'a [Filter], usage: &'a Usage) -> impl Iterator<Item = (BackendId, Usage)> {
    filters.iter().filter_map(move |filter| match filter {
        Filter::Mirror(mirror) => Some((mirror.backend, usage.clone())),
        Filter::RequestHeaders(_)
        | Filter::ResponseHeaders(_)
        | Filter::Rewrite(_)
        | Filter::Cors(_)
        | Filter::Identity(_) => None,
    })
}
