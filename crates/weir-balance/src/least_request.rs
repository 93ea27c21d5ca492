//! Least request: fewest requests in flight, in constant time however many endpoints there are.

use weir_model::Choices;

use crate::pick::Pick;
use crate::random::Draw;
use crate::ready::{DRAWS, Ready};
use crate::round_robin;
use crate::schedule::Schedule;

/// Up to this many endpoints, shares are drawn exactly, looking at all of them.
const EXACT_MAX: usize = 8;
/// Random candidates that stand against the one whose turn it is when there are more.
const RIVALS: u32 = 3;
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
    /// `weights` are greater than 0. `wants_ramp` is whether slow start applies.
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

/// Looks at every endpoint, from where the rotation stands: the first of those with the fewest.
fn fewest(ready: &Ready, pick: &mut Pick<'_>) -> Option<u32> {
    let start = round_robin::turn(ready.len(), pick.cursor);
    let mut best: Option<(u32, u32)> = None;
    for position in (start..ready.len()).chain(0..start) {
        let in_flight = ready.state(position).in_flight();
        if best.is_some_and(|(_, fewest)| in_flight >= fewest) || !ready.admits(position, pick) {
            continue;
        }
        best = Some((position, in_flight));
        if in_flight == 0 {
            break;
        }
    }
    match best {
        Some((position, _)) => Some(position),
        None => ready.next_usable(start, pick.tried),
    }
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
        if self.exponent == 0.0 {
            round_robin::pick(&self.schedule, ready, pick)
        } else if self.exact {
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

    fn chain(&self, ready: &Ready, pick: &mut Pick<'_>) -> Option<u32> {
        // An unusable endpoint stands with factor 0, which anybody replaces. Who wins is unpredictable, so the loop
        // is written to be compiled without branches on it.
        let (mut standing, mut stands) = (0, 0.0);
        for _ in 0..RIVALS {
            let rival = self.draw.draw(pick.rng);
            let usable = ready.is_usable(rival, pick.tried);
            let factor = if usable {
                self.factor(rival, ready, pick.now_ms)
            } else {
                0.0
            };
            let wins = pick.rng.unit() * stands <= factor;
            standing = if wins { rival } else { standing };
            stands = if wins { factor } else { stands };
        }
        let candidate = round_robin::next_usable(&self.schedule, ready, pick)?;
        let wins = pick.rng.unit() * stands <= self.factor(candidate, ready, pick.now_ms);
        Some(if wins { candidate } else { standing })
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
