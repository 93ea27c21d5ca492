//! What all workers and the gateway see. Nothing here is written per request.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use weir_net::Epoch;

use crate::access_log::AccessLogger;
use crate::command::{Command, Outbox};
use crate::compile::Snapshot;
use crate::options::Bounds;
use crate::stats::Registry;
use crate::{Event, Options};

/// Part of the files that unused connections to endpoints may take.
const UNUSED_FILES_PERCENT: u64 = 30;

/// Shared by reference count; every part synchronises itself.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) bounds: Bounds,
    pub(crate) epoch: Epoch,
    pub(crate) registry: Arc<Registry>,
    pub(crate) logger: Option<Arc<AccessLogger>>,
    pub(crate) loads: Loads,
    pub(crate) sources: Sources,
    /// By worker.
    pub(crate) inboxes: Vec<Outbox>,
    /// Connections end after the exchange they are in.
    pub(crate) is_draining: AtomicBool,
    /// There are as many client connections as there may be.
    pub(crate) is_full: AtomicBool,
    snapshot: ArcSwap<Snapshot>,
    generation: AtomicU64,
}

impl Shared {
    pub(crate) fn new(
        options: Options,
        inboxes: Vec<Outbox>,
        logger: Option<Arc<AccessLogger>>,
        connections_max: u32,
        epoch: Epoch,
    ) -> Self {
        Self {
            bounds: Bounds::from(&options.limits),
            epoch,
            registry: Arc::default(),
            logger,
            loads: Loads::new(inboxes.len(), connections_max),
            sources: Sources::new(options.limits.connections_per_source),
            inboxes,
            is_draining: AtomicBool::new(false),
            is_full: AtomicBool::new(false),
            snapshot: ArcSwap::default(),
            generation: AtomicU64::new(0),
            options,
        }
    }

    /// Makes `snapshot` the one that the next requests take.
    pub(crate) fn publish(&self, snapshot: Arc<Snapshot>) {
        let generation = snapshot.generation;
        self.snapshot.store(snapshot);
        self.generation.store(generation, Ordering::Release);
    }

    /// The generation of the running snapshot.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The running snapshot.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Unused connections to endpoints that one worker may keep.
    pub(crate) fn unused_connections_max(&self) -> usize {
        let share = weir_net::file_limit().saturating_mul(UNUSED_FILES_PERCENT) / 100;
        usize::try_from(share).unwrap_or(usize::MAX) / self.inboxes.len().max(1)
    }

    /// Tells every worker. One that is gone was reported when it went.
    pub(crate) fn tell_workers(&self, command: impl Fn() -> Command) {
        for inbox in &self.inboxes {
            let _ = inbox.send(command());
        }
    }

    /// Tells every worker but one.
    pub(crate) fn tell_others(&self, worker: usize, command: impl Fn() -> Command) {
        let others = self.inboxes.iter().enumerate();
        for (_, inbox) in others.filter(|(index, _)| *index != worker) {
            let _ = inbox.send(command());
        }
    }

    /// Tells whoever listens.
    pub(crate) fn tell(&self, event: Event) {
        if let Some(sink) = &self.options.events {
            sink(event);
        }
    }
}

/// How many client connections each worker has.
#[derive(Debug)]
pub(crate) struct Loads {
    by_worker: Vec<Load>,
    connections_max: u32,
}

/// On a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Load(AtomicU32);

impl Loads {
    fn new(workers: usize, connections_max: u32) -> Self {
        Self {
            by_worker: (0..workers).map(|_| Load::default()).collect(),
            connections_max,
        }
    }

    /// Counts a connection of `worker`.
    pub(crate) fn enter(&self, worker: usize) {
        self.by_worker[worker].0.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether there are as many connections as there may be.
    pub(crate) fn are_full(&self) -> bool {
        self.total() >= self.connections_max
    }

    /// Counts a connection of `worker` as ended.
    pub(crate) fn leave(&self, worker: usize) {
        self.by_worker[worker].0.fetch_sub(1, Ordering::Relaxed);
    }

    /// Client connections open now.
    pub(crate) fn total(&self) -> u32 {
        self.by_worker
            .iter()
            .map(|load| load.0.load(Ordering::Relaxed))
            .sum()
    }

    /// The worker that should take the next connection: `own`, unless it has clearly more than the least loaded one.
    pub(crate) fn place(&self, own: usize) -> usize {
        let load_of = |worker: usize| self.by_worker[worker].0.load(Ordering::Relaxed);
        let least = (0..self.by_worker.len())
            .min_by_key(|worker| load_of(*worker))
            .unwrap_or(own);
        let spread_max = 1 + load_of(least) / 8;
        if load_of(own) > load_of(least) + spread_max {
            least
        } else {
            own
        }
    }
}

/// How many client connections each source address has, loopback exempt.
#[derive(Debug)]
pub(crate) struct Sources {
    connections_max: u32,
    open: Mutex<HashMap<IpAddr, u32>>,
}

impl Sources {
    fn new(connections_max: u32) -> Self {
        Self {
            connections_max,
            open: Mutex::default(),
        }
    }

    /// Counts a connection from `source`; `false` when it has as many as it may have.
    pub(crate) fn enter(&self, source: IpAddr) -> bool {
        if source.to_canonical().is_loopback() {
            return true;
        }
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(source).or_default();
        let is_free = *count < self.connections_max;
        *count += u32::from(is_free);
        is_free
    }

    /// Counts a connection from `source` as ended.
    pub(crate) fn leave(&self, source: IpAddr) {
        if source.to_canonical().is_loopback() {
            return;
        }
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&source) {
            *count -= 1;
            if *count == 0 {
                open.remove(&source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_with_clearly_more_hands_over_and_a_balanced_one_does_not() {
        let loads = Loads::new(2, 1000);
        let mut placed = [0; 2];
        for _ in 0..64 {
            let worker = loads.place(0);
            loads.enter(worker);
            placed[worker] += 1;
        }
        assert!(placed[0] >= placed[1] && placed[0] - placed[1] <= 5, "{placed:?}");
        assert_eq!(loads.place(1), 1);
        assert_eq!(loads.total(), 64);
    }

    #[test]
    fn connections_are_capped_in_all_and_by_source() {
        let loads = Loads::new(1, 2);
        loads.enter(0);
        assert!(!loads.are_full());
        loads.enter(0);
        assert!(loads.are_full());
        loads.leave(0);
        assert!(!loads.are_full());

        let sources = Sources::new(1);
        let (far, near) = (
            "10.0.0.1".parse().expect("address"),
            "127.0.0.1".parse().expect("address"),
        );
        assert!(sources.enter(far) && !sources.enter(far));
        assert!(sources.enter(near) && sources.enter(near));
        sources.leave(far);
        assert!(sources.enter(far));
        sources.leave(far);
        assert!(sources.open.lock().expect("lock").is_empty());
    }
}
