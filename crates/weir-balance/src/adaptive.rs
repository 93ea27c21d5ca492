//! Adaptive (row BX01): the endpoint that is quickest to answer for its load, and not the one that is quickest to fail.
//!
//! # The score
//!
//! `cost = quality x (requests in flight x mean weight / weight + 1)`, the least of a few candidates wins, and
//! `quality = latency x price of failures`, from what [`crate::answer`] keeps per endpoint:
//!
//! * **latency**: mean time to the response's head, of good answers only; each moves the mean by 1/32 to 1/8,
//!   depending on how much of the last second it stands for. While an answer is awaited and none comes, the silence counts
//!   instead as soon as it is longer: an endpoint that hangs is dear before any timeout.
//! * **price of failures**: `1 + 8 f / (1 - f)` for a failure rate `f`, at most 64: in proportion to what is left
//!   of the answers, so that an endpoint that fails always is far worse than a slow one, and errors that all
//!   endpoints have alike cancel out. A quick failure never counts as a quick answer.
//! * **requests in flight**: exact, shared by all workers.
//!
//! Endpoints whose quality is within a factor of 2 of the best candidate's count as equal, and then only requests in
//! flight decide. Without that dead band the noise of the means steers: equal endpoints take turns at being
//! flooded. With it, equal endpoints get what least request gives them.
//!
//! An endpoint that gets no tries gives no news. What speaks against it is halved about every 2 s, but only until
//! it is within the dead band again (or six times, 12 s), and only while no try is under way there: that one try finds
//! out. If it goes badly, what was known before is restored at once; if well, the endpoint is back, with what time
//! has made of its record. An endpoint that is new counts as quick as the quickest candidate.
//!
//! # The candidates
//!
//! All of up to 8 endpoints, four different ones of more (three, when they are drawn by weight). Two draws, as least request takes, are not enough: of ten
//! endpoints with two bad ones, one pair in 45 is both bad, and 2 % of the requests are more than a p99 hides. Three leave
//! the only good one among them alone with what it has in flight: p99.9 is 104 ms then, with four 17 ms (fixed service). With
//! unequal weights candidates are drawn by weight, so that idle endpoints are served by weight.
//!
//! # Why these signals
//!
//! Latency times requests in flight is the cost of Finagle and Linkerd (peak EWMA); preferring few in flight among
//! endpoints that are not slow, instead of a product everywhere, is the hot-cold rule of Prequal (NSDI 2024). The
//! figures below are from `tests/simulation`, ten backends with four servers, exponential service of 10 ms, 60 %
//! load, p99 in ms:
//!
//! | | least request | peak EWMA | adaptive |
//! |---|---|---|---|
//! | all equal | 45.9 | 46.1 | 45.9 |
//! | all equal, 85 % load | 48.7 | 48.9 | 47.1 |
//! | one ten times slower | 115 | 48.0 | 45.9 |
//! | one ten times slower, one answers 503 at once | 120 | 1,368 | 46.2 |
//! | tries that go to the one with 503 | 18.8 % | 0.45 % | 0.04 % |
//! | half of them three times slower, 45 % load | 114 | 98 | 80 |

use std::hint::select_unpredictable;

use crate::answer::Standing;
use crate::pick::Pick;
use crate::random::Draw;
use crate::ready::{DRAWS, Ready};

/// Up to this many endpoints, all of them are compared.
const ALL_MAX: usize = 8;
/// How many are compared when there are more.
const CHOICES: usize = 4;
/// How many when they are drawn by weight, which costs more.
const DRAWN_CHOICES: usize = 3;
/// Endpoints that differ by no more than this factor count as equally quick.
const SAME_WITHIN: u64 = 2;
/// An endpoint without news is tried again after that many halvings at the latest, however bad it was.
const EASED_ENOUGH: u32 = 6;
/// One request in flight at an endpoint of mean weight.
const LOAD_ONE: u64 = 16;
/// No load counts for more than that: costs then fit 54 bits, and eight bits are left to break ties.
const LOAD_MAX: u64 = 1 << 16;

/// How adaptive draws and weighs its candidates.
#[derive(Debug)]
pub(crate) struct Adaptive {
    draw: Draw,
    /// What one request in flight counts for, by position: the mean weight over its own, in [`LOAD_ONE`]ths. Empty when all
    /// weights are equal.
    scales: Box<[u16]>,
}

impl Adaptive {
    /// `weights` are greater than 0.
    pub(crate) fn new(weights: &[u32]) -> Self {
        let equal = weights.windows(2).all(|pair| pair[0] == pair[1]);
        let sum: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
        let scale = |weight: &u32| {
            let scale = sum * LOAD_ONE / (u64::from(*weight).max(1) * weights.len() as u64);
            scale.clamp(1, u64::from(u16::MAX)) as u16
        };
        Self {
            draw: Draw::new(weights),
            scales: if equal {
                Box::default()
            } else {
                weights.iter().map(scale).collect()
            },
        }
    }

    /// A usable position.
    #[inline]
    pub(crate) fn pick(&self, ready: &Ready, pick: &mut Pick<'_>) -> Option<u32> {
        let seed = pick.rng.next_u64();
        let cheapest = if ready.len() as usize <= ALL_MAX {
            let all: [u32; ALL_MAX] = std::array::from_fn(|position| position as u32);
            if self.scales.is_empty() {
                self.cheapest::<ALL_MAX, false>(all, None, ready, pick, seed)
            } else {
                let drawn = (0..CHOICES).fold(0, |drawn, _| drawn | 1 << self.draw.draw(pick.rng));
                self.cheapest::<ALL_MAX, true>(all, Some(drawn), ready, pick, seed)
            }
        } else if self.scales.is_empty() {
            self.cheapest_of_many::<CHOICES, false>(spread(seed, ready.len()), ready, pick, seed)
        } else {
            let drawn: [u32; DRAWN_CHOICES] = std::array::from_fn(|_| self.draw.draw(pick.rng));
            self.cheapest_of_many::<DRAWN_CHOICES, true>(drawn, ready, pick, seed)
        };
        cheapest.or_else(|| self.any(ready, pick))
    }

    /// [`Self::cheapest`] among few of many. Mostly nothing speaks against any of them and there is recent news of all: then
    /// much less is to be judged. All are read before any is judged, so that their cache misses are waited for together.
    #[inline(always)]
    fn cheapest_of_many<const N: usize, const WEIGHTED: bool>(
        &self,
        positions: [u32; N],
        ready: &Ready,
        pick: &Pick<'_>,
        seed: u64,
    ) -> Option<u32> {
        let mut is_ordinary = pick.tried.is_empty();
        let mut best = u64::MAX;
        let qualities = positions.map(|position| {
            let brief = ready.brief(position, pick.now_ms);
            let quality = u64::from(brief.latency) * u64::from(brief.price);
            is_ordinary &= brief.is_ordinary;
            best = best.min(quality);
            (quality, brief.in_flight)
        });
        // Somebody of quality 0 has not answered yet.
        if !is_ordinary || best == 0 {
            return self.cheapest_of_any_kind::<N, WEIGHTED>(positions, ready, pick, seed);
        }
        let (mut least, mut cheapest) = (u64::MAX, 0);
        for (at, ((quality, in_flight), position)) in qualities.into_iter().zip(positions).enumerate() {
            let quality = select_unpredictable(quality <= best * SAME_WITHIN, best, quality);
            let load = self.load::<WEIGHTED>(in_flight, position);
            // Draws by weight come in random order, in which the first wins.
            let tie = if WEIGHTED { 0 } else { seed >> (8 * at) & 0xff };
            let cost = (quality * load) << 8 | tie;
            cheapest = select_unpredictable(cost < least, position, cheapest);
            least = least.min(cost);
        }
        Some(cheapest)
    }

    #[inline(never)]
    fn cheapest_of_any_kind<const N: usize, const WEIGHTED: bool>(
        &self,
        positions: [u32; N],
        ready: &Ready,
        pick: &Pick<'_>,
        seed: u64,
    ) -> Option<u32> {
        self.cheapest::<N, WEIGHTED>(positions, None, ready, pick, seed)
    }

    /// What that many requests in flight make of an endpoint, in [`LOAD_ONE`]ths.
    #[inline]
    fn load<const WEIGHTED: bool>(&self, in_flight: u32, position: u32) -> u64 {
        let mut scale = LOAD_ONE;
        if WEIGHTED {
            scale = self
                .scales
                .get(position as usize)
                .map_or(scale, |own| u64::from(*own));
        }
        (LOAD_ONE + u64::from(in_flight) * scale).min(LOAD_MAX)
    }

    /// The position of least cost; of equally cheap ones a random one. Of those as quick as the best only the `preferred`
    /// count (a bit per candidate), unless none of them is. `None` when no candidate is usable.
    ///
    /// Which candidate wins is unpredictable, so this is written to be compiled without branches on it.
    #[inline(always)]
    fn cheapest<const N: usize, const WEIGHTED: bool>(
        &self,
        positions: [u32; N],
        preferred: Option<u32>,
        ready: &Ready,
        pick: &Pick<'_>,
        seed: u64,
    ) -> Option<u32> {
        let (usable, standings) = standings(positions, ready, pick, seed);
        if usable == 0 {
            return None;
        }
        // Who has not answered yet counts as quick as the quickest; by wrapping it is never that itself.
        let latencies = standings.iter().map(|standing| standing.latency.wrapping_sub(1));
        let quickest = latencies.min().unwrap_or(0).wrapping_add(1).max(1);
        let mut qualities = [u64::MAX; N];
        let mut best = u64::MAX;
        for (at, standing) in standings.iter().enumerate() {
            let latency = select_unpredictable(standing.latency > 0, standing.latency, quickest);
            let quality = u64::from(latency) * u64::from(standing.price);
            qualities[at] = select_unpredictable(usable >> at & 1 != 0, quality, u64::MAX);
            best = best.min(qualities[at]);
        }
        // Somebody is usable, so this is far from the greatest number.
        let as_good = best * SAME_WITHIN;
        let mut quick = 0;
        for (at, standing) in standings.iter().enumerate() {
            let eased = standing.eased.min(EASED_ENOUGH);
            let is_quick = (eased == EASED_ENOUGH) | (qualities[at] >> eased <= as_good);
            quick |= u32::from(is_quick) << at;
        }
        quick &= usable;
        let mut counts = usable;
        if let Some(preferred) = preferred
            && quick & preferred != 0
        {
            counts = usable & !quick | quick & preferred;
        }
        let mut least = u64::MAX;
        let mut position = 0;
        for (at, standing) in standings.iter().enumerate() {
            let load = self.load::<WEIGHTED>(standing.in_flight, positions[at]);
            let quality = select_unpredictable(quick >> at & 1 != 0, best, qualities[at]);
            // Draws by weight come in random order, in which the first wins.
            let tie = if WEIGHTED && preferred.is_none() {
                0
            } else {
                seed >> (8 * (at % 8)) & 0xff
            };
            let cost = quality.wrapping_mul(load) << 8 | tie;
            let cost = select_unpredictable(counts >> at & 1 != 0, cost, u64::MAX);
            position = select_unpredictable(cost < least, positions[at], position);
            least = least.min(cost);
        }
        Some(position)
    }

    /// None of the candidates is usable.
    #[cold]
    fn any(&self, ready: &Ready, pick: &mut Pick<'_>) -> Option<u32> {
        (0..DRAWS)
            .map(|_| self.draw.draw(pick.rng))
            .find(|position| ready.is_usable(*position, pick.tried))
            .or_else(|| ready.next_usable(pick.rng.below(ready.len()), pick.tried))
    }
}

/// Which of these may serve, a bit each, and how those stand.
#[inline(always)]
fn standings<const N: usize>(
    positions: [u32; N],
    ready: &Ready,
    pick: &Pick<'_>,
    seed: u64,
) -> (u32, [Standing; N]) {
    let mut standings = [Standing::default(); N];
    let mut usable = 0u32;
    for (at, position) in positions.into_iter().enumerate() {
        if position < ready.len()
            && ready.is_usable(position, pick.tried)
            && ready.is_grown(position, pick.now_ms, seed)
        {
            usable |= 1 << at;
            standings[at] = ready.state(position).standing(pick.now_ms);
        }
    }
    (usable, standings)
}

/// [`CHOICES`] different positions, each position equally likely: one out of each of as many equal parts of the ring that
/// begins at a random place.
#[inline]
fn spread(seed: u64, count: u32) -> [u32; CHOICES] {
    let start = ((u128::from(seed) * u128::from(count)) >> 64) as u64;
    let count = u64::from(count);
    std::array::from_fn(|part| {
        let place = (part as u64) << 12 | seed >> (12 * part) & 0xfff;
        let position = start + ((place * count) >> 14);
        (if position < count {
            position
        } else {
            position - count
        }) as u32
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use weir_model::{Algorithm, SlowStart};

    use super::*;
    use crate::world::{World, balancer, hold, members, spec};
    use crate::{Answer, Balancer, EndpointState, Lease, NoPick, PickReason, Unavailable};

    /// Tells of `count` answers at once.
    fn answers(state: &Arc<EndpointState>, now_ms: u64, latency_ms: u64, answer: Answer, count: u32) {
        for _ in 0..count {
            let mut lease = Lease::watched(Arc::clone(state), now_ms);
            lease.answered(now_ms, Duration::from_millis(latency_ms), answer);
        }
    }

    /// Members that have all answered in 10 ms just now.
    fn settled(weights: &[u64], world: &World) -> Balancer {
        let balancer = balancer(Algorithm::Adaptive, weights);
        for member in balancer.members() {
            answers(&member.state, world.now_ms, 10, Answer::Success, 40);
        }
        balancer
    }

    #[test]
    fn bx01_idle_equals_are_drawn_evenly() {
        for count in [1, 2, 3, 8, 9, 10, 100] {
            let mut world = World::new(1);
            let balancer = settled(&vec![1; count], &world);
            let counts = world.counts(&balancer, 2_000 * count as u32);
            assert!(
                counts.iter().all(|count| (1_750..2_250).contains(count)),
                "{count}: {counts:?}"
            );
        }
    }

    #[test]
    fn bx01_what_stands_behind_a_bad_endpoint_gets_no_double_share() {
        for count in [3usize, 10] {
            let mut world = World::new(1);
            let balancer = settled(&vec![1; count], &world);
            answers(
                &balancer.members()[1].state,
                world.now_ms,
                100,
                Answer::Success,
                40,
            );
            let counts = world.counts(&balancer, 10_000);
            let fair = 10_000 / (count as u32 - 1);
            assert_eq!(counts[1], 0);
            for (at, found) in counts.iter().enumerate().filter(|(at, _)| *at != 1) {
                assert!(found.abs_diff(fair) < fair / 5, "{at} of {count}: {counts:?}");
            }
        }
    }

    #[test]
    fn bx01_the_score_decides() {
        // Latency (ms), failures of the last hundred answers, requests in flight; who wins.
        type Case = ([(u64, u32, usize); 3], &'static [u32]);
        let cases: [Case; 8] = [
            ([(10, 0, 0), (10, 0, 0), (10, 0, 0)], &[0, 1, 2]),
            ([(10, 0, 2), (10, 0, 1), (10, 0, 2)], &[1]),
            // Within the dead band only requests in flight count.
            ([(10, 0, 1), (18, 0, 0), (19, 0, 1)], &[1]),
            ([(10, 0, 1), (30, 0, 0), (30, 0, 0)], &[0]),
            // A slow one serves when the quick ones are far more loaded.
            ([(10, 0, 9), (30, 0, 1), (100, 0, 0)], &[1]),
            // Quick failures do not attract.
            ([(1, 60, 0), (10, 0, 3), (10, 0, 3)], &[1, 2]),
            ([(10, 1, 0), (10, 0, 1), (10, 0, 1)], &[0]),
            ([(10, 30, 0), (10, 30, 1), (10, 30, 1)], &[0]),
        ];
        for (endpoints, winners) in cases {
            let mut world = World::new(2);
            let balancer = balancer(Algorithm::Adaptive, &[1, 1, 1]);
            let mut leases = Vec::new();
            for (member, (latency_ms, failures, in_flight)) in balancer.members().iter().zip(endpoints) {
                answers(&member.state, world.now_ms, latency_ms, Answer::Success, 100);
                answers(&member.state, world.now_ms, 0, Answer::Failure, failures);
                leases.extend(hold(member, in_flight));
            }
            let counts = world.counts(&balancer, 300);
            for (at, count) in (0..).zip(counts) {
                assert_eq!(
                    count > 0,
                    winners.contains(&at),
                    "{endpoints:?}: {at} won {count} times"
                );
            }
        }
    }

    #[test]
    fn bx01_the_short_way_gives_what_the_long_one_gives() {
        let mut world = World::new(9);
        let weights: Vec<u64> = (0..40).map(|number| 1 + number % 5).collect();
        let balancer = settled(&weights, &world);
        let weights: Vec<u32> = (0..40).map(|number| 1 + number % 5).collect();
        let members = balancer.members();
        let mut leases = Vec::new();
        for member in members {
            let latency_ms = 5 + u64::from(world.rng.below(40));
            answers(&member.state, world.now_ms, latency_ms, Answer::Success, 100);
            answers(
                &member.state,
                world.now_ms,
                1,
                Answer::Failure,
                world.rng.below(4) / 2,
            );
            leases.extend(hold(member, world.rng.below(9) as usize));
        }
        let ready = Ready::new(members, (0..40).collect(), None, false);
        let (equal, weighted) = (Adaptive::new(&[1; 40]), Adaptive::new(&weights));
        for _ in 0..5_000 {
            let mut rng = world.rng.clone();
            let seed = world.rng.next_u64();
            let pick = Pick {
                key: None,
                key_source: 0,
                cursor: &world.cursor,
                rng: &mut rng,
                now_ms: world.now_ms,
                override_hosts: None,
                tried: &[],
            };
            let four = spread(seed, ready.len());
            let three = [four[0], four[1], four[2]];
            assert_eq!(
                equal.cheapest_of_many::<4, false>(four, &ready, &pick, seed),
                equal.cheapest::<4, false>(four, None, &ready, &pick, seed)
            );
            assert_eq!(
                weighted.cheapest_of_many::<3, true>(three, &ready, &pick, seed),
                weighted.cheapest::<3, true>(three, None, &ready, &pick, seed)
            );
        }
    }

    #[test]
    fn bx01_nobody_waits_for_an_endpoint_that_is_silent() {
        let mut world = World::new(3);
        let balancer = settled(&[1, 1], &world);
        let silent = Lease::watched(Arc::clone(&balancer.members()[0].state), world.now_ms);
        let _busy = hold(&balancer.members()[1], 4);
        world.now_ms += 5;
        assert_eq!(world.counts(&balancer, 50), [50, 0]);
        world.now_ms += 500;
        assert_eq!(world.counts(&balancer, 50), [0, 50]);
        drop(silent);
        assert_eq!(world.counts(&balancer, 50), [50, 0]);
    }

    #[test]
    fn bx01_a_bad_endpoint_is_tried_once_in_a_while() {
        let mut world = World::new(4);
        let balancer = settled(&[1; 3], &world);
        let bad = &balancer.members()[2].state;
        answers(bad, world.now_ms, 160, Answer::Success, 200);
        let good_ones = |world: &World| {
            for member in &balancer.members()[..2] {
                answers(&member.state, world.now_ms, 10, Answer::Success, 5);
            }
        };
        // 16 times as slow: three halvings to a factor of 2.
        for (wait_ms, tried) in [(0, false), (6_100, false), (6_200, true)] {
            let mut later = World::new(4);
            later.now_ms = world.now_ms + wait_ms;
            good_ones(&later);
            assert_eq!(later.counts(&balancer, 100)[2] > 0, tried, "after {wait_ms} ms");
        }
        world.now_ms += 6_200;
        // A try is under way: no second one.
        let mut probe = Lease::watched(Arc::clone(bad), world.now_ms);
        assert_eq!(world.counts(&balancer, 100)[2], 0);
        // It went badly: not before as much time again.
        probe.answered(world.now_ms, Duration::from_millis(160), Answer::Success);
        drop(probe);
        world.now_ms += 6_100;
        good_ones(&world);
        assert_eq!(world.counts(&balancer, 100)[2], 0);
        world.now_ms += 200;
        // It went well: back.
        answers(bad, world.now_ms, 10, Answer::Success, 1);
        assert!(world.counts(&balancer, 300)[2] > 60);
    }

    #[test]
    fn bx01_a_new_endpoint_begins_as_an_equal() {
        let mut world = World::new(5);
        let balancer = settled(&[1; 4], &world);
        balancer.members()[1].state.forget_answers();
        let counts = world.counts(&balancer, 4_000);
        assert!((850..1_150).contains(&counts[1]), "{counts:?}");
    }

    #[test]
    fn bx01_what_is_unavailable_or_tried_is_passed_over() {
        for count in [3, 20] {
            let mut world = World::new(6);
            let balancer = settled(&vec![1; count], &world);
            balancer.members()[0].state.raise(Unavailable::Unhealthy);
            for _ in 1..count {
                let picked = world.try_pick(&balancer, None).expect("an endpoint");
                assert!(picked.index > 0 && !world.tried.contains(&picked.index));
                assert_eq!(picked.reason, PickReason::Adaptive);
                world.tried.push(picked.index);
            }
            assert_eq!(world.try_pick(&balancer, None), Err(NoPick::AllTried));
        }
    }

    #[test]
    fn bx01_weights_shape_an_idle_backend() {
        for count in [6, 12] {
            let mut world = World::new(7);
            let weights: Vec<u64> = (0..count).map(|number| [1, 4][number % 2]).collect();
            let balancer = settled(&weights, &world);
            let counts = world.counts(&balancer, 20_000);
            let heavy: u32 = counts.iter().skip(1).step_by(2).sum();
            assert!((14_000..17_000).contains(&heavy), "{counts:?}");
        }
    }

    #[test]
    fn lb14_a_new_endpoint_ramps_up_under_adaptive() {
        let slow_start = Some(SlowStart {
            window: Duration::from_secs(10),
            aggression_milli: 1_000,
            min_weight_percent: 10,
        });
        let balancer = Balancer::new(
            &weir_model::BalanceSpec {
                slow_start,
                ..spec(Algorithm::Adaptive)
            },
            members(&[1; 4]),
        );
        let mut world = World::new(8);
        balancer.members()[3].state.restart_ramp(world.now_ms);
        let _load: Vec<_> = balancer.members().iter().map(|member| hold(member, 3)).collect();
        let young = world.counts(&balancer, 4_000)[3];
        world.now_ms += 10_000;
        let grown = world.counts(&balancer, 4_000)[3];
        assert!(young < 300 && (850..1_150).contains(&grown), "{young}, {grown}");
    }
}
