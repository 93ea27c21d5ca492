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

/// A lookup table from hash to position.
#[derive(Debug)]
pub(crate) struct Maglev {
    modulus: Modulus,
    slots: Slots,
}

#[derive(Debug)]
enum Slots {
    Byte(Box<[u8]>),
    Narrow(Box<[u16]>),
    Wide(Box<[u32]>),
}

impl Maglev {
    /// A table over endpoints with these keys (`ip:port`) and weights, all greater than 0. The order of the
    /// endpoints does not matter (row CH10).
    pub(crate) fn new(endpoints: &[(String, u32)], size: TableSize) -> Self {
        // A single endpoint (or none) needs no table.
        let size = if endpoints.len() > 1 { size.slots() } else { 1 };
        let slots = fill(endpoints, size);
        let slots = match endpoints.len() {
            0..=0x100 => Slots::Byte(slots.iter().map(|position| *position as u8).collect()),
            0x101..=0x1_0000 => Slots::Narrow(slots.iter().map(|position| *position as u16).collect()),
            _ => Slots::Wide(slots.into()),
        };
        Self {
            modulus: Modulus::new(size),
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
            Slots::Byte(slots) => u32::from(slots[slot]),
            Slots::Narrow(slots) => u32::from(slots[slot]),
            Slots::Wide(slots) => slots[slot],
        }
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
    if endpoints.len() < 2 {
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use weir_model::{Algorithm, ConsistentHash, HashTable, MissingKey};

    use super::*;
    use crate::world::{World, balancer, member, members, spec};
    use crate::{Balancer, Member, Unavailable};

    fn table(keys: &[&str], weights: &[u32], size: u64) -> Maglev {
        let keyed: Vec<_> = keys
            .iter()
            .map(|key| (*key).to_owned())
            .zip(weights.iter().copied())
            .collect();
        Maglev::new(&keyed, TableSize::new(size).expect("a prime"))
    }

    fn slots(maglev: &Maglev, size: u64) -> Vec<u32> {
        (0..size).map(|hash| maglev.at(hash, 0)).collect()
    }

    fn hashed() -> Algorithm {
        Algorithm::ConsistentHash(ConsistentHash {
            sources: Vec::new(),
            table: HashTable::default(),
            missing_key: MissingKey::Random,
        })
    }

    fn key(number: u64) -> u64 {
        xxh64(&number.to_le_bytes(), 0)
    }

    #[test]
    fn lb10_the_table_is_the_one_that_envoy_builds() {
        // The assignments that Envoy's own test expects of these endpoints (maglev_lb_test.cc).
        let six: Vec<String> = (90..96).map(|port| format!("127.0.0.1:{port}")).collect();
        let six: Vec<&str> = six.iter().map(|key| &**key).collect();
        let two = &six[..2];
        assert_eq!(slots(&table(&six, &[1; 6], 7), 7), [2, 4, 0, 1, 5, 0, 3]);
        assert_eq!(
            slots(&table(&["90", "91", "92", "93", "94", "95"], &[1; 6], 7), 7),
            [2, 5, 0, 3, 4, 1, 0]
        );
        let one_to_two = [1, 0, 0, 1, 0, 1, 1, 0, 1, 1, 1, 1, 1, 0, 1, 0, 1];
        assert_eq!(slots(&table(two, &[1, 2], 17), 17), one_to_two);
        let eight_to_two = [1, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0];
        assert_eq!(slots(&table(two, &[8, 2], 17), 17), eight_to_two);
        let even = [1, 0, 0, 1, 0, 1, 1, 0, 0, 1, 0, 1, 0, 0, 1, 0, 1];
        assert_eq!(slots(&table(two, &[3, 3], 17), 17), even);
    }

    #[test]
    fn attempts_walk_as_envoys_retries_do() {
        let keys: Vec<String> = (90..96).map(|port| format!("127.0.0.1:{port}")).collect();
        let keys: Vec<&str> = keys.iter().map(|key| &**key).collect();
        let maglev = table(&keys, &[1; 6], 7);
        let walked: Vec<u32> = (0..3).map(|attempt| maglev.at(10, attempt)).collect();
        assert_eq!(walked, [1, 0, 5]);
    }

    #[test]
    fn lb10_shares_are_even() {
        let (balancer, mut world) = (balancer(hashed(), &[1; 5]), World::new(0));
        let mut counts = [0u32; 5];
        for number in 0..100_000 {
            counts[world.pick_by(&balancer, key(number)) as usize] += 1;
        }
        for count in counts {
            assert!((18_500..=21_500).contains(&count), "{counts:?}");
        }
    }

    #[test]
    fn weights_give_slots() {
        let (balancer, mut world) = (balancer(hashed(), &[1, 2, 7]), World::new(0));
        let mut counts = [0u32; 3];
        for number in 0..100_000 {
            counts[world.pick_by(&balancer, key(number)) as usize] += 1;
        }
        for (count, expected) in counts.iter().zip([10_000u32, 20_000, 70_000]) {
            assert!(count.abs_diff(expected) < 600, "{counts:?}");
        }
    }

    #[test]
    fn lb10_removing_an_endpoint_moves_little_else() {
        // Measured: of 100,000 keys 66 to 101 besides the endpoint's own with 5 endpoints, 510 to 551 with 100.
        for (endpoints, extra_max) in [(5, 200), (100, 1_000)] {
            let mut world = World::new(0);
            let all = members(&vec![1; endpoints]);
            let whole = Balancer::new(&spec(hashed()), all.clone());
            for removed in 0..5 {
                let mut rest = all.clone();
                let lost = rest.remove(removed);
                let rest = Balancer::new(&spec(hashed()), rest);
                let (mut own, mut extra) = (0u32, 0u32);
                for number in 0..100_000 {
                    let before = &all[world.pick_by(&whole, key(number)) as usize];
                    let after = &rest.members()[world.pick_by(&rest, key(number)) as usize];
                    own += u32::from(Arc::ptr_eq(&before.state, &lost.state));
                    extra += u32::from(!Arc::ptr_eq(&before.state, &after.state));
                }
                extra -= own;
                println!(
                    "of {endpoints} endpoints one is removed: {own} keys of its own move, {extra} others"
                );
                assert!(
                    own.abs_diff(100_000 / endpoints as u32) < 1_500,
                    "{own} keys of its own"
                );
                assert!(extra < extra_max, "{extra} keys of others");
            }
        }
    }

    #[test]
    fn ch11_an_unavailable_endpoint_moves_nobody_elses_keys() {
        let (balancer, mut world) = (balancer(hashed(), &[1; 4]), World::new(0));
        let before: Vec<u32> = (0..10_000)
            .map(|number| world.pick_by(&balancer, key(number)))
            .collect();
        let lost = &balancer.members()[2].state;
        lost.raise(Unavailable::Unhealthy);
        let mut moved_to = [0u32; 4];
        for (number, before) in (0..10_000).zip(&before) {
            let after = world.pick_by(&balancer, key(number));
            if *before == 2 {
                moved_to[after as usize] += 1;
            } else {
                assert_eq!(after, *before, "key {number}");
            }
        }
        // The lost keys spread over all the others.
        assert_eq!(moved_to[2], 0);
        assert!([0, 1, 3].iter().all(|at| moved_to[*at] > 600), "{moved_to:?}");
        lost.clear(Unavailable::Unhealthy);
        let back: Vec<u32> = (0..10_000)
            .map(|number| world.pick_by(&balancer, key(number)))
            .collect();
        assert_eq!(before, back);
    }

    #[test]
    fn ch10_the_order_of_endpoints_and_the_process_do_not_matter() {
        let (mut world, mut other_world) = (World::new(1), World::new(2));
        let straight = balancer(hashed(), &[1, 2, 3, 4, 5]);
        let shuffled: Vec<Member> = [3usize, 1, 5, 4, 2]
            .iter()
            .map(|number| member(*number, *number as u64))
            .collect();
        let shuffled = Balancer::new(&spec(hashed()), shuffled);
        let keys = ["127.0.0.1:90", "127.0.0.1:91", "127.0.0.1:92", "127.0.0.1:93"];
        let (mut reversed, sorted) = (keys, slots(&table(&keys, &[1; 4], 7), 7));
        reversed.reverse();
        let mirrored: Vec<u32> = slots(&table(&reversed, &[1; 4], 7), 7)
            .iter()
            .map(|position| 3 - position)
            .collect();
        assert_eq!(sorted, mirrored);
        for number in 0..1_000 {
            let one = &straight.members()[world.pick_by(&straight, key(number)) as usize];
            let two = &shuffled.members()[other_world.pick_by(&shuffled, key(number)) as usize];
            assert_eq!(one.endpoint.address, two.endpoint.address);
        }
    }

    #[test]
    fn a_retry_goes_on_until_every_endpoint_was_tried() {
        let balancer = balancer(hashed(), &[1; 5]);
        World::new(0).check_that_tries_reach_everyone(&balancer, (0..200).map(key));
    }

    #[test]
    fn small_tables_and_lone_endpoints_work() {
        for (count, size) in [(1, 2), (2, 2), (5, 2), (5, 3), (300, 601)] {
            let keys: Vec<(String, u32)> = (0..count)
                .map(|number| (format!("10.0.0.1:{number}"), 1))
                .collect();
            let maglev = Maglev::new(&keys, TableSize::new(size).expect("a prime"));
            assert!((0..1_000).all(|number| maglev.at(key(number), number as u32 % 3) < count));
        }
        assert_eq!(Maglev::new(&[], TableSize::default()).at(17, 0), 0);
    }

    #[test]
    fn one_heavy_endpoint_among_many_is_filled_by_weight() {
        let keyed: Vec<(String, u32)> = (0..100)
            .map(|number| {
                (
                    format!("10.0.0.1:{number}"),
                    if number == 7 { 9_900 } else { 100 },
                )
            })
            .collect();
        let maglev = Maglev::new(&keyed, TableSize::default());
        let heavy = slots(&maglev, 65_537)
            .iter()
            .filter(|position| **position == 7)
            .count();
        assert!((32_700..=32_800).contains(&heavy), "{heavy}");
    }
}
