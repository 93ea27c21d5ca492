//! Durations by size: eight buckets per doubling, so a quantile is off by at most 6.25 %.

use std::sync::atomic::{AtomicU32, Ordering};

const STEPS_LOG2: u32 = 3;
const STEPS: u64 = 1 << STEPS_LOG2;
/// The last bucket begins at about 71 minutes; longer ones fall into it.
const BUCKETS: usize = 30 * STEPS as usize;

/// A histogram that one thread writes and any thread reads.
#[derive(Debug)]
pub(crate) struct Histogram {
    counts: Box<[AtomicU32]>,
}

impl Histogram {
    pub(crate) fn new() -> Self {
        Self {
            counts: (0..BUCKETS).map(|_| AtomicU32::new(0)).collect(),
        }
    }

    /// Counts one duration. For the writing thread only.
    pub(crate) fn record(&self, duration_us: u64) {
        let bucket = &self.counts[bucket_of(duration_us)];
        bucket.store(bucket.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    /// Adds the counts to `sum`, which grows as needed.
    pub(crate) fn add_to(&self, sum: &mut Vec<u64>) {
        sum.resize(BUCKETS, 0);
        for (sum, count) in sum.iter_mut().zip(&self.counts) {
            *sum += u64::from(count.load(Ordering::Relaxed));
        }
    }
}

/// The duration in microseconds that `quantile` (0 to 1) of the counted ones do not exceed; 0 when there are none.
pub(crate) fn quantile_us(counts: &[u64], quantile: f64) -> u64 {
    let total: u64 = counts.iter().sum();
    let wanted = ((total as f64 * quantile).ceil() as u64).clamp(1, total.max(1));
    let mut seen = 0;
    for (bucket, count) in counts.iter().enumerate() {
        seen += count;
        if seen >= wanted {
            return middle_of(bucket);
        }
    }
    0
}

/// How many of the counted durations are at most `bound_us`, as far as buckets tell.
pub(crate) fn count_within(counts: &[u64], bound_us: u64) -> u64 {
    let within = |(bucket, _): &(usize, &u64)| middle_of(*bucket) <= bound_us;
    counts
        .iter()
        .enumerate()
        .take_while(within)
        .map(|(_, count)| count)
        .sum()
}

fn bucket_of(duration_us: u64) -> usize {
    if duration_us < STEPS {
        return duration_us as usize;
    }
    let doubling = duration_us.ilog2() - STEPS_LOG2;
    let step = (duration_us >> doubling) - STEPS;
    (((u64::from(doubling) + 1) * STEPS + step) as usize).min(BUCKETS - 1)
}

fn middle_of(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < STEPS {
        return bucket;
    }
    let doubling = bucket / STEPS - 1;
    let start = (STEPS + bucket % STEPS) << doubling;
    start + (1 << doubling) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_its_own_middle_and_no_value_is_far_from_it() {
        for bucket in 0..BUCKETS {
            assert_eq!(bucket_of(middle_of(bucket)), bucket);
        }
        for duration_us in (0..100_000).chain([1 << 31, (1 << 32) - 1]) {
            let middle = middle_of(bucket_of(duration_us));
            assert!(
                middle.abs_diff(duration_us) as f64 <= duration_us as f64 * 0.0625,
                "{duration_us} {middle}"
            );
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_of_a_uniform_range() {
        let histogram = Histogram::new();
        for duration_us in 1..=1000 {
            histogram.record(duration_us);
        }
        let mut counts = Vec::new();
        histogram.add_to(&mut counts);
        for (quantile, expected) in [(0.5, 500.0), (0.99, 990.0), (1.0, 1000.0), (0.0, 1.0)] {
            let found = quantile_us(&counts, quantile) as f64;
            assert!((found - expected).abs() <= expected * 0.07, "{quantile}: {found}");
        }
        assert_eq!(quantile_us(&[], 0.5), 0);
        for (bound_us, expected) in [
            (0, 0.0),
            (100, 100.0),
            (500, 500.0),
            (1100, 1000.0),
            (u64::MAX, 1000.0),
        ] {
            let found = count_within(&counts, bound_us) as f64;
            assert!((found - expected).abs() <= expected * 0.07, "{bound_us}: {found}");
        }
    }
}
