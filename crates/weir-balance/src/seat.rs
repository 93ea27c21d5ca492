//! What speaks against an endpoint, one bit per judge, and who wants to know when that changes.
//!
//! An address may be judged by several checks at once (two policies with different probes, two tenants with their own
//! passive checks), and each balancer heeds its own. So every check takes a seat at the endpoint, one bit of a
//! word on the endpoint's cache line, and every balancer knows the mask of the bits that it heeds.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// Bits that every balancer heeds; see [`crate::Unavailable`].
pub(crate) const COMMON: u64 = 0xff;
/// Bits that are heeded even in a panic: what a person decided.
pub(crate) const DECIDED: u64 = 0b11;
/// The first bit that is a seat.
const FIRST_SEAT: u32 = 8;

/// A check's place at one endpoint. Made by [`crate::EndpointState::take_seat`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat {
    bit: u32,
}

impl Seat {
    pub(crate) fn mask(self) -> u64 {
        1 << self.bit
    }
}

/// What a check says of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// May be picked.
    Good,
    /// May not be picked.
    Bad,
    /// May not be picked yet: nothing is known, and that will soon change.
    Pending,
}

/// Told when something about one of its endpoints has changed.
#[derive(Debug)]
pub(crate) struct Watch {
    is_stale: AtomicBool,
}

impl Watch {
    /// One that has seen nothing yet.
    pub(crate) fn new() -> Self {
        Self {
            is_stale: AtomicBool::new(true),
        }
    }

    /// Whether something has changed since [`Watch::look`].
    #[inline]
    pub(crate) fn is_stale(&self) -> bool {
        self.is_stale.load(Ordering::Relaxed)
    }

    /// To be called before looking at the endpoints: what changes from now on is told again.
    pub(crate) fn look(&self) {
        self.is_stale.swap(false, Ordering::AcqRel);
    }

    fn tell(&self) {
        self.is_stale.store(true, Ordering::Release);
    }
}

/// The part of an endpoint's state that picks do not read.
#[derive(Debug, Default)]
pub(crate) struct Seats {
    /// Seats whose check knows nothing yet.
    pub(crate) pending: AtomicU64,
    /// What the endpoint has said that it can still take; see [`crate::EndpointState::report_capacity`].
    pub(crate) capacity: AtomicU64,
    taken: Mutex<Taken>,
    watches: Mutex<Vec<Weak<Watch>>>,
}

#[derive(Debug, Default)]
struct Taken {
    bits: u64,
    last: u32,
}

impl Seats {
    /// A free seat, the one that has been free for the longest as a rule: a balancer of the snapshot before may heed
    /// the last owner's for a moment.
    pub(crate) fn take(&self) -> Option<Seat> {
        let mut taken = lock(&self.taken);
        let after = (taken.last + 1..u64::BITS).chain(FIRST_SEAT..u64::BITS);
        let bit = after
            .filter(|bit| *bit >= FIRST_SEAT)
            .find(|bit| taken.bits & (1 << bit) == 0)?;
        taken.bits |= 1 << bit;
        taken.last = bit;
        Some(Seat { bit })
    }

    pub(crate) fn give_back(&self, seat: Seat) {
        lock(&self.taken).bits &= !seat.mask();
    }

    /// `watch` is told of changes as long as somebody holds it.
    pub(crate) fn watch(&self, watch: &Arc<Watch>) {
        let mut watches = lock(&self.watches);
        if watches.len() == watches.capacity() {
            watches.retain(|watch| watch.strong_count() > 0);
        }
        watches.push(Arc::downgrade(watch));
    }

    pub(crate) fn tell(&self) {
        let watches = lock(&self.watches);
        watches
            .iter()
            .filter_map(Weak::upgrade)
            .for_each(|watch| watch.tell());
    }
}

/// The value, also when another thread died while it held the lock: nothing here is left half done.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seats_are_unique_and_reused_last() {
        let seats = Seats::default();
        let all: Vec<Seat> = std::iter::from_fn(|| seats.take()).collect();
        assert_eq!(all.len(), 56);
        let mask = all.iter().fold(0, |mask, seat| mask | seat.mask());
        assert_eq!(mask, !COMMON);
        seats.give_back(all[3]);
        assert_eq!(seats.take(), Some(all[3]));
        assert_eq!(seats.take(), None);
        let seats = Seats::default();
        let first = seats.take().expect("a seat");
        seats.give_back(first);
        assert_ne!(seats.take(), Some(first));
    }

    #[test]
    fn watches_that_nobody_holds_are_forgotten() {
        let (seats, kept) = (Seats::default(), Arc::new(Watch::new()));
        seats.watch(&kept);
        for _ in 0..1_000 {
            seats.watch(&Arc::new(Watch::new()));
        }
        assert!(lock(&seats.watches).len() < 10);
        kept.look();
        assert!(!kept.is_stale());
        seats.tell();
        assert!(kept.is_stale());
    }
}
