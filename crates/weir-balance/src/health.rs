//! Active health: what probes make of an endpoint. Pure: whoever does the probing tells when a probe begins and ends.
//!
//! One machine per address and specification, whatever number of rules and workers use it. It holds a seat at the
//! endpoint, so its judgement reaches every balancer that heeds the seat the moment it changes.
//!
//! Rules: a probe's first outcome decides at once ([`HealthStart::Probe`]), then thresholds hold both ways. Counts are
//! of probes in a row. A status that is neither expected nor retriable makes an endpoint unhealthy at once (Envoy
//! `retriable_statuses`). Probes begin one interval apart, give or take the jitter, and never two at a time.

use std::sync::Arc;

use weir_model::{ActiveCheck, HealthStart, HttpProbe};

use crate::change::{Change, HealthyCause, ProbeFailure, UnhealthyCause};
use crate::endpoint::EndpointState;
use crate::rng::Rng;
use crate::seat::{Judgement, Seat};

/// First probes are spread over a tenth of the shorter of timeout and interval, so that they do not all begin at once.
const FIRST_SPREAD: u64 = 10;
/// A timeout that is noticed this much too late says more of weir than of the endpoint (it was stopped, or the machine
/// slept): it does not count. Milliseconds.
const LATE_MS: u64 = 1_000;

/// What is known of an endpoint's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No probe has ended yet, and the endpoint is held back until one has.
    Unknown,
    /// It is picked.
    Healthy,
    /// It is not picked.
    Unhealthy,
}

/// How a probe ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeOutcome {
    /// As expected.
    Good,
    /// Not as expected; counts towards the threshold.
    Failed(ProbeFailure),
    /// A status that leaves no doubt: unhealthy at once.
    Refuted(u16),
    /// The answer itself says that the endpoint is to be taken out (Envoy's `x-envoy-immediate-health-check-fail`).
    Withdrawn,
}

impl ProbeOutcome {
    /// How it ended in a stable word, for reports: `good`, `timeout`, `refused`, `unreachable`, `closed`, `garbage`,
    /// `status`, `content` or `withdrawn` (row HC17).
    pub fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Refuted(_) | Self::Failed(ProbeFailure::Status(_)) => "status",
            Self::Withdrawn => "withdrawn",
            Self::Failed(ProbeFailure::Timeout) => "timeout",
            Self::Failed(ProbeFailure::Refused) => "refused",
            Self::Failed(ProbeFailure::Unreachable) => "unreachable",
            Self::Failed(ProbeFailure::Closed) => "closed",
            Self::Failed(ProbeFailure::Garbage) => "garbage",
            Self::Failed(ProbeFailure::Content) => "content",
        }
    }

    /// What a response's status says; whether the body is as expected is to be looked at only when this is good.
    pub fn of_status(probe: &HttpProbe, status: u16) -> Self {
        if probe.expected.contains(status) {
            Self::Good
        } else if probe.retriable.contains(status) {
            Self::Failed(ProbeFailure::Status(status))
        } else {
            Self::Refuted(status)
        }
    }
}

/// Since when an endpoint is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// It is new: [`ActiveCheck::start`] says what it counts as.
    New,
    /// It has been serving without this check: it goes on serving until the check knows better.
    Serving,
}

/// The health of one endpoint under one specification.
#[derive(Debug)]
pub struct Health {
    check: Arc<ActiveCheck>,
    state: Arc<EndpointState>,
    seat: Option<Seat>,
    verdict: Verdict,
    /// Probes in a row that speak against the verdict.
    streak: u32,
    due_ms: u64,
    begun_ms: Option<u64>,
}

impl Health {
    /// The machine of an endpoint that appears at `now_ms`. The first probe is due at once, but for the spread and the
    /// initial jitter, which `rng` draws.
    pub fn new(
        check: Arc<ActiveCheck>,
        state: Arc<EndpointState>,
        arrival: Arrival,
        now_ms: u64,
        rng: &mut Rng,
    ) -> Self {
        let verdict = match (arrival, check.start) {
            (Arrival::Serving, _) | (Arrival::New, HealthStart::Healthy) => Verdict::Healthy,
            (Arrival::New, HealthStart::Probe) => Verdict::Unknown,
            (Arrival::New, HealthStart::Unhealthy) => Verdict::Unhealthy,
        };
        let spread = check.interval.milliseconds().min(check.timeout.milliseconds()) / FIRST_SPREAD;
        let jitter = u64::try_from(check.initial_jitter.as_millis()).unwrap_or(u64::MAX);
        let delay = drawn(rng, spread).saturating_add(drawn(rng, jitter));
        let health = Self {
            seat: state.take_seat(),
            check,
            state,
            verdict,
            streak: 0,
            due_ms: now_ms.saturating_add(delay),
            begun_ms: None,
        };
        health.judge();
        health
    }

    /// What is known now.
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// The seat that balancers are to heed ([`crate::Member::heeding`]); `None` when the endpoint had none left.
    pub fn seat(&self) -> Option<Seat> {
        self.seat
    }

    /// What is checked.
    pub fn check(&self) -> &Arc<ActiveCheck> {
        &self.check
    }

    /// When the next probe is to begin; `None` while one is under way.
    pub fn due_ms(&self) -> Option<u64> {
        self.begun_ms.is_none().then_some(self.due_ms)
    }

    /// A probe begins. It must end ([`Health::end`]) within the check's timeout. The next one is due an interval later.
    pub fn begin(&mut self, now_ms: u64, rng: &mut Rng) {
        debug_assert!(self.begun_ms.is_none(), "one probe at a time");
        self.begun_ms = Some(now_ms);
        let interval = self.check.interval.milliseconds();
        let jitter = interval * u64::from(self.check.interval_jitter.number()) / 100;
        let next = (interval - jitter).saturating_add(drawn(rng, 2 * jitter));
        self.due_ms = now_ms.saturating_add(next);
    }

    /// The time of the probe under way counts from now on: what was to be done for it before was done too late, and not
    /// by the endpoint.
    pub fn restart(&mut self, now_ms: u64) {
        debug_assert!(self.begun_ms.is_some(), "it has begun");
        self.begun_ms = Some(now_ms);
    }

    /// The probe has ended. Says what that changed.
    pub fn end(&mut self, outcome: ProbeOutcome, now_ms: u64) -> Option<Change> {
        let begun_ms = self.begun_ms.take();
        debug_assert!(begun_ms.is_some(), "it has begun");
        // A probe that took longer than the interval is not followed by two at once.
        self.due_ms = self.due_ms.max(now_ms);
        match outcome {
            ProbeOutcome::Good => self.good(now_ms),
            ProbeOutcome::Failed(ProbeFailure::Timeout)
                if now_ms.saturating_sub(begun_ms.unwrap_or(now_ms))
                    > self.check.timeout.milliseconds() + LATE_MS =>
            {
                None
            }
            ProbeOutcome::Failed(failure) => self.failed(failure),
            ProbeOutcome::Refuted(status) => self.unhealthy(UnhealthyCause::Status(status)),
            ProbeOutcome::Withdrawn => self.unhealthy(UnhealthyCause::Asked),
        }
    }

    /// The probe that has begun is not made after all: it says nothing.
    pub fn give_up(&mut self) {
        self.begun_ms = None;
    }

    /// An answer to a request asked to be taken out until its probes are good again.
    pub fn fail_at_once(&mut self) -> Option<Change> {
        self.unhealthy(UnhealthyCause::Asked)
    }

    fn good(&mut self, now_ms: u64) -> Option<Change> {
        let threshold = self.check.healthy_threshold.get();
        let cause = match self.verdict {
            Verdict::Healthy => {
                self.streak = 0;
                return None;
            }
            Verdict::Unknown => HealthyCause::FirstProbe,
            Verdict::Unhealthy => {
                self.streak += 1;
                if self.streak < threshold {
                    return None;
                }
                HealthyCause::Threshold(threshold)
            }
        };
        // It was out of use; its share is to grow (row HC13).
        self.state.restart_ramp(now_ms);
        self.turn(Verdict::Healthy);
        Some(Change::Healthy(cause))
    }

    fn failed(&mut self, failure: ProbeFailure) -> Option<Change> {
        match self.verdict {
            Verdict::Unknown => self.unhealthy(UnhealthyCause::FirstProbe(failure)),
            Verdict::Unhealthy => {
                self.streak = 0;
                None
            }
            Verdict::Healthy => {
                self.streak += 1;
                let threshold = self.check.unhealthy_threshold.get();
                if self.streak < threshold {
                    return None;
                }
                self.unhealthy(UnhealthyCause::Threshold {
                    probes: threshold,
                    last: failure,
                })
            }
        }
    }

    fn unhealthy(&mut self, cause: UnhealthyCause) -> Option<Change> {
        let is_news = self.verdict != Verdict::Unhealthy;
        self.turn(Verdict::Unhealthy);
        is_news.then_some(Change::Unhealthy(cause))
    }

    fn turn(&mut self, verdict: Verdict) {
        self.streak = 0;
        self.verdict = verdict;
        self.judge();
    }

    fn judge(&self) {
        if let Some(seat) = self.seat {
            self.state.judge(
                seat,
                match self.verdict {
                    Verdict::Unknown => Judgement::Pending,
                    Verdict::Healthy => Judgement::Good,
                    Verdict::Unhealthy => Judgement::Bad,
                },
            );
        }
    }
}

impl Drop for Health {
    fn drop(&mut self) {
        if let Some(seat) = self.seat.take() {
            self.state.give_seat_back(seat);
        }
    }
}

/// A number from 0 to `greatest`.
fn drawn(rng: &mut Rng, greatest: u64) -> u64 {
    let bound = u32::try_from(greatest.saturating_add(1)).unwrap_or(u32::MAX);
    u64::from(rng.below(bound))
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};
    use weir_model::{Algorithm, Percent, Period, Probe, StatusSet};

    use super::*;
    use crate::world::{World, members, spec};
    use crate::{Balancer, Member, NoPick};

    const GOOD: ProbeOutcome = ProbeOutcome::Good;
    const BAD: ProbeOutcome = ProbeOutcome::Failed(ProbeFailure::Refused);

    fn check(up: u32, down: u32, start: HealthStart) -> ActiveCheck {
        ActiveCheck {
            healthy_threshold: NonZeroU32::new(up).expect("not 0"),
            unhealthy_threshold: NonZeroU32::new(down).expect("not 0"),
            start,
            ..ActiveCheck::default()
        }
    }

    fn health(check: ActiveCheck) -> Health {
        let state = Arc::new(EndpointState::new(0));
        Health::new(Arc::new(check), state, Arrival::New, 0, &mut Rng::from_seed(1))
    }

    fn probe(health: &mut Health, outcome: ProbeOutcome) -> Option<Change> {
        let mut rng = Rng::from_seed(2);
        let now_ms = health.due_ms().expect("no probe is under way");
        health.begin(now_ms, &mut rng);
        health.end(outcome, now_ms + 5)
    }

    #[test]
    fn hc02_the_first_probe_decides_whatever_the_thresholds() {
        let mut one = health(check(3, 3, HealthStart::Probe));
        assert_eq!(one.verdict(), Verdict::Unknown);
        assert!(!one.state.is_available());
        assert_eq!(
            probe(&mut one, GOOD),
            Some(Change::Healthy(HealthyCause::FirstProbe))
        );
        assert!(one.state.is_available());
        let mut one = health(check(3, 3, HealthStart::Probe));
        let cause = UnhealthyCause::FirstProbe(ProbeFailure::Refused);
        assert_eq!(probe(&mut one, BAD), Some(Change::Unhealthy(cause)));
        assert!(!one.state.is_available());
    }

    #[test]
    fn hc02_a_balancer_says_that_the_first_probe_is_awaited() {
        let members = members(&[1; 2]);
        let check = Arc::new(ActiveCheck::default());
        let mut healths: Vec<Health> = members
            .iter()
            .map(|member| {
                let state = Arc::clone(&member.state);
                Health::new(Arc::clone(&check), state, Arrival::New, 0, &mut Rng::from_seed(1))
            })
            .collect();
        let heeding = |(member, health): (Member, &Health)| member.heeding(health.seat().expect("a seat"));
        let heeding = members.into_iter().zip(&healths).map(heeding).collect();
        let balancer = Balancer::new(&spec(Algorithm::RoundRobin), heeding);
        let mut world = World::new(1);
        assert_eq!(world.try_pick(&balancer, None), Err(NoPick::Pending));
        probe(&mut healths[0], BAD);
        assert_eq!(world.try_pick(&balancer, None), Err(NoPick::Pending));
        probe(&mut healths[1], GOOD);
        assert_eq!(world.counts(&balancer, 10), [0, 10]);
        for _ in 0..3 {
            probe(&mut healths[1], BAD);
        }
        assert_eq!(world.try_pick(&balancer, None), Err(NoPick::Unavailable));
    }

    #[test]
    fn hc02_starting_healthy_or_unhealthy_is_an_option() {
        let mut one = health(check(2, 3, HealthStart::Healthy));
        assert!(one.state.is_available());
        assert_eq!(probe(&mut one, BAD), None);
        let mut one = health(check(2, 3, HealthStart::Unhealthy));
        assert!(!one.state.is_available());
        assert_eq!(probe(&mut one, GOOD), None);
        assert_eq!(
            probe(&mut one, GOOD),
            Some(Change::Healthy(HealthyCause::Threshold(2)))
        );
        let check = Arc::new(check(2, 3, HealthStart::Probe));
        let state = Arc::new(EndpointState::new(0));
        let serving = Health::new(
            check,
            Arc::clone(&state),
            Arrival::Serving,
            0,
            &mut Rng::from_seed(1),
        );
        assert!(serving.verdict() == Verdict::Healthy && state.is_available());
    }

    #[test]
    fn hc03_thresholds_are_of_probes_in_a_row_both_ways() {
        let mut one = health(check(2, 3, HealthStart::Probe));
        // `+` and `-` are outcomes, `H` and `U` what they change.
        let script = "+H --+ --+ ---U -- +- +-+ -- ++H -+ - -+ ---U ++H";
        let mut seen = String::new();
        for step in script.chars().filter(|step| !"HU".contains(*step)) {
            seen.push(step);
            match step {
                '+' | '-' => match probe(&mut one, if step == '+' { GOOD } else { BAD }) {
                    Some(Change::Healthy(_)) => seen.push('H'),
                    Some(Change::Unhealthy(_)) => seen.push('U'),
                    _ => {}
                },
                _ => {}
            }
        }
        assert_eq!(seen, script);
    }

    #[test]
    fn hc03_a_status_in_neither_set_leaves_no_doubt() {
        let Probe::Http(probe_spec) = ActiveCheck::default().probe else {
            panic!("a request by default");
        };
        let lenient = HttpProbe {
            retriable: StatusSet::all(),
            ..probe_spec.clone()
        };
        for (status, strict, forgiving) in [
            (200, GOOD, GOOD),
            (
                204,
                ProbeOutcome::Refuted(204),
                ProbeOutcome::Failed(ProbeFailure::Status(204)),
            ),
            (
                503,
                ProbeOutcome::Refuted(503),
                ProbeOutcome::Failed(ProbeFailure::Status(503)),
            ),
        ] {
            assert_eq!(ProbeOutcome::of_status(&probe_spec, status), strict);
            assert_eq!(ProbeOutcome::of_status(&lenient, status), forgiving);
        }
        let mut one = health(check(1, 3, HealthStart::Healthy));
        assert_eq!(
            probe(&mut one, ProbeOutcome::Refuted(503)),
            Some(Change::Unhealthy(UnhealthyCause::Status(503)))
        );
        let mut one = health(check(1, 3, HealthStart::Healthy));
        assert_eq!(one.fail_at_once(), Some(Change::Unhealthy(UnhealthyCause::Asked)));
        assert_eq!(one.fail_at_once(), None, "no news");
        let mut other = health(check(1, 3, HealthStart::Healthy));
        assert_eq!(
            probe(&mut other, ProbeOutcome::Withdrawn),
            Some(Change::Unhealthy(UnhealthyCause::Asked))
        );
        assert_eq!(one.fail_at_once(), None);
        assert!(!one.state.is_available());
    }

    #[test]
    fn hc04_first_probes_and_intervals_are_spread() {
        let check = Arc::new(ActiveCheck {
            interval: Period::clamped(Duration::from_secs(10)),
            ..ActiveCheck::default()
        });
        let mut rng = Rng::from_seed(1);
        let state = Arc::new(EndpointState::new(0));
        let mut all: Vec<Health> = (0..50)
            .map(|_| {
                Health::new(
                    Arc::clone(&check),
                    Arc::clone(&state),
                    Arrival::New,
                    1_000,
                    &mut rng,
                )
            })
            .collect();
        let most = |times: &[u64], width: u64| {
            let within = |from: u64| {
                times
                    .iter()
                    .filter(|time| (from..from + width).contains(*time))
                    .count()
            };
            times.iter().map(|time| within(*time)).max()
        };
        let mut times: Vec<u64> = all.iter().filter_map(Health::due_ms).collect();
        assert!(times.iter().all(|time| (1_000..=1_100).contains(time)));
        assert!(most(&times, 10) < Some(15), "{times:?}");
        for _ in 0..3 {
            times.clear();
            for one in &mut all {
                let begun_ms = one.due_ms().expect("no probe is under way");
                one.begin(begun_ms, &mut rng);
                assert_eq!(one.due_ms(), None);
                one.end(GOOD, begun_ms + 1);
                let next = one.due_ms().expect("it has ended");
                // Row HC01: within 10 % of the interval, and on average the interval.
                assert!((9_500..=10_500).contains(&(next - begun_ms)));
                times.push(next);
            }
        }
        assert!(most(&times, 100) < Some(12), "{times:?}");
    }

    #[test]
    fn hc04_the_initial_jitter_delays_the_first_probe() {
        let one = check(1, 1, HealthStart::Probe);
        let mut rng = Rng::from_seed(3);
        let one = Arc::new(ActiveCheck {
            initial_jitter: Duration::from_secs(30),
            ..one
        });
        let state = Arc::new(EndpointState::new(0));
        let due: Vec<u64> = (0..40)
            .map(|_| Health::new(one.clone(), state.clone(), Arrival::New, 0, &mut rng))
            .filter_map(|health| health.due_ms())
            .collect();
        assert!(due.iter().all(|due| *due <= 30_100));
        assert!(due.iter().any(|due| *due < 10_000) && due.iter().any(|due| *due > 20_000));
    }

    #[test]
    fn a_probe_longer_than_the_interval_delays_the_next() {
        let mut one = health(check(1, 3, HealthStart::Probe));
        one.begin(0, &mut Rng::from_seed(1));
        one.end(GOOD, 60_000);
        assert_eq!(one.due_ms(), Some(60_000));
    }

    #[test]
    fn a_timeout_noticed_too_late_is_not_the_endpoints() {
        let mut one = health(check(1, 1, HealthStart::Healthy));
        let timeout = ProbeOutcome::Failed(ProbeFailure::Timeout);
        one.begin(0, &mut Rng::from_seed(1));
        assert_eq!(
            one.end(timeout, 6_000),
            None,
            "the process was stopped for seconds"
        );
        one.begin(9_000, &mut Rng::from_seed(1));
        assert!(one.end(timeout, 10_010).is_some());

        let mut restarted = health(check(1, 1, HealthStart::Healthy));
        restarted.begin(0, &mut Rng::from_seed(1));
        restarted.restart(5_000);
        assert!(restarted.end(timeout, 6_010).is_some(), "it had its time");
    }

    #[test]
    fn hc13_a_recovered_endpoint_ramps_anew_and_a_dropped_check_has_no_say() {
        let mut one = health(check(1, 1, HealthStart::Probe));
        probe(&mut one, GOOD);
        probe(&mut one, BAD);
        let before = one.state.added_at_ms();
        probe(&mut one, GOOD);
        assert!(one.state.added_at_ms() > before);
        probe(&mut one, BAD);
        let state = Arc::clone(&one.state);
        assert!(!state.is_available());
        drop(one);
        assert!(state.is_available());
    }

    proptest! {
        /// Thresholds are exact: against a model that only looks at the last outcomes.
        #[test]
        fn hc03_a_verdict_changes_exactly_at_its_threshold(
            up in 1u32..5, down in 1u32..5, outcomes in proptest::collection::vec(any::<bool>(), 1..200),
        ) {
            let mut one = health(check(up, down, HealthStart::Probe));
            let mut expected: Option<bool> = None;
            let mut last_ms = 0;
            for end in 1..=outcomes.len() {
                let so_far = &outcomes[..end];
                let is_good = so_far[end - 1];
                let run = so_far.iter().rev().take_while(|outcome| **outcome == is_good).count() as u32;
                let before = expected;
                match expected {
                    None => expected = Some(is_good),
                    // A run only counts from the last change of verdict, which began with the other outcome or this one.
                    Some(healthy) if healthy != is_good => {
                        if run >= if is_good { up } else { down } {
                            expected = Some(is_good);
                        }
                    }
                    Some(_) => {}
                }
                let due_ms = one.due_ms().expect("no probe is under way");
                prop_assert!(due_ms >= last_ms, "time goes on");
                last_ms = due_ms;
                let change = probe(&mut one, if is_good { GOOD } else { BAD });
                prop_assert_eq!(change.is_some(), before != expected);
                prop_assert_eq!(one.verdict() == Verdict::Healthy, expected == Some(true));
                prop_assert_eq!(one.state.is_available(), expected == Some(true));
            }
        }

        #[test]
        fn hc01_the_next_probe_is_due_within_the_jitter(
            interval_ms in 1u64..100_000, jitter in 0u64..=100, now_ms in 0u64..1 << 40, seed in any::<u64>(),
        ) {
            let mut rng = Rng::from_seed(seed);
            let mut one = health(ActiveCheck {
                interval: Period::clamped(Duration::from_millis(interval_ms)),
                interval_jitter: Percent::new(jitter).expect("a percentage"),
                ..ActiveCheck::default()
            });
            one.begin(now_ms, &mut rng);
            one.end(GOOD, now_ms);
            let next = one.due_ms().expect("it has ended") - now_ms;
            let stray = interval_ms * jitter / 100;
            prop_assert!((interval_ms - stray..=interval_ms + stray).contains(&next));
        }
    }
}
