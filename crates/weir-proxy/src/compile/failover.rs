//! Rules whose destinations stand in for each other (rows LB26, LB27, MC04).
//!
//! Such a rule has a [`Spread`] besides its split, and each of its destinations has two balancers where there may be
//! panic: the usual one, and a calm one for the time when other destinations can take over what its usable endpoints
//! cannot carry.

use std::sync::Arc;

use weir_balance::{CandidateSpec, Spread};
use weir_model::{Forward, Percent, Tier, Weight};

use super::backends::Usage;
use super::live::Live;

/// Whether the health of one destination matters to another.
pub(super) fn is_spread(forward: &Forward) -> bool {
    let mut tiers = forward
        .destinations
        .iter()
        .filter(|one| one.weight > Weight::ZERO)
        .map(|one| one.tier);
    let Some(first) = tiers.next() else {
        return false;
    };
    let others: Vec<Tier> = tiers.collect();
    others.iter().any(|tier| *tier != first) || (forward.failover.redistribute && !others.is_empty())
}

/// How a rule uses the backends of its destinations.
pub(super) fn usage(forward: &Forward) -> Usage {
    Usage {
        balance: Arc::clone(&forward.balance),
        upstream: Arc::clone(&forward.upstream),
        failover: forward.failover,
        is_calm: false,
        has_sessions: forward.persistence.is_some(),
    }
}

/// The same without panic, for a rule that needs both.
pub(super) fn calm_usage(forward: &Forward) -> Option<Usage> {
    let health = &forward.upstream.health;
    let is_checked = health.active.is_some() || health.passive.is_some();
    let may_panic = is_checked && health.panic_threshold > Percent::ZERO;
    (may_panic && is_spread(forward)).then(|| Usage {
        is_calm: true,
        ..usage(forward)
    })
}

/// The spread of the rule with that key, if it has one. `identities` are those of its destinations.
pub(super) fn spread(
    forward: &Forward,
    rule: &Arc<str>,
    identities: &[Arc<str>],
    live: &mut Live,
) -> Option<Arc<Spread>> {
    if !is_spread(forward) {
        live.forget_spread(rule);
        return None;
    }
    let destinations = forward.destinations.iter().zip(identities);
    let spread = Spread::new(
        destinations.map(|(one, identity)| (one.tier, one.weight, &**identity)),
        CandidateSpec::new(&forward.upstream, forward.failover),
    );
    Some(live.spread(rule, spread))
}
