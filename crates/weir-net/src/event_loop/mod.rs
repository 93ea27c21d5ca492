//! The event loop of one worker thread: it runs tasks and tells them when their sockets are ready.
//!
//! This folder owns the poller (epoll through `mio`), a thread's tasks and what is known of its sockets. It knows no
//! protocol and no clock: the owner of the thread says how long a wait may be ([`Clockwork`]).
//!
//! A loop goes round and round. A **round** is: look at the sockets, waiting for them only when no task is ready; tell
//! the clockwork that time has passed; let a bounded number of ready tasks run, and then those of them that wait for the
//! round's end. Tasks are ordinary futures.
//!
//! - `task`: tasks in a slab, named by index and generation, and the queue of those that are ready. A wake for
//!   a task that is gone finds another generation and does nothing. A task that panics is dropped; the others go on.
//! - `readiness`: one small entry per socket: is there something to read, is there room to write, who waits for it. A
//!   socket is registered once, for both directions and edge-triggered, and never again told to the poller; closing it
//!   takes it out. An event sets bits in the entry and queues the task that waits, without a waker in between.
//! - `waker`: what a task hands to others. On the loop's own thread a wake is a push to the queue; from any other
//!   thread it goes through a locked list and an eventfd.
//! - `poller`: where events come from: the kernel, or a simulated world whose owner steps the loop (`stepped`).
//! - Whatever a future polls through a waker that is not its task's own (a combinator's, a library's) is woken through
//!   that waker.
//!
//! All of it is reached by one thread and through [`RefCell`](std::cell::RefCell)s that are never borrowed while a future is polled,
//! dropped or woken.

mod core;
mod poller;
mod readiness;
mod run;
#[cfg(feature = "simulation")]
mod stepped;
mod task;
mod waker;

#[cfg(test)]
pub(crate) mod tests;

pub use self::core::EventLoop;
pub(crate) use poller::Source;
pub(crate) use readiness::{Readiness, Side};
pub use run::Clockwork;
#[cfg(feature = "simulation")]
pub use stepped::Stepped;
pub use task::TaskId;
