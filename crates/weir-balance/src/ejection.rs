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
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};
    use weir_model::{FailurePercentage, Percent, Period, SuccessRate};

    use super::*;

    const BAD: TryOutcome = TryOutcome::Answered(500);
    const GOOD: TryOutcome = TryOutcome::Answered(200);

    fn check(max_percent: u64) -> PassiveCheck {
        PassiveCheck {
            max_ejection_percent: Percent::new(max_percent).expect("a percentage"),
            ..PassiveCheck::default()
        }
    }

    fn ejector(check: PassiveCheck, endpoints: usize) -> Ejector {
        let states: Vec<_> = (0..endpoints).map(|_| Arc::new(EndpointState::new(0))).collect();
        Ejector::new(Arc::new(check), &states, 0)
    }

    /// Records and, when it trips, ejects.
    fn feed(ejector: &Ejector, index: u32, outcome: TryOutcome, now_ms: u64) -> Option<Change> {
        let trip = ejector.record(index, outcome)?;
        ejector.eject(index, trip, now_ms)
    }

    fn repeat<R>(count: u32, act: impl Fn() -> R) {
        for _ in 0..count {
            let _ = act();
        }
    }

    fn cause(change: Option<Change>) -> Option<EjectionCause> {
        match change {
            Some(Change::Ejected(ejection)) => Some(ejection.cause),
            _ => None,
        }
    }

    fn ejected(ejector: &Ejector) -> usize {
        (0..ejector.subjects.len() as u32)
            .filter(|index| ejector.is_ejected(*index))
            .count()
    }

    fn sweep(ejector: &Ejector, now_ms: u64) -> Vec<(u32, Change)> {
        let mut changes = Vec::new();
        ejector.sweep(now_ms, &mut changes);
        changes
    }

    #[test]
    fn hc11_failures_in_a_row_eject() {
        let number = NonZeroU32::new;
        let gateway = PassiveCheck {
            consecutive_gateway: number(3),
            ..check(100)
        };
        let split = PassiveCheck {
            split_local: true,
            consecutive_local: number(2),
            ..check(100)
        };
        let off = PassiveCheck {
            consecutive_5xx: None,
            ..check(100)
        };
        // Statuses, `-` for no answer, `t` for no answer in time; what the last one causes, and none before.
        for (name, check, script, expected) in [
            (
                "5xx",
                check(100),
                "500 502 503 504 599",
                Some(EjectionCause::Consecutive5xx(5)),
            ),
            ("a good one between", check(100), "500 500 500 500 200 500", None),
            (
                "4xx is the client's",
                check(100),
                "500 500 500 500 404 500 500 500 500",
                None,
            ),
            (
                "no answer counts",
                check(100),
                "- t - - t",
                Some(EjectionCause::Consecutive5xx(5)),
            ),
            (
                "gateway",
                gateway.clone(),
                "502 503 504",
                Some(EjectionCause::ConsecutiveGateway(3)),
            ),
            (
                "gateway, no answer",
                gateway.clone(),
                "- t 503",
                Some(EjectionCause::ConsecutiveGateway(3)),
            ),
            (
                "500 is no gateway error",
                gateway,
                "502 503 500 502 503",
                Some(EjectionCause::Consecutive5xx(5)),
            ),
            (
                "split",
                split.clone(),
                "500 - 200 - 500 500 -  -",
                Some(EjectionCause::ConsecutiveLocal(2)),
            ),
            (
                "split: answers are counted apart",
                split,
                "500 - 500 500 500 - 500",
                Some(EjectionCause::Consecutive5xx(5)),
            ),
            ("off", off, "500 500 500 500 500 500 500", None),
        ] {
            let ejector = ejector(check, 1);
            let outcomes: Vec<TryOutcome> = script
                .split_whitespace()
                .map(|word| match word {
                    "-" => TryOutcome::NoAnswer,
                    "t" => TryOutcome::TimedOut,
                    status => TryOutcome::Answered(status.parse().expect("a status")),
                })
                .collect();
            let (last, before) = outcomes.split_last().expect("not empty");
            for outcome in before {
                assert_eq!(cause(feed(&ejector, 0, *outcome, 0)), None, "{name}");
            }
            assert_eq!(cause(feed(&ejector, 0, *last, 0)), expected, "{name}");
            assert_eq!(ejector.is_ejected(0), expected.is_some(), "{name}");
            assert_eq!(
                ejector.subjects[0].state.is_available(),
                expected.is_none(),
                "{name}"
            );
        }
    }

    #[test]
    fn hc11_never_more_than_the_greatest_percentage() {
        for (endpoints, percent, always_one, most) in [
            (10, 10, false, 1),
            (10, 0, false, 0),
            (10, 0, true, 1),
            (3, 10, false, 0),
            (3, 10, true, 1),
            (3, 33, false, 0),
            (3, 34, false, 1),
            (10, 50, false, 5),
            (10, 59, true, 5),
            (10, 100, false, 10),
            (1, 100, false, 1),
            (1, 99, false, 0),
        ] {
            let check = PassiveCheck {
                always_eject_one: always_one,
                ..check(percent)
            };
            let ejector = ejector(check, endpoints);
            for index in 0..endpoints as u32 {
                repeat(20, || feed(&ejector, index, BAD, 0));
            }
            assert_eq!(
                ejected(&ejector),
                most,
                "{endpoints} endpoints, {percent} %, one always: {always_one}"
            );
        }
    }

    #[test]
    fn hc11_ejections_grow_and_are_forgiven() {
        let ejector = ejector(check(100), 1);
        let fail = |now_ms| match (0..5).find_map(|_| feed(&ejector, 0, BAD, now_ms)) {
            Some(Change::Ejected(ejection)) => (ejection.times, ejection.lasts_ms / 1_000),
            other => panic!("{other:?}"),
        };
        let mut now_ms = 0;
        // Ejected again at once after each return: the time grows to its greatest.
        for (times, lasts_s) in [
            (1, 30),
            (2, 60),
            (3, 90),
            (4, 120),
            (5, 150),
            (6, 180),
            (7, 210),
            (8, 240),
            (9, 270),
            (10, 300),
            (10, 300),
        ] {
            assert_eq!(fail(now_ms), (times, lasts_s));
            assert_eq!(sweep(&ejector, now_ms + lasts_s * 1_000 - 1), []);
            now_ms += lasts_s * 1_000;
            assert_eq!(
                sweep(&ejector, now_ms),
                [(0, Change::Returned(ReturnCause::Time))]
            );
        }
        // Each sweep in use forgives one; four of ten are left, and the next is the fifth.
        for _ in 0..6 {
            now_ms += 3_000;
            assert_eq!(sweep(&ejector, now_ms), []);
        }
        assert_eq!(fail(now_ms), (5, 150));
        now_ms += 150_000;
        sweep(&ejector, now_ms);
        for _ in 0..100 {
            now_ms += 3_000;
            sweep(&ejector, now_ms);
        }
        assert_eq!(fail(now_ms), (1, 30), "all is forgiven");
    }

    #[test]
    fn hc11_a_base_over_the_greatest_time_holds() {
        let check = PassiveCheck {
            base_ejection: Period::clamped(Duration::from_secs(400)),
            ..check(100)
        };
        let ejector = ejector(check, 1);
        let change = (0..5).find_map(|_| feed(&ejector, 0, BAD, 0));
        assert!(matches!(change, Some(Change::Ejected(ejection)) if ejection.lasts_ms == 400_000));
    }

    #[test]
    fn hc12_a_good_probe_ends_an_ejection() {
        let ejector = ejector(check(100), 2);
        assert_eq!(ejector.probe_good(0, 1), None);
        repeat(5, || feed(&ejector, 0, BAD, 10));
        assert_eq!(
            ejector.probe_good(0, 2_000),
            Some(Change::Returned(ReturnCause::Probe))
        );
        assert!(ejector.subjects[0].state.is_available());
        assert_eq!(
            ejector.subjects[0].state.added_at_ms(),
            2_000,
            "its share grows anew"
        );
        assert_eq!(ejector.probe_good(0, 2_001), None);
        // It takes the whole number of failures again.
        assert!((0..4).all(|_| feed(&ejector, 0, BAD, 3_000).is_none()));
        assert!(feed(&ejector, 0, BAD, 3_000).is_some());
    }

    #[test]
    fn hc11_a_refused_ejection_takes_as_many_failures_again() {
        let ejector = ejector(check(50), 2);
        let until_out = |index| (1..20).find(|_| feed(&ejector, index, BAD, 0).is_some());
        assert_eq!(until_out(0), Some(5));
        assert_eq!(until_out(1), None, "one of two is out");
        ejector.probe_good(0, 0);
        // 19 failures so far, counted anew at 5, 10 and 15.
        assert_eq!(until_out(1), Some(1));
    }

    /// Answers of each endpoint in one interval, then who is ejected by the sweep.
    fn rates(check: PassiveCheck, answers: &[(u32, u32)]) -> Vec<(u32, EjectionCause)> {
        let check = PassiveCheck {
            consecutive_5xx: None,
            ..check
        };
        let ejector = ejector(check, answers.len());
        for (index, (good, bad)) in (0..).zip(answers) {
            repeat(*good, || ejector.record(index, GOOD));
            repeat(*bad, || ejector.record(index, BAD));
        }
        let changes = sweep(&ejector, 3_000);
        assert_eq!(sweep(&ejector, 6_000), [], "an interval is judged once");
        changes
            .into_iter()
            .map(|(index, change)| (index, cause(Some(change)).expect("an ejection")))
            .collect()
    }

    #[test]
    fn hc11_failure_percentage_needs_volume_and_company() {
        let check = PassiveCheck {
            failure_percentage: Some(FailurePercentage::default()),
            ..check(100)
        };
        let of = |failed_percent| EjectionCause::FailurePercentage {
            failed_percent,
            threshold_percent: 85,
        };
        let fine = (100, 0);
        for (answers, expected) in [
            (vec![fine, fine, fine, fine, (15, 85)], vec![(4, of(85))]),
            (vec![fine, fine, fine, fine, (16, 84)], vec![]),
            // 50 requests are enough, 49 are not; nor are four endpoints.
            (vec![fine, fine, fine, fine, (0, 50)], vec![(4, of(100))]),
            (vec![fine, fine, fine, fine, (0, 49)], vec![]),
            (vec![fine, fine, fine, (0, 100)], vec![]),
            (vec![(0, 100); 5], (0..5).map(|index| (index, of(100))).collect()),
        ] {
            assert_eq!(rates(check.clone(), &answers), expected, "{answers:?}");
        }
    }

    #[test]
    fn hc11_success_rate_is_judged_by_the_others() {
        let check = PassiveCheck {
            success_rate: Some(SuccessRate::default()),
            ..check(100)
        };
        let fine = (100, 0);
        for (answers, expected) in [
            // Mean 90 %, deviation 20 %: below 52 % is too few.
            (vec![fine, fine, fine, fine, (50, 50)], vec![(4, (50, 52))]),
            // Two outliers make each other less unusual: mean 80 %, deviation 24.5 %.
            (vec![fine, fine, fine, (50, 50), (50, 50)], vec![]),
            // All the same: nobody is an outlier, however bad.
            (vec![(1, 99); 5], vec![]),
            // Too few requests, too few endpoints.
            (vec![fine, fine, fine, fine, (49, 50)], vec![]),
            (vec![fine, fine, fine, (0, 100)], vec![]),
        ] {
            let found: Vec<_> = rates(check.clone(), &answers)
                .into_iter()
                .map(|(index, cause)| match cause {
                    EjectionCause::SuccessRate {
                        succeeded_percent,
                        threshold_percent,
                    } => (index, (succeeded_percent, threshold_percent)),
                    other => panic!("{other:?}"),
                })
                .collect();
            assert_eq!(found, expected, "{answers:?}");
        }
    }

    #[test]
    fn hc11_split_rates_judge_answers_and_tries_apart() {
        let check = PassiveCheck {
            split_local: true,
            consecutive_5xx: None,
            consecutive_local: None,
            failure_percentage: Some(FailurePercentage {
                endpoints_min: 1,
                ..FailurePercentage::default()
            }),
            ..check(100)
        };
        let one = ejector(check, 2);
        repeat(100, || one.record(0, TryOutcome::NoAnswer));
        repeat(100, || one.record(1, BAD));
        let changes = sweep(&one, 3_000);
        assert_eq!(
            changes.iter().map(|(index, _)| *index).collect::<Vec<_>>(),
            [1, 0]
        );
    }

    #[test]
    fn other_endpoints_keep_what_is_known_of_those_that_stay() {
        let before = ejector(check(100), 2);
        repeat(5, || feed(&before, 0, BAD, 0));
        repeat(4, || feed(&before, 1, BAD, 0));
        let states = [
            Arc::new(EndpointState::new(0)),
            Arc::clone(&before.subjects[1].state),
            Arc::clone(&before.subjects[0].state),
        ];
        let after = before.with_endpoints(&states);
        let due_ms = before.sweep_due_ms();
        assert_eq!(
            (0..3).map(|index| after.is_ejected(index)).collect::<Vec<_>>(),
            [false, false, true]
        );
        drop(before);
        assert!(!states[2].is_available(), "the seat stays taken");
        assert!(feed(&after, 1, BAD, 0).is_some(), "the fifth in a row");
        assert_eq!(after.sweep_due_ms(), due_ms);
        drop(after);
        assert!(states.iter().all(|state| state.is_available()));
    }

    #[test]
    fn many_workers_eject_exactly_once() {
        let ejector = ejector(check(100), 1);
        let ejections = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        let change = feed(&ejector, 0, BAD, 0);
                        ejections.fetch_add(u32::from(change.is_some()), Relaxed);
                    }
                });
            }
        });
        assert_eq!(ejections.into_inner(), 1);
    }

    proptest! {
        /// Whatever happens: the percentage holds, an ejection lasts exactly as long as said unless a probe ends it, and
        /// the endpoint's bit is the truth.
        #[test]
        fn hc11_the_percentage_always_holds(
            endpoints in 1usize..12,
            percent in 0u64..=100,
            steps in proptest::collection::vec((any::<u8>(), 0u32..12, 0u64..20_000), 1..400),
        ) {
            let ejector = ejector(check(percent), endpoints);
            let mut over_ms = vec![None; endpoints];
            let mut now_ms = 0;
            for (kind, index, elapsed_ms) in steps {
                let index = index % endpoints as u32;
                now_ms += elapsed_ms;
                let mut changes = Vec::new();
                match kind % 8 {
                    0 => ejector.sweep(now_ms, &mut changes),
                    1 => changes.extend(feed(&ejector, index, GOOD, now_ms).map(|change| (index, change))),
                    2 => changes.extend(ejector.probe_good(index, now_ms).map(|change| (index, change))),
                    _ => for _ in 0..5 {
                        changes.extend(feed(&ejector, index, BAD, now_ms).map(|change| (index, change)));
                    },
                }
                for (index, change) in changes {
                    let over_ms: &mut Option<u64> = &mut over_ms[index as usize];
                    match change {
                        Change::Ejected(ejection) => {
                            prop_assert!(over_ms.is_none() && ejection.times >= 1);
                            prop_assert!((30_000..=300_000).contains(&ejection.lasts_ms));
                            *over_ms = Some(now_ms + ejection.lasts_ms);
                        }
                        Change::Returned(ReturnCause::Time) => {
                            prop_assert!(over_ms.take().is_some_and(|over_ms| over_ms <= now_ms));
                        }
                        Change::Returned(ReturnCause::Probe) => prop_assert!(over_ms.take().is_some()),
                        other => prop_assert!(false, "{other:?}"),
                    }
                }
                if kind % 8 == 0 {
                    prop_assert!(over_ms.iter().flatten().all(|over_ms| *over_ms > now_ms));
                }
                for (index, over_ms) in (0u32..).zip(&over_ms) {
                    prop_assert_eq!(ejector.is_ejected(index), over_ms.is_some());
                    let is_available = ejector.subjects[index as usize].state.is_available();
                    prop_assert_eq!(is_available, over_ms.is_none());
                }
                prop_assert!(ejected(&ejector) as u64 * 100 <= percent * endpoints as u64);
            }
        }
    }
}
