//! The plan of a balancer's tiers ([`crate::plan`]), kept up to date.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use crate::ready::Ready;
use crate::seat::Watch;
use crate::tier_shares::TierShares;
use crate::tiers::{Availability, CandidateSpec};

/// The plan, made anew when something about an endpoint has changed. Reading it costs a pick one word that all workers
/// have in their caches.
#[derive(Debug)]
pub(crate) struct Candidates {
    watch: Arc<Watch>,
    shares: TierShares,
    usable_total: AtomicU64,
    pending: AtomicU32,
}

impl Candidates {
    pub(crate) fn new(spec: CandidateSpec, tiers: usize) -> Self {
        Self {
            watch: Arc::new(Watch::new()),
            shares: TierShares::new(spec, tiers),
            usable_total: AtomicU64::new(0),
            pending: AtomicU32::new(0),
        }
    }

    pub(crate) fn watch(&self) -> &Arc<Watch> {
        &self.watch
    }

    /// Whether [`Candidates::refresh`] has something to do.
    #[inline]
    pub(crate) fn is_due(&self, now_ms: u64) -> bool {
        self.watch.is_stale() || self.shares.is_due(now_ms)
    }

    /// Makes the plan anew. When another worker is just doing that, the present plan serves a moment longer.
    #[cold]
    pub(crate) fn refresh<'r>(&self, tiers: impl Iterator<Item = &'r Ready> + Clone, now_ms: u64) {
        self.shares.refresh(
            now_ms,
            || {
                self.watch.look();
                tiers.clone().map(Ready::availability).collect()
            },
            |found, plans| {
                for (plan, ready) in plans.iter().zip(tiers.clone()) {
                    ready.set_panic(plan.panics);
                }
                let sum = found
                    .iter()
                    .fold(Availability::default(), |sum, tier| sum.plus(*tier));
                let packed = u64::from(sum.usable) << 32 | u64::from(sum.total);
                self.usable_total.store(packed, Relaxed);
                self.pending.store(sum.pending, Relaxed);
            },
        );
    }

    /// All tiers together, as of the last refresh.
    pub(crate) fn availability(&self) -> Availability {
        let packed = self.usable_total.load(Relaxed);
        Availability {
            usable: (packed >> 32) as u32,
            total: packed as u32,
            pending: self.pending.load(Relaxed),
        }
    }

    /// The tier that `drawn`, 0 to 99, falls to.
    #[inline]
    pub(crate) fn tier(&self, drawn: u32) -> usize {
        self.shares.tier(drawn)
    }

    /// What has been credited so far goes on in the balancer that replaces this one.
    pub(crate) fn inherit(&self, before: &Self) {
        self.shares.inherit(&before.shares);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use weir_model::{Algorithm, Failover, LeastRequest, Percent, Tier};

    use super::*;
    use crate::world::{World, members, spec};
    use crate::{Balancer, Judgement, Member, NoPick, Seat, Unavailable};

    fn rules(panic: u64, failback_s: u64) -> CandidateSpec {
        CandidateSpec {
            panic_threshold: Percent::new(panic).expect("a percentage"),
            failover: Failover {
                failback_delay: Duration::from_secs(failback_s),
                ..Failover::default()
            },
        }
    }

    /// Members of these tiers, each judged by a check of this balancer's.
    fn judged(tiers: &[u64]) -> (Vec<Member>, Vec<Seat>) {
        let members = members(&vec![1; tiers.len()]);
        let seat = |member: &Member| member.state.take_seat().expect("a seat");
        let seats: Vec<Seat> = members.iter().map(seat).collect();
        let heeding = |((mut member, seat), tier): ((Member, &Seat), &u64)| {
            member.endpoint.tier = Tier::new(*tier).expect("a tier");
            member.heeding(*seat)
        };
        (
            members.into_iter().zip(&seats).zip(tiers).map(heeding).collect(),
            seats,
        )
    }

    fn judge(balancer: &Balancer, seats: &[Seat], indexes: &[usize], judgement: Judgement) {
        for index in indexes {
            balancer.members()[*index].state.judge(seats[*index], judgement);
        }
    }

    fn balancer(tiers: &[u64], rules: CandidateSpec) -> (Balancer, Vec<Seat>) {
        let (members, seats) = judged(tiers);
        (
            Balancer::with_candidates(&spec(Algorithm::RoundRobin), rules, members),
            seats,
        )
    }

    #[test]
    fn lb24_what_one_balancers_check_says_is_nothing_to_another() {
        let (members, seats) = judged(&[0; 2]);
        let one = Balancer::new(&spec(Algorithm::RoundRobin), members.clone());
        let stranger = |member: &Member| Member::new(member.endpoint.clone(), Arc::clone(&member.state));
        let other = Balancer::new(
            &spec(Algorithm::RoundRobin),
            members.iter().map(stranger).collect(),
        );
        let mut world = World::new(1);
        judge(&one, &seats, &[0], Judgement::Bad);
        assert_eq!(world.counts(&one, 100), [0, 100]);
        assert_eq!(world.counts(&other, 100), [50, 50]);
        members[1].state.raise(Unavailable::Draining);
        assert_eq!(world.counts(&other, 100), [100, 0]);
        assert_eq!(world.try_pick(&one, None), Err(NoPick::Unavailable));
        members[0].state.give_seat_back(seats[0]);
        assert_eq!(world.counts(&one, 100), [100, 0]);
    }

    #[test]
    fn lb25_below_the_threshold_all_are_used_but_those_that_a_person_took_out() {
        for (panic, expected) in [(50, [true, true, true, false]), (0, [true, false, false, false])] {
            let (balancer, seats) = balancer(&[0; 4], rules(panic, 0));
            let mut world = World::new(1);
            judge(&balancer, &seats, &[1, 2], Judgement::Bad);
            balancer.members()[3].state.raise(Unavailable::Disabled);
            let seen = world
                .counts(&balancer, 300)
                .iter()
                .map(|count| *count > 0)
                .collect::<Vec<_>>();
            assert_eq!(seen, expected, "panic below {panic} %");
            judge(&balancer, &seats, &[1], Judgement::Good);
            assert_eq!(world.counts(&balancer, 100), [50, 50, 0, 0], "no panic any more");
            // What a person took out is no part of the total.
            let expected = Availability {
                usable: 2,
                total: 3,
                pending: 0,
            };
            assert_eq!(balancer.availability(0), expected);
        }
    }

    #[test]
    fn hc10_all_dead_is_a_spread_or_an_error_and_never_the_first_endpoint() {
        for algorithm in [
            Algorithm::RoundRobin,
            Algorithm::Random,
            Algorithm::LeastRequest(LeastRequest::default()),
        ] {
            let mut world = World::new(1);
            let (members, seats) = judged(&[0; 3]);
            let panicking =
                Balancer::with_candidates(&spec(algorithm.clone()), rules(50, 0), members.clone());
            let strict = Balancer::with_candidates(&spec(algorithm.clone()), rules(0, 0), members);
            judge(&strict, &seats, &[0, 1, 2], Judgement::Bad);
            assert!(
                world
                    .counts(&panicking, 900)
                    .iter()
                    .all(|count| (200..400).contains(count)),
                "{algorithm:?}"
            );
            assert_eq!(
                world.try_pick(&strict, None),
                Err(NoPick::Unavailable),
                "{algorithm:?}"
            );
            judge(&strict, &seats, &[2], Judgement::Good);
            assert_eq!(world.counts(&strict, 10), [0, 0, 10], "{algorithm:?}");
        }
    }

    #[test]
    fn hc02_the_unknown_are_not_picked_and_said_to_be_pending() {
        let (balancer, seats) = balancer(&[0; 3], rules(50, 0));
        let mut world = World::new(1);
        judge(&balancer, &seats, &[0, 1, 2], Judgement::Pending);
        assert_eq!(world.try_pick(&balancer, None), Err(NoPick::Pending));
        assert_eq!(
            balancer.availability(0),
            Availability {
                usable: 0,
                total: 0,
                pending: 3
            }
        );
        judge(&balancer, &seats, &[0], Judgement::Bad);
        assert_eq!(world.try_pick(&balancer, None), Err(NoPick::Pending));
        judge(&balancer, &seats, &[1], Judgement::Good);
        assert_eq!(world.counts(&balancer, 10), [0, 10, 0]);
        judge(&balancer, &seats, &[1, 2], Judgement::Bad);
        assert_eq!(world.counts(&balancer, 30), [10; 3], "all known, all dead: panic");
        let (balancer, seats) = self::balancer(&[0; 2], rules(0, 0));
        judge(&balancer, &seats, &[0, 1], Judgement::Pending);
        assert_eq!(world.try_pick(&balancer, None), Err(NoPick::Pending));
        judge(&balancer, &seats, &[0, 1], Judgement::Bad);
        assert_eq!(world.try_pick(&balancer, None), Err(NoPick::Unavailable));
    }

    #[test]
    fn nothing_is_counted_again_while_nothing_changes() {
        let candidates = Candidates::new(rules(50, 0), 0);
        assert!(candidates.is_due(0));
        candidates.refresh(std::iter::empty(), 0);
        assert!(!candidates.is_due(u64::MAX));
    }

    #[test]
    fn lb26_the_next_tier_takes_what_the_first_cannot_carry() {
        let (balancer, seats) = balancer(&[0, 0, 0, 0, 1, 1], rules(50, 0));
        let mut world = World::new(1);
        let mut second_tier = |dead: &[usize]| {
            judge(&balancer, &seats, &[0, 1, 2, 3], Judgement::Good);
            judge(&balancer, &seats, dead, Judgement::Bad);
            let counts = world.counts(&balancer, 10_000);
            assert!(dead.iter().all(|index| counts[*index] == 0), "{counts:?}");
            counts[4] + counts[5]
        };
        assert_eq!(second_tier(&[]), 0);
        assert_eq!(second_tier(&[0]), 0, "three of four carry all");
        assert!((2_800..3_200).contains(&second_tier(&[0, 1])));
        assert!((6_300..6_700).contains(&second_tier(&[0, 1, 2])));
        assert_eq!(second_tier(&[0, 1, 2, 3]), 10_000);
        // A retry goes on to the other tier when its own has nobody left.
        judge(&balancer, &seats, &[0, 1, 2, 3], Judgement::Good);
        world.tried = vec![0, 1, 2, 3];
        assert!(world.pick(&balancer) >= 4);
        world.tried = (0..6).collect();
        assert_eq!(world.try_pick(&balancer, None), Err(NoPick::AllTried));
    }

    #[test]
    fn lb26_a_key_stays_in_its_tier() {
        let (balancer, seats) = balancer(&[0, 0, 1], rules(50, 0));
        let mut world = World::new(1);
        judge(&balancer, &seats, &[0], Judgement::Bad);
        let mut second_tier = 0;
        for key in 0..2_000 {
            let first = world.pick_by(&balancer, key) == 2;
            assert!((0..5).all(|_| (world.pick_by(&balancer, key) == 2) == first));
            second_tier += u32::from(first);
        }
        assert!((520..680).contains(&second_tier), "30 %: {second_tier}");
    }

    #[test]
    fn lb27_requests_come_back_after_the_delay() {
        let (one, seats) = balancer(&[0, 1], rules(50, 60));
        let mut world = World::new(1);
        assert_eq!(world.counts(&one, 10), [10, 0]);
        judge(&one, &seats, &[0], Judgement::Bad);
        assert_eq!(world.counts(&one, 10), [0, 10]);
        judge(&one, &seats, &[0], Judgement::Good);
        assert_eq!(world.counts(&one, 10), [0, 10]);
        world.now_ms += 59_999;
        assert_eq!(world.counts(&one, 10), [0, 10]);
        // A change of endpoints in between changes nothing about that.
        let next = Balancer::with_candidates(
            &spec(Algorithm::RoundRobin),
            rules(50, 60),
            one.members().to_vec(),
        );
        next.inherit(&one);
        assert_eq!(world.counts(&next, 10), [0, 10]);
        world.now_ms += 1;
        assert_eq!(world.counts(&one, 10), [10, 0]);
        assert_eq!(world.counts(&next, 10), [10, 0]);
    }

    #[test]
    fn lb27_waiting_ends_when_there_is_nobody_else() {
        let (balancer, seats) = balancer(&[0, 1], rules(50, 60));
        let mut world = World::new(1);
        assert_eq!(world.counts(&balancer, 10), [10, 0]);
        judge(&balancer, &seats, &[0], Judgement::Bad);
        assert_eq!(world.counts(&balancer, 10), [0, 10]);
        judge(&balancer, &seats, &[0], Judgement::Good);
        assert_eq!(world.counts(&balancer, 10), [0, 10]);
        judge(&balancer, &seats, &[1], Judgement::Bad);
        assert_eq!(world.counts(&balancer, 10), [10, 0]);
        judge(&balancer, &seats, &[1], Judgement::Good);
        assert_eq!(world.counts(&balancer, 10), [10, 0], "it serves already");
        // It has been trusted, so its next recovery waits again, though the other tier's is just as young.
        judge(&balancer, &seats, &[0], Judgement::Bad);
        assert_eq!(world.counts(&balancer, 10), [0, 10]);
        judge(&balancer, &seats, &[0], Judgement::Good);
        assert_eq!(world.counts(&balancer, 10), [0, 10]);
    }

    #[test]
    fn every_change_reaches_every_balancer_whatever_thread_makes_it() {
        let (members, seats) = judged(&[0; 8]);
        let balancers: Vec<Balancer> = (0..4)
            .map(|_| Balancer::with_candidates(&spec(Algorithm::Random), rules(50, 0), members.clone()))
            .collect();
        std::thread::scope(|scope| {
            for (member, seat) in members.iter().zip(&seats) {
                scope.spawn(|| {
                    for _ in 0..500 {
                        member.state.judge(*seat, Judgement::Bad);
                        member.state.judge(*seat, Judgement::Good);
                    }
                    member.state.judge(*seat, Judgement::Bad);
                });
            }
            for balancer in &balancers {
                scope.spawn(move || {
                    let mut world = World::new(1);
                    for _ in 0..20_000 {
                        let _ = world.try_pick(balancer, None);
                    }
                });
            }
        });
        for balancer in &balancers {
            let expected = Availability {
                usable: 0,
                total: 8,
                pending: 0,
            };
            assert_eq!(balancer.availability(0), expected);
            assert!(
                World::new(1).counts(balancer, 800).iter().all(|count| *count > 0),
                "panic"
            );
        }
    }
}
