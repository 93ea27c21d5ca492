//! A bucket for each client, for a bounded number of clients (row KT33).
//!
//! Whoever has a bucket finds it without a lock; a new one is made under one. The table grows as long as it may. Then a
//! new client takes the place of one whose bucket is full, which loses nothing, or else of the one whose bucket is next
//! to full.

use std::fmt;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use weir_model::limits;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::token_bucket::{BucketEmpty, Level, Refill};

/// Places that a client may have in one segment.
const WAYS: usize = 8;
/// Sets in the first segment; each further one has twice as many.
const SETS_FIRST: usize = 64;
const SEGMENTS: usize = 6;
const _: () = assert!(SETS_FIRST * WAYS * ((1 << SEGMENTS) - 1) == limits::RATE_LIMIT_CLIENTS);

/// Who a bucket belongs to: a hash that nobody outside can foresee.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientHash(u64);

impl ClientHash {
    /// Of nobody yet. `seed` is the table's secret.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Adds something that tells clients apart. Parts are told apart, too.
    #[must_use]
    pub fn with(self, part: &[u8]) -> Self {
        Self(xxh3_64_with_seed(part, self.0).rotate_left(1) ^ part.len() as u64)
    }

    fn name(self) -> NonZeroU64 {
        NonZeroU64::new(self.0).unwrap_or(NonZeroU64::MIN)
    }
}

/// The buckets of one rule's clients. At most [`limits::RATE_LIMIT_CLIENTS`] of them, half a megabyte.
#[derive(Default)]
pub struct BucketTable {
    segments: [OnceLock<Box<[Set]>>; SEGMENTS],
    /// Held while a new client gets its place.
    entrance: Mutex<()>,
}

#[derive(Debug, Default)]
#[repr(align(64))]
struct Set([Slot; WAYS]);

/// A bucket's place. Who owns it changes only under the lock, and always with the time.
#[derive(Debug, Default)]
struct Slot {
    /// 0 when it is free.
    client: AtomicU64,
    /// See [`crate::TokenBucket`].
    full_at_ns: AtomicU64,
}

impl fmt::Debug for BucketTable {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "BucketTable({} places)", self.places())
    }
}

impl BucketTable {
    /// Takes a token from a client's bucket.
    ///
    /// # Errors
    /// [`BucketEmpty`] when there is none.
    pub fn take(&self, client: ClientHash, refill: &Refill, now_ns: u64) -> Result<Level, BucketEmpty> {
        let client = client.name();
        match self
            .find(client)
            .and_then(|slot| slot.take(client, refill, now_ns))
        {
            Some(taken) => taken,
            None => self.enter(client, refill, now_ns),
        }
    }

    /// Puts a token back that was taken in vain.
    pub fn put_back(&self, client: ClientHash, refill: &Refill) {
        let client = client.name();
        if let Some(slot) = self.find(client) {
            // It always succeeds.
            let _ = slot
                .full_at_ns
                .try_update(Ordering::AcqRel, Ordering::Acquire, |full_at_ns| {
                    Some(refill.after_return(full_at_ns))
                });
        }
    }

    /// How many clients there is room for now.
    pub fn places(&self) -> usize {
        self.segments().map(|sets| sets.len() * WAYS).sum()
    }

    fn segments(&self) -> impl Iterator<Item = &[Set]> {
        self.segments
            .iter()
            .map_while(|segment| segment.get().map(|sets| &**sets))
    }

    /// All places that a client may have.
    fn candidates(&self, client: NonZeroU64) -> impl Iterator<Item = &Slot> {
        self.segments().enumerate().flat_map(move |(index, sets)| {
            // Other bits in each segment: clients that meet in one do not meet in the next.
            let place = client.get().rotate_right(9 * index as u32) as usize & (sets.len() - 1);
            &sets[place].0
        })
    }

    fn find(&self, client: NonZeroU64) -> Option<&Slot> {
        self.candidates(client)
            .find(|slot| slot.client.load(Ordering::Acquire) == client.get())
    }

    /// Gives a client its place and its first token.
    #[cold]
    fn enter(&self, client: NonZeroU64, refill: &Refill, now_ns: u64) -> Result<Level, BucketEmpty> {
        let _only = self.entrance.lock().unwrap_or_else(PoisonError::into_inner);
        // Another worker may have been here before.
        if let Some(taken) = self
            .find(client)
            .and_then(|slot| slot.take(client, refill, now_ns))
        {
            return taken;
        }
        let full_at_ns = refill.after_take(0, now_ns)?;
        let next_to_full = |client| {
            self.candidates(client)
                .min_by_key(|slot| slot.full_at_ns.load(Ordering::Acquire))
        };
        let mut slot = next_to_full(client);
        if slot.is_none_or(|slot| slot.full_at_ns.load(Ordering::Acquire) > now_ns) && self.grow() {
            slot = next_to_full(client);
        }
        if let Some(slot) = slot {
            slot.client.store(0, Ordering::Release);
            slot.full_at_ns.store(full_at_ns, Ordering::Release);
            slot.client.store(client.get(), Ordering::Release);
        }
        Ok(refill.level(full_at_ns, now_ns))
    }

    /// Adds a segment; `false` when there are as many as there may be.
    fn grow(&self) -> bool {
        let next = (0..SEGMENTS).find(|index| self.segments[*index].get().is_none());
        let Some(index) = next else {
            return false;
        };
        let sets = (0..SETS_FIRST << index).map(|_| Set::default()).collect();
        self.segments[index].set(sets).is_ok()
    }
}

impl Slot {
    /// Takes a token; `None` when the place belongs to another client by now.
    fn take(&self, client: NonZeroU64, refill: &Refill, now_ns: u64) -> Option<Result<Level, BucketEmpty>> {
        loop {
            let full_at_ns = self.full_at_ns.load(Ordering::Acquire);
            // Asked after the time was read: a new owner would have written both.
            if self.client.load(Ordering::Acquire) != client.get() {
                return None;
            }
            let after_ns = match refill.after_take(full_at_ns, now_ns) {
                Ok(after_ns) => after_ns,
                Err(empty) => return Some(Err(empty)),
            };
            let taken = self.full_at_ns.compare_exchange_weak(
                full_at_ns,
                after_ns,
                Ordering::AcqRel,
                Ordering::Acquire,
            );
            if taken.is_ok() {
                return Some(Ok(refill.level(after_ns, now_ns)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use weir_model::{Rate, RateUnit};

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn refill(requests: u32) -> Refill {
        Refill::new(Rate {
            requests,
            unit: RateUnit::Minute,
        })
    }

    fn client(number: u32) -> ClientHash {
        ClientHash::new(7).with(&number.to_be_bytes())
    }

    #[test]
    fn kt33_each_client_has_its_own_bucket() {
        let (table, refill) = (BucketTable::default(), refill(2));
        assert_eq!(table.places(), 0, "a table that nobody needs costs nothing");
        for number in 0..10_000 {
            let first = table.take(client(number), &refill, SECOND);
            assert_eq!(first.map(|level| level.remaining), Ok(1), "{number}");
        }
        for number in 0..10_000 {
            assert!(table.take(client(number), &refill, SECOND).is_ok(), "{number}");
            assert!(table.take(client(number), &refill, SECOND).is_err(), "{number}");
        }
        table.put_back(client(5), &refill);
        assert!(table.take(client(5), &refill, SECOND).is_ok());
        assert!(table.take(client(5), &refill, SECOND).is_err());
    }

    #[test]
    fn kt33_the_table_is_bounded_and_forgets_full_buckets_first() {
        let (table, refill) = (BucketTable::default(), refill(60));
        // One client has used up its bucket, and many others come by once.
        for _ in 0..60 {
            assert!(table.take(client(u32::MAX), &refill, SECOND).is_ok());
        }
        for number in 0..200_000 {
            assert!(table.take(client(number), &refill, SECOND).is_ok());
        }
        assert_eq!(table.places(), limits::RATE_LIMIT_CLIENTS);
        assert!(table.take(client(u32::MAX), &refill, SECOND).is_err());
    }

    #[test]
    fn clients_that_come_and_go_need_no_more_room() {
        let (table, refill) = (BucketTable::default(), refill(60));
        // Each bucket is full again when its place is needed.
        for number in 0..100_000_u32 {
            let now_ns = u64::from(number) * SECOND / 100;
            assert!(table.take(client(number), &refill, now_ns).is_ok());
        }
        assert!(table.places() <= 64 * 8 * 3, "{} places", table.places());
    }

    #[test]
    fn a_limit_of_none_lets_no_client_through() {
        let (table, refill) = (BucketTable::default(), refill(0));
        assert!(table.take(client(1), &refill, SECOND).is_err());
        assert_eq!(table.places(), 0);
    }

    #[test]
    fn parts_of_a_client_are_told_apart() {
        let of = |parts: &[&str]| {
            let start = ClientHash::new(1);
            parts.iter().fold(start, |hash, part| hash.with(part.as_bytes()))
        };
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
        assert_ne!(of(&["ab"]), of(&["ab", ""]));
        assert_ne!(of(&["a", "b"]), of(&["b", "a"]));
        assert_eq!(of(&["a", "b"]), of(&["a", "b"]));
    }

    #[test]
    fn workers_share_a_clients_bucket_exactly_from_its_first_request() {
        let (table, refill) = (BucketTable::default(), refill(50));
        let taken = thread::scope(|scope| {
            let takers: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        let mut taken = 0;
                        for _ in 0..30 {
                            for number in 0..100 {
                                taken += usize::from(table.take(client(number), &refill, SECOND).is_ok());
                            }
                        }
                        taken
                    })
                })
                .collect();
            takers
                .into_iter()
                .map(|taker| taker.join().expect("no panic"))
                .sum::<usize>()
        });
        assert_eq!(taken, 50 * 100);
    }
}
