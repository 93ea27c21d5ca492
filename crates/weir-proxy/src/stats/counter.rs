//! The smallest counter.

use std::sync::atomic::{AtomicU64, Ordering};

/// A counter with one writer: adding needs no read-modify-write instruction.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds one. For the writing thread only.
    pub(crate) fn increment(&self) {
        self.add(1);
    }

    /// Adds several. For the writing thread only.
    pub(crate) fn add(&self, count: u64) {
        let sum = self.0.load(Ordering::Relaxed).wrapping_add(count);
        self.0.store(sum, Ordering::Relaxed);
    }

    /// Takes one away, of something that comes and goes. For the writing thread only.
    pub(crate) fn decrement(&self) {
        self.add(u64::MAX);
    }

    pub(crate) fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
