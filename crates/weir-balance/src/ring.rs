//! Consistent hash: a ring (Ketama) of Envoy's construction (`ring_hash_lb.cc`): xxHash64 of `ADDRESS_NUMBER` for each
//! point (row LB09).
//!
//! One thing differs: Envoy gives the lightest endpoint just as many points as reach the least size, so that adding an
//! endpoint takes points away from all others, and a third of the keys move where a fifth would do. Here that number is
//! rounded up to a power of two: most changes leave it alone and then move the endpoint's own keys and
//! nobody else's. It is the ring that Envoy builds when its least size is that much greater. Every doubling of the
//! endpoints still halves the number once. An endpoint that becomes unavailable changes nothing: its keys go to whatever
//! follows each of its points. With 1,024 points over five endpoints shares are even within about a third, which the
//! test `lb09_shares_by_points` measures.

use weir_model::RingSize;
use xxhash_rust::xxh64::xxh64;

/// Points by hash, and a table that says where to begin looking for one: two lines of memory a pick, at any size.
#[derive(Debug)]
pub(crate) struct Ring {
    hashes: Box<[u64]>,
    positions: Box<[u32]>,
    /// The first point at or after each equal part of the range of hashes.
    starts: Box<[u32]>,
    shift: u32,
}

impl Ring {
    /// A ring over endpoints with these keys (`ip:port`) and weights, all greater than 0. The order of the
    /// endpoints does not matter (row CH10).
    pub(crate) fn new(endpoints: &[(String, u32)], size: RingSize) -> Self {
        let mut points = points(endpoints, size);
        // Equal hashes stand in the order of their keys, so that every replica has the same ring.
        points.sort_by_key(|(hash, _)| *hash);
        let parts = points.len().next_power_of_two().max(2);
        let shift = u64::BITS - parts.trailing_zeros();
        let mut starts = Vec::with_capacity(parts);
        let mut at = 0;
        for part in 0..parts as u64 {
            while at < points.len() && points[at].0 >> shift < part {
                at += 1;
            }
            starts.push(at as u32);
        }
        Self {
            hashes: points.iter().map(|(hash, _)| *hash).collect(),
            positions: points.iter().map(|(_, position)| *position).collect(),
            starts: starts.into(),
            shift,
        }
    }

    /// The position of the first point at or after `hash`, `attempt` points further on (Envoy's walk for retries).
    #[inline]
    pub(crate) fn at(&self, hash: u64, attempt: u32) -> u32 {
        let count = self.hashes.len();
        if count == 0 {
            return 0;
        }
        let mut at = self.starts[(hash >> self.shift) as usize] as usize;
        while at < count && self.hashes[at] < hash {
            at += 1;
        }
        at += attempt as usize;
        if at >= count {
            at %= count;
        }
        self.positions[at]
    }
}

/// As many points in all as give the lightest endpoint a number that is a power of two and reach `min`, at most `max`;
/// each endpoint gets points up to its share of the running sum. Integers here, where Envoy's are floating, and
/// endpoints in the order of their keys, where Envoy takes them as they come; that moves at most one point
/// of an endpoint, and only when weights differ.
fn points(endpoints: &[(String, u32)], size: RingSize) -> Vec<(u64, u32)> {
    let mut order: Vec<u32> = (0..endpoints.len() as u32).collect();
    order.sort_by_key(|position| &endpoints[*position as usize]);
    let sum: u128 = endpoints.iter().map(|(_, weight)| u128::from(*weight)).sum();
    let lightest = endpoints
        .iter()
        .map(|(_, weight)| u128::from(*weight))
        .min()
        .unwrap_or(1)
        .max(1);
    let of_lightest = (lightest * u128::from(size.min()))
        .div_ceil(sum.max(1))
        .next_power_of_two();
    // An endpoint of weight `w` is due `w * numerator / denominator` points.
    let capped = of_lightest * sum > u128::from(size.max()) * lightest;
    let (numerator, denominator) = if capped {
        (u128::from(size.max()), sum)
    } else {
        (of_lightest, lightest)
    };
    let mut points = Vec::new();
    let (mut due, mut label) = (0, String::new());
    for position in order {
        let (key, weight) = &endpoints[position as usize];
        due += u128::from(*weight) * numerator;
        label.clear();
        label.push_str(key);
        label.push('_');
        let stem = label.len();
        let mut number = 0u64;
        while (points.len() as u128) * denominator < due {
            label.truncate(stem);
            label.push_str(&number.to_string());
            points.push((xxh64(label.as_bytes(), 0), position));
            number += 1;
        }
    }
    points
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use weir_model::{Algorithm, ConsistentHash, HashTable, MissingKey};

    use super::*;
    use crate::world::{World, balancer, member, members, spec};
    use crate::{Balancer, Member, Unavailable};

    fn sized(min: u64, max: u64) -> RingSize {
        RingSize::new(min, max).expect("a size")
    }

    fn ring(keys: &[&str], weights: &[u32], size: RingSize) -> Ring {
        let keyed: Vec<_> = keys
            .iter()
            .map(|key| (*key).to_owned())
            .zip(weights.iter().copied())
            .collect();
        Ring::new(&keyed, size)
    }

    fn hashed() -> Algorithm {
        Algorithm::ConsistentHash(ConsistentHash {
            sources: Vec::new(),
            table: HashTable::Ring(RingSize::default()),
            missing_key: MissingKey::Random,
        })
    }

    fn key(number: u64) -> u64 {
        xxh64(&number.to_le_bytes(), 0)
    }

    #[test]
    fn lb09_the_ring_is_the_one_that_envoy_builds() {
        // The points that Envoy's own test lists for these endpoints (ring_hash_lb_test.cc).
        let ring = ring(
            &["90", "91", "92", "93", "94", "95"],
            &[1; 6],
            sized(12, 8_388_608),
        );
        let points: Vec<_> = ring
            .hashes
            .iter()
            .copied()
            .zip(ring.positions.iter().copied())
            .collect();
        let expected = [
            (1_975_508_444_536_362_413, 5),
            (2_376_063_919_839_173_711, 5),
            (2_386_806_903_309_390_596, 3),
            (6_749_904_478_991_551_885, 4),
            (6_803_900_775_736_438_537, 3),
            (7_225_015_537_174_310_577, 2),
            (8_787_465_352_164_086_522, 0),
            (11_282_020_843_382_717_940, 2),
            (13_723_418_369_486_627_818, 1),
            (13_776_502_110_861_797_421, 0),
            (14_338_313_586_354_474_791, 1),
            (15_364_271_037_087_512_980, 4),
        ];
        assert_eq!(points, expected);
        for (hash, position) in [
            (0, 5),
            (u64::MAX, 5),
            (7_225_015_537_174_310_577, 2),
            (6_803_900_775_736_438_537, 3),
            (6_803_900_775_736_438_538, 2),
            (15_364_271_037_087_512_980, 4),
            (15_364_271_037_087_512_981, 5),
        ] {
            assert_eq!(ring.at(hash, 0), position, "{hash}");
        }
        let walk: Vec<u32> = (0..14)
            .map(|attempt| ring.at(14_000_000_000_000_000_000, attempt))
            .collect();
        assert_eq!(walk, [1, 4, 5, 5, 3, 4, 3, 2, 0, 2, 1, 0, 1, 4]);
    }

    #[test]
    fn lb09_addresses_are_placed_as_envoy_places_them() {
        let keys: Vec<String> = (90..96).map(|port| format!("127.0.0.1:{port}")).collect();
        let keys: Vec<&str> = keys.iter().map(|key| &**key).collect();
        let ring = ring(&keys, &[1; 6], sized(12, 8_388_608));
        for (hash, position) in [
            (0, 4),
            (u64::MAX, 4),
            (3_551_244_743_356_806_947, 5),
            (3_551_244_743_356_806_948, 3),
            (16_117_243_373_044_804_880, 0),
        ] {
            assert_eq!(ring.at(hash, 0), position, "{hash}");
        }
    }

    #[test]
    fn lb09_the_number_of_points_follows_the_least_size() {
        // Weights, least and greatest size; points of each.
        type Case = (&'static [u32], u64, u64, &'static [usize]);
        let cases: [Case; 8] = [
            (&[1], 12, 8_388_608, &[16]),
            (&[1; 6], 12, 8_388_608, &[2; 6]),
            (&[1; 6], 13, 8_388_608, &[4; 6]),
            (&[1, 2], 3, 8_388_608, &[1, 2]),
            (&[1, 2], 4, 8_388_608, &[2, 4]),
            (&[5, 5, 90], 10, 8_388_608, &[1, 1, 18]),
            (&[1; 3], 2, 2, &[1, 1, 0]),
            (&[1; 4], 1_024, 1_024, &[256; 4]),
        ];
        for (weights, min, max, expected) in cases {
            let keys: Vec<String> = (0..weights.len())
                .map(|number| format!("10.0.0.1:{number}"))
                .collect();
            let keys: Vec<&str> = keys.iter().map(|key| &**key).collect();
            let ring = ring(&keys, weights, sized(min, max));
            let mut counts = vec![0; weights.len()];
            ring.positions
                .iter()
                .for_each(|position| counts[*position as usize] += 1);
            assert_eq!(counts, expected, "{weights:?} {min} {max}");
        }
    }

    #[test]
    fn lb09_looking_up_is_a_search() {
        let keys: Vec<String> = (0..37).map(|number| format!("10.0.0.{number}:80")).collect();
        let keys: Vec<&str> = keys.iter().map(|key| &**key).collect();
        let ring = ring(&keys, &[3; 37], sized(500, 8_388_608));
        let edges = ring
            .hashes
            .iter()
            .flat_map(|hash| [hash.wrapping_sub(1), *hash, hash.wrapping_add(1)]);
        for hash in edges.chain((0..10_000).map(key)) {
            let at = ring.hashes.partition_point(|point| *point < hash) % ring.hashes.len();
            assert_eq!(ring.at(hash, 0), ring.positions[at], "{hash}");
        }
        assert_eq!(Ring::new(&[], RingSize::default()).at(17, 3), 0);
    }

    #[test]
    fn lb09_shares_by_points() {
        for (min, within) in [(1_024, 0.35), (65_536, 0.05)] {
            let algorithm = Algorithm::ConsistentHash(ConsistentHash {
                sources: Vec::new(),
                table: HashTable::Ring(sized(min, 8_388_608)),
                missing_key: MissingKey::Random,
            });
            let (balancer, mut world) = (balancer(algorithm, &[1, 1, 2, 1, 5]), World::new(0));
            let mut counts = [0u32; 5];
            (0..50_000).for_each(|number| counts[world.pick_by(&balancer, key(number)) as usize] += 1);
            for (count, weight) in counts.iter().zip([1.0, 1.0, 2.0, 1.0, 5.0]) {
                let part = f64::from(*count) / (5_000.0 * weight);
                println!("{min} points: {part:.3} of its share");
                assert!((part - 1.0).abs() < within, "{min}: {counts:?}");
            }
        }
    }

    #[test]
    fn lb09_adding_one_of_five_moves_a_fifth_and_nothing_else() {
        let mut world = World::new(0);
        for (count, doubles) in [
            (5, false),
            (6, false),
            (7, false),
            (8, true),
            (12, false),
            (100, false),
        ] {
            let all = members(&vec![1; count]);
            let (before, after) = (
                Balancer::new(&spec(hashed()), all[..count - 1].to_vec()),
                Balancer::new(&spec(hashed()), all.clone()),
            );
            let (mut moved, mut others) = (0u32, 0);
            for number in 0..10_000 {
                let (old, new) = (
                    world.pick_by(&before, key(number)),
                    world.pick_by(&after, key(number)),
                );
                moved += u32::from(old != new);
                others += u32::from(old != new && new as usize != count - 1);
            }
            println!(
                "of 10,000 keys {moved} move when there are {count} endpoints, {others} between old ones"
            );
            if !doubles {
                assert!(others == 0 && moved <= 12_500 / count as u32, "{count}: {moved}");
            }
        }
    }

    #[test]
    fn ch11_an_unavailable_endpoint_moves_nobody_elses_keys_on_a_ring() {
        let (balancer, mut world) = (balancer(hashed(), &[1; 7]), World::new(0));
        let before: Vec<u32> = (0..10_000)
            .map(|number| world.pick_by(&balancer, key(number)))
            .collect();
        balancer.members()[2].state.raise(Unavailable::Unhealthy);
        let mut rest = members(&[1; 7]);
        rest.remove(2);
        let rest = Balancer::new(&spec(hashed()), rest);
        for (number, before) in (0..10_000).zip(&before) {
            let after = world.pick_by(&balancer, key(number));
            assert!(after != 2 && (*before == 2 || after == *before), "key {number}");
            // As if it had been removed.
            let removed = &rest.members()[world.pick_by(&rest, key(number)) as usize];
            assert_eq!(
                removed.endpoint.address,
                balancer.members()[after as usize].endpoint.address
            );
        }
        balancer.members()[2].state.clear(Unavailable::Unhealthy);
        assert!(
            (0..10_000)
                .zip(&before)
                .all(|(number, before)| world.pick_by(&balancer, key(number)) == *before)
        );
    }

    #[test]
    fn ch10_the_order_of_endpoints_does_not_matter_on_a_ring() {
        let (mut world, mut other_world) = (World::new(1), World::new(2));
        let straight = balancer(hashed(), &[1, 2, 3, 4, 5]);
        let shuffled: Vec<Member> = [3usize, 1, 5, 4, 2]
            .iter()
            .map(|number| member(*number, *number as u64))
            .collect();
        let shuffled = Balancer::new(&spec(hashed()), shuffled);
        for number in 0..1_000 {
            let one = &straight.members()[world.pick_by(&straight, key(number)) as usize];
            let two = &shuffled.members()[other_world.pick_by(&shuffled, key(number)) as usize];
            assert_eq!(one.endpoint.address, two.endpoint.address);
            assert!(!Arc::ptr_eq(&one.state, &two.state));
        }
    }

    #[test]
    fn a_retry_on_a_ring_goes_on_until_every_endpoint_was_tried() {
        let balancer = balancer(hashed(), &[1; 5]);
        World::new(0).check_that_tries_reach_everyone(&balancer, (0..200).map(key));
    }
}
