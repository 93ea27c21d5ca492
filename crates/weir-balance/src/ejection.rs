//! Passive health: taking endpoints out for a while because of how they answer, by Envoy's outlier rules.
//!
//! The request path only counts, in relaxed atomics on one line per endpoint; when a count in a row reaches its
//! threshold, it asks for the ejection, which takes a lock, as does the sweep that somebody runs every interval.
//!
//! * In a row: `consecutive` failures eject at once. Any success begins anew.
//! * By rates: each sweep judges the answers since the last one, by failure percentage and by distance from the mean
//!   success rate, if enough endpoints have had enough requests.
//! * An ejection lasts the base time multiplied by the ejections in a row, up to the longest. Each sweep that finds an
//!   endpoint in use forgives one of them. A good probe ends an ejection (row HC12).
//! * Never more than the greatest percentage of the endpoints are out at once, the one about to be ejected included;
//!   0 ejects nobody (unlike Envoy, which reads 0 as 10). `always_eject_one` allows one whatever the percentage.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use weir_model::PassiveCheck;

use crate::change::{Change, Ejection, EjectionCause, ReturnCause};
use crate::endpoint::EndpointState;
use crate::rate::{Count, Rate, outliers};
use crate::seat::{Judgement, Seat, lock};

/// How a try at an endpoint went, in the words of passive health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryOutcome {
    /// It answered with this status.
    Answered(u16),
    /// No connection, or one that broke before the answer.
    NoAnswer,
    /// No answer in time.
    TimedOut,
}

/// A count in a row has reached its threshold: [`Ejector::eject`] is to be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trip {
    cause: EjectionCause,
}

/// Passive health of the endpoints of one backend under one specification. One for all rules and workers; a
/// change of endpoints makes another one ([`Ejector::with_endpoints`]) that goes on with what is known.
#[derive(Debug)]
pub struct Ejector {
    check: Arc<PassiveCheck>,
    subjects: Box<[Arc<Subject>]>,
    common: Arc<Common>,
}

/// What all generations of an ejector share.
#[derive(Debug)]
struct Common {
    /// Held while somebody is ejected or comes back, so that the percentage holds.
    order: Mutex<()>,
    sweep_due_ms: AtomicU64,
}

/// One endpoint.
#[derive(Debug)]
struct Subject {
    state: Arc<EndpointState>,
    seat: Option<Seat>,
    tally: Tally,
    is_ejected: AtomicBool,
    history: Mutex<History>,
}

/// What the request path counts.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Tally {
    consecutive_5xx: AtomicU32,
    consecutive_gateway: AtomicU32,
    consecutive_local: AtomicU32,
    /// Answers since the last sweep; unless split, with failures to get one.
    answers: Count,
    /// Tries since the last sweep, and those that got an answer. Only when split.
    tries: Count,
}

#[derive(Debug, Default)]
struct History {
    ejected_at_ms: u64,
    lasts_ms: u64,
    /// By what the base time is multiplied.
    times: u32,
}

impl Ejector {
    /// Passive health of `endpoints`; the first sweep is due an interval after `now_ms`.
    pub fn new(check: Arc<PassiveCheck>, endpoints: &[Arc<EndpointState>], now_ms: u64) -> Self {
        let common = Common {
            order: Mutex::new(()),
            sweep_due_ms: AtomicU64::new(now_ms.saturating_add(check.interval.milliseconds())),
        };
        Self {
            check,
            subjects: endpoints.iter().map(Subject::new).collect(),
            common: Arc::new(common),
        }
    }

    /// The ejector of the same backend with other endpoints. Those that stay keep their counts and ejections.
    #[must_use]
    pub fn with_endpoints(&self, endpoints: &[Arc<EndpointState>]) -> Self {
        let known: std::collections::HashMap<*const EndpointState, &Arc<Subject>> = self
            .subjects
            .iter()
            .map(|subject| (Arc::as_ptr(&subject.state), subject))
            .collect();
        let subjects = endpoints
            .iter()
            .map(|state| match known.get(&Arc::as_ptr(state)) {
                Some(subject) => Arc::clone(subject),
                None => Subject::new(state),
            });
        Self {
            check: Arc::clone(&self.check),
            subjects: subjects.collect(),
            common: Arc::clone(&self.common),
        }
    }

    /// What is checked.
    pub fn check(&self) -> &Arc<PassiveCheck> {
        &self.check
    }

    /// The seat at the endpoint of `index` that balancers are to heed; `None` when it had none left.
    pub fn seat(&self, index: u32) -> Option<Seat> {
        self.subjects.get(index as usize)?.seat
    }

    /// Whether the endpoint of `index` is ejected.
    pub fn is_ejected(&self, index: u32) -> bool {
        self.subjects
            .get(index as usize)
            .is_some_and(|subject| subject.is_ejected())
    }

    /// Counts how a try at the endpoint of `index` went. With a [`Trip`], the endpoint is to be ejected.
    #[inline]
    pub fn record(&self, index: u32, outcome: TryOutcome) -> Option<Trip> {
        let tally = &self.subjects.get(index as usize)?.tally;
        match outcome {
            TryOutcome::Answered(status) => {
                if self.check.split_local {
                    begin_anew(&tally.consecutive_local);
                    self.count(&tally.tries, true);
                }
                self.answered(tally, status)
            }
            TryOutcome::NoAnswer | TryOutcome::TimedOut if self.check.split_local => {
                self.count(&tally.tries, false);
                one_more(&tally.consecutive_local, self.check.consecutive_local)
                    .map(|count| EjectionCause::ConsecutiveLocal(count).into())
            }
            // Envoy's translation of what has no status.
            TryOutcome::NoAnswer => self.answered(tally, 503),
            TryOutcome::TimedOut => self.answered(tally, 504),
        }
    }

    /// Ejects the endpoint of `index`, unless it is already or too many are. Says what that changed.
    #[cold]
    pub fn eject(&self, index: u32, trip: Trip, now_ms: u64) -> Option<Change> {
        let _order = lock(&self.common.order);
        let subject = self.subjects.get(index as usize)?;
        // However this ends, the next ejection takes as many failures again.
        match trip.cause {
            EjectionCause::Consecutive5xx(_) => begin_anew(&subject.tally.consecutive_5xx),
            EjectionCause::ConsecutiveGateway(_) => begin_anew(&subject.tally.consecutive_gateway),
            EjectionCause::ConsecutiveLocal(_) => begin_anew(&subject.tally.consecutive_local),
            EjectionCause::FailurePercentage { .. } | EjectionCause::SuccessRate { .. } => {}
        }
        self.eject_in_order(subject, trip.cause, now_ms)
    }

    /// A probe of the endpoint of `index` was good: an ejection ends (row HC12).
    pub fn probe_good(&self, index: u32, now_ms: u64) -> Option<Change> {
        let subject = self.subjects.get(index as usize)?;
        if !subject.is_ejected() {
            return None;
        }
        let _order = lock(&self.common.order);
        subject.come_back(ReturnCause::Probe, now_ms)
    }

    /// When the next sweep is due.
    pub fn sweep_due_ms(&self) -> u64 {
        self.common.sweep_due_ms.load(Relaxed)
    }

    /// Ends ejections, forgives, and judges the rates of the interval that ends now. Adds what that changed, by index.
    pub fn sweep(&self, now_ms: u64, changes: &mut Vec<(u32, Change)>) {
        let _order = lock(&self.common.order);
        let interval = self.check.interval.milliseconds();
        self.common
            .sweep_due_ms
            .store(now_ms.saturating_add(interval), Relaxed);
        for (index, subject) in (0u32..).zip(&self.subjects) {
            let change = subject.sweep(now_ms);
            changes.extend(change.map(|change| (index, change)));
        }
        let rates = |count: fn(&Tally) -> &Count| -> Vec<Rate> {
            let taken = (0u32..).zip(&self.subjects);
            taken
                .map(|(index, subject)| (subject, count(&subject.tally).take(index)))
                .filter(|(subject, _)| !subject.is_ejected())
                .map(|(_, rate)| rate)
                .collect()
        };
        let answers = rates(|tally| &tally.answers);
        self.judge(&answers, now_ms, changes);
        if self.check.split_local {
            let tries = rates(|tally| &tally.tries);
            self.judge(&tries, now_ms, changes);
        }
    }

    fn answered(&self, tally: &Tally, status: u16) -> Option<Trip> {
        let is_bad = (500..600).contains(&status);
        self.count(&tally.answers, !is_bad);
        if !is_bad {
            begin_anew(&tally.consecutive_5xx);
            begin_anew(&tally.consecutive_gateway);
            return None;
        }
        let gateway = if (502..=504).contains(&status) {
            one_more(&tally.consecutive_gateway, self.check.consecutive_gateway)
        } else {
            begin_anew(&tally.consecutive_gateway);
            None
        };
        let any = one_more(&tally.consecutive_5xx, self.check.consecutive_5xx);
        let cause = gateway
            .map(EjectionCause::ConsecutiveGateway)
            .or(any.map(EjectionCause::Consecutive5xx));
        cause.map(Trip::from)
    }

    #[inline]
    fn count(&self, count: &Count, is_good: bool) {
        if self.check.failure_percentage.is_some() || self.check.success_rate.is_some() {
            count.add(is_good);
        }
    }

    /// Ejects by the rates of one interval. The order is held.
    fn judge(&self, rates: &[Rate], now_ms: u64, changes: &mut Vec<(u32, Change)>) {
        for (index, cause) in outliers(&self.check, rates) {
            let change = self
                .subjects
                .get(index as usize)
                .and_then(|subject| self.eject_in_order(subject, cause, now_ms));
            changes.extend(change.map(|change| (index, change)));
        }
    }

    /// The order is held.
    fn eject_in_order(&self, subject: &Subject, cause: EjectionCause, now_ms: u64) -> Option<Change> {
        if subject.is_ejected() {
            return None;
        }
        let out = self
            .subjects
            .iter()
            .filter(|subject| subject.is_ejected())
            .count() as u64;
        let greatest = u64::from(self.check.max_ejection_percent.number()) * self.subjects.len() as u64;
        let is_first_of_all = self.check.always_eject_one && out == 0;
        if (out + 1) * 100 > greatest && !is_first_of_all {
            return None;
        }
        Some(subject.go(&self.check, cause, now_ms))
    }
}

impl Subject {
    fn new(state: &Arc<EndpointState>) -> Arc<Self> {
        Arc::new(Self {
            seat: state.take_seat(),
            state: Arc::clone(state),
            tally: Tally::default(),
            is_ejected: AtomicBool::new(false),
            history: Mutex::default(),
        })
    }

    fn is_ejected(&self) -> bool {
        self.is_ejected.load(Relaxed)
    }

    fn go(&self, check: &PassiveCheck, cause: EjectionCause, now_ms: u64) -> Change {
        let mut history = lock(&self.history);
        let base_ms = check.base_ejection.milliseconds();
        let max_ms = check.max_ejection.milliseconds().max(base_ms);
        // Further multiplication would change nothing but the time that forgiving takes.
        if u64::from(history.times) * base_ms < max_ms {
            history.times += 1;
        }
        history.ejected_at_ms = now_ms;
        history.lasts_ms = (u64::from(history.times) * base_ms).min(max_ms);
        self.is_ejected.store(true, Relaxed);
        self.judge(Judgement::Bad);
        Change::Ejected(Ejection {
            cause,
            lasts_ms: history.lasts_ms,
            times: history.times,
        })
    }

    fn come_back(&self, cause: ReturnCause, now_ms: u64) -> Option<Change> {
        if !self.is_ejected.swap(false, Relaxed) {
            return None;
        }
        // A count that was close to its threshold must not throw it out again at once.
        begin_anew(&self.tally.consecutive_5xx);
        begin_anew(&self.tally.consecutive_gateway);
        begin_anew(&self.tally.consecutive_local);
        self.state.restart_ramp(now_ms);
        self.judge(Judgement::Good);
        Some(Change::Returned(cause))
    }

    fn sweep(&self, now_ms: u64) -> Option<Change> {
        if self.is_ejected() {
            let is_over = {
                let history = lock(&self.history);
                now_ms.saturating_sub(history.ejected_at_ms) >= history.lasts_ms
            };
            return is_over
                .then(|| self.come_back(ReturnCause::Time, now_ms))
                .flatten();
        }
        let mut history = lock(&self.history);
        history.times = history.times.saturating_sub(1);
        None
    }

    fn judge(&self, judgement: Judgement) {
        if let Some(seat) = self.seat {
            self.state.judge(seat, judgement);
        }
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        if let Some(seat) = self.seat.take() {
            self.state.give_seat_back(seat);
        }
    }
}

impl From<EjectionCause> for Trip {
    fn from(cause: EjectionCause) -> Self {
        Self { cause }
    }
}

/// The threshold if this failure made the count reach it, once more if it went on because nobody was ejected.
#[inline]
fn one_more(count: &AtomicU32, threshold: Option<std::num::NonZeroU32>) -> Option<u32> {
    let threshold = threshold?.get();
    let now = count.fetch_add(1, Relaxed).wrapping_add(1);
    now.is_multiple_of(threshold).then_some(threshold)
}

/// Writes only when there is something to write: the line stays shared between workers while all goes well.
#[inline]
fn begin_anew(count: &AtomicU32) {
    if count.load(Relaxed) != 0 {
        count.store(0, Relaxed);
    }
}

#[cfg(test)]
mod tests;
