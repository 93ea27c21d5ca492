//! The split of a rule's requests over its weighted destinations (rows MC02, CH12, BX13).

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use weir_model::Weight;
use xxhash_rust::xxh64::xxh64;

use crate::ready::DRAWS;
use crate::rng::{Rng, mix};
use crate::schedule::Schedule;

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
        if self.shares.is_empty() {
            return None;
        }
        (0..DRAWS)
            .map(|_| self.shares[self.schedule.next(cursor) as usize].destination)
            .find(|destination| usable(*destination))
            // Those left have a small part of the weight: a draw among them instead of a long way to their turn.
            .or_else(|| self.by_hash_usable(cursor.fetch_add(1, Relaxed), usable))
    }

    /// The destination whose turn it is, each weight times `scale`, 0 to 1: exact while all scales are 1, and for the
    /// others on average. `None` when nothing is left.
    pub(crate) fn next_scaled(
        &self,
        cursor: &AtomicU64,
        rng: &mut Rng,
        scale: impl Fn(u32) -> f64,
    ) -> Option<u32> {
        if self.shares.is_empty() {
            return None;
        }
        for _ in 0..DRAWS {
            let destination = self.shares[self.schedule.next(cursor) as usize].destination;
            let scale = scale(destination);
            if scale >= 1.0 || rng.unit() < scale {
                return Some(destination);
            }
        }
        // Little is left of the heavy ones: a draw among all instead of a long way to the turn of the others.
        self.by_hash_scaled(rng.next_u64(), scale)
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
        self.by_hash_scaled(key, |destination| f64::from(u8::from(usable(destination))))
    }

    /// As [`Split::by_hash`] with each weight times `scale`; 0 takes a destination out.
    pub(crate) fn by_hash_scaled(&self, key: u64, scale: impl Fn(u32) -> f64) -> Option<u32> {
        let mut best: Option<(f64, u32)> = None;
        for share in &self.shares {
            let weight = share.weight * scale(share.destination);
            if weight <= 0.0 {
                continue;
            }
            // An exponential variable of rate `weight`: the least of several belongs to each in proportion to its rate.
            let drawn = ((mix(key ^ share.seed) >> 11) as f64 + 0.5) * (1.0 / (1u64 << 53) as f64);
            let arrival = -drawn.ln() / weight;
            if best.is_none_or(|(earliest, _)| arrival < earliest) {
                best = Some((arrival, share.destination));
            }
        }
        best.map(|(_, destination)| destination)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use proptest::prelude::*;
    use xxhash_rust::xxh64::xxh64;

    use super::*;

    fn split(destinations: &[(u64, &'static str)]) -> Split {
        Split::new(
            destinations
                .iter()
                .map(|(weight, identity)| (Weight::new(*weight).expect("a weight"), *identity)),
        )
    }

    fn counts(split: &Split, destinations: usize, requests: u32) -> Vec<u32> {
        let (cursor, mut counts) = (AtomicU64::new(0), vec![0; destinations]);
        for _ in 0..requests {
            counts[split.next(&cursor).expect("a destination") as usize] += 1;
        }
        counts
    }

    fn key(user: u64) -> u64 {
        xxh64(&user.to_le_bytes(), 0)
    }

    #[test]
    fn mc02_weights_are_exact() {
        for (destinations, requests, expected) in [
            (&[(90, "a"), (10, "b")][..], 100, &[90, 10][..]),
            (&[(100, "a"), (0, "b")], 100, &[100, 0]),
            (&[(0, "a"), (1, "b")], 7, &[0, 7]),
            (&[(1, "a"), (1, "b")], 100, &[50, 50]),
            (&[(5, "a"), (95, "b")], 200, &[10, 190]),
            (&[(1, "a"), (2, "b"), (3, "c")], 60, &[10, 20, 30]),
            (&[(1_000_000, "a"), (1_000_000, "b")], 10, &[5, 5]),
            (&[(999_000, "a"), (1_000, "b")], 1_000, &[999, 1]),
        ] {
            assert_eq!(
                counts(&split(destinations), destinations.len(), requests),
                expected,
                "{destinations:?}"
            );
        }
    }

    #[test]
    fn mc03_a_share_is_spread_evenly_over_time() {
        let (split, cursor) = (split(&[(90, "good"), (10, "invalid")]), AtomicU64::new(0));
        let order: Vec<u32> = (0..1_000).filter_map(|_| split.next(&cursor)).collect();
        for window in order.chunks(20) {
            let invalid = window.iter().filter(|destination| **destination == 1).count();
            assert_eq!(invalid, 2, "{window:?}");
        }
    }

    #[test]
    fn no_weight_at_all_gives_nothing() {
        for destinations in [&[][..], &[(0, "a"), (0, "b")]] {
            let (split, cursor) = (split(destinations), AtomicU64::new(0));
            assert_eq!(split.next(&cursor), None);
            assert_eq!(split.by_hash(17), None);
            assert_eq!(split.next_usable(&cursor, |_| true), None);
        }
    }

    #[test]
    fn bx13_shares_follow_weights_and_users_stay() {
        let split = split(&[(5, "canary"), (95, "stable")]);
        let mut canary = 0;
        for user in 0..2_000 {
            let destination = split.by_hash(key(user));
            assert!((0..20).all(|_| split.by_hash(key(user)) == destination));
            canary += u32::from(destination == Some(0));
        }
        assert!((70..=130).contains(&canary), "{canary} of 2,000");
    }

    #[test]
    fn ch12_the_destination_does_not_depend_on_its_place_in_the_rule() {
        let (one, two) = (
            split(&[(5, "canary"), (95, "stable")]),
            split(&[(0, "new"), (95, "stable"), (5, "canary")]),
        );
        for user in 0..2_000 {
            assert_eq!(
                one.by_hash(key(user)) == Some(0),
                two.by_hash(key(user)) == Some(2)
            );
        }
    }

    #[test]
    fn a_new_destination_takes_its_share_and_nothing_else_moves() {
        let (before, after) = (
            split(&[(1, "a"), (1, "b")]),
            split(&[(1, "a"), (1, "b"), (1, "c")]),
        );
        let mut moved = 0;
        for user in 0..9_000 {
            match (before.by_hash(key(user)), after.by_hash(key(user))) {
                (_, Some(2)) => moved += 1,
                (one, two) => assert_eq!(one, two, "user {user}"),
            }
        }
        assert!((2_800..=3_200).contains(&moved), "{moved} of 9,000");
    }

    #[test]
    fn the_choice_of_destination_says_nothing_of_the_choice_of_endpoint() {
        // Of the users of one half, as many fall into each slot of a small table as of the other half.
        let split = split(&[(1, "a"), (1, "b")]);
        let mut cells = [[0u32; 7]; 2];
        for user in 0..70_000 {
            let destination = split.by_hash(key(user)).expect("a destination") as usize;
            cells[destination][(key(user) % 7) as usize] += 1;
        }
        for cell in cells.iter().flatten() {
            assert!((4_750..=5_250).contains(cell), "{cells:?}");
        }
    }

    #[test]
    fn a_backend_that_stands_twice_counts_twice() {
        let split = split(&[(1, "a"), (1, "a"), (2, "b")]);
        let mut counts = [0u32; 3];
        (0..40_000)
            .filter_map(|user| split.by_hash(key(user)))
            .for_each(|at| counts[at as usize] += 1);
        for (count, expected) in counts.iter().zip([10_000u32, 10_000, 20_000]) {
            assert!(count.abs_diff(expected) < 500, "{counts:?}");
        }
    }

    #[test]
    fn mc04_the_share_of_the_unusable_goes_to_the_others_by_weight() {
        let (split, cursor) = (split(&[(6, "a"), (3, "b"), (1, "c")]), AtomicU64::new(0));
        let mut counts = [0u32; 3];
        for _ in 0..400 {
            counts[split.next_usable(&cursor, |at| at != 0).expect("a destination") as usize] += 1;
        }
        assert_eq!(counts, [0, 300, 100]);
        assert_eq!(split.next_usable(&cursor, |_| false), None);
        for user in 0..1_000 {
            let (all, rest) = (
                split.by_hash(key(user)),
                split.by_hash_usable(key(user), |at| at != 0),
            );
            assert!(rest == all || all == Some(0), "user {user}");
        }
    }

    #[test]
    fn mc04_a_tiny_share_that_is_left_serves_at_once() {
        let (split, cursor) = (split(&[(1_000_000, "a"), (1, "b"), (2, "c")]), AtomicU64::new(0));
        let mut counts = [0u32; 3];
        for _ in 0..3_000 {
            counts[split.next_usable(&cursor, |at| at != 0).expect("a destination") as usize] += 1;
        }
        assert!(counts[0] == 0 && (850..=1_150).contains(&counts[1]), "{counts:?}");
    }

    proptest! {
        #[test]
        fn mc04_what_is_left_is_shared_exactly(
            destinations in prop::collection::vec((1u64..=20, any::<bool>()), 2..7),
            start in 0u64..1 << 40,
            periods in 1u64..4,
        ) {
            let left: u64 = destinations.iter().filter(|(_, alive)| *alive).map(|(weight, _)| weight).sum();
            let sum: u64 = destinations.iter().map(|(weight, _)| weight).sum();
            // Where less is left, it is drawn.
            prop_assume!(left * 6 >= sum);
            let names = ["a", "b", "c", "d", "e", "f"];
            let pairs = destinations.iter().zip(names).map(|((weight, _), name)| (*weight, name));
            let split = split(&pairs.collect::<Vec<_>>());
            let cursor = AtomicU64::new(start);
            let mut counts = vec![0u64; destinations.len()];
            for _ in 0..left * periods {
                let found = split.next_usable(&cursor, |at| destinations[at as usize].1);
                counts[found.expect("a destination") as usize] += 1;
            }
            for (count, (weight, alive)) in counts.iter().zip(&destinations) {
                let due = if *alive { weight * periods } else { 0 };
                // The last turn of a period may be a dead one's, which the next pick skips.
                prop_assert!(count.abs_diff(due) <= 1, "{counts:?} of {destinations:?}");
            }
        }
    }
}
