//! What one worker thread owns. Everything is reached through one `Rc`, by one thread, without a lock.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use weir_balance::Rng;
use weir_model::limits;
use weir_net::{Clock, EventLoop};

use crate::access_log::LogBuffer;
use crate::compile::Snapshot;
use crate::host_cache::HostCache;
use crate::shared::Shared;
use crate::stats::Recorder;
use crate::time::{Alarm, Timer, Wheel};
use crate::transit::{EncoderMemory, FreeList, RequestScratch, ResponseScratch};
use crate::upstream::Pools;

/// The snapshot as one worker holds it: exchanges count their references here, not in memory that workers share.
pub(crate) type View = Rc<Arc<Snapshot>>;

/// Copies of requests under way at most, per worker: a slow mirror must not hold up the rest.
const COPIES_MAX: u32 = 512;

/// One worker.
#[derive(Debug)]
pub(crate) struct Worker {
    /// From 0.
    pub(crate) index: usize,
    pub(crate) shared: Arc<Shared>,
    pub(crate) event_loop: EventLoop,
    pub(crate) clock: Clock,
    pub(crate) wheel: Wheel,
    pub(crate) rng: RefCell<Rng>,
    pub(crate) hosts: RefCell<HostCache>,
    pub(crate) recorder: Recorder,
    pub(crate) pools: Pools,
    pub(crate) log: Option<LogBuffer>,
    pub(crate) encoders: EncoderMemory,
    view: RefCell<View>,
    /// Copies of requests on their way to mirrors.
    copies: Cell<u32>,
    /// Counts the times that idle connections were asked whether they should end.
    rouses: Cell<u64>,
    pub(crate) requests: FreeList<RequestScratch>,
    pub(crate) responses: FreeList<ResponseScratch>,
}

impl Worker {
    pub(crate) fn new(index: usize, shared: Arc<Shared>, event_loop: EventLoop, rng: Rng) -> Self {
        let clock = Clock::new(shared.epoch);
        Self {
            index,
            event_loop,
            wheel: Wheel::new(clock.read_ms()),
            clock,
            rng: RefCell::new(rng),
            hosts: RefCell::new(HostCache::new()),
            recorder: Recorder::new(&shared.registry),
            pools: Pools::new(index, shared.unused_connections_max()),
            log: shared.logger.as_ref().map(LogBuffer::new),
            encoders: EncoderMemory::new(limits::ENCODER_BYTES),
            view: RefCell::new(Rc::new(shared.snapshot())),
            copies: Cell::new(0),
            rouses: Cell::new(0),
            requests: FreeList::new(),
            responses: FreeList::new(),
            shared,
        }
    }

    /// The running snapshot. Costs one load unless there is a new one.
    pub(crate) fn view(&self) -> View {
        if self.view.borrow().generation != self.shared.generation() {
            self.refresh();
        }
        Rc::clone(&self.view.borrow())
    }

    /// Takes the newest snapshot and lets go of what it does not have any more.
    pub(crate) fn refresh(&self) {
        self.view.replace(Rc::new(self.shared.snapshot()));
        self.pools.close_unlisted();
        self.recorder.forget_removed();
    }

    /// Whether connections are to end after the exchange they are in: weir is about to stop, or there are as many as
    /// there may be and others wait.
    pub(crate) fn is_ending_connections(&self) -> bool {
        self.shared.is_draining.load(Ordering::Relaxed) || self.shared.is_full.load(Ordering::Relaxed)
    }

    /// How the owner of `timer` waits.
    pub(crate) fn alarm<'a>(&'a self, timer: &'a Rc<Timer>) -> Alarm<'a> {
        Alarm {
            clock: &self.clock,
            wheel: &self.wheel,
            timer,
        }
    }

    /// Makes idle connections look whether they should end.
    pub(crate) fn rouse(&self) {
        self.rouses.set(self.rouses.get() + 1);
        self.wheel.wake_all();
    }

    /// How often [`Self::rouse`] was called.
    pub(crate) fn rouses(&self) -> u64 {
        self.rouses.get()
    }

    /// Counts one more copy of a request under way; `false` when there are as many as there may be.
    pub(crate) fn begin_copy(&self) -> bool {
        let is_free = self.copies.get() < COPIES_MAX;
        self.copies.set(self.copies.get() + u32::from(is_free));
        is_free
    }

    /// Counts a copy as done.
    pub(crate) fn end_copy(&self) {
        self.copies.set(self.copies.get() - 1);
    }

    /// Gives back what was not needed since the last sweep.
    pub(crate) fn sweep(&self) {
        self.pools.sweep(self.clock.read_ms());
        self.requests.sweep();
        self.responses.sweep();
    }
}
