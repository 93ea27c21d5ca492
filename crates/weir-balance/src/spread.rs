//! The spread of a rule's requests over destinations that have tiers or stand in for each other (rows LB26, MC04).
//!
//! First the tier, by Envoy's priority rule over all endpoints of its destinations; then a destination inside it, by
//! weight. With `redistribute`, a destination's weight counts as far as its endpoints can carry it: its usable part
//! times the overprovisioning factor, as Envoy scales the weights of localities. So weights hold as long as 72 % of a
//! destination is usable, and the share of a dead one goes to the others.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use weir_model::{Tier, Weight};

use crate::rng::{Rng, mix};
use crate::split::Split;
use crate::tier_shares::TierShares;
use crate::tiers::{Availability, CandidateSpec, plan};

/// Which destination serves a request.
#[derive(Debug)]
pub struct Spread {
    tiers: Box<[SpreadTier]>,
    shares: TierShares,
    spec: CandidateSpec,
    /// Of the availabilities that the shares were made of.
    fingerprint: AtomicU64,
}

/// The destinations of one tier.
#[derive(Debug)]
struct SpreadTier {
    tier: Tier,
    /// All its endpoints are used, since all tiers together cannot carry the requests.
    panics: AtomicBool,
    split: Split,
    /// By index in the split.
    destinations: Box<[u32]>,
}

/// What the choice of a destination depends on.
#[derive(Debug)]
pub struct SpreadChoice<'a> {
    /// The request's hash key, if it has one: it always comes to the same destination then.
    pub key: Option<u64>,
    /// Position of the rule's rotation; see [`Split::next`].
    pub cursor: &'a AtomicU64,
    /// The worker's randomness.
    pub rng: &'a mut Rng,
    /// Now, on the clock of picks.
    pub now_ms: u64,
    /// Destinations whose tiers are passed over: enough was tried there (Envoy's `previous_priorities`).
    pub passed: &'a [u32],
}

/// Where a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpreadPick {
    /// Index of the destination.
    pub destination: u32,
    /// The destination is to use what is usable there, however little that is: what it cannot carry goes elsewhere.
    pub is_calm: bool,
}

impl Spread {
    /// A spread over destinations, each with its tier, its weight and its identity (see [`Split::new`]). Destinations
    /// of weight 0 get nothing.
    pub fn new<'a>(
        destinations: impl IntoIterator<Item = (Tier, Weight, &'a str)>,
        spec: CandidateSpec,
    ) -> Self {
        let mut by_tier: BTreeMap<Tier, Vec<(u32, Weight, &str)>> = BTreeMap::new();
        for ((tier, weight, identity), destination) in destinations.into_iter().zip(0u32..) {
            if weight > Weight::ZERO {
                by_tier
                    .entry(tier)
                    .or_default()
                    .push((destination, weight, identity));
            }
        }
        let tiers: Box<[SpreadTier]> = by_tier
            .into_iter()
            .map(|(tier, own)| SpreadTier {
                tier,
                panics: AtomicBool::new(false),
                split: Split::new(own.iter().map(|(_, weight, identity)| (*weight, *identity))),
                destinations: own.iter().map(|(destination, ..)| *destination).collect(),
            })
            .collect();
        Self {
            shares: TierShares::new(spec, tiers.len()),
            tiers,
            spec,
            fingerprint: AtomicU64::new(0),
        }
    }

    /// Whether availability makes no difference: one tier, nothing redistributed. [`Split`] alone does the same then.
    pub fn is_plain(&self) -> bool {
        self.tiers.len() < 2 && !self.spec.failover.redistribute
    }

    /// Goes on where `before`, the spread that this one replaces, has stopped (row LB27). One with other tiers begins
    /// anew.
    pub fn inherit(&self, before: &Self) {
        let tiers = |spread: &Self| spread.tiers.iter().map(|tier| tier.tier).collect::<Vec<_>>();
        if tiers(self) == tiers(before) {
            self.shares.inherit(&before.shares);
        }
    }

    /// The destination of a request; `None` when none has a weight, or when all tiers that could serve are passed over.
    /// `availability` tells how many endpoints of a destination can be used ([`crate::Balancer::availability`]); `None`
    /// for one that weir answers itself: its share stays its own, and it carries nothing for a tier.
    pub fn next(
        &self,
        choice: &mut SpreadChoice<'_>,
        availability: impl Fn(u32) -> Option<Availability>,
    ) -> Option<SpreadPick> {
        let tier = if choice.passed.is_empty() {
            if !self.tiers.is_empty() {
                self.refresh(choice.now_ms, &availability);
            }
            let drawn = match &*self.tiers {
                [] | [_] => 0,
                _ => choice.drawn(),
            };
            self.tiers.get(self.shares.tier(drawn))?
        } else {
            self.beyond(choice, &availability)?
        };
        let of = |at: u32| {
            let destination = tier.destinations.get(at as usize);
            destination.and_then(|one| availability(*one))
        };
        let at = match (choice.key, self.spec.failover.redistribute) {
            (None, false) => tier.split.next(choice.cursor),
            (Some(key), false) => tier.split.by_hash(key),
            (None, true) => tier
                .split
                .next_scaled(choice.cursor, choice.rng, |at| self.scale(of(at)))
                .or_else(|| tier.split.next(choice.cursor)),
            (Some(key), true) => tier
                .split
                .by_hash_scaled(key, |at| self.scale(of(at)))
                .or_else(|| tier.split.by_hash(key)),
        }?;
        Some(SpreadPick {
            destination: *tier.destinations.get(at as usize)?,
            is_calm: !tier.panics.load(Relaxed) && of(at).is_some_and(|found| found.usable > 0),
        })
    }

    /// A tier that is not passed over, as if the others were dead.
    #[cold]
    fn beyond(
        &self,
        choice: &mut SpreadChoice<'_>,
        availability: &impl Fn(u32) -> Option<Availability>,
    ) -> Option<&SpreadTier> {
        let is_passed = |tier: &SpreadTier| tier.destinations.iter().any(|one| choice.passed.contains(one));
        let found: Vec<Availability> = self
            .tiers
            .iter()
            .map(|tier| {
                if is_passed(tier) {
                    Availability::default()
                } else {
                    tier.found(availability)
                }
            })
            .collect();
        if found.iter().all(|tier| tier.usable == 0) {
            return None;
        }
        let mut left = choice.drawn();
        let plans = plan(&found, &self.spec);
        let at = plans.iter().position(|plan| {
            let is_it = left < plan.share_percent;
            left = left.saturating_sub(plan.share_percent);
            is_it
        })?;
        self.tiers.get(at)
    }

    /// What a destination's weight is multiplied by.
    fn scale(&self, availability: Option<Availability>) -> f64 {
        match availability {
            // Its share is answered, or waits for the first probe.
            None => 1.0,
            Some(found) if found.total == 0 && found.pending > 0 => 1.0,
            Some(found) => {
                f64::from(found.health_percent(self.spec.failover.overprovisioning_percent)) / 100.0
            }
        }
    }

    /// Brings the tiers' shares up to date.
    fn refresh(&self, now_ms: u64, availability: &impl Fn(u32) -> Option<Availability>) {
        let fingerprint = self.tiers.iter().fold(1, |hash, tier| {
            let found = tier.found(availability);
            let word = u64::from(found.usable) << 32 | u64::from(found.total);
            mix(mix(hash ^ word) ^ u64::from(found.pending))
        });
        if fingerprint == self.fingerprint.load(Relaxed) && !self.shares.is_due(now_ms) {
            return;
        }
        self.shares.refresh(
            now_ms,
            || self.tiers.iter().map(|tier| tier.found(availability)).collect(),
            |_, plans| {
                for (tier, plan) in self.tiers.iter().zip(plans) {
                    tier.panics.store(plan.panics, Relaxed);
                }
                self.fingerprint.store(fingerprint, Relaxed);
            },
        );
    }
}

impl SpreadTier {
    /// All its endpoints.
    fn found(&self, availability: &impl Fn(u32) -> Option<Availability>) -> Availability {
        let found = self.destinations.iter().filter_map(|one| availability(*one));
        found.fold(Availability::default(), Availability::plus)
    }
}

impl SpreadChoice<'_> {
    /// Decides about the tier, 0 to 99; independent of where a key falls inside it.
    fn drawn(&mut self) -> u32 {
        match self.key {
            Some(key) => (mix(key ^ TIER_SEED) % 100) as u32,
            None => self.rng.below(100),
        }
    }
}

/// Keeps the choice of a tier apart from the choices inside it.
const TIER_SEED: u64 = 0x7469_6572_5f73_6565;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use weir_model::{Failover, Percent};
    use xxhash_rust::xxh64::xxh64;

    use super::*;

    fn of(usable: u32, total: u32) -> Option<Availability> {
        Some(Availability {
            usable,
            total,
            pending: 0,
        })
    }

    fn spread(destinations: &[(u64, u64, &'static str)], failover: Failover) -> Spread {
        panicking(destinations, failover, Percent::ZERO)
    }

    fn panicking(destinations: &[(u64, u64, &'static str)], failover: Failover, below: Percent) -> Spread {
        let spec = CandidateSpec {
            panic_threshold: below,
            failover,
        };
        Spread::new(
            destinations.iter().map(|(tier, weight, identity)| {
                let weight = Weight::new(*weight).expect("a weight");
                (Tier::new(*tier).expect("a tier"), weight, *identity)
            }),
            spec,
        )
    }

    /// Requests of each destination, of 10,000 with keys or without.
    fn counts(spread: &Spread, found: &[Option<Availability>], keyed: bool, now_ms: u64) -> Vec<u32> {
        let (cursor, mut rng) = (AtomicU64::new(0), Rng::from_seed(5));
        let mut counts = vec![0; found.len()];
        for user in 0..10_000u64 {
            let mut choice = SpreadChoice {
                key: keyed.then(|| xxh64(&user.to_le_bytes(), 0)),
                cursor: &cursor,
                rng: &mut rng,
                now_ms,
                passed: &[],
            };
            let pick = spread.next(&mut choice, |one| found[one as usize]);
            counts[pick.expect("a destination").destination as usize] += 1;
        }
        counts
    }

    /// Both ways of choosing give each destination its part of 100, give or take one.
    fn check(spread: &Spread, found: &[Option<Availability>], parts: &[f64]) {
        for keyed in [false, true] {
            let counts = counts(spread, found, keyed, 0);
            for (count, part) in counts.iter().zip(parts) {
                assert!(
                    (f64::from(*count) / 100.0 - part).abs() < 1.3,
                    "keyed {keyed}, {found:?}: {counts:?}, due {parts:?}"
                );
            }
        }
    }

    #[test]
    fn mc04_the_share_of_a_dead_destination_moves_to_the_others() {
        let redistribute = Failover {
            redistribute: true,
            ..Failover::default()
        };
        let three = [(0, 60, "a"), (0, 30, "b"), (0, 10, "c")];
        let moving = spread(&three, redistribute);
        let staying = spread(&three, Failover::default());
        let good = of(4, 4);
        for (found, parts) in [
            ([good, good, good], [60.0, 30.0, 10.0]),
            // Weights hold as long as 72 % are usable.
            ([of(3, 4), good, good], [60.0, 30.0, 10.0]),
            ([of(2, 4), good, good], [42.0 / 0.82, 30.0 / 0.82, 10.0 / 0.82]),
            ([of(0, 4), good, good], [0.0, 75.0, 25.0]),
            ([of(0, 4), of(0, 4), good], [0.0, 0.0, 100.0]),
            // Nobody is left: weights as written, so that panic spreads over all.
            ([of(0, 4), of(0, 4), of(0, 4)], [60.0, 30.0, 10.0]),
            // A reference that weir answers itself keeps its share.
            ([of(0, 4), good, None], [0.0, 75.0, 25.0]),
            // So does one that nothing is known of yet; one without endpoints does not.
            ([of(0, 0), good, good], [0.0, 75.0, 25.0]),
        ] {
            check(&moving, &found, &parts);
            check(&staying, &found, &[60.0, 30.0, 10.0]);
        }
        let pending = Some(Availability {
            usable: 0,
            total: 0,
            pending: 4,
        });
        check(&moving, &[pending, good, good], &[60.0, 30.0, 10.0]);
        assert!(staying.is_plain() && !moving.is_plain());
    }

    #[test]
    fn mc04_exact_while_all_is_well_and_keys_move_only_from_the_dead() {
        let redistribute = Failover {
            redistribute: true,
            ..Failover::default()
        };
        let spread = spread(&[(0, 9, "a"), (0, 1, "b")], redistribute);
        let well = [of(1, 1), of(1, 1)];
        assert_eq!(counts(&spread, &well, false, 0), [9_000, 1_000]);
        let three = self::spread(&[(0, 1, "a"), (0, 1, "b"), (0, 1, "c")], redistribute);
        let (cursor, mut rng) = (AtomicU64::new(0), Rng::from_seed(1));
        for user in 0..2_000u64 {
            let mut chosen = |found: [Option<Availability>; 3]| {
                let mut choice = SpreadChoice {
                    key: Some(xxh64(&user.to_le_bytes(), 0)),
                    cursor: &cursor,
                    rng: &mut rng,
                    now_ms: 0,
                    passed: &[],
                };
                let pick = three.next(&mut choice, |one| found[one as usize]);
                pick.map(|pick| pick.destination)
            };
            let before = chosen([of(1, 1); 3]);
            let after = chosen([of(1, 1), of(0, 1), of(1, 1)]);
            assert!(after != Some(1) && (before == Some(1) || before == after));
        }
    }

    #[test]
    fn lb26_tiers_of_destinations_spill_by_health() {
        let spread = spread(
            &[(0, 1, "a"), (0, 1, "b"), (1, 1, "c"), (5, 1, "d"), (1, 0, "off")],
            Failover::default(),
        );
        let none = of(4, 4);
        for (found, parts) in [
            (
                [of(2, 2), of(2, 2), of(4, 4), of(1, 1), none],
                [50.0, 50.0, 0.0, 0.0],
            ),
            // Two of four: 70 % stay. Inside the tier weights are as written.
            (
                [of(2, 2), of(0, 2), of(4, 4), of(1, 1), none],
                [35.0, 35.0, 30.0, 0.0],
            ),
            (
                [of(0, 2), of(0, 2), of(4, 4), of(1, 1), none],
                [0.0, 0.0, 100.0, 0.0],
            ),
            (
                [of(0, 2), of(0, 2), of(2, 4), of(1, 1), none],
                [0.0, 0.0, 70.0, 30.0],
            ),
            (
                [of(0, 2), of(0, 2), of(0, 4), of(0, 1), none],
                [50.0, 50.0, 0.0, 0.0],
            ),
            // A tier that only answers carries nothing.
            ([None, None, of(4, 4), of(1, 1), none], [0.0, 0.0, 100.0, 0.0]),
        ] {
            check(&spread, &found, &parts);
        }
    }

    #[test]
    fn lb27_destinations_get_their_requests_back_after_the_delay() {
        let failover = Failover {
            failback_delay: Duration::from_secs(60),
            ..Failover::default()
        };
        let two = [(0, 1, "a"), (1, 1, "b")];
        let spread = spread(&two, failover);
        let (well, dead) = ([of(1, 1), of(1, 1)], [of(0, 1), of(1, 1)]);
        assert_eq!(counts(&spread, &well, false, 0), [10_000, 0]);
        assert_eq!(counts(&spread, &dead, false, 1_000), [0, 10_000]);
        assert_eq!(counts(&spread, &well, false, 2_000), [0, 10_000]);
        assert_eq!(counts(&spread, &well, true, 61_999), [0, 10_000]);
        let next = self::spread(&two, failover);
        next.inherit(&spread);
        assert_eq!(counts(&next, &well, false, 61_999), [0, 10_000]);
        assert_eq!(counts(&spread, &well, false, 62_000), [10_000, 0]);
        assert_eq!(counts(&next, &well, true, 62_000), [10_000, 0]);
    }

    #[test]
    fn no_weight_at_all_gives_nothing() {
        let spread = spread(&[(0, 0, "a")], Failover::default());
        let (cursor, mut rng) = (AtomicU64::new(0), Rng::from_seed(1));
        let mut choice = SpreadChoice {
            key: None,
            cursor: &cursor,
            rng: &mut rng,
            now_ms: 0,
            passed: &[],
        };
        assert_eq!(spread.next(&mut choice, |_| of(1, 1)), None);
    }

    fn pick(spread: &Spread, passed: &[u32], found: &[Option<Availability>]) -> Option<SpreadPick> {
        let (cursor, mut rng) = (AtomicU64::new(0), Rng::from_seed(1));
        let mut choice = SpreadChoice {
            key: None,
            cursor: &cursor,
            rng: &mut rng,
            now_ms: 0,
            passed,
        };
        spread.next(&mut choice, |one| found[one as usize])
    }

    #[test]
    fn lb26_tiers_that_are_passed_over_count_as_dead() {
        let spread = spread(&[(0, 1, "a"), (1, 1, "b"), (3, 1, "c")], Failover::default());
        let (well, dead) = (of(2, 2), of(0, 2));
        for (passed, found, expected) in [
            (&[][..], [well; 3], Some(0)),
            (&[0], [well; 3], Some(1)),
            (&[0], [well, dead, well], Some(2)),
            (&[0, 1], [well; 3], Some(2)),
            (&[1], [well; 3], Some(0)),
            (&[0, 1, 2], [well; 3], None),
            (&[0, 1], [well, well, dead], None),
        ] {
            let picked = pick(&spread, passed, &found).map(|pick| pick.destination);
            assert_eq!(picked, expected, "{passed:?} {found:?}");
        }
    }

    #[test]
    fn lb25_there_is_panic_only_when_nobody_else_can_take_over() {
        let two = [(0, 1, "a"), (1, 1, "b")];
        let spread = panicking(&two, Failover::default(), Percent::new(50).expect("a percentage"));
        for (found, is_calm) in [
            ([of(4, 4), of(4, 4)], true),
            // A quarter is left of the first, but the second takes the rest.
            ([of(1, 4), of(4, 4)], true),
            ([of(0, 4), of(4, 4)], true),
            ([of(1, 4), of(1, 4)], false),
            ([of(0, 4), of(0, 4)], false),
        ] {
            let picked = pick(&spread, &[], &found).map(|pick| pick.is_calm);
            assert_eq!(picked, Some(is_calm), "{found:?}");
        }
        // One tier: the panic is about all its destinations together.
        let redistribute = Failover {
            redistribute: true,
            ..Failover::default()
        };
        let one = [(0, 1, "a"), (0, 1, "b")];
        let spread = panicking(&one, redistribute, Percent::new(50).expect("a percentage"));
        for (found, is_calm) in [([of(4, 4), of(1, 4)], true), ([of(1, 4), of(1, 4)], false)] {
            let picked = pick(&spread, &[], &found).map(|pick| pick.is_calm);
            assert_eq!(picked, Some(is_calm), "{found:?}");
        }
    }
}
