//! What is counted of the tries at a backend on behalf of a rule.

use std::sync::Arc;

use super::counter::Counter;
use super::durations::{DurationKind, DurationRecorder, Durations};
use crate::compile::LiveDestination;

/// What decided where a try went, as it is counted and logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PickCause {
    /// The algorithm.
    Policy,
    /// The algorithm that stands in when a request has no hash key.
    NoKey,
    /// A hash of the request.
    Affinity,
    /// The session that the client's token names.
    Session,
    /// The request itself.
    Override,
    /// The algorithm, over endpoints that are not well because too few are.
    Panic,
    /// A try before it that came to nothing.
    Retry,
}

impl PickCause {
    /// Their words, by [`Self::place`].
    pub(crate) const WORDS: [&'static str; 7] = [
        "policy", "no_key", "affinity", "session", "override", "panic", "retry",
    ];

    /// Its word.
    pub(crate) fn word(self) -> &'static str {
        Self::WORDS[self.place()]
    }

    fn place(self) -> usize {
        self as usize
    }
}

/// What one worker counted; readable from any thread.
#[derive(Debug)]
pub(crate) struct DestinationCounters {
    pub(crate) live: Arc<LiveDestination>,
    /// Tries begun, by what decided where they went.
    pub(crate) picks: [Counter; PickCause::WORDS.len()],
    /// How long they took.
    pub(crate) tries: Arc<Durations>,
}

/// One worker's way to the counters.
#[derive(Debug)]
pub(crate) struct DestinationRecorder {
    pub(super) counters: Arc<DestinationCounters>,
    tries: DurationRecorder,
}

impl DestinationRecorder {
    pub(super) fn new(live: &Arc<LiveDestination>) -> Self {
        let tries = Arc::default();
        Self {
            tries: DurationRecorder::new(&tries),
            counters: Arc::new(DestinationCounters {
                live: Arc::clone(live),
                picks: Default::default(),
                tries,
            }),
        }
    }

    /// The backend's key.
    pub(crate) fn backend(&self) -> &str {
        &self.counters.live.backend
    }

    /// Counts a try that begins.
    pub(crate) fn picked(&self, cause: PickCause) {
        self.counters.picks[cause.place()].increment();
    }

    /// Counts one that has ended.
    pub(crate) fn tried(&self, kind: DurationKind, duration_us: u64) {
        self.tries.record(kind, duration_us);
    }
}
