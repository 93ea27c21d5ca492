//! Which endpoints are probed, how and when: one checkup per address and check as it applies there, whatever number of
//! backends, rules and workers asks for it (row HC19).
//!
//! Pure: one thread owns it, asks what is due, does the probing and tells how it went.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use weir_model::{ActiveCheck, Endpoint, EndpointAddress, EndpointProbe, Probe, TcpProbe};

use crate::change::{Change, ProbeFailure};
use crate::endpoint::{EndpointState, Unavailable};
use crate::health::{Arrival, Health, ProbeOutcome, Verdict};
use crate::rng::Rng;
use crate::seat::Seat;

/// Failures of a checkup that are remembered (row HC17).
const FAILURES_KEPT: usize = 5;
/// Weight of the newest probe in the mean time, one in this many.
const MEAN_WEIGHT: u64 = 8;

/// Names a checkup; never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CheckupId(u64);

/// A probe to be made now.
#[derive(Clone, Debug)]
pub struct Assignment {
    /// Whose it is; for [`Checkups::end`].
    pub id: CheckupId,
    /// Where to connect to.
    pub target: EndpointAddress,
    /// What to do there, with nothing left to default: an HTTP probe has its host.
    pub check: Arc<ActiveCheck>,
}

/// What is known from a checkup (row HC17).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckupReport {
    /// The endpoint.
    pub address: EndpointAddress,
    /// What the probes have come to.
    pub verdict: Verdict,
    /// When the last probe ended, milliseconds; `None` before the first.
    pub last_ended_ms: Option<u64>,
    /// Mean time of the last probes that were answered, milliseconds.
    pub mean_ms: Option<u64>,
    /// Probes that were good.
    pub good: u64,
    /// Probes that were not.
    pub failed: u64,
    /// The last failures and when they were, milliseconds, the newest last.
    pub failures: Vec<(u64, ProbeFailure)>,
}

/// All checkups.
#[derive(Debug, Default)]
pub struct Checkups {
    checkups: HashMap<CheckupId, Checkup>,
    by_address: HashMap<EndpointAddress, Vec<CheckupId>>,
    /// Due times of those that are not being probed; those that nobody asks for any more are passed over.
    queue: BinaryHeap<Reverse<(u64, CheckupId)>>,
    last_id: u64,
}

#[derive(Debug)]
struct Checkup {
    address: EndpointAddress,
    target: EndpointAddress,
    state: Arc<EndpointState>,
    health: Health,
    /// How many times it was asked for.
    listings: u32,
    begun_ms: u64,
    last_ended_ms: Option<u64>,
    /// In 256ths of a millisecond.
    mean: Option<u64>,
    good: u64,
    failed: u64,
    failures: VecDeque<(u64, ProbeFailure)>,
}

impl Checkups {
    /// Asks for `check` at `endpoint`, whose state is `state`. Each call is paired with one of [`Checkups::delist`].
    /// Gives the seat that the backend's balancers are to heed; `None` when the endpoint is not to be probed.
    pub fn enlist(
        &mut self,
        endpoint: &Endpoint,
        state: &Arc<EndpointState>,
        check: &Arc<ActiveCheck>,
        arrival: Arrival,
        now_ms: u64,
        rng: &mut Rng,
    ) -> Option<(CheckupId, Option<Seat>)> {
        let (target, check) = as_applied(check, endpoint)?;
        let same = self.by_address.get(&endpoint.address).and_then(|ids| {
            ids.iter().copied().find(|id| {
                self.checkups.get(id).is_some_and(|known| {
                    known.target == target
                        && **known.health.check() == *check
                        && Arc::ptr_eq(&known.state, state)
                })
            })
        });
        if let Some(known) = same.and_then(|id| self.checkups.get_mut(&id)) {
            known.listings += 1;
            return same.map(|id| (id, known.health.seat()));
        }
        self.last_id += 1;
        let id = CheckupId(self.last_id);
        let health = Health::new(check, Arc::clone(state), arrival, now_ms, rng);
        let seat = health.seat();
        self.queue
            .extend(health.due_ms().map(|due_ms| Reverse((due_ms, id))));
        self.by_address
            .entry(endpoint.address.clone())
            .or_default()
            .push(id);
        let checkup = Checkup {
            address: endpoint.address.clone(),
            target,
            state: Arc::clone(state),
            health,
            listings: 1,
            begun_ms: 0,
            last_ended_ms: None,
            mean: None,
            good: 0,
            failed: 0,
            failures: VecDeque::new(),
        };
        self.checkups.insert(id, checkup);
        Some((id, seat))
    }

    /// Takes one asking back. When nobody asks any more, the checkup is gone with all that it has said.
    pub fn delist(&mut self, id: CheckupId) {
        let Some(checkup) = self.checkups.get_mut(&id) else {
            return;
        };
        checkup.listings -= 1;
        if checkup.listings > 0 {
            return;
        }
        if let Some(checkup) = self.checkups.remove(&id)
            && let Some(ids) = self.by_address.get_mut(&checkup.address)
        {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.by_address.remove(&checkup.address);
            }
        }
    }

    /// When the next probe is due, milliseconds; `None` when none is.
    pub fn due_ms(&mut self) -> Option<u64> {
        while let Some(Reverse((due_ms, id))) = self.queue.peek() {
            if self.checkups.contains_key(id) {
                return Some(*due_ms);
            }
            self.queue.pop();
        }
        None
    }

    /// Begins the next probe that is due at `now_ms`. Endpoints that a person has disabled are passed over.
    pub fn begin(&mut self, now_ms: u64, rng: &mut Rng) -> Option<Assignment> {
        while self.due_ms()? <= now_ms {
            let Reverse((_, id)) = self.queue.pop()?;
            let checkup = self.checkups.get_mut(&id)?;
            checkup.health.begin(now_ms, rng);
            if !checkup.state.holds(Unavailable::Disabled) {
                checkup.begun_ms = now_ms;
                return Some(Assignment {
                    id,
                    target: checkup.target.clone(),
                    check: Arc::clone(checkup.health.check()),
                });
            }
            checkup.health.give_up();
            self.queue
                .extend(checkup.health.due_ms().map(|due_ms| Reverse((due_ms, id))));
        }
        None
    }

    /// The probe of `id` has ended. Says which endpoint that changed and how; nothing when nobody asks any more.
    pub fn end(
        &mut self,
        id: CheckupId,
        outcome: ProbeOutcome,
        now_ms: u64,
    ) -> Option<(EndpointAddress, Change)> {
        let checkup = self.checkups.get_mut(&id)?;
        checkup.count(outcome, now_ms);
        let change = checkup.health.end(outcome, now_ms);
        self.queue
            .extend(checkup.health.due_ms().map(|due_ms| Reverse((due_ms, id))));
        change.map(|change| (checkup.address.clone(), change))
    }

    /// An endpoint asked in an answer to be taken out until its probes are good again. All its checkups do that.
    pub fn fail_at_once(&mut self, address: &EndpointAddress) -> Option<Change> {
        let ids = self.by_address.get(address)?;
        let mut change = None;
        for id in ids {
            if let Some(checkup) = self.checkups.get_mut(id) {
                change = checkup.health.fail_at_once().or(change);
            }
        }
        change
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.checkups.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.checkups.is_empty()
    }

    /// What the checkup of `id` has come to; `None` when nobody asks for it any more.
    pub fn report(&self, id: CheckupId) -> Option<CheckupReport> {
        self.checkups.get(&id).map(Checkup::report)
    }
}

impl Checkup {
    fn count(&mut self, outcome: ProbeOutcome, now_ms: u64) {
        self.last_ended_ms = Some(now_ms);
        let failure = match outcome {
            ProbeOutcome::Good => None,
            ProbeOutcome::Failed(failure) => Some(failure),
            ProbeOutcome::Refuted(status) => Some(ProbeFailure::Status(status)),
            ProbeOutcome::Withdrawn => Some(ProbeFailure::Content),
        };
        match failure {
            None => self.good += 1,
            Some(failure) => {
                self.failed += 1;
                if self.failures.len() == FAILURES_KEPT {
                    self.failures.pop_front();
                }
                self.failures.push_back((now_ms, failure));
            }
        }
        let is_answered = matches!(
            failure,
            None | Some(ProbeFailure::Status(_) | ProbeFailure::Content)
        );
        if is_answered {
            let took = now_ms.saturating_sub(self.begun_ms).saturating_mul(256);
            self.mean = Some(match self.mean {
                None => took,
                Some(mean) => mean - mean / MEAN_WEIGHT + took / MEAN_WEIGHT,
            });
        }
    }

    fn report(&self) -> CheckupReport {
        CheckupReport {
            address: self.address.clone(),
            verdict: self.health.verdict(),
            last_ended_ms: self.last_ended_ms,
            mean_ms: self.mean.map(|mean| (mean + 128) / 256),
            good: self.good,
            failed: self.failed,
            failures: self.failures.iter().copied().collect(),
        }
    }
}

/// Where and what to probe, with everything that the endpoint has of its own filled in; `None` when it is not to be
/// probed (rows HC05, HC07).
fn as_applied(check: &Arc<ActiveCheck>, endpoint: &Endpoint) -> Option<(EndpointAddress, Arc<ActiveCheck>)> {
    let traits = endpoint.traits.as_deref();
    let target = match (&endpoint.address, check.port) {
        (EndpointAddress::Tcp(address), Some(port)) => {
            EndpointAddress::Tcp(SocketAddr::new(address.ip(), port.number()))
        }
        (address, _) => address.clone(),
    };
    let Probe::Http(probe) = &check.probe else {
        let is_off = traits.is_some_and(|traits| traits.probe == EndpointProbe::Off);
        return (!is_off).then(|| (target, Arc::clone(check)));
    };
    let mut probe = probe.clone();
    match traits.map(|traits| &traits.probe) {
        None | Some(EndpointProbe::AsBackend) => {}
        Some(EndpointProbe::Path(path)) => probe.path = Arc::clone(path),
        Some(EndpointProbe::Connect) => {
            let check = ActiveCheck {
                probe: Probe::Tcp(TcpProbe::default()),
                ..ActiveCheck::clone(check)
            };
            return Some((target, Arc::new(check)));
        }
        Some(EndpointProbe::Off) => return None,
    }
    let own_host = traits.and_then(|traits| traits.host.clone());
    let host = probe.host.take().or(own_host).unwrap_or_else(|| match &target {
        EndpointAddress::Tcp(address) => address.to_string().into(),
        // A socket's path is no host (RFC 9110 7.2).
        EndpointAddress::Unix(_) => "localhost".into(),
    });
    probe.host = Some(host);
    let check = ActiveCheck {
        probe: Probe::Http(probe),
        ..ActiveCheck::clone(check)
    };
    Some((target, Arc::new(check)))
}

#[cfg(test)]
mod tests {
    use weir_model::{EndpointTraits, HttpProbe, Port};

    use super::*;
    use crate::change::HealthyCause;

    fn endpoint(number: u8, traits: Option<EndpointTraits>) -> Endpoint {
        let address = EndpointAddress::Tcp(SocketAddr::from(([10, 0, 0, number], 8080)));
        Endpoint {
            traits: traits.map(Arc::new),
            ..Endpoint::new(address)
        }
    }

    fn state() -> Arc<EndpointState> {
        Arc::new(EndpointState::new(0))
    }

    /// Lets time go on from 0 to `end_ms`, each probe answered after 5 ms; says how many there were.
    fn run(checkups: &mut Checkups, rng: &mut Rng, end_ms: u64) -> u64 {
        let (mut now_ms, mut probes) = (0, 0);
        let mut under_way: VecDeque<(u64, CheckupId)> = VecDeque::new();
        loop {
            while let Some(one) = checkups.begin(now_ms, rng) {
                probes += 1;
                under_way.push_back((now_ms + 5, one.id));
            }
            let next = [checkups.due_ms(), under_way.front().map(|(end_ms, _)| *end_ms)];
            let Some(next_ms) = next.into_iter().flatten().min().filter(|next| *next < end_ms) else {
                return probes;
            };
            assert!(next_ms >= now_ms, "time goes on");
            now_ms = next_ms;
            while let Some((_, id)) = under_way.pop_front_if(|(end_ms, _)| *end_ms <= now_ms) {
                checkups.end(id, ProbeOutcome::Good, now_ms);
            }
        }
    }

    #[test]
    fn hc19_probes_are_made_once_per_endpoint_whatever_number_of_routes() {
        let (mut checkups, mut rng) = (Checkups::default(), Rng::from_seed(1));
        let endpoints: Vec<_> = (0..200).map(|number| (endpoint(number, None), state())).collect();
        let mut ids = Vec::new();
        for _route in 0..500 {
            // Every route has a value of its own that is equal to the others'.
            let check = Arc::new(ActiveCheck::default());
            for (endpoint, state) in &endpoints {
                let listed = checkups.enlist(endpoint, state, &check, Arrival::New, 0, &mut rng);
                ids.push(listed.expect("it is probed").0);
            }
        }
        assert_eq!(checkups.len(), 200);
        // 300 s at 3 s each, and the first at once.
        let probes = run(&mut checkups, &mut rng, 300_000);
        assert!((19_800..=20_400).contains(&probes), "{probes}");
        ids.into_iter().for_each(|id| checkups.delist(id));
        assert!(checkups.is_empty() && checkups.by_address.is_empty());
        assert_eq!(checkups.due_ms(), None);
    }

    #[test]
    fn hc19_different_checks_of_one_address_are_judged_apart() {
        let (mut checkups, mut rng) = (Checkups::default(), Rng::from_seed(1));
        let (one, state) = (endpoint(1, None), state());
        let other = EndpointTraits {
            probe: EndpointProbe::Path("/other".into()),
            ..EndpointTraits::default()
        };
        let check = Arc::new(ActiveCheck::default());
        let mut list = |checkups: &mut Checkups, endpoint: &Endpoint| {
            checkups
                .enlist(endpoint, &state, &check, Arrival::New, 0, &mut rng)
                .expect("it is probed")
        };
        let first = list(&mut checkups, &one);
        assert_ne!(list(&mut checkups, &endpoint(1, Some(other))), first);
        assert_eq!(list(&mut checkups, &one), first);
        checkups.delist(first.0);
        assert_eq!(checkups.len(), 2, "it was asked for twice");
        // The address has come back as another endpoint.
        let again = checkups.enlist(&one, &self::state(), &check, Arrival::New, 0, &mut rng);
        assert_ne!(again.map(|(id, _)| id), Some(first.0));
        checkups.delist(first.0);
        assert_eq!(checkups.len(), 2);
    }

    #[test]
    fn hc05_hc07_where_and_what_to_probe() {
        let http = |path: &str, host: Option<&str>| HttpProbe {
            path: path.into(),
            host: host.map(Arc::from),
            ..HttpProbe::default()
        };
        let with = |probe: EndpointProbe, host: Option<&str>| {
            Some(EndpointTraits {
                probe,
                host: host.map(Arc::from),
                ..EndpointTraits::default()
            })
        };
        let check = |probe: Probe, port: Option<u64>| ActiveCheck {
            probe,
            port: port.and_then(Port::new),
            ..ActiveCheck::default()
        };
        let tcp = Probe::Tcp(TcpProbe::default());
        let plain = Probe::Http(http("/health", None));
        for (name, check, traits, expected) in [
            (
                "as written",
                check(plain.clone(), None),
                None,
                Some((8080, Probe::Http(http("/health", Some("10.0.0.1:8080"))))),
            ),
            (
                "port",
                check(plain.clone(), Some(8081)),
                None,
                Some((8081, Probe::Http(http("/health", Some("10.0.0.1:8081"))))),
            ),
            (
                "the policy's host wins",
                check(Probe::Http(http("/", Some("policy"))), None),
                with(EndpointProbe::AsBackend, Some("own")),
                Some((8080, Probe::Http(http("/", Some("policy"))))),
            ),
            (
                "own host and path",
                check(plain.clone(), None),
                with(EndpointProbe::Path("/own".into()), Some("own")),
                Some((8080, Probe::Http(http("/own", Some("own"))))),
            ),
            (
                "connect",
                check(plain.clone(), None),
                with(EndpointProbe::Connect, None),
                Some((8080, tcp.clone())),
            ),
            ("off", check(plain, None), with(EndpointProbe::Off, None), None),
            (
                "TCP",
                check(tcp.clone(), Some(9)),
                with(EndpointProbe::Path("/own".into()), None),
                Some((9, tcp.clone())),
            ),
            ("TCP off", check(tcp, None), with(EndpointProbe::Off, None), None),
        ] {
            let applied = as_applied(&Arc::new(check), &endpoint(1, traits));
            let found = applied.map(|(target, check)| match target {
                EndpointAddress::Tcp(address) => (address.port(), check.probe.clone()),
                EndpointAddress::Unix(path) => panic!("{path}"),
            });
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn hc17_a_checkup_remembers_what_it_saw() {
        let (mut checkups, mut rng) = (Checkups::default(), Rng::from_seed(1));
        let check = Arc::new(ActiveCheck::default());
        let (id, _) = checkups
            .enlist(&endpoint(1, None), &state(), &check, Arrival::New, 0, &mut rng)
            .expect("it is probed");
        let mut probe = |outcome, took_ms| {
            let now_ms = checkups.due_ms().expect("one is due");
            assert!(checkups.begin(now_ms - 1, &mut rng).is_none());
            assert_eq!(checkups.begin(now_ms, &mut rng).map(|one| one.id), Some(id));
            assert_eq!(checkups.due_ms(), None, "one at a time");
            let change = checkups.end(id, outcome, now_ms + took_ms);
            (
                change.map(|(_, change)| change),
                now_ms + took_ms,
                checkups.report(id),
            )
        };
        assert_eq!(
            probe(ProbeOutcome::Good, 8).0,
            Some(Change::Healthy(HealthyCause::FirstProbe))
        );
        probe(ProbeOutcome::Good, 16);
        let mut times = Vec::new();
        for _ in 0..7 {
            times.push(probe(ProbeOutcome::Failed(ProbeFailure::Timeout), 1_000).1);
        }
        let (_, last_ms, report) = probe(ProbeOutcome::Refuted(500), 9);
        times.push(last_ms);
        let report = report.expect("it is asked for");
        assert_eq!((report.good, report.failed), (2, 8));
        assert_eq!(
            (report.last_ended_ms, report.mean_ms),
            (Some(last_ms), Some(9)),
            "timeouts do not count"
        );
        let kept: Vec<u64> = report.failures.iter().map(|(at_ms, _)| *at_ms).collect();
        assert_eq!(kept, times[3..]);
        assert_eq!(
            report.failures.last().map(|(_, failure)| *failure),
            Some(ProbeFailure::Status(500))
        );
        assert_eq!(report.verdict, Verdict::Unhealthy);
    }

    #[test]
    fn hc18_a_disabled_endpoint_is_not_probed() {
        let (mut checkups, mut rng) = (Checkups::default(), Rng::from_seed(1));
        let (check, state) = (Arc::new(ActiveCheck::default()), state());
        checkups.enlist(&endpoint(1, None), &state, &check, Arrival::New, 0, &mut rng);
        state.raise(Unavailable::Disabled);
        assert_eq!(run(&mut checkups, &mut rng, 60_000), 0);
        state.clear(Unavailable::Disabled);
        let due_ms = checkups.due_ms().expect("one is due");
        assert!(due_ms >= 57_000 && checkups.begin(due_ms, &mut rng).is_some());
    }

    #[test]
    fn a_probe_that_ends_after_nobody_asks_changes_nothing() {
        let (mut checkups, mut rng) = (Checkups::default(), Rng::from_seed(1));
        let (check, state) = (Arc::new(ActiveCheck::default()), state());
        let (id, _) = checkups
            .enlist(&endpoint(1, None), &state, &check, Arrival::New, 0, &mut rng)
            .expect("it is probed");
        let due_ms = checkups.due_ms().expect("one is due");
        checkups.begin(due_ms, &mut rng);
        checkups.delist(id);
        checkups.delist(id);
        let refused = ProbeOutcome::Failed(ProbeFailure::Refused);
        assert_eq!(checkups.end(id, refused, due_ms + 1), None);
        assert!(state.is_available() && checkups.report(id).is_none());
    }

    #[test]
    fn what_an_answer_asks_for_all_checkups_do() {
        let (mut checkups, mut rng) = (Checkups::default(), Rng::from_seed(1));
        let (check, state) = (Arc::new(ActiveCheck::default()), state());
        let one = endpoint(1, None);
        checkups.enlist(&one, &state, &check, Arrival::Serving, 0, &mut rng);
        assert!(checkups.fail_at_once(&one.address).is_some());
        assert!(checkups.fail_at_once(&one.address).is_none());
        assert!(!state.is_available());
    }
}
