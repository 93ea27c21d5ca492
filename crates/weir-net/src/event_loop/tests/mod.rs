//! Loops of one test each.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod sockets;
mod tasks;

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::{Clockwork, EventLoop};

/// Fails a test whose loop does not end.
pub(crate) struct Watch(Instant);

impl Clockwork for Watch {
    fn turn(&mut self) {
        assert!(self.0.elapsed() < Duration::from_secs(5), "nothing ends this");
    }

    fn patience(&self) -> Duration {
        // Long enough that a test which needs it to go on is slow and seen.
        Duration::from_secs(1)
    }
}

/// Runs a loop until the task that `main` makes returns.
pub(crate) fn run<F: Future<Output = ()> + 'static>(main: impl FnOnce(EventLoop) -> F) -> EventLoop {
    let event_loop = EventLoop::new().unwrap();
    event_loop
        .run(main(event_loop.clone()), &mut Watch(Instant::now()))
        .unwrap();
    event_loop
}

/// Lets the other ready tasks run once.
async fn pause() {
    let mut is_paused = false;
    poll_fn(|task| {
        if is_paused {
            return Poll::Ready(());
        }
        is_paused = true;
        task.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// A place for a waker, and a future that is pending for ever.
#[derive(Clone, Default)]
struct Bed(Rc<RefCell<Option<Waker>>>);

impl Bed {
    fn poll(&self, task: &Context<'_>) -> Poll<()> {
        *self.0.borrow_mut() = Some(task.waker().clone());
        Poll::Pending
    }

    fn waker(&self) -> Waker {
        self.0.borrow().clone().unwrap()
    }
}
