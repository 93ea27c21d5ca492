//! What a loop's tasks, sockets and wakers share: everything but the rounds themselves.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::ptr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use mio::Token;

use super::poller::Poller;
use super::readiness::Sockets;
use super::task::{Task, TaskId, Tasks};
use super::waker::{Inlet, TaskWaker};

/// How many times a task may use its sockets before it must let others run, though more could be done at once. A body
/// between two fast peers would otherwise hold the thread until one of them pauses.
const OPERATIONS: u32 = 128;

/// The token of the eventfd that other threads ring. Sockets never have it: their index would have to be 2^32 - 1.
pub(super) const BELL: Token = Token(usize::MAX);

thread_local! {
    /// The loop that runs on this thread.
    static RUNNING: RefCell<Option<Rc<Core>>> = const { RefCell::new(None) };
}

/// The event loop of one thread; clones are the same loop.
#[derive(Clone)]
pub struct EventLoop(pub(super) Rc<Core>);

pub(super) struct Core {
    pub(super) poller: Poller,
    pub(super) tasks: RefCell<Tasks>,
    pub(super) sockets: RefCell<Sockets>,
    pub(super) inlet: Arc<Inlet>,
    /// The task that is being polled.
    polled: Cell<Option<Polled>>,
    /// What the task that is being polled may still do.
    operations_left: Cell<u32>,
    pub(super) panics: Cell<u64>,
    pub(super) is_ending: Cell<bool>,
}

#[derive(Clone, Copy)]
struct Polled {
    task: TaskId,
    /// The data pointer of its waker.
    waker: *const (),
    /// It has waited for the end of the round.
    is_late: bool,
}

impl EventLoop {
    /// A loop without tasks. Fails when the system has no descriptor or memory left for a poller.
    pub fn new() -> io::Result<Self> {
        let (poller, bell) = Poller::new(BELL)?;
        Ok(Self(Rc::new(Core {
            poller,
            tasks: RefCell::default(),
            sockets: RefCell::default(),
            inlet: Inlet::new(bell),
            polled: Cell::new(None),
            operations_left: Cell::new(OPERATIONS),
            panics: Cell::new(0),
            is_ending: Cell::new(false),
        })))
    }

    /// Adds a task. It runs with the next tasks, never at once. A loop that has ended drops it.
    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) -> TaskId {
        let core = &self.0;
        let future = Box::pin(task);
        if core.is_ending.get() {
            // Not kept: nobody would ever drop it.
            drop(future);
            return TaskId::NONE;
        }
        core.tasks.borrow_mut().insert(|id| Task {
            future,
            waker: Waker::from(TaskWaker::new(id, &core.inlet)),
        })
    }

    /// Drops a task at its next wait: now, unless it is the one that is running. Does nothing when it has ended.
    pub fn abort(&self, task: TaskId) {
        let aborted = self.0.tasks.borrow_mut().abort(task);
        drop(aborted);
    }

    /// Waits until the other tasks of this round have run; ready at once when no task waits to run, or behind a waker that is not
    /// the task's own.
    ///
    /// For writes that are worth being made in a row: a peer on the same machine is woken once for several of them, and
    /// what they run through in the kernel stays in the processor's caches.
    pub fn poll_round_end(&self, context: &Context<'_>) -> Poll<()> {
        let core = &self.0;
        match core.polled(context) {
            Some(polled) if !polled.is_late && core.tasks.borrow_mut().delay(polled.task) => Poll::Pending,
            _ => Poll::Ready(()),
        }
    }

    /// Whether it belongs to a simulated world.
    #[cfg(feature = "simulation")]
    pub(crate) fn is_simulated(&self) -> bool {
        matches!(self.0.poller, Poller::Simulated(_))
    }

    /// How many tasks have ended by a panic: defects of weir.
    pub fn panics(&self) -> u64 {
        self.0.panics.get()
    }
}

impl fmt::Debug for EventLoop {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("EventLoop")
            .field("panics", &self.panics())
            .finish_non_exhaustive()
    }
}

impl Core {
    /// Says which task is polled from now on.
    pub(super) fn begin_poll(&self, task: TaskId, waker: &Waker, is_late: bool) {
        self.polled.set(Some(Polled {
            task,
            waker: waker.data(),
            is_late,
        }));
    }

    /// Says that no task is polled any more.
    pub(super) fn end_poll(&self) {
        self.polled.set(None);
        self.operations_left.set(OPERATIONS);
    }

    /// The task that `context` belongs to; `None` when somebody polls on a task's behalf with another waker.
    pub(super) fn polled_task(&self, context: &Context<'_>) -> Option<TaskId> {
        self.polled(context).map(|polled| polled.task)
    }

    fn polled(&self, context: &Context<'_>) -> Option<Polled> {
        let polled = self.polled.get()?;
        ptr::eq(polled.waker, context.waker().data()).then_some(polled)
    }

    /// Counts a use of a socket; pending, with the task woken, when it has had its share.
    pub(super) fn poll_share(&self, context: &Context<'_>) -> Poll<()> {
        let left = self.operations_left.get();
        if left == 0 {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.operations_left.set(left - 1);
        Poll::Ready(())
    }

    /// Queues what other threads have woken; `list` is room to work in.
    pub(super) fn receive(&self, list: &mut Vec<Arc<TaskWaker>>) {
        self.inlet.receive(list);
        let mut tasks = self.tasks.borrow_mut();
        for waker in list.drain(..) {
            tasks.wake(waker.task());
        }
    }
}

/// Makes a loop the one that wakes on this thread go to, or none.
pub(super) fn set_running(core: Option<Rc<Core>>) -> Option<Rc<Core>> {
    RUNNING.with(|running| running.replace(core))
}

/// Wakes a task of the loop that runs on this thread; `false` when it belongs to another one.
pub(super) fn wake_here(waker: &TaskWaker) -> bool {
    let woken = RUNNING.try_with(|running| match &*running.borrow() {
        Some(core) if Arc::ptr_eq(&core.inlet, waker.inlet()) => {
            core.tasks.borrow_mut().wake(waker.task());
            true
        }
        _ => false,
    });
    // A thread that is being torn down runs no loop.
    woken.unwrap_or(false)
}
