//! Token buckets: how often something may happen (row KT33).
//!
//! A bucket begins full and fills all the time, as Envoy's does, not in steps. It is one number: when it will be full
//! again. So a bucket that nobody has used for long enough and one that nobody ever used are the same, all workers share
//! one without a lock, and forgetting an old one loses nothing.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use weir_model::Rate;

/// How large a bucket is and how fast it fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refill {
    tokens: u32,
    /// Time in which one token comes, nanoseconds; at least 1, so that more than 10^9 tokens a second count as 10^9.
    token_ns: u64,
    /// Time in which the empty bucket fills, nanoseconds.
    whole_ns: u64,
}

/// What a bucket holds after it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// Whole tokens left.
    pub remaining: u32,
    /// Time until there is a token, nanoseconds; 0 while there are some.
    pub next_ns: u64,
}

/// There is no token; the bucket is as it was. The one who asks too often is at fault; asking again after
/// [`Level::next_ns`] helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BucketEmpty(pub Level);

/// A bucket. Full to begin with.
#[derive(Debug, Default)]
pub struct TokenBucket {
    /// When it will be full, nanoseconds since the process's epoch; in the past when it is.
    full_at_ns: AtomicU64,
}

impl Refill {
    /// A bucket of as many tokens as `rate` has requests, which come back in its unit of time.
    pub fn new(rate: Rate) -> Self {
        let unit_ns = u64::try_from(rate.unit.duration().as_nanos()).unwrap_or(u64::MAX / 2);
        let token_ns = unit_ns.div_ceil(u64::from(rate.requests).max(1));
        Self {
            tokens: rate.requests,
            token_ns,
            whole_ns: token_ns.saturating_mul(u64::from(rate.requests)),
        }
    }

    /// Tokens in a full bucket.
    pub fn tokens(&self) -> u32 {
        self.tokens
    }

    /// When a bucket that will be full at `full_at_ns` will be after one token is taken from it.
    pub(crate) fn after_take(&self, full_at_ns: u64, now_ns: u64) -> Result<u64, BucketEmpty> {
        let missing_ns = full_at_ns.saturating_sub(now_ns);
        let after_ns = missing_ns.saturating_add(self.token_ns);
        if after_ns > self.whole_ns {
            return Err(BucketEmpty(self.level(full_at_ns, now_ns)));
        }
        Ok(now_ns.saturating_add(after_ns))
    }

    /// What a bucket holds that will be full at `full_at_ns`.
    pub(crate) fn level(&self, full_at_ns: u64, now_ns: u64) -> Level {
        let missing_ns = full_at_ns.saturating_sub(now_ns);
        let remaining = self.whole_ns.saturating_sub(missing_ns) / self.token_ns;
        let next_ns = if remaining > 0 {
            0
        } else {
            missing_ns
                .saturating_add(self.token_ns)
                .saturating_sub(self.whole_ns)
        };
        Level {
            remaining: u32::try_from(remaining).unwrap_or(u32::MAX).min(self.tokens),
            next_ns,
        }
    }

    /// When a bucket will be full after one token is put back.
    pub(crate) fn after_return(&self, full_at_ns: u64) -> u64 {
        full_at_ns.saturating_sub(self.token_ns)
    }
}

impl TokenBucket {
    /// Takes a token.
    ///
    /// # Errors
    /// [`BucketEmpty`] when there is none.
    pub fn take(&self, refill: &Refill, now_ns: u64) -> Result<Level, BucketEmpty> {
        let mut full_at_ns = self.full_at_ns.load(Relaxed);
        loop {
            let after_ns = refill.after_take(full_at_ns, now_ns)?;
            match self
                .full_at_ns
                .compare_exchange_weak(full_at_ns, after_ns, Relaxed, Relaxed)
            {
                Ok(_) => return Ok(refill.level(after_ns, now_ns)),
                Err(other) => full_at_ns = other,
            }
        }
    }

    /// Puts a token back that was taken in vain.
    pub fn put_back(&self, refill: &Refill) {
        // It always succeeds.
        let _ = self.full_at_ns.try_update(Relaxed, Relaxed, |full_at_ns| {
            Some(refill.after_return(full_at_ns))
        });
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use proptest::prelude::*;
    use weir_model::RateUnit;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn refill(requests: u32, unit: RateUnit) -> Refill {
        Refill::new(Rate { requests, unit })
    }

    #[test]
    fn kt33_a_bucket_gives_what_it_holds_and_not_one_more() {
        for (requests, unit) in [
            (1, RateUnit::Second),
            (3, RateUnit::Second),
            (7, RateUnit::Minute),
            (1_000, RateUnit::Hour),
            (100_000, RateUnit::Second),
            (3, RateUnit::Year),
        ] {
            // The process has just begun, or has run for a year.
            for now_ns in [0, 365 * 86_400 * SECOND] {
                let (bucket, refill) = (TokenBucket::default(), refill(requests, unit));
                for left in (0..requests).rev() {
                    let level = bucket.take(&refill, now_ns);
                    assert_eq!(
                        level.map(|level| level.remaining),
                        Ok(left),
                        "{requests} {unit:?}"
                    );
                }
                let Err(BucketEmpty(level)) = bucket.take(&refill, now_ns) else {
                    panic!("{requests} {unit:?}: one more");
                };
                assert_eq!(level.remaining, 0);
                let token_ns = unit.duration().as_nanos() as u64 / u64::from(requests);
                assert!(level.next_ns.abs_diff(token_ns) <= 1, "{level:?}");
                assert!(bucket.take(&refill, now_ns + level.next_ns - 1).is_err());
                assert!(bucket.take(&refill, now_ns + level.next_ns).is_ok());
            }
        }
    }

    #[test]
    fn a_limit_of_none_lets_none_through() {
        let (bucket, refill) = (TokenBucket::default(), refill(0, RateUnit::Minute));
        for now_ns in [0, SECOND, 3600 * SECOND] {
            let Err(BucketEmpty(level)) = bucket.take(&refill, now_ns) else {
                panic!("one passed");
            };
            assert_eq!((level.remaining, level.next_ns), (0, 60 * SECOND));
        }
    }

    #[test]
    fn a_token_put_back_can_be_taken_again() {
        let (bucket, refill) = (TokenBucket::default(), refill(2, RateUnit::Minute));
        assert!(bucket.take(&refill, 5).is_ok());
        assert!(bucket.take(&refill, 5).is_ok());
        bucket.put_back(&refill);
        assert!(bucket.take(&refill, 5).is_ok());
        assert!(bucket.take(&refill, 5).is_err());
        // More than was taken does no harm.
        let fresh = TokenBucket::default();
        fresh.put_back(&refill);
        assert!(fresh.take(&refill, 0).is_ok());
        assert!(fresh.take(&refill, 0).is_ok());
        assert!(fresh.take(&refill, 0).is_err());
    }

    #[test]
    fn workers_share_a_bucket_exactly() {
        let (bucket, refill) = (TokenBucket::default(), refill(10_000, RateUnit::Year));
        let taken = thread::scope(|scope| {
            let takers: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        (0..5_000)
                            .filter(|_| bucket.take(&refill, SECOND).is_ok())
                            .count()
                    })
                })
                .collect();
            takers
                .into_iter()
                .map(|taker| taker.join().expect("no panic"))
                .sum::<usize>()
        });
        assert_eq!(taken, 10_000);
    }

    proptest! {
        #[test]
        fn no_window_lets_more_through_than_a_full_bucket_and_what_came_in_it(
            requests in 1u32..50,
            steps in proptest::collection::vec(0u64..400_000_000, 1..300),
        ) {
            let (bucket, refill) = (TokenBucket::default(), refill(requests, RateUnit::Second));
            let (mut now_ns, mut passed) = (0, Vec::new());
            for step in steps {
                now_ns += step;
                if bucket.take(&refill, now_ns).is_ok() {
                    passed.push(now_ns);
                }
            }
            for (first, from_ns) in passed.iter().enumerate() {
                for (last, to_ns) in passed.iter().enumerate().skip(first) {
                    let came = (to_ns - from_ns) as f64 / SECOND as f64 * f64::from(requests);
                    prop_assert!((last - first + 1) as f64 <= f64::from(requests) + came + 1.0);
                }
            }
        }
    }
}
