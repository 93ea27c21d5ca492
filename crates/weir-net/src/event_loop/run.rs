//! Going round.

use std::cell::Cell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::EventLoop;
use super::core::{BELL, Core, set_running};
use super::poller::{Poller, Signs};
use super::task::{Task, TaskId};
use super::waker::TaskWaker;

/// How many ready tasks run between two looks at the sockets.
const TASKS_PER_ROUND: usize = 127;

/// How many events one look takes at most; the next look takes the rest.
const EVENTS_PER_ROUND: usize = 1024;

/// What keeps the time of a loop's thread.
pub trait Clockwork {
    /// Called after every look at the sockets, before tasks run: time may have passed.
    fn turn(&mut self);

    /// How long the loop may wait, at most, for something to happen.
    fn patience(&self) -> Duration;
}

/// How the main task ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Returned,
    /// Dropped before its end: by a panic, or with the loop.
    Cut,
}

/// Tells how the main task ended, however it does.
pub(super) struct Witness(Rc<Cell<Option<Ending>>>);

/// The time in which a loop runs.
struct Running<'a> {
    core: &'a Rc<Core>,
    /// A loop that runs on this thread already: this one runs inside one of its tasks.
    outer: Option<Rc<Core>>,
}

impl EventLoop {
    /// Runs tasks on this thread until `main` returns; then drops all tasks, and what is spawned later at once.
    ///
    /// Fails when the poller does, or when `main` panicked.
    pub fn run(
        &self,
        main: impl Future<Output = ()> + 'static,
        clockwork: &mut dyn Clockwork,
    ) -> io::Result<()> {
        let _running = Running::begin(&self.0);
        let ending = self.spawn_main(main);
        let mut events = mio::Events::with_capacity(EVENTS_PER_ROUND);
        let mut woken = Vec::new();
        loop {
            self.0.look(&mut events, &mut woken, clockwork)?;
            clockwork.turn();
            for _ in 0..TASKS_PER_ROUND {
                if !self.0.poll_next() {
                    break;
                }
            }
            while self.0.poll_late() {}
            match ending.get() {
                None => {}
                Some(Ending::Returned) => return Ok(()),
                Some(Ending::Cut) => return Err(io::Error::other("the main task panicked")),
            }
        }
    }

    /// Adds the main task; the cell will say how it ended.
    pub(super) fn spawn_main(&self, main: impl Future<Output = ()> + 'static) -> Rc<Cell<Option<Ending>>> {
        let ending = Rc::new(Cell::new(None));
        let witness = Witness(Rc::clone(&ending));
        self.spawn(async move {
            let witness = witness;
            main.await;
            witness.0.set(Some(Ending::Returned));
        });
        ending
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        if self.0.get().is_none() {
            self.0.set(Some(Ending::Cut));
        }
    }
}

impl<'a> Running<'a> {
    fn begin(core: &'a Rc<Core>) -> Self {
        Self {
            core,
            outer: set_running(Some(Rc::clone(core))),
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.core.end();
        set_running(self.outer.take());
    }
}

impl Core {
    /// Looks at the sockets, waiting for them when no task is ready, and queues the tasks that they wake.
    fn look(
        &self,
        events: &mut mio::Events,
        woken: &mut Vec<Arc<TaskWaker>>,
        clockwork: &dyn Clockwork,
    ) -> io::Result<()> {
        let is_ready = self.tasks.borrow().is_ready();
        let patience = if is_ready {
            Duration::ZERO
        } else {
            clockwork.patience()
        };
        match &self.poller {
            Poller::Kernel(poller) => match poller.borrow_mut().poll(events, Some(patience)) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            },
            // It would wait for ever: nothing happens there but by its owner.
            #[cfg(feature = "simulation")]
            Poller::Simulated(_) => return Err(io::ErrorKind::Unsupported.into()),
        }
        let mut is_rung = false;
        let mut wakers = Vec::new();
        let (mut sockets, mut tasks) = (self.sockets.borrow_mut(), self.tasks.borrow_mut());
        for event in &*events {
            if event.token() == BELL {
                is_rung = true;
            } else {
                sockets.note(event.token(), Signs::from(event), &mut tasks, &mut wakers);
            }
        }
        drop((sockets, tasks));
        if is_rung {
            self.receive(woken);
        }
        for waker in wakers {
            waker.wake();
        }
        Ok(())
    }

    /// Drops all tasks, and what is spawned later at once.
    pub(super) fn end(&self) {
        self.is_ending.set(true);
        self.inlet.close();
        for place in 0.. {
            let taken = self.tasks.borrow_mut().take_at(place);
            match taken {
                None => break,
                Some(task) => self.discard(task),
            }
        }
    }

    /// Polls the next ready task; `false` when none is.
    pub(super) fn poll_next(&self) -> bool {
        let mut tasks = self.tasks.borrow_mut();
        let Some((id, task)) = tasks.take_ready() else {
            return false;
        };
        tasks.prefetch();
        drop(tasks);
        self.poll(id, task, false);
        true
    }

    /// Polls the next task that waits for the end of the round; `false` when none does.
    pub(super) fn poll_late(&self) -> bool {
        let taken = self.tasks.borrow_mut().take_late();
        let Some((id, task)) = taken else {
            return false;
        };
        self.poll(id, task, true);
        true
    }

    fn poll(&self, id: TaskId, mut task: Task, is_late: bool) {
        self.begin_poll(id, &task.waker, is_late);
        let polled = catch_unwind(AssertUnwindSafe(|| {
            task.future.as_mut().poll(&mut Context::from_waker(&task.waker))
        }));
        self.end_poll();
        let done = match polled {
            Ok(Poll::Pending) => self.tasks.borrow_mut().put_back(id, task),
            Ok(Poll::Ready(())) => {
                self.tasks.borrow_mut().finish(id);
                Some(task)
            }
            Err(_) => {
                self.panics.set(self.panics.get() + 1);
                self.tasks.borrow_mut().finish(id);
                Some(task)
            }
        };
        if done.is_some() {
            self.discard(done);
        }
    }

    /// Drops a task. That may run anything, so nothing is borrowed meanwhile, and a panic ends there.
    fn discard(&self, task: Option<Task>) {
        if catch_unwind(AssertUnwindSafe(|| drop(task))).is_err() {
            self.panics.set(self.panics.get() + 1);
        }
    }
}
