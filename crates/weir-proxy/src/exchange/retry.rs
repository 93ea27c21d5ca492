//! Whether another try may follow one at an endpoint, and when; the waiting between them.
//!
//! The decision is [`judge`], a function of its arguments alone. What it guards, in this order:
//!
//! - Nothing is done twice that may not be. A request that may have been received and got no answer is sent again only when
//!   its method is idempotent (RFC 9110 9.2.2); one that was answered also when its rule names the answer: with that the
//!   operator says that such an answer means that nothing was done.
//! - Only a request that is still there as a whole is sent again ([`crate::transit::Pump::is_replayable`]).
//! - The time for the whole exchange bounds all tries and the waiting between them.
//! - Retries stay within the backend's limit, so that a failing backend gets little more than was offered (row LB29).
//!   A try after an endpoint that was never reached is free: it burdens nobody twice. But not when all others are known
//!   to be out of reach as well: then it would only knock at closed doors.
//!
//! A rule without retries still gets two more tries for a request of which nothing was sent. A pooled connection that
//! died is another matter, and [`super::forward`]'s.

use weir_balance::{Counters, Permit};
use weir_model::{Backoff, Retry, RetryCondition, limits};

use super::failure::TryEnd;
use super::forward::Answered;
use super::pick::{Chosen, Tries};
use super::route::Way;
use super::{Exchange, Failure, respond};
use crate::compile::{Goal, Snapshot};

/// How a try ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// With a response of this status, of which the client has got nothing yet.
    Answered(u16),
    /// Without.
    Failed(TryEnd),
}

/// What of the request may be done again.
#[derive(Clone, Copy, Debug)]
struct Sent {
    /// Not a byte of it has left for an endpoint.
    is_nothing: bool,
    is_idempotent: bool,
    /// All that was sent is still there.
    is_replayable: bool,
}

/// How far the exchange has come.
#[derive(Clone, Copy, Debug)]
struct Standing {
    /// Retries made so far.
    retries: u32,
    /// Time left for the whole exchange, milliseconds.
    left_ms: u64,
    /// There is an endpoint that was not tried, and to which the last connection could be made.
    has_others: bool,
}

/// Another try, with its place under the backend's limit, if it needs one.
pub(super) struct Follow<'v> {
    wait_ms: u64,
    place: Option<Permit<&'v Counters>>,
}

/// Another try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Again {
    /// Time to wait before it, milliseconds.
    wait_ms: u64,
    /// It counts against the backend's limit for retries.
    is_limited: bool,
}

/// Whether another try follows `tried`, whose endpoint is `chosen`. Takes the place for it, if it needs one.
#[inline]
pub(super) fn next<'v>(
    exchange: &Exchange<'_>,
    snapshot: &Snapshot,
    way: &Way<'v>,
    tries: &mut Tries<'v>,
    chosen: &Chosen<'v>,
    tried: &Result<Answered, Failure>,
) -> Option<Follow<'v>> {
    match tried {
        Ok(_) if way.forward.retry.is_none() => None,
        _ => next_after(exchange, snapshot, way, tries, chosen, tried),
    }
}

fn next_after<'v>(
    exchange: &Exchange<'_>,
    snapshot: &Snapshot,
    way: &Way<'v>,
    tries: &mut Tries<'v>,
    chosen: &Chosen<'v>,
    tried: &Result<Answered, Failure>,
) -> Option<Follow<'v>> {
    let outcome = match tried {
        Ok(answered) => Outcome::Answered(answered.response.head.status),
        Err(failure) => Outcome::Failed(failure.end),
    };
    let scratch = &*exchange.scratch;
    let sent = Sent {
        is_nothing: scratch.output.sent() == 0,
        is_idempotent: scratch.head.method.is_idempotent(),
        is_replayable: scratch.upload.is_replayable(),
    };
    let now_ms = exchange.worker.clock.refresh_ms();
    let standing = Standing {
        retries: exchange.record.retries,
        left_ms: exchange.deadline_ms.saturating_sub(now_ms),
        has_others: has_others_here(tries, chosen) || has_others_elsewhere(snapshot, way, tries),
    };
    let draw = exchange.worker.rng.borrow_mut().next_u64();
    let again = judge(way.forward.retry.as_deref(), outcome, sent, standing, draw)?;
    let mut place = None;
    if again.is_limited
        && let Goal::Balancer { upstream, .. } = &way.destination.goal
    {
        tries.end_retry();
        let limit = upstream.spec.breakers.retries;
        match Permit::take_retry(&*upstream.counters, limit, now_ms) {
            Ok(permit) => place = Some(permit),
            Err(overflow) => {
                exchange.worker.recorder.failures.count(overflow.word());
                return None;
            }
        }
    }
    Some(Follow {
        wait_ms: again.wait_ms,
        place,
    })
}

/// Whether a request that finds its endpoint full goes to another one, rather than wait there.
pub(super) fn leaves_full(exchange: &Exchange<'_>, way: &Way<'_>, chosen: &Chosen<'_>) -> bool {
    let now_ms = exchange.worker.clock.read_ms();
    let usable = chosen.balancer.balancer.availability(now_ms).usable;
    let standing = Standing {
        retries: exchange.record.retries,
        left_ms: exchange.deadline_ms.saturating_sub(now_ms),
        has_others: exchange.record.retries + 1 < usable,
    };
    let sent = Sent {
        is_nothing: true,
        is_idempotent: true,
        is_replayable: true,
    };
    let outcome = Outcome::Failed(TryEnd::Full);
    let policy = way.forward.retry.as_deref();
    standing.has_others && judge(policy, outcome, sent, standing, 0).is_some()
}

/// Forgets a try and waits until the next one may begin.
pub(super) async fn prepare<'v>(
    exchange: &mut Exchange<'_>,
    tries: &mut Tries<'v>,
    chosen: Chosen<'_>,
    tried: Result<Answered, Failure>,
    follow: Follow<'v>,
) -> Result<(), Failure> {
    exchange.give_up_try(&tried);
    let failure = match tried {
        // Told only when no other endpoint is to be had after all.
        Ok(answered) => {
            let status = answered.response.head.status;
            respond::discard(exchange, chosen, answered).await;
            Failure::answered(status, "no_endpoint_for_retry")
        }
        Err(failure) => {
            drop(chosen);
            failure
        }
    };
    tries.note(failure, follow.place);
    exchange.scratch.output.rewind();
    if follow.wait_ms == 0 {
        return Ok(());
    }
    exchange.pause(follow.wait_ms).await
}

/// Whether the same backend has an endpoint that was not tried and took the last connection.
fn has_others_here(tries: &Tries<'_>, chosen: &Chosen<'_>) -> bool {
    let endpoints = (0..).zip(chosen.balancer.endpoints.iter());
    endpoints
        .filter(|(_, endpoint)| !endpoint.is_unreached())
        .any(|(index, _)| index != chosen.picked.index && !tries.tried().contains(&index))
}

/// Whether a destination that may stand in for this one has an endpoint that took the last connection.
fn has_others_elsewhere(snapshot: &Snapshot, way: &Way<'_>, tries: &Tries<'_>) -> bool {
    let is_at_session = || way.visit.as_ref().is_some_and(|visit| visit.is_named());
    if way.forward.spread.is_none() && !is_at_session() {
        return false;
    }
    let destinations = (0..).zip(way.forward.destinations.iter());
    destinations
        .filter(|(place, one)| !std::ptr::eq(*one, way.destination) && !tries.passed().contains(place))
        .filter_map(|(_, one)| match &one.goal {
            Goal::Balancer { slot, .. } => snapshot.balancer(*slot),
            Goal::Answer(_) => None,
        })
        .any(|balancer| balancer.endpoints.iter().any(|endpoint| !endpoint.is_unreached()))
}

/// Whether another try may follow one that ended with `outcome`, and when. `draw` is random.
fn judge(
    policy: Option<&Retry>,
    outcome: Outcome,
    sent: Sent,
    standing: Standing,
    draw: u64,
) -> Option<Again> {
    let was_reached = !matches!(outcome, Outcome::Failed(TryEnd::Unreached | TryEnd::Full));
    let is_safe = match outcome {
        Outcome::Answered(_) => true,
        Outcome::Failed(_) => sent.is_nothing || sent.is_idempotent,
    };
    if !is_safe || !sent.is_replayable || standing.left_ms == 0 {
        return None;
    }
    let Some(policy) = policy else {
        let again = Again {
            wait_ms: 0,
            is_limited: !standing.has_others,
        };
        return (!was_reached && standing.retries < limits::RETRIES).then_some(again);
    };
    if standing.retries >= policy.attempts || !is_wanted(policy, outcome, sent) {
        return None;
    }
    // Waiting lets an endpoint recover; one that was not asked yet needs no time.
    let is_free = !was_reached && standing.has_others;
    let wait_ms = if is_free && !policy.backoff.is_minimum {
        0
    } else {
        wait_ms(&policy.backoff, standing.retries, draw)
    };
    (wait_ms < standing.left_ms).then_some(Again {
        wait_ms,
        is_limited: !is_free,
    })
}

/// Whether one of the policy's conditions holds, in Envoy's sense of them. What only HTTP/2 and gRPC know never holds here.
fn is_wanted(policy: &Retry, outcome: Outcome, sent: Sent) -> bool {
    let holds = |condition| policy.conditions.holds(condition);
    let without_answer = || {
        holds(RetryCondition::ServerError)
            || holds(RetryCondition::GatewayError)
            || holds(RetryCondition::Reset)
            || (holds(RetryCondition::ResetBeforeRequest) && sent.is_nothing)
    };
    match outcome {
        Outcome::Failed(TryEnd::Unrelated) => false,
        Outcome::Failed(TryEnd::Unreached | TryEnd::Full) => {
            holds(RetryCondition::ConnectFailure)
                || holds(RetryCondition::ResetBeforeRequest)
                || without_answer()
        }
        Outcome::Failed(TryEnd::Unanswered) => without_answer(),
        Outcome::Failed(TryEnd::TimedOut) => holds(RetryCondition::TryTimeout) || without_answer(),
        Outcome::Answered(status) => {
            (holds(RetryCondition::Status) && policy.statuses.contains(status))
                || (holds(RetryCondition::ServerError) && status >= 500)
                || (holds(RetryCondition::GatewayError) && matches!(status, 502..=504))
                || (holds(RetryCondition::Retriable4xx) && status == 409)
        }
    }
}

/// A random time before the retry that follows `retries` others.
fn wait_ms(backoff: &Backoff, retries: u32, draw: u64) -> u64 {
    let milliseconds = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX / 2);
    let (base_ms, max_ms) = (milliseconds(backoff.base), milliseconds(backoff.max));
    let window_ms = base_ms
        .saturating_mul(1 << retries.min(31))
        .min(max_ms)
        .max(base_ms);
    let least_ms = if backoff.is_minimum { base_ms } else { 0 };
    least_ms + draw % (window_ms - least_ms + 1)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use weir_model::RetryConditions;

    use super::*;
    use crate::time::NEVER;

    const FRESH: Sent = Sent {
        is_nothing: true,
        is_idempotent: true,
        is_replayable: true,
    };
    const GET: Sent = Sent {
        is_nothing: false,
        ..FRESH
    };
    const POST: Sent = Sent {
        is_idempotent: false,
        ..GET
    };
    const STREAMED: Sent = Sent {
        is_replayable: false,
        ..GET
    };
    const START: Standing = Standing {
        retries: 0,
        left_ms: NEVER,
        has_others: true,
    };
    const UNREACHED: Outcome = Outcome::Failed(TryEnd::Unreached);
    const UNANSWERED: Outcome = Outcome::Failed(TryEnd::Unanswered);
    const TIMED_OUT: Outcome = Outcome::Failed(TryEnd::TimedOut);
    const UNRELATED: Outcome = Outcome::Failed(TryEnd::Unrelated);
    const FULL: Outcome = Outcome::Failed(TryEnd::Full);

    fn on(conditions: &[RetryCondition]) -> Retry {
        Retry {
            conditions: RetryConditions::of(conditions),
            ..Retry::default()
        }
    }

    fn is_tried(policy: Option<&Retry>, outcome: Outcome, sent: Sent) -> bool {
        judge(policy, outcome, sent, START, 0).is_some()
    }

    #[test]
    fn lb28_each_condition_holds_for_what_it_names() {
        use RetryCondition as On;
        let answered = Outcome::Answered;
        type Case<'a> = (&'a [On], &'a [Outcome], &'a [Outcome]);
        let cases: [Case<'_>; 9] = [
            (
                &[On::ServerError],
                &[
                    answered(500),
                    answered(503),
                    UNANSWERED,
                    TIMED_OUT,
                    UNREACHED,
                    FULL,
                ],
                &[answered(409), answered(200), UNRELATED],
            ),
            (
                &[On::GatewayError],
                &[answered(502), answered(503), answered(504), UNANSWERED, TIMED_OUT],
                &[answered(500), answered(505), UNRELATED],
            ),
            (
                &[On::Reset],
                &[UNANSWERED, TIMED_OUT, UNREACHED],
                &[answered(503), UNRELATED],
            ),
            (&[On::ResetBeforeRequest], &[UNREACHED], &[answered(503)]),
            (
                &[On::ConnectFailure],
                &[UNREACHED, FULL],
                &[UNANSWERED, TIMED_OUT, answered(503), UNRELATED],
            ),
            (&[On::Retriable4xx], &[answered(409)], &[answered(404), UNREACHED]),
            (
                &[On::Status],
                &[answered(503)],
                &[answered(500), UNANSWERED, TIMED_OUT],
            ),
            (&[On::TryTimeout], &[TIMED_OUT], &[UNANSWERED, answered(504)]),
            (
                &[On::RefusedStream, On::GrpcUnavailable],
                &[],
                &[UNANSWERED, answered(503), answered(200)],
            ),
        ];
        for (conditions, tried, settled) in cases {
            let policy = on(conditions);
            for outcome in tried {
                assert!(
                    is_tried(Some(&policy), *outcome, GET),
                    "{conditions:?}: {outcome:?}"
                );
            }
            for outcome in settled {
                assert!(
                    !is_tried(Some(&policy), *outcome, GET),
                    "{conditions:?}: {outcome:?}"
                );
            }
        }
    }

    #[test]
    fn lb28_what_may_count_twice_is_never_sent_twice_unasked() {
        let all = on(&[
            RetryCondition::ServerError,
            RetryCondition::Reset,
            RetryCondition::ResetBeforeRequest,
            RetryCondition::TryTimeout,
        ]);
        // RFC 9110 9.2.2.
        for (outcome, sent, expected) in [
            (UNANSWERED, GET, true),
            (UNANSWERED, POST, false),
            (TIMED_OUT, POST, false),
            (UNREACHED, POST, false),
            (
                UNREACHED,
                Sent {
                    is_nothing: true,
                    ..POST
                },
                true,
            ),
            (Outcome::Answered(503), POST, true),
            (Outcome::Answered(503), STREAMED, false),
            (UNANSWERED, STREAMED, false),
        ] {
            assert_eq!(
                is_tried(Some(&all), outcome, sent),
                expected,
                "{outcome:?} {sent:?}"
            );
        }
    }

    #[test]
    fn rl05_a_rule_without_retries_tries_others_when_nothing_was_sent() {
        for (outcome, sent, retries, expected) in [
            (UNREACHED, FRESH, 0, true),
            (UNREACHED, FRESH, 1, true),
            (UNREACHED, FRESH, 2, false),
            (FULL, FRESH, 0, true),
            (UNANSWERED, GET, 0, false),
            (TIMED_OUT, GET, 0, false),
            (Outcome::Answered(503), GET, 0, false),
            (UNRELATED, FRESH, 0, false),
        ] {
            for has_others in [true, false] {
                let standing = Standing {
                    retries,
                    has_others,
                    ..START
                };
                let again = judge(None, outcome, sent, standing, 0);
                let at_once = Again {
                    wait_ms: 0,
                    is_limited: !has_others,
                };
                assert_eq!(again, expected.then_some(at_once), "{outcome:?} after {retries}");
            }
        }
    }

    #[test]
    fn lb28_attempts_and_time_end_retries() {
        let policy = Retry {
            attempts: 5,
            backoff: Backoff {
                base: Duration::from_millis(100),
                max: Duration::from_millis(100),
                is_minimum: true,
            },
            ..on(&[RetryCondition::ServerError])
        };
        for (retries, left_ms, expected) in [
            (0, NEVER, true),
            (4, NEVER, true),
            (5, NEVER, false),
            (0, 101, true),
            (0, 100, false),
            (0, 0, false),
        ] {
            let standing = Standing {
                retries,
                left_ms,
                has_others: true,
            };
            let again = judge(Some(&policy), Outcome::Answered(500), GET, standing, 7);
            assert_eq!(again.is_some(), expected, "{retries} retries, {left_ms} ms left");
        }
    }

    #[test]
    fn lb29_only_what_burdens_an_endpoint_again_is_limited() {
        let policy = on(&[RetryCondition::ServerError]);
        for (outcome, has_others, is_limited) in [
            (UNREACHED, true, false),
            (FULL, true, false),
            (UNREACHED, false, true),
            (UNANSWERED, true, true),
            (Outcome::Answered(500), true, true),
        ] {
            let standing = Standing { has_others, ..START };
            let again = judge(Some(&policy), outcome, FRESH, standing, 9).expect("another try");
            assert_eq!(again.is_limited, is_limited, "{outcome:?}");
            assert_eq!(again.wait_ms > 0, is_limited, "{outcome:?}");
        }
    }

    #[test]
    fn lb28_waits_grow_within_their_bounds() {
        let milliseconds = Duration::from_millis;
        let standard = Backoff::default();
        let minimum = Backoff {
            base: milliseconds(100),
            max: milliseconds(1_000),
            is_minimum: true,
        };
        for (backoff, retries, least, most) in [
            (&standard, 0, 0, 25),
            (&standard, 1, 0, 50),
            (&standard, 3, 0, 200),
            (&standard, 4, 0, 250),
            (&standard, 31, 0, 250),
            (&minimum, 0, 100, 100),
            (&minimum, 1, 100, 200),
            (&minimum, 9, 100, 1_000),
        ] {
            let waits: Vec<u64> = (0..2_000).map(|draw| wait_ms(backoff, retries, draw)).collect();
            let bounds = (waits.iter().min(), waits.iter().max());
            assert_eq!(bounds, (Some(&least), Some(&most)), "{backoff:?}, {retries}");
        }
    }
}
