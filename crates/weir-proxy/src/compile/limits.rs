//! What rules count of their requests, from one snapshot to the next.

use std::collections::HashMap;
use std::sync::Arc;

use weir_balance::{BucketTable, ClientHash, Counters, Refill, Rng, Scope, TokenBucket};
use weir_model::{ParallelLimit, Rate, RateLimitRule};

/// The buckets of one rule of a rate limit, as long as any snapshot has the rule. All workers take from them.
#[derive(Debug)]
pub(crate) struct LiveLimit {
    rate: Rate,
    pub(crate) refill: Refill,
    /// Of all requests together.
    pub(crate) bucket: TokenBucket,
    /// Of each client, where the rule tells them apart.
    pub(crate) clients: BucketTable,
    seed: u64,
}

impl LiveLimit {
    fn new(rate: Rate, seed: u64) -> Self {
        Self {
            rate,
            refill: Refill::new(rate),
            bucket: TokenBucket::default(),
            clients: BucketTable::default(),
            seed,
        }
    }

    /// The beginning of a client's name in [`Self::clients`].
    pub(crate) fn client(&self) -> ClientHash {
        ClientHash::new(self.seed)
    }
}

/// All of them, by key.
#[derive(Debug)]
pub(crate) struct Limits {
    rng: Rng,
    rates: HashMap<Arc<str>, Arc<LiveLimit>>,
    parallel: HashMap<Arc<str>, Arc<Counters>>,
}

impl Limits {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            rng: Rng::from_seed(seed),
            rates: HashMap::new(),
            parallel: HashMap::new(),
        }
    }

    /// The buckets of a rule: those of its key as long as the rate stays the same, else new ones.
    pub(crate) fn rate(&mut self, rule: &RateLimitRule) -> Arc<LiveLimit> {
        if let Some(live) = self.rates.get(&rule.key).filter(|live| live.rate == rule.rate) {
            return Arc::clone(live);
        }
        let live = Arc::new(LiveLimit::new(rule.rate, self.rng.next_u64()));
        self.rates.insert(Arc::clone(&rule.key), Arc::clone(&live));
        live
    }

    /// The counter of requests in flight.
    pub(crate) fn parallel(&mut self, limit: &ParallelLimit) -> Arc<Counters> {
        let new = || Arc::new(Counters::new(Scope::Backend));
        Arc::clone(self.parallel.entry(Arc::clone(&limit.key)).or_insert_with(new))
    }

    /// Forgets what no snapshot holds any more.
    pub(crate) fn forget_unused(&mut self) {
        self.rates.retain(|_, live| Arc::strong_count(live) > 1);
        self.parallel
            .retain(|_, counters| Arc::strong_count(counters) > 1);
    }
}

#[cfg(test)]
mod tests {
    use weir_model::RateUnit;

    use super::*;

    #[test]
    fn kt33_buckets_stay_as_long_as_key_and_rate_do() {
        let rule = |key: &str, requests| RateLimitRule {
            key: key.into(),
            selectors: Vec::new(),
            rate: Rate {
                requests,
                unit: RateUnit::Minute,
            },
        };
        let mut limits = Limits::new(1);
        let first = limits.rate(&rule("a", 5));
        assert!(Arc::ptr_eq(&first, &limits.rate(&rule("a", 5))));
        assert!(!Arc::ptr_eq(&first, &limits.rate(&rule("b", 5))));
        let faster = limits.rate(&rule("a", 6));
        assert!(!Arc::ptr_eq(&first, &faster));
        limits.forget_unused();
        assert_eq!(limits.rates.len(), 1, "the one in use stays");
        drop(faster);
        limits.forget_unused();
        assert!(limits.rates.is_empty());
    }
}
