//! What a task hands out to be woken by, from any thread.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Wake;

use super::core;
use super::poller::Bell;
use super::task::TaskId;

/// Wakes one task of one loop. Outliving either is harmless.
pub(super) struct TaskWaker {
    task: TaskId,
    inlet: Arc<Inlet>,
    /// Whether it lies in the inlet already, so that it lies there once.
    is_sent: AtomicBool,
}

/// Wakes from other threads on their way to a loop.
pub(super) struct Inlet {
    woken: Mutex<Woken>,
    bell: Bell,
}

#[derive(Default)]
struct Woken {
    list: Vec<Arc<TaskWaker>>,
    /// The loop has ended and nobody reads the list.
    is_closed: bool,
}

impl TaskWaker {
    pub(super) fn new(task: TaskId, inlet: &Arc<Inlet>) -> Arc<Self> {
        Arc::new(Self {
            task,
            inlet: Arc::clone(inlet),
            is_sent: AtomicBool::new(false),
        })
    }

    pub(super) fn task(&self) -> TaskId {
        self.task
    }

    pub(super) fn inlet(&self) -> &Arc<Inlet> {
        &self.inlet
    }
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !core::wake_here(self) && !self.is_sent.swap(true, Ordering::AcqRel) {
            self.inlet.send(Arc::clone(self));
        }
    }
}

impl Inlet {
    pub(super) fn new(bell: Bell) -> Arc<Self> {
        Arc::new(Self {
            woken: Mutex::default(),
            bell,
        })
    }

    /// Moves what was woken to `list`.
    pub(super) fn receive(&self, list: &mut Vec<Arc<TaskWaker>>) {
        std::mem::swap(&mut self.lock().list, list);
        for waker in list {
            // Before the task is polled, and by an exchange: what was done before a wake that found itself sent already
            // is seen by that poll.
            waker.is_sent.swap(false, Ordering::AcqRel);
        }
    }

    /// Whether somebody was woken.
    #[cfg(feature = "simulation")]
    pub(super) fn has_woken(&self) -> bool {
        !self.lock().list.is_empty()
    }

    /// Receives no more: the loop ends.
    pub(super) fn close(&self) {
        let mut woken = self.lock();
        woken.is_closed = true;
        woken.list = Vec::new();
    }

    fn send(&self, waker: Arc<TaskWaker>) {
        let mut woken = self.lock();
        if woken.is_closed {
            return;
        }
        woken.list.push(waker);
        let is_first = woken.list.len() == 1;
        drop(woken);
        if is_first {
            self.bell.ring();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Woken> {
        self.woken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
