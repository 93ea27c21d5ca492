//! Least request: fewest requests in flight, in constant time however many endpoints there are.

use std::hint::select_unpredictable;

use weir_model::Choices;

use crate::pick::Pick;
use crate::random::Draw;
use crate::ready::{DRAWS, Look, Ready};
use crate::round_robin;
use crate::schedule::Schedule;

/// Up to this many endpoints, shares are drawn exactly, looking at all of them.
const EXACT_MAX: usize = 8;
/// When there are more: the one whose turn it is and random ones.
const CANDIDATES: usize = 4;
/// Numbers of requests in flight whose load factor is looked up instead of computed.
const FACTORS: usize = 64;

/// How least request decides.
#[derive(Debug)]
pub(crate) enum LeastRequest {
    /// Equal weights, bias 1: the fewest in flight among that many draws with replacement; the first keeps a tie
    /// (Envoy's rule).
    Sample(u8),
    /// Equal weights, bias 1: the fewest in flight of all; ties go round.
    All,
    /// Otherwise: long-run shares of `weight / (in_flight + 1)^bias`.
    Shares(Box<Shares>),
}

impl LeastRequest {
    /// `weights` are greater than 0.
    pub(crate) fn new(spec: weir_model::LeastRequest, weights: &[u32]) -> Self {
        let equal = weights.windows(2).all(|pair| pair[0] == pair[1]);
        match spec.choices {
            _ if !equal || spec.bias_milli != 1_000 => Self::Shares(Box::new(Shares::new(spec, weights))),
            Choices::Sample(choices) => Self::Sample(choices.max(2)),
            Choices::All => Self::All,
        }
    }

    /// A usable position.
    #[inline]
    pub(crate) fn pick(&self, ready: &Ready, pick: &mut Pick<'_>) -> Option<u32> {
        match self {
            Self::Sample(choices) => sample(*choices, ready, pick),
            Self::All => fewest(ready, pick),
            Self::Shares(shares) => shares.pick(ready, pick),
        }
    }
}

#[inline]
fn sample(choices: u8, ready: &Ready, pick: &mut Pick<'_>) -> Option<u32> {
    let mut best: Option<(u32, u32)> = None;
    let mut wanted = u32::from(choices);
    for _ in 0..wanted + DRAWS {
        let position = pick.rng.below(ready.len());
        if !ready.admits(position, pick) {
            continue;
        }
        let in_flight = ready.state(position).in_flight();
        if best.is_none_or(|(_, fewest)| in_flight < fewest) {
            best = Some((position, in_flight));
        }
        wanted -= 1;
        if wanted == 0 {
            break;
        }
    }
    match best {
        Some((position, _)) => Some(position),
        None => ready.next_usable(pick.rng.below(ready.len()), pick.tried),
    }
}

/// Looks at every endpoint for the fewest in flight, then again for the one among the ties whose turn it is.
fn fewest(ready: &Ready, pick: &mut Pick<'_>) -> Option<u32> {
    let seed = pick.rng.next_u64();
    let admitted =
        |position| ready.is_usable(position, pick.tried) && ready.is_grown(position, pick.now_ms, seed);
    let (mut first, mut fewest, mut ties) = (None, u32::MAX, 0);
    for position in (0..ready.len()).filter(|position| admitted(*position)) {
        let in_flight = ready.state(position).in_flight();
        if in_flight < fewest || first.is_none() {
            (first, fewest, ties) = (Some(position), in_flight, 1);
        } else if in_flight == fewest {
            ties += 1;
        }
    }
    let turn = round_robin::turn(ties, pick.cursor);
    (0..ready.len())
        .filter(|position| ready.state(*position).in_flight() == fewest && admitted(*position))
        .nth(turn as usize)
        // Loads have changed in between.
        .or(first)
        // All that are usable are new, and none takes this request: somebody must.
        .or_else(|| ready.next_usable(pick.rng.below(ready.len()), pick.tried))
}

/// Long-run shares of `weight / (in_flight + 1)^bias`.
///
/// The candidate whose turn it is in the weighted rotation always takes part, and wins when nothing speaks
/// against it: an idle backend is served by smooth weighted round robin, and so is one with bias 0.
///
/// * Up to [`EXACT_MAX`] endpoints, or with `Choices::All`: the candidate is kept with the probability of its load factor
///   over the greatest one, and the next in turn comes otherwise. The distribution is exact.
/// * Otherwise: three endpoints drawn by weight, then the candidate, each replaces the one before with
///   probability `min(1, its load factor / that one's)` (a Metropolis chain with independent proposals). The
///   distribution tends to the exact one with the number of steps: with `W` the greatest load factor over the mean one,
///   the total error is at most `(1 - 1/W)^3`; half of the endpoints twice as loaded gives 0.664 instead of 0.667.
///   It costs four endpoints' cache lines at any size.
#[derive(Debug)]
pub(crate) struct Shares {
    schedule: Schedule,
    draw: Draw,
    weights: Box<[u32]>,
    exact: bool,
    exponent: f64,
    factors: [f64; FACTORS],
}

impl Shares {
    fn new(spec: weir_model::LeastRequest, weights: &[u32]) -> Self {
        let exponent = -f64::from(spec.bias_milli) / 1_000.0;
        let mut factors = [1.0; FACTORS];
        for (in_flight, factor) in factors.iter_mut().enumerate() {
            *factor = (in_flight as f64 + 1.0).powf(exponent);
        }
        let exact = weights.len() <= EXACT_MAX || spec.choices == Choices::All;
        Self {
            schedule: Schedule::new(weights),
            draw: Draw::new(weights),
            weights: weights.into(),
            exact,
            exponent,
            factors,
        }
    }

    #[inline]
    fn pick(&self, ready: &Ready, pick: &mut Pick<'_>) -> Option<u32> {
        if self.exact {
            self.exact(ready, pick)
        } else {
            self.chain(ready, pick)
        }
    }

    fn exact(&self, ready: &Ready, pick: &mut Pick<'_>) -> Option<u32> {
        let greatest = (0..ready.len())
            .filter(|position| ready.is_usable(*position, pick.tried))
            .map(|position| self.factor(position, ready, pick.now_ms))
            .fold(0.0, f64::max);
        for _ in 0..DRAWS {
            let position = self.schedule.next(pick.cursor);
            if ready.is_usable(position, pick.tried) {
                let factor = self.factor(position, ready, pick.now_ms);
                if factor >= greatest || pick.rng.unit() * greatest < factor {
                    return Some(position);
                }
            }
        }
        self.reservoir(ready, pick)
    }

    /// One exact draw over all usable endpoints, each replacing the choice so far with its part of the sum so far.
    #[cold]
    fn reservoir(&self, ready: &Ready, pick: &mut Pick<'_>) -> Option<u32> {
        let (mut chosen, mut sum) = (None, 0.0);
        for position in 0..ready.len() {
            if ready.is_usable(position, pick.tried) {
                let share =
                    f64::from(self.weights[position as usize]) * self.factor(position, ready, pick.now_ms);
                sum += share;
                if chosen.is_none() || pick.rng.unit() * sum < share {
                    chosen = Some(position);
                }
            }
        }
        chosen
    }

    /// The states of all four are read before any of them is judged, and the turn is taken before that: an atomic addition
    /// waits for the reads begun before it. So their cache misses are waited for together. Who wins is unpredictable, and
    /// this is written to be compiled without branches on it.
    fn chain(&self, ready: &Ready, pick: &mut Pick<'_>) -> Option<u32> {
        let turn = self.schedule.next(pick.cursor);
        let mut positions = [turn; CANDIDATES];
        for rival in &mut positions[..CANDIDATES - 1] {
            *rival = self.draw.draw(pick.rng);
        }
        let looks = positions.map(|position| ready.look(position, pick.now_ms));
        // What is rare is looked at apart: slow starts, second tries, long queues, a turn that cannot be used.
        let is_plain = |look: &Look| look.is_grown & ((look.in_flight as usize) < FACTORS);
        let all_plain = looks.iter().fold(true, |all, look| all & is_plain(look));
        if !all_plain || !pick.tried.is_empty() || !looks[CANDIDATES - 1].is_usable {
            return self.chain_of_all_kinds(positions, ready, pick);
        }
        // An unusable endpoint stands with factor 0, which anybody replaces.
        let factors = looks.map(|look| {
            let factor = self.factors[look.in_flight as usize % FACTORS];
            select_unpredictable(look.is_usable, factor, 0.0)
        });
        // Whether each would replace each that comes before it: one comparison need not wait for the other.
        let mut replaces = [0usize; CANDIDATES];
        for at in 1..CANDIDATES {
            let unit = pick.rng.unit();
            for before in 0..at {
                replaces[at] |= usize::from(unit * factors[before] <= factors[at]) << before;
            }
        }
        let mut standing = 0;
        for (at, replaced) in replaces.into_iter().enumerate().skip(1) {
            standing = select_unpredictable(replaced >> standing & 1 != 0, at, standing);
        }
        Some(positions[standing])
    }

    #[cold]
    fn chain_of_all_kinds(
        &self,
        mut positions: [u32; CANDIDATES],
        ready: &Ready,
        pick: &mut Pick<'_>,
    ) -> Option<u32> {
        let turn = &mut positions[CANDIDATES - 1];
        if !ready.is_usable(*turn, pick.tried) {
            *turn = round_robin::next_usable(&self.schedule, ready, pick)?;
        }
        let (mut standing, mut stands) = (positions[0], 0.0);
        for position in positions {
            if ready.is_usable(position, pick.tried) {
                let factor = self.factor(position, ready, pick.now_ms);
                if pick.rng.unit() * stands <= factor {
                    (standing, stands) = (position, factor);
                }
            }
        }
        Some(standing)
    }

    /// `1 / (in_flight + 1)^bias`, times the slow-start factor.
    #[inline]
    fn factor(&self, position: u32, ready: &Ready, now_ms: u64) -> f64 {
        let in_flight = ready.state(position).in_flight();
        let load = match self.factors.get(in_flight as usize) {
            Some(factor) => *factor,
            None => (f64::from(in_flight) + 1.0).powf(self.exponent),
        };
        load * ready.factor(position, now_ms)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use weir_model::Algorithm;

    use super::*;
    use crate::world::{World, balancer, hold};
    use crate::{Balancer, NoPick, Unavailable};

    fn least(choices: Choices, bias_milli: u32) -> Algorithm {
        Algorithm::LeastRequest(weir_model::LeastRequest { choices, bias_milli })
    }

    /// Shares of `picks` picks while each member holds that many requests.
    fn shares(balancer: &Balancer, held: &[usize], picks: u32) -> Vec<f64> {
        let leases: Vec<_> = balancer
            .members()
            .iter()
            .zip(held)
            .map(|(member, held)| hold(member, *held))
            .collect();
        let counts = World::new(11).counts(balancer, picks);
        drop(leases);
        counts
            .iter()
            .map(|count| f64::from(*count) / f64::from(picks))
            .collect()
    }

    /// Every share lies within `tolerance` of what its weight and load give.
    fn check(name: &str, weights: &[u64], held: &[usize], bias_milli: u32, choices: Choices, tolerance: f64) {
        let due: Vec<f64> = weights
            .iter()
            .zip(held)
            .map(|(weight, held)| *weight as f64 / (*held as f64 + 1.0).powf(f64::from(bias_milli) / 1_000.0))
            .collect();
        let sum: f64 = due.iter().sum();
        let found = shares(&balancer(least(choices, bias_milli), weights), held, 200_000);
        for (found_one, due) in found.iter().zip(&due) {
            assert!(
                (found_one - due / sum).abs() < tolerance,
                "{name}: {found:?}, due {}",
                due / sum
            );
        }
    }

    #[test]
    fn lb06_all_choices_find_the_true_minimum() {
        let (balancer, mut world) = (balancer(least(Choices::All, 1_000), &[1; 4]), World::new(0));
        let leases: Vec<_> = balancer
            .members()
            .iter()
            .zip([30, 24, 27, 19])
            .map(|(member, held)| hold(member, held))
            .collect();
        assert_eq!(world.counts(&balancer, 100), [0, 0, 0, 100]);
        drop(leases);
    }

    #[test]
    fn lb06_ties_of_all_choices_go_round() {
        let (balancer, mut world) = (balancer(least(Choices::All, 1_000), &[1; 4]), World::new(0));
        assert_eq!(world.counts(&balancer, 100), [25; 4]);
        let held = hold(&balancer.members()[1], 1);
        let counts = world.counts(&balancer, 120);
        assert!(
            counts[1] == 0 && counts[0] > 0 && counts[2] > 0 && counts[3] > 0,
            "{counts:?}"
        );
        drop(held);
    }

    #[test]
    fn lb06_two_choices_are_drawn_with_replacement_and_the_first_keeps_a_tie() {
        let (balancer, mut world) = (balancer(least(Choices::Sample(2), 1_000), &[1; 4]), World::new(3));
        let _held = hold(&balancer.members()[0], 5);
        for _ in 0..1_000 {
            let mut draws = world.rng.clone();
            let (first, second) = (draws.below(4), draws.below(4));
            let expected = if first == 0 { second } else { first };
            assert_eq!(world.pick(&balancer), expected);
        }
    }

    #[test]
    fn lb06_the_loaded_endpoint_is_picked_only_when_drawn_each_time() {
        // With replacement: (1/4)^n of the picks, where without it there would be none.
        for (choices, due) in [(2, 1.0 / 16.0), (3, 1.0 / 64.0)] {
            let balancer = balancer(least(Choices::Sample(choices), 1_000), &[1; 4]);
            let found = shares(&balancer, &[9, 0, 0, 0], 100_000);
            assert!((found[0] - due).abs() < 0.005, "{choices} choices: {found:?}");
        }
    }

    #[test]
    fn lb01_a_slow_endpoint_gets_little() {
        // 40 clients in virtual time: one endpoint takes 300 ms, three take 10 ms; a request ends at its due time.
        for choices in [Choices::Sample(2), Choices::All] {
            let (balancer, mut world) = (balancer(least(choices, 1_000), &[1; 4]), World::new(9));
            let mut counts = [0u32; 4];
            let mut running: VecDeque<(u64, u32)> = VecDeque::new();
            for _ in 0..5_000 {
                if running.len() == 40
                    && let Some((at, (_, index))) =
                        running.iter().copied().enumerate().min_by_key(|(_, run)| run.0)
                {
                    world.now_ms = running[at].0;
                    running.remove(at);
                    balancer.members()[index as usize].state.end();
                }
                let index = world.pick(&balancer);
                balancer.members()[index as usize].state.begin();
                counts[index as usize] += 1;
                running.push_back((world.now_ms + if index == 3 { 300 } else { 10 }, index));
            }
            assert!(counts[3] < 500, "{choices:?}: {counts:?}");
        }
    }

    #[test]
    fn lb07_idle_endpoints_are_served_by_weight() {
        let (few, mut world) = (balancer(least(Choices::Sample(2), 1_000), &[1, 3]), World::new(0));
        assert_eq!(world.counts(&few, 100), [25, 75]);
        let weights: Vec<u64> = (0..100).map(|number| 1 + number % 2 * 2).collect();
        let (many, mut world) = (
            balancer(least(Choices::Sample(2), 1_000), &weights),
            World::new(0),
        );
        let counts = world.counts(&many, 20_000);
        assert!(
            counts
                .iter()
                .zip(&weights)
                .all(|(count, weight)| u64::from(*count) == 100 * weight),
            "{counts:?}"
        );
    }

    #[test]
    fn lb07_few_endpoints_follow_the_formula_exactly() {
        for (weights, held, bias_milli) in [
            (&[1u64, 3][..], &[0usize, 3][..], 1_000),
            (&[1, 3], &[0, 8], 500),
            (&[2, 1, 1], &[7, 0, 1], 2_000),
            (&[1, 1, 1, 1], &[30, 24, 27, 19], 500),
            (&[5, 4, 3, 2, 1, 6, 7, 8], &[0, 90, 5, 200, 1, 2, 3, 4], 1_000),
            (&[1, 1_000_000], &[0, 999_999], 1_000),
        ] {
            check("few", weights, held, bias_milli, Choices::Sample(2), 0.006);
        }
    }

    #[test]
    fn lb07_all_choices_follow_the_formula_at_any_size() {
        let weights: Vec<u64> = (0..50).map(|number| 1 + number % 3).collect();
        let held: Vec<usize> = (0..50).map(|number| number % 20).collect();
        check("all", &weights, &held, 1_000, Choices::All, 0.002);
    }

    #[test]
    fn lb07_many_endpoints_come_close_to_the_formula() {
        // Half of 100 endpoints hold one request more: their share is 1/3; four candidates give 0.336.
        let balancer = balancer(least(Choices::Sample(2), 1_001), &[1; 100]);
        let held: Vec<usize> = (0..100).map(|number| number % 2).collect();
        let found: f64 = shares(&balancer, &held, 200_000).iter().skip(1).step_by(2).sum();
        assert!((0.333..0.340).contains(&found), "{found}");

        // The same with queues too long to be looked up.
        let long: Vec<usize> = (0..100).map(|number| 70 + number % 2 * 71).collect();
        let found: f64 = shares(&balancer, &long, 200_000).iter().skip(1).step_by(2).sum();
        assert!((0.333..0.340).contains(&found), "{found}");

        // Weights 1 to 4 and loads around 10, as on a busy backend: each share within 10 % of what it should be.
        let weights: Vec<u64> = (0..40).map(|number| 1 + number % 4).collect();
        let held: Vec<usize> = (0..40).map(|number| 8 + number * 7 % 5).collect();
        let balancer = self::balancer(least(Choices::Sample(2), 1_000), &weights);
        let due: Vec<f64> = weights
            .iter()
            .zip(&held)
            .map(|(weight, held)| *weight as f64 / (held + 1) as f64)
            .collect();
        let sum: f64 = due.iter().sum();
        for (found, due) in shares(&balancer, &held, 400_000).iter().zip(&due) {
            assert!((found * sum / due - 1.0).abs() < 0.1, "{found} {}", due / sum);
        }
    }

    #[test]
    fn lb07_bias_zero_is_weighted_round_robin() {
        let balancer = balancer(least(Choices::Sample(2), 0), &[5, 1, 1]);
        let _held = hold(&balancer.members()[0], 50);
        assert_eq!(World::new(0).counts(&balancer, 70), [50, 10, 10]);
    }

    #[test]
    fn unavailable_and_tried_endpoints_are_passed_over() {
        for (choices, weights) in [
            (Choices::Sample(2), [1u64; 12]),
            (Choices::All, [1; 12]),
            (Choices::Sample(2), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]),
            (Choices::All, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]),
        ] {
            let (balancer, mut world) = (balancer(least(choices, 1_000), &weights), World::new(0));
            let (others, last) = balancer.members().split_at(11);
            let _held: Vec<_> = others.iter().map(|member| hold(member, 3)).collect();
            last[0].state.raise(Unavailable::Ejected);
            let counts = world.counts(&balancer, 2_000);
            assert!(
                counts[11] == 0 && counts[..11].iter().all(|count| *count > 0),
                "{counts:?}"
            );
            world.tried = vec![0];
            let counts = world.counts(&balancer, 2_000);
            assert!(
                (counts[0], counts[11]) == (0, 0) && counts[1..11].iter().all(|count| *count > 0),
                "{counts:?}"
            );
            world.tried = (0..11).collect();
            assert_eq!(world.try_pick(&balancer, None), Err(NoPick::AllTried));
            balancer.members()[..11]
                .iter()
                .for_each(|member| member.state.raise(Unavailable::Ejected));
            assert_eq!(world.try_pick(&balancer, None), Err(NoPick::Unavailable));
        }
    }
}
