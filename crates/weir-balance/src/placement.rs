//! Where a hash key lives: a table, and what happens when the endpoint that it names cannot take the request.

use weir_model::HashTable;

use crate::bound::Bound;
use crate::maglev::Maglev;
use crate::pick::Pick;
use crate::ready::{DRAWS, Ready};
use crate::ring::Ring;

/// Steps of a key's way before it is given up for the next usable endpoint. Neighbouring points of a ring are often of one
/// endpoint, so its ways are longer.
const RING_STEPS: u32 = 64;
/// Endpoints looked at for room after a key's way.
const SEARCHED_MAX: u32 = 64;

/// Places keys on endpoints.
#[derive(Debug)]
pub(crate) enum Placement {
    Maglev(Maglev),
    Ring(Ring),
}

impl Placement {
    /// A table over endpoints with these keys (`ip:port`) and weights, all greater than 0.
    pub(crate) fn new(endpoints: &[(String, u32)], table: HashTable) -> Self {
        match table {
            HashTable::Maglev(size) => Self::Maglev(Maglev::new(endpoints, size)),
            HashTable::Ring(size) => Self::Ring(Ring::new(endpoints, size)),
        }
    }

    /// The usable position for `hash`, with room if there is a bound: the first one on the key's way. A key's way is always
    /// the same, so what cannot stay at home is found again at its second place.
    #[inline]
    pub(crate) fn pick(
        &self,
        hash: u64,
        ready: &Ready,
        bound: Option<&Bound>,
        pick: &Pick<'_>,
    ) -> Option<u32> {
        let home = self.at(hash, 0);
        if ready.is_usable(home, pick.tried) && (bound.is_none() || ready.state(home).in_flight() == 0) {
            return Some(home);
        }
        match bound {
            None => self.away(hash, home, ready, pick),
            Some(bound) => self.bounded(bound, hash, ready, pick),
        }
    }

    #[inline]
    fn at(&self, hash: u64, attempt: u32) -> u32 {
        match self {
            Self::Maglev(maglev) => maglev.at(hash, attempt),
            Self::Ring(ring) => ring.at(hash, attempt),
        }
    }

    fn steps(&self) -> u32 {
        match self {
            Self::Maglev(_) => DRAWS,
            Self::Ring(_) => RING_STEPS,
        }
    }

    fn away(&self, hash: u64, home: u32, ready: &Ready, pick: &Pick<'_>) -> Option<u32> {
        let mut position = home;
        for attempt in 1..self.steps() {
            position = self.at(hash, attempt);
            if ready.is_usable(position, pick.tried) {
                return Some(position);
            }
        }
        ready.next_usable(position, pick.tried)
    }

    fn bounded(&self, bound: &Bound, hash: u64, ready: &Ready, pick: &Pick<'_>) -> Option<u32> {
        let total = bound.total(ready, pick.tried, pick.now_ms);
        let way = (0..self.steps()).map(|attempt| self.at(hash, attempt));
        let last = self.at(hash, self.steps());
        // By their number, for keys whose way misses the few that have room.
        let others = (0..ready.len().min(SEARCHED_MAX)).map(|turn| (last + turn) % ready.len().max(1));
        let mut least_full: Option<(u64, u32)> = None;
        for position in way
            .chain(others)
            .filter(|position| ready.is_usable(*position, pick.tried))
        {
            if bound.has_room(position, ready, total) {
                return Some(position);
            }
            let fullness = bound.fullness(position, ready, total);
            if least_full.is_none_or(|(least, _)| fullness < least) {
                least_full = Some((fullness, position));
            }
        }
        match least_full {
            Some((_, position)) => Some(position),
            None => ready.next_usable(last, pick.tried),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use weir_model::{Algorithm, BalanceSpec, ConsistentHash, LoadBound, MissingKey, RingSize};
    use xxhash_rust::xxh64::xxh64;

    use super::*;
    use crate::world::{World, hold, members, spec};
    use crate::{Balancer, NoPick, Unavailable};

    fn tables() -> [HashTable; 2] {
        [HashTable::default(), HashTable::Ring(RingSize::default())]
    }

    fn bounded(table: HashTable, percent: Option<u64>, weights: &[u64]) -> Balancer {
        let algorithm = Algorithm::ConsistentHash(ConsistentHash {
            sources: Vec::new(),
            table,
            missing_key: MissingKey::Random,
        });
        let spec = BalanceSpec {
            load_bound: percent.map(|percent| LoadBound::new(percent).expect("a bound")),
            ..spec(algorithm)
        };
        Balancer::new(&spec, members(weights))
    }

    fn key(number: u64) -> u64 {
        xxh64(&number.to_le_bytes(), 0)
    }

    #[test]
    fn lb11_one_hot_key_spreads_no_further_than_it_must() {
        for table in tables() {
            for (count, percent) in [(4usize, 125u64), (10, 125), (5, 150), (40, 125), (7, 100)] {
                let (balancer, mut world) = (bounded(table, Some(percent), &vec![1; count]), World::new(0));
                let mut leases = Vec::new();
                let mut order = Vec::new();
                for number in 1..=100u64 {
                    // With many endpoints the load is that of the last count.
                    world.now_ms += 1;
                    let index = world.pick_by(&balancer, key(7)) as usize;
                    leases.extend(hold(&balancer.members()[index], 1));
                    order.push(index);
                    let greatest = balancer
                        .members()
                        .iter()
                        .map(|member| member.state.in_flight())
                        .max();
                    let bound = (number * percent).div_ceil(100 * count as u64);
                    assert!(
                        u64::from(greatest.unwrap_or(0)) <= bound,
                        "{table:?}, {count}: {greatest:?} of {number}"
                    );
                }
                // Its home is full, and nobody else got anything while it had room.
                let home = balancer.members()[order[0]].state.in_flight();
                assert_eq!(
                    u64::from(home),
                    (100 * percent).div_ceil(100 * count as u64),
                    "{table:?}, {count}"
                );
                drop(leases);
                assert_eq!(world.pick_by(&balancer, key(7)) as usize, order[0]);
            }
        }
    }

    #[test]
    fn lb11_without_load_or_bound_keys_are_where_they_were() {
        for table in tables() {
            let (plain, tight) = (
                bounded(table, None, &[1, 2, 3]),
                bounded(table, Some(100), &[1, 2, 3]),
            );
            let mut world = World::new(0);
            let _crushed = hold(&plain.members()[0], 1_000);
            for number in 0..1_000 {
                assert_eq!(
                    world.pick_by(&plain, key(number)),
                    world.pick_by(&tight, key(number))
                );
            }
        }
    }

    #[test]
    fn lb11_what_spills_goes_the_same_way_each_time() {
        for table in tables() {
            let (balancer, mut world) = (bounded(table, Some(125), &[1; 10]), World::new(0));
            let homes: Vec<u32> = (0..2_000)
                .map(|number| world.pick_by(&balancer, key(number)))
                .collect();
            let _full = hold(&balancer.members()[3], 20);
            let mut spilled = [0u32; 10];
            for (number, home) in (0..2_000).zip(&homes) {
                let now = world.pick_by(&balancer, key(number));
                assert!(now == world.pick_by(&balancer, key(number)) && (*home == 3 || now == *home));
                spilled[now as usize] += u32::from(*home == 3);
            }
            // Over all others, not onto a neighbour.
            let sum: u32 = spilled.iter().sum();
            assert!(
                spilled[3] == 0 && spilled.iter().all(|count| *count < sum / 3),
                "{spilled:?}"
            );
        }
    }

    #[test]
    fn lb11_rooms_follow_weights() {
        let (balancer, mut world) = (bounded(HashTable::default(), Some(125), &[1, 3]), World::new(0));
        let mut leases = Vec::new();
        for number in 0..400 {
            let index = world.pick_by(&balancer, key(number)) as usize;
            leases.extend(hold(&balancer.members()[index], 1));
        }
        let light = balancer.members()[0].state.in_flight();
        assert!((75..=125).contains(&light), "{light} of 400");
    }

    #[test]
    fn lb11_unavailable_and_tried_endpoints_do_not_count() {
        for table in tables() {
            let (balancer, mut world) = (bounded(table, Some(100), &[1; 4]), World::new(0));
            balancer.members()[1].state.raise(Unavailable::Ejected);
            let _lost = hold(&balancer.members()[1], 300);
            let mut leases = Vec::new();
            for number in 0..30 {
                let index = world.pick_by(&balancer, key(number)) as usize;
                leases.extend(hold(&balancer.members()[index], 1));
            }
            let loads: Vec<u32> = [0, 2, 3]
                .map(|at: usize| balancer.members()[at].state.in_flight())
                .into();
            assert_eq!(loads, [10, 10, 10]);
            for _ in 0..3 {
                let index = world.pick_by(&balancer, key(1));
                assert!(index != 1 && !world.tried.contains(&index));
                world.tried.push(index);
            }
            assert_eq!(world.try_pick(&balancer, Some(key(1))), Err(NoPick::AllTried));
        }
    }

    #[test]
    fn bx04_affinity_is_kept_and_bounded_under_unequal_clients() {
        // Clients of unequal activity, 200 requests in flight: rank r is r^-0.7 as active as the first.
        let activity: Vec<f64> = (1..=2_000).map(|rank| f64::from(rank).powf(-0.7)).collect();
        let sum: f64 = activity.iter().sum();
        let ends: Vec<f64> = activity
            .iter()
            .scan(0.0, |end, part| {
                *end += part / sum;
                Some(*end)
            })
            .collect();
        for table in tables() {
            let (balancer, mut world) = (bounded(table, Some(125), &[1; 8]), World::new(3));
            // What a token would remember: where a client was served last, for as long as there is room.
            let mut pinned: Vec<Option<u32>> = vec![None; 2_000];
            let mut in_flight = VecDeque::new();
            let (mut hits, mut greatest, mut served) = (0, 0, [0; 8]);
            for number in 0..60_000 {
                let drawn = world.rng.unit();
                let client = ends.partition_point(|end| *end < drawn).min(1_999);
                if in_flight.len() == 200 {
                    let leaving = world.rng.below(200) as usize;
                    in_flight.swap_remove_back(leaving);
                }
                let index = match pinned[client] {
                    Some(index) if balancer.has_room(index, world.now_ms) => index,
                    _ => world.pick_by(&balancer, key(client as u64)),
                };
                if number >= 10_000 {
                    hits += u32::from(pinned[client] == Some(index));
                    served[index as usize] += 1;
                }
                pinned[client] = Some(index);
                in_flight.push_back(hold(&balancer.members()[index as usize], 1));
                greatest = greatest.max(balancer.members()[index as usize].state.in_flight());
            }
            println!(
                "{table:?}: {hits} of 50,000 at the client's endpoint, at most {greatest} of 200 in flight, {served:?}"
            );
            // A part of 25, and what chance may heap up: two deviations of 5, and the one that comes.
            assert!(greatest <= 36, "{greatest}");
            assert!(
                served.iter().all(|count| *count <= 50_000 / 8 * 5 / 4),
                "{served:?}"
            );
            assert!(hits >= 47_500, "{hits}");
        }
    }
}
