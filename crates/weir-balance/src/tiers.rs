//! Which tier serves, and when there is panic: Envoy's priority and panic rules (row LB25 to LB27).
//!
//! A tier is as healthy as its usable part times the overprovisioning factor, 140 % by default: it carries everything
//! as long as 72 % of it are usable, then the next tier gets what is missing. When all tiers together cannot
//! carry everything, each one whose usable part is below the panic threshold is used as a whole: its
//! endpoints fail anyway under such a load, and perhaps it is the checks that are wrong.

use weir_model::{Failover, Percent, UpstreamSpec};

/// How many endpoints of a tier or a backend can be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Availability {
    /// Nothing speaks against these.
    pub usable: u32,
    /// These and those that are unhealthy or ejected. Endpoints that a person has taken out do not count.
    pub total: u32,
    /// Nothing is known of these yet; they are not part of the total.
    pub pending: u32,
}

impl Availability {
    /// What it can carry of all requests, percent: its usable part times `overprovisioning_percent`, at most 100.
    pub fn health_percent(self, overprovisioning_percent: u32) -> u32 {
        if self.total == 0 {
            return 0;
        }
        let health = u64::from(overprovisioning_percent) * u64::from(self.usable) / u64::from(self.total);
        health.min(100) as u32
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            usable: self.usable.saturating_add(other.usable),
            total: self.total.saturating_add(other.total),
            pending: self.pending.saturating_add(other.pending),
        }
    }

    fn panics(self, threshold_percent: u32) -> bool {
        self.total > 0 && u64::from(self.usable) * 100 < u64::from(threshold_percent) * u64::from(self.total)
    }
}

/// What one tier does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TierPlan {
    /// Its part of the requests, percent; all tiers together have 100.
    pub share_percent: u32,
    /// All its endpoints are used.
    pub panics: bool,
}

/// How tiers share the requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CandidateSpec {
    /// Below this usable part there is panic; 0: never.
    pub panic_threshold: Percent,
    /// Overprovisioning and failback.
    pub failover: Failover,
}

impl CandidateSpec {
    /// What a rule's specifications say.
    pub fn new(upstream: &UpstreamSpec, failover: Failover) -> Self {
        Self {
            panic_threshold: upstream.health.panic_threshold,
            failover,
        }
    }

    /// No panic: what is unavailable is not used.
    pub(crate) fn calm() -> Self {
        Self {
            panic_threshold: Percent::ZERO,
            failover: Failover::default(),
        }
    }
}

/// How `tiers`, the first one first, share the requests.
pub fn plan(tiers: &[Availability], spec: &CandidateSpec) -> Vec<TierPlan> {
    let overprovisioning = spec.failover.overprovisioning_percent;
    let threshold = spec.panic_threshold.number();
    let health: Vec<u32> = tiers
        .iter()
        .map(|tier| tier.health_percent(overprovisioning))
        .collect();
    let sum = health.iter().sum::<u32>().min(100);
    let mut plans = vec![TierPlan::default(); tiers.len()];
    if sum == 0 {
        // Somebody who is about to be known is waited for; otherwise all is dead, and the first tier bears it.
        let pending = tiers.iter().position(|tier| tier.pending > 0);
        let first = pending.or_else(|| tiers.iter().position(|tier| tier.total > 0));
        if let Some(plan) = plans.get_mut(first.unwrap_or(0)) {
            plan.share_percent = 100;
            plan.panics = pending.is_none() && first.is_some() && threshold > 0;
        }
        return plans;
    }
    let is_short = sum < 100;
    for (plan, tier) in plans.iter_mut().zip(tiers) {
        plan.panics = is_short && tier.panics(threshold);
    }
    let all_panic = plans
        .iter()
        .zip(tiers)
        .all(|(plan, tier)| plan.panics || tier.total == 0);
    if all_panic {
        // Everything is used, so everybody counts alike.
        let totals: Vec<u64> = tiers.iter().map(|tier| u64::from(tier.total)).collect();
        share(&mut plans, &totals, totals.iter().sum());
    } else {
        let health: Vec<u64> = health.into_iter().map(u64::from).collect();
        share(&mut plans, &health, u64::from(sum));
    }
    plans
}

/// Gives each tier its `parts` of `sum`, as long as there is any left; what rounding leaves goes to the tiers that
/// it took most from.
fn share(plans: &mut [TierPlan], parts: &[u64], sum: u64) {
    let mut left = 100;
    for (plan, part) in plans.iter_mut().zip(parts) {
        plan.share_percent = ((part * 100 / sum) as u32).min(left);
        left -= plan.share_percent;
    }
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by_key(|tier| std::cmp::Reverse(parts[*tier] * 100 % sum));
    for tier in order.into_iter().take(left as usize) {
        plans[tier].share_percent += 1;
    }
}

/// Lets a tier that recovers have its requests back only after a while (row LB27).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Failback {
    credited: Option<u32>,
    /// Since when more are usable than are credited, and the fewest since then.
    rising: Option<(u64, u32)>,
}

impl Failback {
    /// How many of `usable` count at `now_ms`.
    pub(crate) fn credit(&mut self, usable: u32, now_ms: u64, delay_ms: u64) -> u32 {
        let credited = self.credited.unwrap_or(usable);
        if usable <= credited || delay_ms == 0 {
            self.credit_now(usable);
            return usable;
        }
        let (since_ms, fewest) = self.rising.unwrap_or((now_ms, usable));
        let fewest = fewest.min(usable);
        if now_ms.saturating_sub(since_ms) < delay_ms {
            self.rising = Some((since_ms, fewest));
            self.credited = Some(credited);
            return credited;
        }
        self.rising = (usable > fewest).then_some((now_ms, usable));
        self.credited = Some(fewest);
        fewest
    }

    /// All of `usable` count from now on.
    pub(crate) fn credit_now(&mut self, usable: u32) {
        self.credited = Some(usable);
        self.rising = None;
    }

    /// When it is to be asked again though nothing has changed.
    pub(crate) fn due_ms(&self, delay_ms: u64) -> u64 {
        self.rising
            .map_or(u64::MAX, |(since_ms, _)| since_ms.saturating_add(delay_ms))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn spec(panic: u64) -> CandidateSpec {
        CandidateSpec {
            panic_threshold: Percent::new(panic).expect("a percentage"),
            failover: Failover::default(),
        }
    }

    fn of(percent: u32) -> Availability {
        Availability {
            usable: percent,
            total: 100,
            pending: 0,
        }
    }

    /// Shares, and which tiers panic.
    fn planned(usable: &[u32], panic: u64) -> (Vec<u32>, Vec<bool>) {
        let tiers: Vec<_> = usable.iter().map(|percent| of(*percent)).collect();
        let plans = plan(&tiers, &spec(panic));
        let shares = plans.iter().map(|one| one.share_percent).collect();
        (shares, plans.iter().map(|one| one.panics).collect())
    }

    /// The tables of Envoy's documentation (priority levels, panic threshold).
    #[test]
    fn lb25_lb26_shares_and_panic_follow_envoys_tables() {
        for (usable, shares, panics) in [
            (&[100, 100][..], &[100, 0][..], &[false, false][..]),
            (&[72, 72], &[100, 0], &[false, false]),
            (&[71, 71], &[99, 1], &[false, false]),
            (&[71, 100], &[99, 1], &[false, false]),
            (&[50, 50], &[70, 30], &[false, false]),
            (&[50, 100], &[70, 30], &[false, false]),
            (&[25, 100], &[35, 65], &[false, false]),
            (&[25, 25], &[50, 50], &[true, true]),
            (&[5, 65], &[7, 93], &[true, false]),
            (&[0, 100], &[0, 100], &[false, false]),
            (&[0, 0], &[100, 0], &[true, false]),
            (&[100, 100, 100], &[100, 0, 0], &[false; 3]),
            (&[72, 72, 100], &[100, 0, 0], &[false; 3]),
            (&[71, 71, 100], &[99, 1, 0], &[false; 3]),
            (&[50, 50, 100], &[70, 30, 0], &[false; 3]),
            (&[50, 10, 100], &[70, 14, 16], &[false; 3]),
            (&[25, 100, 100], &[35, 65, 0], &[false; 3]),
            (&[25, 25, 100], &[35, 35, 30], &[false; 3]),
            (&[25, 25, 20], &[34, 33, 33], &[true; 3]),
            (&[50][..], &[100], &[false]),
            (&[49][..], &[100], &[true]),
            (&[0][..], &[100], &[true]),
        ] {
            let (found_shares, found_panics) = planned(usable, 50);
            assert_eq!(found_shares, shares, "{usable:?}");
            assert_eq!(found_panics, panics, "{usable:?}");
        }
    }

    #[test]
    fn lb25_a_threshold_of_0_never_panics() {
        for usable in [&[0, 0][..], &[0], &[5, 1], &[1]] {
            assert!(planned(usable, 0).1.iter().all(|panics| !panics), "{usable:?}");
        }
    }

    #[test]
    fn lb25_total_panic_counts_endpoints() {
        let (many, few) = (
            Availability {
                usable: 10,
                total: 95,
                pending: 0,
            },
            Availability {
                usable: 2,
                total: 5,
                pending: 0,
            },
        );
        let plans = plan(&[many, few], &spec(50));
        assert_eq!(
            plans.iter().map(|one| one.share_percent).collect::<Vec<_>>(),
            [95, 5]
        );
    }

    #[test]
    fn hc02_the_unknown_are_waited_for_before_there_is_panic() {
        let unknown = Availability {
            usable: 0,
            total: 2,
            pending: 1,
        };
        assert!(!plan(&[unknown], &spec(50))[0].panics);
        let plans = plan(&[of(0), unknown], &spec(50));
        assert_eq!((plans[1].share_percent, plans[1].panics), (100, false));
        // They do not count against those that are known.
        let known = Availability {
            usable: 1,
            total: 1,
            pending: 9,
        };
        assert_eq!(
            plan(&[known], &spec(50)),
            [TierPlan {
                share_percent: 100,
                panics: false
            }]
        );
    }

    #[test]
    fn lb27_a_tier_gets_its_requests_back_after_the_delay() {
        let delay = 60_000;
        let mut failback = Failback::default();
        for (now_ms, usable, counted) in [
            (0, 4, 4),
            (1_000, 0, 0),
            (10_000, 4, 0),
            (69_999, 4, 0),
            (70_000, 4, 4),
            // One falls out during the delay: what was there all the time is credited.
            (80_000, 0, 0),
            (90_000, 4, 0),
            (100_000, 2, 0),
            (120_000, 4, 0),
            (150_000, 4, 2),
            (209_999, 4, 2),
            (210_000, 4, 4),
            // Back to what it was: nothing is pending.
            (220_000, 3, 3),
            (230_000, 4, 3),
            (240_000, 3, 3),
            (299_000, 4, 3),
            (358_999, 4, 3),
            (359_000, 4, 4),
        ] {
            assert_eq!(failback.credit(usable, now_ms, delay), counted, "at {now_ms}");
        }
        let spec = Failover {
            failback_delay: Duration::ZERO,
            ..Failover::default()
        };
        assert_eq!(spec, Failover::default(), "no delay by default");
    }

    proptest! {
        #[test]
        fn lb26_shares_always_sum_to_100(
            tiers in proptest::collection::vec((0u32..50, 0u32..50, 0u32..3), 1..6),
            panic in 0u64..=100,
        ) {
            let tiers: Vec<Availability> = tiers
                .into_iter()
                .map(|(usable, dead, pending)| Availability { usable, total: usable + dead, pending })
                .collect();
            let plans = plan(&tiers, &spec(panic));
            prop_assert_eq!(plans.iter().map(|plan| plan.share_percent).sum::<u32>(), 100);
            for (plan, tier) in plans.iter().zip(&tiers) {
                prop_assert!(!plan.panics || panic > 0);
                // Nobody gets requests that it has no endpoint for, while somebody has one.
                if tier.usable == 0 && tiers.iter().any(|tier| tier.usable > 0) {
                    prop_assert!(plan.share_percent == 0 || plan.panics);
                }
            }
        }
    }
}
