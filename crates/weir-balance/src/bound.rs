//! Bounded loads: stickiness that gives way before an endpoint is crushed (rows LB11, BX04; "Consistent hashing with
//! bounded loads", Mirrokni et al. 2016).
//!
//! An endpoint takes a request as long as that leaves it at most `ceil(factor x (requests in flight everywhere + 1) x its
//! part of the weights)` requests. The paper's strict rule, where Envoy's `hash_balance_factor` lets one more in.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use weir_model::LoadBound;

use crate::ready::Ready;

/// Up to this many endpoints the load is counted at each pick that needs it.
const COUNTED_MAX: u32 = 32;
/// Endpoints that are counted in a millisecond when there are more: a thousandth of a core.
const COUNTED_PER_MS: u32 = 1_024;

/// So many requests in flight never drive a session away: a single browser has six or so, and its session is not to be torn
/// apart by itself.
const SESSIONS_LEAST: u32 = 8;

/// How much an endpoint may have.
#[derive(Debug)]
pub(crate) struct Bound {
    percent: u64,
    /// Empty when all are equal.
    weights: Box<[u32]>,
    /// With many endpoints: milliseconds of the last count (low 24 bits), and the requests in flight that it found.
    counted: AtomicU64,
    /// The weight of the usable endpoints that it found.
    counted_weight: AtomicU64,
}

const STAMP: u64 = 1 << 24;
const NEVER: u64 = u64::MAX;

/// What there is to share at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Total {
    in_flight: u64,
    weight: u64,
}

impl Bound {
    /// `weights` are greater than 0.
    pub(crate) fn new(bound: LoadBound, weights: &[u32]) -> Self {
        let equal = weights.windows(2).all(|pair| pair[0] == pair[1]);
        Self {
            percent: u64::from(bound.percent()),
            weights: if equal { Box::default() } else { weights.into() },
            counted: AtomicU64::new(NEVER),
            counted_weight: AtomicU64::new(0),
        }
    }

    /// The load and weight of all usable endpoints; with many of them as of the last few milliseconds.
    pub(crate) fn total(&self, ready: &Ready, tried: &[u32], now_ms: u64) -> Total {
        if ready.len() <= COUNTED_MAX {
            return self.count(ready, tried);
        }
        let word = self.counted.load(Relaxed);
        let interval_ms = u64::from(1 + ready.len() / COUNTED_PER_MS);
        let age_ms = now_ms.wrapping_sub(word) % STAMP;
        if word == NEVER || age_ms >= interval_ms {
            let total = self.count(ready, &[]);
            self.counted_weight.store(total.weight, Relaxed);
            self.counted
                .store(total.in_flight * STAMP + now_ms % STAMP, Relaxed);
            return total;
        }
        Total {
            in_flight: word / STAMP,
            weight: self.counted_weight.load(Relaxed),
        }
    }

    fn count(&self, ready: &Ready, tried: &[u32]) -> Total {
        let mut total = Total {
            in_flight: 0,
            weight: 0,
        };
        for position in (0..ready.len()).filter(|position| ready.is_usable(*position, tried)) {
            total.in_flight += u64::from(ready.state(position).in_flight());
            total.weight += self.weight(position);
        }
        total
    }

    /// Whether the endpoint may take one more.
    #[inline]
    pub(crate) fn has_room(&self, position: u32, ready: &Ready, total: Total) -> bool {
        u64::from(ready.state(position).in_flight()) < self.room(position, total)
    }

    /// The same for a request whose session is there: what chance alone may heap up somewhere, two standard deviations of
    /// the endpoint's part, drives nobody away.
    pub(crate) fn has_room_for_sessions(&self, position: u32, ready: &Ready, now_ms: u64) -> bool {
        let in_flight = ready.state(position).in_flight();
        if in_flight < SESSIONS_LEAST {
            return true;
        }
        let total = self.total(ready, &[], now_ms);
        let part = (total.in_flight + 1) as f64 * self.weight(position) as f64 / total.weight.max(1) as f64;
        f64::from(in_flight) < part + 2.0 * part.sqrt() || self.has_room(position, ready, total)
    }

    /// The usable endpoint that has the least of its bound.
    pub(crate) fn roomiest(&self, ready: &Ready, tried: &[u32], now_ms: u64) -> Option<u32> {
        let total = self.total(ready, tried, now_ms);
        (0..ready.len())
            .filter(|position| ready.is_usable(*position, tried))
            .min_by_key(|position| self.fullness(*position, ready, total))
    }

    /// How much of its bound an endpoint has, comparable between endpoints.
    pub(crate) fn fullness(&self, position: u32, ready: &Ready, total: Total) -> u64 {
        (u64::from(ready.state(position).in_flight()) << 20) / self.room(position, total)
    }

    /// Requests that it may have; 1 at least.
    #[inline]
    fn room(&self, position: u32, total: Total) -> u64 {
        let part = (total.in_flight + 1) * self.weight(position) * self.percent;
        part.div_ceil((total.weight * 100).max(1)).max(1)
    }

    #[inline]
    fn weight(&self, position: u32) -> u64 {
        self.weights
            .get(position as usize)
            .map_or(1, |weight| u64::from(*weight))
    }
}
