//! Consistent hash: a Maglev table, slot for slot the one that Envoy builds (`maglev_lb.cc`).
//!
//! The table is built over the endpoints that are ready. One that becomes unavailable later does not change it:
//! its keys walk to other endpoints, each key on its own deterministic way, nobody else's keys move, and they come
//! back when it does. Adding or removing an endpoint builds another table; besides the endpoint's own keys a few
//! others move then, which the test `lb10_removing_an_endpoint_moves_little_else` measures.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use weir_model::TableSize;
use xxhash_rust::xxh64::xxh64;

use crate::modulus::Modulus;
use crate::pick::Pick;
use crate::ready::{DRAWS, Ready};

/// A lookup table from hash to position.
#[derive(Debug)]
pub(crate) struct Maglev {
    modulus: Modulus,
    slots: Slots,
}

#[derive(Debug)]
enum Slots {
    Narrow(Box<[u16]>),
    Wide(Box<[u32]>),
}

impl Maglev {
    /// A table over endpoints with these keys (`ip:port`) and weights, all greater than 0. The order of the
    /// endpoints does not matter (row CH10).
    pub(crate) fn new(endpoints: &[(String, u32)], size: TableSize) -> Self {
        let slots = fill(endpoints, size.slots());
        let slots = if endpoints.len() < usize::from(u16::MAX) {
            Slots::Narrow(slots.iter().map(|position| *position as u16).collect())
        } else {
            Slots::Wide(slots.into())
        };
        Self {
            modulus: Modulus::new(size.slots()),
            slots,
        }
    }

    /// The position for `hash` at the `attempt`-th attempt, counted from 0 (Envoy's rule).
    #[inline]
    pub(crate) fn at(&self, hash: u64, attempt: u32) -> u32 {
        let hash = if attempt == 0 {
            hash
        } else {
            hash ^ u64::from(attempt).wrapping_neg()
        };
        let slot = self.modulus.of(hash) as usize;
        match &self.slots {
            Slots::Narrow(slots) => u32::from(slots[slot]),
            Slots::Wide(slots) => slots[slot],
        }
    }

    /// The usable position for `hash`: that of the first attempt whose endpoint is usable.
    #[inline]
    pub(crate) fn pick(&self, hash: u64, ready: &Ready, pick: &Pick<'_>) -> Option<u32> {
        let mut position = 0;
        for attempt in 0..DRAWS {
            position = self.at(hash, attempt);
            if ready.is_usable(position, pick.tried) {
                return Some(position);
            }
        }
        ready.next_usable(position, pick.tried)
    }
}

/// An endpoint while the table is filled.
struct Entry {
    position: u32,
    weight: u64,
    /// Next slot that it would like.
    slot: u32,
    skip: u32,
    target: u64,
}

impl Entry {
    /// Takes the first free slot of its permutation.
    fn claim(&mut self, slots: &mut [u32]) {
        while slots[self.slot as usize] != FREE {
            self.step(slots.len());
        }
        slots[self.slot as usize] = self.position;
        self.step(slots.len());
    }

    fn step(&mut self, size: usize) {
        let next = self.slot as usize + self.skip as usize;
        self.slot = (if next >= size { next - size } else { next }) as u32;
    }
}

const FREE: u32 = u32::MAX;

/// Envoy's fill: endpoints sorted by key take turns; in round `r` (from 1) an endpoint sits out while
/// `r * weight < target`, and each slot taken raises its target by the greatest weight. Weights stay integers here
/// where Envoy divides them by their sum first: the same rule without its rounding.
fn fill(endpoints: &[(String, u32)], size: u32) -> Vec<u32> {
    if endpoints.is_empty() {
        return vec![0; size as usize];
    }
    let mut order: Vec<u32> = (0..endpoints.len() as u32).collect();
    order.sort_by_key(|position| &endpoints[*position as usize]);
    let mut entries: Vec<Entry> = order
        .iter()
        .map(|position| entry(*position, endpoints, size))
        .collect();
    let weight_max = entries.iter().map(|entry| entry.weight).max().unwrap_or(1);

    let mut slots = vec![FREE; size as usize];
    let mut free = size;
    if entries.iter().all(|entry| entry.weight == weight_max) {
        for turn in 0..size as usize {
            let at = turn % entries.len();
            entries[at].claim(&mut slots);
        }
        return slots;
    }
    // Who takes part in which round, earliest first, by key within a round: only those are visited, so a fill costs
    // no more when one endpoint outweighs ten thousand others.
    let mut rounds: BinaryHeap<Reverse<(u64, u32)>> =
        (0..entries.len() as u32).map(|at| Reverse((1, at))).collect();
    while free > 0
        && let Some(Reverse((round, at))) = rounds.pop()
    {
        let entry = &mut entries[at as usize];
        entry.claim(&mut slots);
        free -= 1;
        entry.target += weight_max;
        rounds.push(Reverse((entry.target.div_ceil(entry.weight).max(round + 1), at)));
    }
    slots
}

fn entry(position: u32, endpoints: &[(String, u32)], size: u32) -> Entry {
    let (key, weight) = &endpoints[position as usize];
    let size = u64::from(size);
    Entry {
        position,
        weight: u64::from(*weight).max(1),
        slot: (xxh64(key.as_bytes(), 0) % size) as u32,
        skip: (xxh64(key.as_bytes(), 1) % (size - 1).max(1) + 1) as u32,
        target: 0,
    }
}
