//! Between stops 8 and 10: what a try says of its endpoint's health. Costs a look at a pointer where nothing is checked.

use weir_balance::TryOutcome;

use super::failure::TryEnd;
use super::forward::Answered;
use super::pick::Chosen;
use super::{Exchange, Failure};
use crate::compile::Passive;

/// Counts how a try ended; ejects the endpoint when that is one failure too many.
#[inline]
pub(super) fn tell(exchange: &Exchange<'_>, chosen: &Chosen<'_>, tried: &Result<Answered, Failure>) {
    if let Some(passive) = &chosen.balancer.upstream.passive {
        let outcome = match tried {
            Ok(answered) => Some(TryOutcome::Answered(answered.response.head.status)),
            Err(failure) => outcome_of(failure.end),
        };
        count(exchange, passive, chosen.picked.index, outcome);
    }
}

/// Counts a response that broke off: the endpoint's fault, though its status was good.
pub(super) fn tell_broken(exchange: &Exchange<'_>, chosen: &Chosen<'_>) {
    if let Some(passive) = &chosen.balancer.upstream.passive {
        count(exchange, passive, chosen.picked.index, Some(TryOutcome::NoAnswer));
    }
}

fn count(exchange: &Exchange<'_>, passive: &Passive, index: u32, outcome: Option<TryOutcome>) {
    let trip = outcome.and_then(|outcome| passive.ejector.record(index, outcome));
    if let Some(trip) = trip {
        let worker = exchange.worker;
        if let Some(change) = passive.ejector.eject(index, trip, worker.clock.read_ms()) {
            passive.tell(&worker.shared, index, change);
        }
    }
}

/// What a try without an answer says of the endpoint; `None`: it is not the endpoint's doing.
fn outcome_of(end: TryEnd) -> Option<TryOutcome> {
    match end {
        TryEnd::Unreached | TryEnd::Unanswered => Some(TryOutcome::NoAnswer),
        TryEnd::TimedOut => Some(TryOutcome::TimedOut),
        TryEnd::Unrelated | TryEnd::Full => None,
    }
}
