//! One route, compiled.

use std::sync::Arc;

use weir_balance::Split;
use weir_model::{BackendId, BalanceSpec, Config, Destination, Filter, PathMatch, Route, Rule, Target};

use super::filters::Policy;
use super::live::Live;
use super::snapshot::{
    Action, BalancerSlot, CompiledDestination, CompiledForward, CompiledRoute, CompiledRule, Goal,
};

/// The balancers that a route needs, in the order in which [`compile`] asks for them.
pub(super) fn claims<'a>(
    route: &'a Route,
    mirror_spec: &'a Arc<BalanceSpec>,
) -> impl Iterator<Item = (BackendId, &'a Arc<BalanceSpec>)> {
    route.rules.iter().flat_map(move |rule| {
        let forward = match &rule.action {
            weir_model::Action::Forward(forward) => Some(forward),
            weir_model::Action::Redirect(_) | weir_model::Action::Answer(_) => None,
        };
        let destinations = forward.into_iter().flat_map(move |forward| {
            forward.destinations.iter().flat_map(move |destination| {
                let own = match &destination.target {
                    Target::Backend(backend) => Some((*backend, &forward.balance)),
                    Target::Answer(_) => None,
                };
                own.into_iter().chain(mirrors(&destination.filters, mirror_spec))
            })
        });
        mirrors(&rule.filters, mirror_spec).chain(destinations)
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
    let rules = route
        .rules
        .iter()
        .map(|rule| compile_rule(rule, config, live, &mut next))
        .collect();
    CompiledRoute { rules, slots }
}

fn compile_rule(
    rule: &Rule,
    config: &Config,
    live: &mut Live,
    next: &mut dyn FnMut() -> BalancerSlot,
) -> CompiledRule {
    let policy = compile_policy(&rule.filters, rule, config, live, next);
    let action = match &rule.action {
        weir_model::Action::Forward(forward) => {
            let identity = |destination: &'_ Destination| match &destination.target {
                Target::Backend(backend) => Arc::clone(&config.backend(*backend).key),
                Target::Answer(answer) => Arc::clone(&answer.reason),
            };
            let identities: Vec<_> = forward.destinations.iter().map(identity).collect();
            let weights = forward.destinations.iter().map(|destination| destination.weight);
            Action::Forward(CompiledForward {
                spec: Arc::clone(&forward.balance),
                split: Split::new(weights.zip(identities.iter().map(|identity| &**identity))),
                destinations: forward
                    .destinations
                    .iter()
                    .map(|destination| compile_destination(destination, rule, config, live, next))
                    .collect(),
            })
        }
        weir_model::Action::Redirect(redirect) => Action::Redirect(redirect.clone()),
        weir_model::Action::Answer(answer) => Action::Answer(answer.clone()),
    };
    let prefix_length = |one: &weir_model::Match| match &one.path {
        PathMatch::Prefix(prefix) => u32::try_from(prefix.len()).unwrap_or(0),
        PathMatch::Exact(_) | PathMatch::Regex(_) => 0,
    };
    CompiledRule {
        live: live.rule(&rule.key),
        policy,
        action,
        timeouts: (&rule.timeouts).into(),
        prefix_lengths: rule.matches.iter().map(prefix_length).collect(),
    }
}

fn compile_destination(
    destination: &Destination,
    rule: &Rule,
    config: &Config,
    live: &mut Live,
    next: &mut dyn FnMut() -> BalancerSlot,
) -> CompiledDestination {
    let goal = match &destination.target {
        Target::Backend(backend) => {
            let slot = next();
            Goal::Balancer {
                slot,
                cursor: live.cursor(&rule.key, &config.backend(*backend).key),
            }
        }
        Target::Answer(answer) => Goal::Answer(answer.clone()),
    };
    CompiledDestination {
        goal,
        policy: compile_policy(&destination.filters, rule, config, live, next),
    }
}

fn compile_policy(
    filters: &[Filter],
    rule: &Rule,
    config: &Config,
    live: &mut Live,
    next: &mut dyn FnMut() -> BalancerSlot,
) -> Policy {
    Policy::compile(filters, |backend| {
        let identity = format!("mirror/{}", config.backend(backend).key).into();
        (next(), live.cursor(&rule.key, &identity))
    })
}

fn mirrors<'a>(
    filters: &'a [Filter],
    spec: &'a Arc<BalanceSpec>,
) -> impl Iterator<Item = (BackendId, &'a Arc<BalanceSpec>)> {
    filters.iter().filter_map(move |filter| match filter {
        Filter::Mirror(mirror) => Some((mirror.backend, spec)),
        Filter::RequestHeaders(_) | Filter::ResponseHeaders(_) | Filter::Rewrite(_) | Filter::Cors(_) => None,
    })
}
