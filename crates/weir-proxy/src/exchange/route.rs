//! Stop 5: which rule serves the request, and which of its destinations.

use weir_balance::{HashKey, request_key};

use super::persistence::Visit;
use super::view::Fields;
use super::{Exchange, Failure, failover, persistence, request};
use crate::compile::{
    Action, BalancerSlot, CompiledDestination, CompiledForward, CompiledRule, Goal, SectionFacts, Snapshot,
};

/// The rule, as references into the snapshot.
#[derive(Debug)]
pub(super) struct Found<'v> {
    pub(super) rule: &'v CompiledRule,
    pub(super) section: &'v SectionFacts,
    /// Which of the rule's matches.
    pub(super) match_index: u32,
    /// Length of the path prefix that matched.
    pub(super) prefix_length: usize,
}

/// Where to, when the rule forwards.
#[derive(Debug)]
pub(super) struct Way<'v> {
    pub(super) forward: &'v CompiledForward,
    pub(super) destination: &'v CompiledDestination,
    /// The balancer of the destination that picks.
    pub(super) slot: BalancerSlot,
    pub(super) key: Option<HashKey>,
    /// What is known of the client's session, if the rule has sessions.
    pub(super) visit: Option<Box<Visit<'v>>>,
}

/// Finds the rule, and the client's address on the way, which balancing will ask for.
pub(super) fn find<'v>(exchange: &mut Exchange<'_>, snapshot: &'v Snapshot) -> Result<Found<'v>, Failure> {
    let Some(index) = snapshot.listener_index(exchange.client.open.listener()) else {
        return Err(Failure::refused(404, "listener_removed"));
    };
    let listener = &snapshot.listeners[index];
    request::find_client(exchange, &listener.client_ip);
    request::check_scheme(exchange)?;
    let hit = match listener
        .router
        .find(&exchange.parts(&Fields::of_request(exchange)))
    {
        Ok(hit) => hit,
        Err(miss) => {
            exchange.client.open.missed(miss);
            return Err(miss.into());
        }
    };
    let (Some(rule), Some(section)) = (
        snapshot.rule(hit.route, hit.rule),
        listener.sections.get(hit.section as usize),
    ) else {
        debug_assert!(false, "the router of a snapshot names rules of that snapshot");
        return Err(Failure::answered(500, "route_unknown"));
    };
    let prefix_length = rule
        .prefix_lengths
        .get(hit.match_index as usize)
        .copied()
        .unwrap_or(0) as usize;
    Ok(Found {
        rule,
        section,
        match_index: hit.match_index,
        prefix_length,
    })
}

/// Chooses among the destinations: the one where the client's session is, if the rule has sessions, else by the request's
/// key when the rule hashes (row BX13), else by turns.
pub(super) fn choose<'v>(
    exchange: &Exchange<'_>,
    snapshot: &'v Snapshot,
    found: &Found<'v>,
) -> Result<Way<'v>, Failure> {
    let forward = match &found.rule.action {
        Action::Forward(forward) => forward,
        Action::Answer(answer) => return Err(answer.into()),
        Action::Redirect(_) => return Err(Failure::answered(500, "redirect_expected")),
    };
    let key = || request_key(&forward.spec, exchange);
    match &forward.sessions {
        None => choose_by_policy(exchange, snapshot, found, forward, key()),
        Some(sessions) => persistence::choose(exchange, snapshot, found, (forward, sessions), key()),
    }
}

/// Chooses without regard to sessions.
#[inline]
pub(super) fn choose_by_policy<'v>(
    exchange: &Exchange<'_>,
    snapshot: &'v Snapshot,
    found: &Found<'v>,
    forward: &'v CompiledForward,
    key: Option<HashKey>,
) -> Result<Way<'v>, Failure> {
    if let Some(spread) = &forward.spread {
        return failover::choose(exchange, snapshot, found, (forward, spread), key);
    }
    let destination = match (&*forward.destinations, &key) {
        ([only], _) => Some(only),
        (several, Some(key)) => forward
            .split
            .by_hash(key.hash)
            .and_then(|index| several.get(index as usize)),
        (several, None) => {
            let index = forward.split.next(&found.rule.live.cursor);
            index.and_then(|index| several.get(index as usize))
        }
    };
    let destination = destination.ok_or_else(|| Failure::answered(500, "no_destination"))?;
    match &destination.goal {
        Goal::Answer(answer) => Err(answer.into()),
        Goal::Balancer { slot, .. } => Ok(Way {
            forward,
            destination,
            slot: *slot,
            key,
            visit: None,
        }),
    }
}
