//! A loop that somebody else takes step by step, in a simulated world.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use super::EventLoop;
use super::core::{Core, set_running};
use super::poller::Poller;
use super::run::{Clockwork, Ending};

/// A loop of a simulated world with its main task. What [`EventLoop::run`] does in one round is cut in two, so that its
/// owner decides what happens in between: [`Self::look`] and [`Self::poll_next`]. Dropping it drops all tasks.
pub struct Stepped {
    event_loop: EventLoop,
    clockwork: Box<dyn Clockwork>,
    ending: Rc<Cell<Option<Ending>>>,
}

impl std::fmt::Debug for Stepped {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.event_loop.fmt(out)
    }
}

impl Stepped {
    /// A loop that is to run `main`.
    pub fn new(
        event_loop: &EventLoop,
        main: impl Future<Output = ()> + 'static,
        clockwork: Box<dyn Clockwork>,
    ) -> Self {
        Self {
            event_loop: event_loop.clone(),
            clockwork,
            ending: event_loop.spawn_main(main),
        }
    }

    /// Looks at the sockets and tells the clockwork that time has passed.
    pub fn look(&mut self) {
        let core = Rc::clone(&self.event_loop.0);
        running(&core, || {
            core.look_simulated();
            self.clockwork.turn();
        });
    }

    /// Polls the next ready task, or when none is, the next that waits for the end of the round; `false` when there is none either.
    pub fn poll_next(&mut self) -> bool {
        let core = Rc::clone(&self.event_loop.0);
        running(&core, || core.poll_next() || core.poll_late())
    }

    /// Whether a look would find something, whatever the time.
    pub fn is_ready(&self) -> bool {
        let Poller::Simulated(watch) = &self.event_loop.0.poller else {
            return false;
        };
        self.event_loop.0.tasks.borrow().is_ready()
            || watch.has_signals()
            || self.event_loop.0.inlet.has_woken()
    }

    /// How long it would wait for something to happen.
    pub fn patience(&self) -> Duration {
        self.clockwork.patience()
    }

    /// Whether the main task is done.
    pub fn is_ended(&self) -> bool {
        self.ending.get().is_some()
    }

    /// How many tasks have ended by a panic.
    pub fn panics(&self) -> u64 {
        self.event_loop.panics()
    }

    /// How many tasks there are.
    pub fn tasks(&self) -> usize {
        self.event_loop.0.tasks.borrow().len()
    }
}

impl Drop for Stepped {
    fn drop(&mut self) {
        let core = Rc::clone(&self.event_loop.0);
        running(&core, || core.end());
    }
}

impl Core {
    /// Takes what the world has told and queues the tasks that it wakes.
    fn look_simulated(&self) {
        let Poller::Simulated(watch) = &self.poller else {
            return;
        };
        let mut wakers = Vec::new();
        let signals = watch.take_signals();
        let (mut sockets, mut tasks) = (self.sockets.borrow_mut(), self.tasks.borrow_mut());
        for (token, readiness) in signals {
            sockets.note(mio::Token(token), readiness.into(), &mut tasks, &mut wakers);
        }
        drop((sockets, tasks));
        self.receive(&mut Vec::new());
        for waker in wakers {
            waker.wake();
        }
    }
}

/// Makes `core` the loop of this thread for one step.
fn running<T>(core: &Rc<Core>, step: impl FnOnce() -> T) -> T {
    let outer = set_running(Some(Rc::clone(core)));
    let done = step();
    set_running(outer);
    done
}
