//! The shares of several tiers, kept between the moments when something changes.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError, TryLockError};

use crate::seat::lock;
use crate::tiers::{Availability, CandidateSpec, Failback, TierPlan, plan};

/// Read without a lock; made anew under one that nobody waits for.
#[derive(Debug)]
pub(crate) struct TierShares {
    spec: CandidateSpec,
    /// By tier: its share and those before it, percent.
    shares: Box<[AtomicU32]>,
    due_ms: AtomicU64,
    failbacks: Mutex<Vec<Failback>>,
}

impl TierShares {
    /// Everything goes to the first tier until the first refresh.
    pub(crate) fn new(spec: CandidateSpec, tiers: usize) -> Self {
        Self {
            spec,
            shares: (0..tiers).map(|_| AtomicU32::new(100)).collect(),
            due_ms: AtomicU64::new(u64::MAX),
            failbacks: Mutex::new(vec![Failback::default(); tiers]),
        }
    }

    /// Whether the time has come to look again though nothing has changed: a failback delay is over.
    #[inline]
    pub(crate) fn is_due(&self, now_ms: u64) -> bool {
        self.shares.len() > 1 && now_ms >= self.due_ms.load(Relaxed)
    }

    /// Makes the shares anew of what `look` finds, and has `apply` do the rest. When another worker is just doing
    /// that, the present shares serve a moment longer.
    pub(crate) fn refresh(
        &self,
        now_ms: u64,
        look: impl FnOnce() -> Vec<Availability>,
        apply: impl FnOnce(&[Availability], &[TierPlan]),
    ) {
        let mut failbacks = match self.failbacks.try_lock() {
            Ok(failbacks) => failbacks,
            Err(TryLockError::Poisoned(poisoned)) => PoisonError::into_inner(poisoned),
            Err(TryLockError::WouldBlock) => return,
        };
        let found = look();
        let delay = self.spec.failover.failback_delay.as_millis();
        let delay_ms = u64::try_from(delay).unwrap_or(u64::MAX);
        let credited: Vec<Availability> = found
            .iter()
            .zip(failbacks.iter_mut())
            .map(|(tier, failback)| Availability {
                usable: failback.credit(tier.usable, now_ms, delay_ms),
                ..*tier
            })
            .collect();
        let overprovisioning = self.spec.failover.overprovisioning_percent;
        let health = credited
            .iter()
            .map(|tier| tier.health_percent(overprovisioning))
            .sum::<u32>();
        // A tier in its delay is better than too little.
        let counted = if health >= 100 {
            &credited
        } else {
            for (failback, tier) in failbacks.iter_mut().zip(&found) {
                failback.credit_now(tier.usable);
            }
            &found
        };
        let due = failbacks.iter().map(|failback| failback.due_ms(delay_ms)).min();
        self.due_ms.store(due.unwrap_or(u64::MAX), Relaxed);
        let plans = plan(counted, &self.spec);
        let mut before = 0;
        for (plan, share) in plans.iter().zip(&self.shares) {
            before += plan.share_percent;
            share.store(before, Relaxed);
        }
        apply(&found, &plans);
    }

    /// The tier that `drawn`, 0 to 99, falls to.
    #[inline]
    pub(crate) fn tier(&self, drawn: u32) -> usize {
        self.shares
            .iter()
            .position(|share| drawn < share.load(Relaxed))
            .unwrap_or(0)
    }

    /// Goes on where the shares that these replace have stopped.
    pub(crate) fn inherit(&self, before: &Self) {
        let old = lock(&before.failbacks).clone();
        for (new, old) in lock(&self.failbacks).iter_mut().zip(old) {
            *new = old;
        }
    }
}
