//! Requests that wait for a connection where there may be no more of them: one line per limit, shared by all workers.
//!
//! The line is shared because the limit is: with a line per worker, one whose requests wait could starve beside one
//! that has all connections. Connections are not shared, though: a socket belongs to its worker's event loop. So who
//! is done with a connection hands it to the first in line who can use it as it is (same worker, same endpoint), and
//! closes it instead when somebody else has waited [`FAIR_MS`] longer: the place then goes to the front of the line.
//!
//! Nobody sleeps through a place that has become free:
//! - A place that is given back after the waiter stood in line calls the front: who waits stands in line before it looks
//!   for a place, who gives back gives before it looks at the line, both with a fence in between.
//! - A connection that went unused before the waiter stood in line is closed by its worker, which is told
//!   ([`crate::command::Command::MakeRoom`]). One that goes unused later finds the line: the message came before.
//! - Whoever leaves the line, served or not, calls the front, and gives on what was handed to it.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering, fence};
use std::task::Waker;

use crate::lock::lock;

/// How much longer than another one somebody may wait before it goes first, milliseconds.
const FAIR_MS: u64 = 20;

/// A line.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    length: AtomicU32,
    /// Ordered by since when they wait.
    waiting: Mutex<VecDeque<Waiting>>,
}

/// Who waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    /// Index of its worker.
    pub(crate) worker: usize,
    /// Unique at that worker.
    pub(crate) number: u64,
}

/// One that waits.
#[derive(Debug)]
struct Waiting {
    ticket: Ticket,
    /// Number of the endpoint.
    endpoint: u32,
    since_ms: u64,
    /// A connection that has served others will do.
    takes_used: bool,
    waker: Waker,
}

impl Queue {
    /// Whether nobody waits.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.length.load(Ordering::Relaxed) == 0
    }

    /// Stands in line for a connection to an endpoint.
    pub(crate) fn join(&self, ticket: Ticket, endpoint: u32, since_ms: u64, takes_used: bool, waker: Waker) {
        let mut waiting = lock(&self.waiting);
        let place = waiting.partition_point(|one| one.since_ms <= since_ms);
        let one = Waiting {
            ticket,
            endpoint,
            since_ms,
            takes_used,
            waker,
        };
        waiting.insert(place, one);
        self.length.store(waiting.len() as u32, Ordering::Relaxed);
        drop(waiting);
        fence(Ordering::SeqCst);
    }

    /// Whether the ticket is at the front of the line. Remembers whom to wake when it is called.
    pub(crate) fn is_front(&self, ticket: Ticket, waker: &Waker) -> bool {
        let mut waiting = lock(&self.waiting);
        if let Some(one) = waiting.iter_mut().find(|one| one.ticket == ticket) {
            one.waker.clone_from(waker);
        }
        waiting.front().is_some_and(|front| front.ticket == ticket)
    }

    /// Leaves the line and calls the front.
    pub(crate) fn leave(&self, ticket: Ticket) {
        let mut waiting = lock(&self.waiting);
        waiting.retain(|one| one.ticket != ticket);
        self.length.store(waiting.len() as u32, Ordering::Relaxed);
        drop(waiting);
        self.call();
    }

    /// A place may be free: the front of the line is to look.
    pub(crate) fn call(&self) {
        fence(Ordering::SeqCst);
        if !self.is_empty()
            && let Some(front) = lock(&self.waiting).front()
        {
            front.waker.wake_by_ref();
        }
    }

    /// Takes the first out of the line who can use a connection of `worker` to `endpoint` as it is, with whom to wake once
    /// it has it; `None` when there is none, or when somebody else has waited much longer.
    pub(crate) fn take_taker(&self, worker: usize, endpoint: u32) -> Option<(Ticket, Waker)> {
        let mut waiting = lock(&self.waiting);
        let can_use =
            |one: &Waiting| one.ticket.worker == worker && one.endpoint == endpoint && one.takes_used;
        let place = waiting.iter().position(can_use)?;
        let is_fair = waiting[place].since_ms <= waiting.front()?.since_ms.saturating_add(FAIR_MS);
        let taker = if is_fair { waiting.remove(place) } else { None };
        self.length.store(waiting.len() as u32, Ordering::Relaxed);
        taker.map(|one| (one.ticket, one.waker))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket(worker: usize, number: u64) -> Ticket {
        Ticket { worker, number }
    }

    fn taken(queue: &Queue, worker: usize, endpoint: u32) -> Option<u64> {
        queue
            .take_taker(worker, endpoint)
            .map(|(ticket, _)| ticket.number)
    }

    #[test]
    fn lb30_the_first_who_can_use_a_connection_gets_it() {
        let queue = Queue::default();
        let join = |worker, number, endpoint, since_ms, takes_used| {
            let waker = Waker::noop().clone();
            queue.join(ticket(worker, number), endpoint, since_ms, takes_used, waker);
        };
        join(0, 1, 7, 100, true);
        join(1, 2, 7, 101, true);
        join(0, 3, 8, 102, true);
        join(0, 4, 7, 103, true);
        join(0, 5, 7, 99, false);
        let front = |number| queue.is_front(ticket(0, number), Waker::noop());
        assert!(front(5) && !front(1), "who has waited longest is in front");
        assert_eq!(taken(&queue, 0, 7), Some(1));
        assert_eq!(taken(&queue, 0, 7), Some(4));
        assert_eq!(taken(&queue, 0, 7), None, "5 needs one of its own");
        assert_eq!(taken(&queue, 0, 9), None);
        assert_eq!(taken(&queue, 1, 7), Some(2));
        queue.leave(ticket(0, 5));
        assert!(front(3));
        queue.leave(ticket(0, 3));
        assert!(queue.is_empty());
    }

    #[test]
    fn lb30_who_has_waited_much_longer_elsewhere_goes_first() {
        for (later_ms, expected) in [(FAIR_MS, Some(2)), (FAIR_MS + 1, None)] {
            let queue = Queue::default();
            queue.join(ticket(1, 1), 7, 100, true, Waker::noop().clone());
            queue.join(ticket(0, 2), 7, 100 + later_ms, true, Waker::noop().clone());
            assert_eq!(taken(&queue, 0, 7), expected);
        }
    }
}
