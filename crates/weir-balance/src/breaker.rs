//! Circuit breakers: how much goes on at once at a backend or an endpoint, and what is too much (rows LB29, LB30).
//!
//! All workers share the counters; taking a place is one compare-and-add, of a request at a backend on the worker's own cache
//! line ([`crate::requests`]). Whoever holds a place gives it back by dropping its [`Permit`]. What a limit refuses is refused at once, with a word that says which limit it was.

use std::ops::Deref;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use weir_model::RetryLimit;

use crate::budget::Budget;
use crate::requests::Requests;

/// What goes on at one backend under one specification of breakers, or at one endpoint. Outlives reloads.
#[derive(Debug)]
#[repr(align(64))]
pub struct Counters {
    /// In flight, and all that ever began, which the retry budget lives on.
    requests: Requests,
    budget: Budget,
    connections: AtomicU32,
    pending: AtomicU32,
    retries: AtomicU32,
    refused: [AtomicU32; 4],
    scope: Scope,
}

/// Whose counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Of a whole backend.
    Backend,
    /// Of one endpoint.
    Endpoint,
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// Open connections.
    Connections,
    /// Requests that wait for a connection.
    PendingRequests,
    /// Requests in flight.
    ParallelRequests,
    /// Retries in flight, those that wait for their turn included.
    Retries,
}

/// A limit is reached. The request is answered 503 (a retry is not made); weir and the client are not at fault, and
/// trying again later may help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overflow {
    /// Whose limit.
    pub scope: Scope,
    /// Which limit.
    pub counted: Counted,
}

/// A place under a limit, given back on drop. `H` is how the holder reaches the counters, as with
/// [`crate::Lease`]: an `Arc`, a borrow, or a handle of the worker.
#[derive(Debug)]
pub struct Permit<H: Deref<Target = Counters>> {
    counters: H,
    counted: Counted,
    worker: u16,
}

impl Counters {
    /// Nothing going on. Limits are brought along by whoever takes a place.
    pub fn new(scope: Scope) -> Self {
        Self::with(scope, Requests::new())
    }

    /// Nothing going on at a place where `workers` take requests, always under the same limit of `parallel_requests`.
    pub fn striped(scope: Scope, parallel_requests: u32, workers: usize) -> Self {
        Self::with(scope, Requests::striped(parallel_requests, workers))
    }

    fn with(scope: Scope, requests: Requests) -> Self {
        Self {
            requests,
            budget: Budget::default(),
            connections: AtomicU32::new(0),
            pending: AtomicU32::new(0),
            retries: AtomicU32::new(0),
            refused: [const { AtomicU32::new(0) }; 4],
            scope,
        }
    }

    /// How many there are now.
    #[inline]
    pub fn in_use(&self, counted: Counted) -> u32 {
        match counted {
            Counted::Connections => self.connections.load(Relaxed),
            Counted::PendingRequests => self.pending.load(Relaxed),
            Counted::ParallelRequests => self.requests.in_use(),
            Counted::Retries => self.retries.load(Relaxed),
        }
    }

    /// How many have been refused, ever; wraps.
    pub fn refused(&self, counted: Counted) -> u32 {
        self.refused[counted as usize].load(Relaxed)
    }

    /// Takes a place when fewer than `limit` are taken.
    #[inline]
    fn take(&self, counted: Counted, worker: u16, limit: u32) -> bool {
        let below = |count: u32| (count < limit).then(|| count.saturating_add(1));
        match counted {
            Counted::ParallelRequests => self.requests.take(worker, limit),
            Counted::Connections => self.connections.try_update(Relaxed, Relaxed, below).is_ok(),
            Counted::PendingRequests => self.pending.try_update(Relaxed, Relaxed, below).is_ok(),
            Counted::Retries => self.retries.try_update(Relaxed, Relaxed, below).is_ok(),
        }
    }

    #[inline]
    fn give_back(&self, counted: Counted, worker: u16) {
        let before = match counted {
            Counted::Connections => self.connections.fetch_sub(1, Relaxed),
            Counted::PendingRequests => self.pending.fetch_sub(1, Relaxed),
            Counted::ParallelRequests => self.requests.give_back(worker),
            Counted::Retries => self.retries.fetch_sub(1, Relaxed),
        };
        debug_assert!(before > 0, "given back without being taken");
    }

    #[cold]
    fn refuse(&self, counted: Counted) -> Overflow {
        self.refused[counted as usize].fetch_add(1, Relaxed);
        Overflow {
            scope: self.scope,
            counted,
        }
    }
}

impl Overflow {
    /// A stable word for `x-weir-reason`, logs and metrics.
    pub fn word(self) -> &'static str {
        match (self.scope, self.counted) {
            (Scope::Backend, Counted::Connections) => "backend_connections_full",
            (Scope::Backend, Counted::PendingRequests) => "backend_pending_requests_full",
            (Scope::Backend, Counted::ParallelRequests) => "backend_requests_full",
            (Scope::Backend, Counted::Retries) => "backend_retries_full",
            (Scope::Endpoint, Counted::Connections) => "endpoint_connections_full",
            (Scope::Endpoint, Counted::PendingRequests) => "endpoint_pending_requests_full",
            (Scope::Endpoint, Counted::ParallelRequests) => "endpoint_requests_full",
            (Scope::Endpoint, Counted::Retries) => "endpoint_retries_full",
        }
    }
}

impl<H: Deref<Target = Counters>> Permit<H> {
    /// A place when fewer than `limit` are taken; [`u32::MAX`] is no limit.
    ///
    /// # Errors
    /// All places are taken.
    #[inline]
    pub fn take(counters: H, counted: Counted, limit: u32) -> Result<Self, Overflow> {
        Self::take_at(counters, counted, 0, limit)
    }

    /// The same on the worker of this number, from 0. For requests at [`Counters::striped`] the limit is the one that they
    /// were made with.
    ///
    /// # Errors
    /// All places are taken.
    #[inline]
    pub fn take_at(counters: H, counted: Counted, worker: u16, limit: u32) -> Result<Self, Overflow> {
        if counters.take(counted, worker, limit) {
            Ok(Self {
                counters,
                counted,
                worker,
            })
        } else {
            Err(counters.refuse(counted))
        }
    }

    /// Where the place is.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// A place for a retry; held from the decision to retry until the retry is over, its waiting included. `now_ms` is on
    /// the clock of picks. A request counts towards the budget when it takes [`Counted::ParallelRequests`]: once, for all of
    /// its tries together.
    ///
    /// # Errors
    /// There are too many retries.
    pub fn take_retry(counters: H, limit: RetryLimit, now_ms: u64) -> Result<Self, Overflow> {
        let (parallel, granted) = match limit {
            RetryLimit::Parallel(parallel) => (parallel, true),
            RetryLimit::Budget(budget) => {
                let begun = counters.requests.begun();
                (u32::MAX, counters.budget.withdraw(budget, begun, now_ms))
            }
        };
        if granted && counters.take(Counted::Retries, 0, parallel) {
            Ok(Self {
                counters,
                counted: Counted::Retries,
                worker: 0,
            })
        } else {
            Err(counters.refuse(Counted::Retries))
        }
    }
}

impl<H: Deref<Target = Counters>> Drop for Permit<H> {
    #[inline]
    fn drop(&mut self) {
        self.counters.give_back(self.counted, self.worker);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use proptest::prelude::*;
    use weir_model::RetryBudget;

    use super::*;

    const ALL: [Counted; 4] = [
        Counted::Connections,
        Counted::PendingRequests,
        Counted::ParallelRequests,
        Counted::Retries,
    ];

    #[test]
    fn lb30_what_is_over_a_limit_is_refused_with_its_reason() {
        for (scope, owner) in [(Scope::Backend, "backend"), (Scope::Endpoint, "endpoint")] {
            for (counted, what) in
                ALL.into_iter()
                    .zip(["connections", "pending_requests", "requests", "retries"])
            {
                let counters = Counters::new(scope);
                let held: Vec<_> = (0..5).map(|_| Permit::take(&counters, counted, 5)).collect();
                assert!(held.iter().all(Result::is_ok), "{counted:?}");
                for refused in 1..=15 {
                    let overflow = Permit::take(&counters, counted, 5).expect_err("all places are taken");
                    assert_eq!(overflow, Overflow { scope, counted });
                    assert_eq!(overflow.word(), format!("{owner}_{what}_full"));
                    assert_eq!(counters.refused(counted), refused);
                }
                assert_eq!(counters.in_use(counted), 5);
                assert!(
                    ALL.iter()
                        .filter(|other| **other != counted)
                        .all(|other| counters.in_use(*other) == 0)
                );
                drop(held);
                assert_eq!(counters.in_use(counted), 0);
                assert!(Permit::take(&counters, counted, 5).is_ok());
            }
        }
    }

    #[test]
    fn lb30_zero_lets_nothing_through_and_the_greatest_everything() {
        for counted in ALL {
            let counters = Counters::new(Scope::Backend);
            assert!(Permit::take(&counters, counted, 0).is_err());
            let held: Vec<_> = (0..5_000)
                .filter_map(|_| Permit::take(&counters, counted, u32::MAX).ok())
                .collect();
            assert_eq!(held.len(), 5_000);
        }
    }

    #[test]
    fn lb30_limits_are_exact_across_workers() {
        for counters in [
            Counters::new(Scope::Backend),
            Counters::striped(Scope::Backend, 2, 4),
        ] {
            let counters = Arc::new(counters);
            let seen_max = thread::scope(|scope| {
                let workers: Vec<_> = (0..4)
                    .map(|worker| {
                        let counters = &counters;
                        scope.spawn(move || {
                            let take = || {
                                let counters = Arc::clone(counters);
                                match Permit::take_at(counters, Counted::ParallelRequests, worker, 2) {
                                    Ok(permit) => permit.counters.in_use(Counted::ParallelRequests),
                                    Err(_) => 0,
                                }
                            };
                            (0..20_000).map(|_| take()).max()
                        })
                    })
                    .collect();
                workers
                    .into_iter()
                    .filter_map(|worker| worker.join().ok().flatten())
                    .max()
            });
            assert!((1..=2).contains(&seen_max.unwrap_or(0)), "{seen_max:?}");
            assert_eq!(counters.in_use(Counted::ParallelRequests), 0);
        }
    }

    #[test]
    fn lb30_no_place_is_refused_while_one_is_free() {
        // As many workers as places, each with one request at a time: there is always a place, wherever its quota is.
        for (places, workers) in [(2, 2), (3, 3), (4, 4)] {
            let counters = Counters::striped(Scope::Backend, places, 3);
            thread::scope(|scope| {
                for worker in 0..workers {
                    let counters = &counters;
                    scope.spawn(move || {
                        for turn in 0..20_000u16 {
                            // Now on one worker, now on another, so that quotas are always where they are not needed.
                            let at = worker + turn % 3;
                            let place = Permit::take_at(counters, Counted::ParallelRequests, at, places);
                            assert!(place.is_ok(), "{places} places, turn {turn}");
                        }
                    });
                }
            });
            assert_eq!(counters.refused(Counted::ParallelRequests), 0);
            assert_eq!(counters.requests.begun(), 20_000 * u32::from(workers));
        }
    }

    #[test]
    fn lb29_a_fixed_number_of_retries_is_a_limit_like_the_others() {
        let counters = Counters::new(Scope::Backend);
        let one = Permit::take_retry(&counters, RetryLimit::Parallel(1), 0).expect("a place");
        assert!(Permit::take_retry(&counters, RetryLimit::Parallel(1), 0).is_err());
        drop(one);
        assert!(Permit::take_retry(&counters, RetryLimit::Parallel(1), 0).is_ok());
        assert!(Permit::take_retry(&counters, RetryLimit::Parallel(0), 0).is_err());
    }

    #[test]
    fn lb29_retries_stay_within_the_budget_when_everything_fails() {
        // A hundred clients, each request fails at once and would be retried twice, at several rates.
        let limit = RetryLimit::Budget(RetryBudget::STANDARD);
        for (rate, seconds) in [(100u64, 30u64), (2_000, 30), (20_000, 5)] {
            let counters = Counters::new(Scope::Backend);
            let mut retries = 0;
            for request in 0..rate * seconds {
                let now_ms = 7_000_000 + request * 1_000 / rate;
                let _request = Permit::take(&counters, Counted::ParallelRequests, u32::MAX);
                retries += (0..2)
                    .filter(|_| Permit::take_retry(&counters, limit, now_ms).is_ok())
                    .count() as u64;
            }
            let (share, free) = (rate * seconds / 5, 3 * seconds + 3);
            assert!(
                (share..=share + free).contains(&retries),
                "{rate}/s: {retries} retries, {share} is the share"
            );
        }
    }

    #[test]
    fn lb29_a_backend_that_was_well_may_retry_a_burst() {
        let (counters, limit) = (
            Counters::new(Scope::Backend),
            RetryLimit::Budget(RetryBudget::STANDARD),
        );
        for _ in 0..10_000 {
            let _request = Permit::take(&counters, Counted::ParallelRequests, u32::MAX);
        }
        let burst = (0..1_000)
            .filter(|_| Permit::take_retry(&counters, limit, 1_000).is_ok())
            .count();
        assert_eq!(burst, 100);
    }

    proptest! {
        #[test]
        fn lb30_workers_together_count_as_one(
            limit in 0u32..9,
            workers in 1usize..5,
            steps in prop::collection::vec((0u16..5, any::<bool>(), any::<prop::sample::Index>()), 0..200),
        ) {
            let counters = Counters::striped(Scope::Backend, limit, workers);
            let mut held: Vec<Permit<&Counters>> = Vec::new();
            for (worker, releases, which) in steps {
                if releases && !held.is_empty() {
                    held.swap_remove(which.index(held.len()));
                } else {
                    let place = Permit::take_at(&counters, Counted::ParallelRequests, worker, limit);
                    prop_assert_eq!(place.is_ok(), (held.len() as u32) < limit);
                    held.extend(place.ok());
                }
                prop_assert_eq!(counters.in_use(Counted::ParallelRequests) as usize, held.len());
            }
        }

        #[test]
        fn lb30_what_is_taken_is_given_back(steps in prop::collection::vec((0usize..4, 0u32..6, any::<bool>()), 0..200)) {
            let counters = Counters::new(Scope::Endpoint);
            let mut held: Vec<Permit<&Counters>> = Vec::new();
            for (counted, limit, release) in steps {
                if release && !held.is_empty() {
                    held.swap_remove(limit as usize % held.len());
                } else if let Ok(permit) = Permit::take(&counters, ALL[counted], limit) {
                    prop_assert!(counters.in_use(ALL[counted]) <= limit);
                    held.push(permit);
                }
                for counted in ALL {
                    let expected = held.iter().filter(|permit| permit.counted == counted).count();
                    prop_assert_eq!(counters.in_use(counted) as usize, expected);
                }
            }
        }
    }
}
