//! The split of a rule's requests over its weighted destinations (rows MC02, CH12, BX13).

use std::sync::atomic::AtomicU64;

use weir_model::Weight;
use xxhash_rust::xxh64::xxh64;

use crate::rng::mix;
use crate::round_robin::Schedule;

/// Which destination serves a request.
#[derive(Debug)]
pub struct Split {
    shares: Box<[Share]>,
    schedule: Schedule,
}

/// A destination that has a weight.
#[derive(Debug)]
struct Share {
    destination: u32,
    weight: f64,
    seed: u64,
}

impl Split {
    /// A split over destinations, each with its weight and an identity that stays the same over reloads and
    /// replicas. Destinations of weight 0 get nothing.
    pub fn new<'a>(destinations: impl IntoIterator<Item = (Weight, &'a str)>) -> Self {
        let mut shares: Vec<Share> = Vec::new();
        let mut weights = Vec::new();
        for ((weight, identity), destination) in destinations.into_iter().zip(0u32..) {
            if weight > Weight::ZERO {
                // The same backend may stand twice in a rule: the second is somebody else.
                let seed = (0..).map(|nth| xxh64(identity.as_bytes(), nth));
                let seed = seed
                    .into_iter()
                    .find(|seed| shares.iter().all(|share| share.seed != *seed))
                    .unwrap_or(0);
                shares.push(Share {
                    destination,
                    weight: f64::from(weight.number()),
                    seed,
                });
                weights.push(weight.number());
            }
        }
        Self {
            shares: shares.into(),
            schedule: Schedule::new(&weights),
        }
    }

    /// The destination whose turn it is, exact over one period of the weights; `None` when none has a weight.
    #[inline]
    pub fn next(&self, cursor: &AtomicU64) -> Option<u32> {
        match &*self.shares {
            [] => None,
            [only] => Some(only.destination),
            shares => Some(shares[self.schedule.next(cursor) as usize].destination),
        }
    }

    /// The destination whose turn it is among those that `usable` accepts: the share of the others goes to these by
    /// weight (row MC04). `None` when it accepts none.
    pub fn next_usable(&self, cursor: &AtomicU64, usable: impl Fn(u32) -> bool) -> Option<u32> {
        if !self.shares.iter().any(|share| usable(share.destination)) {
            return None;
        }
        // Every share has a place within one period, so this ends.
        (0..self.schedule.period())
            .map(|_| self.shares[self.schedule.next(cursor) as usize].destination)
            .find(|destination| usable(*destination))
    }

    /// The destination of a hash key: always the same for one key, shares by weight over many keys, and a change of
    /// one destination moves no key between two others (weighted rendezvous). Independent of where the key falls
    /// inside the destination.
    #[inline]
    pub fn by_hash(&self, key: u64) -> Option<u32> {
        self.by_hash_usable(key, |_| true)
    }

    /// As [`Split::by_hash`], among the destinations that `usable` accepts (row MC04).
    #[inline]
    pub fn by_hash_usable(&self, key: u64, usable: impl Fn(u32) -> bool) -> Option<u32> {
        if let [only] = &*self.shares {
            return usable(only.destination).then_some(only.destination);
        }
        let mut best: Option<(f64, u32)> = None;
        for share in self.shares.iter().filter(|share| usable(share.destination)) {
            // An exponential variable of rate `weight`: the least of several belongs to each in proportion to its rate.
            let drawn = ((mix(key ^ share.seed) >> 11) as f64 + 0.5) * (1.0 / (1u64 << 53) as f64);
            let arrival = -drawn.ln() / share.weight;
            if best.is_none_or(|(earliest, _)| arrival < earliest) {
                best = Some((arrival, share.destination));
            }
        }
        best.map(|(_, destination)| destination)
    }
}
