//! Durations of one thing, apart by what became of it: a series for each kind that was seen.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ptr;
use std::sync::{Arc, Mutex};

use super::counter::Counter;
use crate::lock::lock;

/// Upper bounds of the buckets, microseconds (OpenTelemetry's for HTTP). One more bucket holds what took longer.
pub const DURATION_BOUNDS_US: [u64; 14] = [
    5_000, 10_000, 25_000, 50_000, 75_000, 100_000, 250_000, 500_000, 750_000, 1_000_000, 2_500_000,
    5_000_000, 7_500_000, 10_000_000,
];

/// Kinds that one thing has series of its own for; what further ones count is added up as one. Clients choose methods and
/// endpoints statuses, so there is no other bound.
const KINDS_MAX: usize = 64;

/// What a duration is one of. The words are OpenTelemetry's (semantic conventions for HTTP metrics).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct DurationKind {
    /// 0 when there was no answer.
    pub status: u16,
    /// A known one, or `_OTHER`; of all kinds that are added up as one it is empty.
    pub method: &'static str,
    /// Version of HTTP, such as `1.1`.
    pub version: &'static str,
    /// weir's word for what went wrong; empty when nothing did, or when the status says it.
    pub error: &'static str,
}

/// The durations of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DurationReport {
    /// Which.
    pub kind: DurationKind,
    /// How many, by the first of [`DURATION_BOUNDS_US`] that they do not exceed.
    pub buckets: [u64; DURATION_BOUNDS_US.len() + 1],
    /// All of them together, microseconds.
    pub sum_us: u64,
}

/// Series that one thread writes and any thread reads.
#[derive(Debug, Default)]
pub(crate) struct Durations {
    all: Mutex<Vec<Arc<Series>>>,
}

/// The writing thread's way to them.
#[derive(Debug)]
pub(crate) struct DurationRecorder {
    durations: Arc<Durations>,
    known: RefCell<Vec<Arc<Series>>>,
}

#[derive(Debug)]
struct Series {
    kind: DurationKind,
    buckets: [Counter; DURATION_BOUNDS_US.len() + 1],
    sum_us: Counter,
}

impl DurationKind {
    /// Whether it is the same with the very same words, which is quicker found out than whether they read the same.
    #[inline]
    fn is_identical(&self, other: &Self) -> bool {
        self.status == other.status
            && ptr::eq(self.method, other.method)
            && ptr::eq(self.version, other.version)
            && ptr::eq(self.error, other.error)
    }
}

impl DurationReport {
    /// How many.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

impl Durations {
    /// Adds what is counted to `sums`.
    pub(crate) fn add_to(&self, sums: &mut BTreeMap<DurationKind, DurationReport>) {
        for series in lock(&self.all).iter() {
            let sum = sums.entry(series.kind).or_insert_with(|| DurationReport {
                kind: series.kind,
                ..DurationReport::default()
            });
            sum.sum_us += series.sum_us.value();
            for (sum, bucket) in sum.buckets.iter_mut().zip(&series.buckets) {
                *sum += bucket.value();
            }
        }
    }
}

impl DurationRecorder {
    /// The way of the calling thread, which has to be the only one.
    pub(crate) fn new(durations: &Arc<Durations>) -> Self {
        Self {
            durations: Arc::clone(durations),
            known: RefCell::default(),
        }
    }

    /// Counts one.
    #[inline]
    pub(crate) fn record(&self, kind: DurationKind, duration_us: u64) {
        if let Some(series) = self
            .known
            .borrow()
            .iter()
            .find(|series| series.kind.is_identical(&kind))
        {
            return series.record(duration_us);
        }
        self.record_rarely(kind, duration_us);
    }

    /// Counts one of a kind that was not seen before, or of which a word is written in two places of the program.
    #[cold]
    fn record_rarely(&self, kind: DurationKind, duration_us: u64) {
        let mut known = self.known.borrow_mut();
        if let Some(series) = known.iter().find(|series| series.kind == kind) {
            return series.record(duration_us);
        }
        if known.len() >= KINDS_MAX {
            let rest = DurationKind::default();
            if let Some(series) = known.iter().find(|series| series.kind == rest) {
                return series.record(duration_us);
            }
        }
        let series = Arc::new(Series {
            kind: if known.len() >= KINDS_MAX {
                DurationKind::default()
            } else {
                kind
            },
            buckets: Default::default(),
            sum_us: Counter::default(),
        });
        series.record(duration_us);
        lock(&self.durations.all).push(Arc::clone(&series));
        known.push(series);
    }
}

impl Series {
    fn record(&self, duration_us: u64) {
        let bucket = DURATION_BOUNDS_US
            .iter()
            .position(|bound_us| duration_us <= *bound_us)
            .unwrap_or(DURATION_BOUNDS_US.len());
        self.buckets[bucket].increment();
        self.sum_us.add(duration_us);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(durations: &Durations) -> Vec<DurationReport> {
        let mut sums = BTreeMap::new();
        durations.add_to(&mut sums);
        sums.into_values().collect()
    }

    fn of_status(status: u16) -> DurationKind {
        DurationKind {
            status,
            method: "GET",
            version: "1.1",
            error: "",
        }
    }

    #[test]
    fn op06_a_bound_holds_what_is_no_longer_than_it() {
        let durations = Arc::default();
        let recorder = DurationRecorder::new(&durations);
        for duration_us in [0, 5_000, 5_001, 10_000_000, 10_000_001, u64::MAX >> 8] {
            recorder.record(of_status(200), duration_us);
        }
        recorder.record(of_status(503), 70_000);
        let [good, bad] = &*sums(&durations) else {
            panic!("two kinds")
        };
        let mut buckets = [0; 15];
        (buckets[0], buckets[1], buckets[13], buckets[14]) = (2, 1, 1, 2);
        assert_eq!(
            (good.kind, good.buckets, good.count()),
            (of_status(200), buckets, 6)
        );
        assert_eq!((bad.sum_us, bad.buckets[4]), (70_000, 1));
    }

    #[test]
    fn op06_kinds_are_bounded_and_no_duration_is_lost() {
        let durations = Arc::default();
        let recorder = DurationRecorder::new(&durations);
        for _ in 0..2 {
            (100..400).for_each(|status| recorder.record(of_status(status), 1));
        }
        let sums = sums(&durations);
        assert_eq!(sums.len(), KINDS_MAX + 1);
        assert_eq!(sums.iter().map(DurationReport::count).sum::<u64>(), 600);
        assert_eq!(sums[0].kind, DurationKind::default());
        assert_eq!(sums[0].count(), 2 * (300 - KINDS_MAX as u64));
    }
}
