//! Waiting until something happens or a deadline passes.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

use weir_net::Clock;

use super::wheel::{Timer, Wheel};

/// The deadline has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Expired;

/// One task's means of waiting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Alarm<'a> {
    pub(crate) clock: &'a Clock,
    pub(crate) wheel: &'a Wheel,
    pub(crate) timer: &'a Rc<Timer>,
}

impl Alarm<'_> {
    /// Polls until ready or until the deadline, in milliseconds since the epoch, has passed.
    pub(crate) async fn until<T>(
        self,
        deadline_ms: u64,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Result<T, Expired> {
        self.wheel.set(self.timer, deadline_ms);
        poll_fn(|task| match poll(task) {
            Poll::Ready(value) => Poll::Ready(Ok(value)),
            Poll::Pending if self.has_passed(deadline_ms) => Poll::Ready(Err(Expired)),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// Whether a deadline lies behind the last reading of the clock. The wheel reads it before it wakes anyone.
    pub(crate) fn has_passed(self, deadline_ms: u64) -> bool {
        self.clock.read_ms() >= deadline_ms
    }
}
