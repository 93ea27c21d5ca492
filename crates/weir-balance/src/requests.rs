//! How many requests are in flight at one place, counted so that workers seldom meet.
//!
//! A request begins and ends on one worker. With one counter for all, each of the two would fetch a cache line that another
//! worker has just written. So the limit is dealt out: each worker has a stripe with a quota of its own and counts against
//! that. Who has used up his quota takes a place out of another's, where one is free; it stays with him, so that quotas
//! follow the requests.
//!
//! That is as exact as one counter. The quotas together are the limit, so there are never more requests than that; and none is
//! refused unless all quotas were used up at one moment: all stripes are looked at twice, and any change between
//! the two looks shows in a stripe's version.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// Requests in flight, and how many there ever were.
#[derive(Debug)]
pub(crate) enum Requests {
    /// Under a limit that whoever counts brings along. In flight in the low half, ever begun in the high half.
    One(AtomicU64),
    /// Under one limit for ever, by worker.
    Striped(Box<[Stripe]>),
}

/// What one worker counts, on a cache line of its own.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Stripe {
    /// Requests in flight, the quota and a version that whatever takes a place changes.
    word: AtomicU64,
    begun: AtomicU32,
}

/// One request in [`Requests::One`].
const BEGUN: u64 = 1 << 32;

/// Bits of a quota, and of the requests in flight under it. Nobody has 16 million of them: a greater quota is none.
const QUOTA_BITS: u32 = 24;
const QUOTA_MAX: u32 = (1 << QUOTA_BITS) - 1;
const QUOTA_ONE: u64 = 1 << QUOTA_BITS;
const VERSION_ONE: u64 = 1 << (2 * QUOTA_BITS);

/// Stripes at most; more workers share them.
const STRIPES_MAX: usize = 64;

impl Stripe {
    fn new(quota: u32) -> Self {
        Self {
            word: AtomicU64::new(u64::from(quota.min(QUOTA_MAX)) * QUOTA_ONE),
            begun: AtomicU32::new(0),
        }
    }

    /// Takes a place within the quota.
    #[inline]
    fn take(&self) -> bool {
        let taken = self.word.try_update(Relaxed, Relaxed, |word| {
            is_free(word).then(|| word.wrapping_add(VERSION_ONE + 1))
        });
        if taken.is_ok() {
            self.begun.fetch_add(1, Relaxed);
        }
        taken.is_ok()
    }

    /// Takes a free place out of the quota, for another stripe.
    fn cede(&self, seen: u64) -> bool {
        let without = seen.wrapping_add(VERSION_ONE) - QUOTA_ONE;
        self.word
            .compare_exchange(seen, without, Relaxed, Relaxed)
            .is_ok()
    }

    /// Enlarges the quota by a place that is taken.
    fn adopt(&self) {
        self.word.fetch_add(VERSION_ONE + QUOTA_ONE + 1, Relaxed);
        self.begun.fetch_add(1, Relaxed);
    }
}

#[inline]
fn in_use(word: u64) -> u32 {
    word as u32 & QUOTA_MAX
}

#[inline]
fn is_free(word: u64) -> bool {
    in_use(word) < (word >> QUOTA_BITS) as u32 & QUOTA_MAX
}

impl Requests {
    /// None, under limits that whoever counts brings along.
    pub(crate) fn new() -> Self {
        Self::One(AtomicU64::new(0))
    }

    /// None, of so many workers together at most `limit`.
    pub(crate) fn striped(limit: u32, workers: usize) -> Self {
        let stripes = workers.clamp(1, STRIPES_MAX) as u32;
        let quota = |stripe| limit / stripes + u32::from(stripe < limit % stripes);
        let unlimited = limit / stripes >= QUOTA_MAX;
        let quota = |stripe| if unlimited { QUOTA_MAX } else { quota(stripe) };
        Self::Striped((0..stripes).map(|stripe| Stripe::new(quota(stripe))).collect())
    }

    /// How many there are now.
    pub(crate) fn in_use(&self) -> u32 {
        match self {
            Self::One(word) => word.load(Relaxed) as u32,
            Self::Striped(stripes) => stripes
                .iter()
                .map(|stripe| in_use(stripe.word.load(Relaxed)))
                .sum(),
        }
    }

    /// How many ever began; wraps.
    pub(crate) fn begun(&self) -> u32 {
        match self {
            Self::One(word) => (word.load(Relaxed) >> 32) as u32,
            Self::Striped(stripes) => stripes
                .iter()
                .fold(0, |sum, stripe| sum.wrapping_add(stripe.begun.load(Relaxed))),
        }
    }

    /// Takes a place when there are fewer than the limit: `limit`, or the one that was dealt out.
    #[inline]
    pub(crate) fn take(&self, worker: u16, limit: u32) -> bool {
        match self {
            // Exact: an add that is taken back when it was too much would refuse others in between.
            Self::One(word) => word
                .try_update(Relaxed, Relaxed, |word| {
                    ((word as u32) < limit).then(|| word.wrapping_add(BEGUN + 1))
                })
                .is_ok(),
            Self::Striped(stripes) => {
                let own = own(stripes, worker);
                stripes[own].take() || take_elsewhere(stripes, own)
            }
        }
    }

    /// Gives a place back that this worker has taken.
    #[inline]
    pub(crate) fn give_back(&self, worker: u16) -> u32 {
        match self {
            Self::One(word) => word.fetch_sub(1, Relaxed) as u32,
            Self::Striped(stripes) => in_use(stripes[own(stripes, worker)].word.fetch_sub(1, Relaxed)),
        }
    }
}

/// The worker's stripe.
#[inline]
fn own(stripes: &[Stripe], worker: u16) -> usize {
    let own = usize::from(worker);
    // Dividing takes time, and is hardly ever needed.
    if own < stripes.len() {
        own
    } else {
        own % stripes.len()
    }
}

/// Takes a place in the stripe `own`, which has none left, out of the quota of another one. `false` when there was a
/// moment at which none had any.
#[cold]
fn take_elsewhere(stripes: &[Stripe], own: usize) -> bool {
    let mut seen = [0; STRIPES_MAX];
    loop {
        let mut is_lost = false;
        for (stripe, seen) in stripes.iter().zip(&mut seen) {
            *seen = stripe.word.load(Relaxed);
            if is_free(*seen) {
                if stripe.cede(*seen) {
                    stripes[own].adopt();
                    return true;
                }
                is_lost = true;
            }
        }
        let is_same = |(stripe, seen): (&Stripe, &u64)| stripe.word.load(Relaxed) == *seen;
        if !is_lost && stripes.iter().zip(&seen).all(is_same) {
            return false;
        }
    }
}
