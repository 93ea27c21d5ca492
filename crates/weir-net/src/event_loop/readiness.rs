//! What a loop knows of its sockets: which are ready for what, and who waits for them.

use std::fmt;
use std::io;
use std::mem;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use mio::Token;

use super::EventLoop;
use super::core::Core;
use super::poller::{Signs, Source};
use super::task::{TaskId, Tasks};

/// There is something to read, as far as is known.
const READABLE: u8 = 1;
/// There is room to write, as far as is known.
const WRITABLE: u8 = 2;
/// The peer sends no more, or the connection is broken: the end is there to be read however much is read before.
const ENDED: u8 = 4;
/// Whoever waits to read has a waker of its own.
const FOREIGN_READER: u8 = 8;
/// The same for writing.
const FOREIGN_WRITER: u8 = 16;

const _: () = assert!(usize::BITS >= 64, "a token holds an index and a generation");

/// A direction of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// Towards us. A listening socket is read by accepting.
    Read = 0,
    /// Towards the peer.
    Write = 1,
}

/// All sockets of a loop.
#[derive(Default)]
pub(super) struct Sockets {
    entries: Vec<Entry>,
    /// Entries without a socket.
    free: Vec<u32>,
    /// Who waits through a waker that is not a task's own. Few do.
    foreign: Vec<Foreign>,
}

/// What is known of one socket. Small and next to its neighbours: a busy worker walks over thousands.
struct Entry {
    /// Counts the sockets that had this entry, so that an event for an earlier one is told apart.
    generation: u32,
    bits: u8,
    /// Which task waits, by side.
    waiting: [TaskId; 2],
}

struct Foreign {
    index: u32,
    side: Side,
    waker: Waker,
}

/// One socket's place in its loop. To be dropped with the socket: closing takes it out of the poller.
pub(crate) struct Readiness {
    core: Rc<Core>,
    index: u32,
}

impl Side {
    fn bit(self) -> u8 {
        match self {
            Self::Read => READABLE,
            Self::Write => WRITABLE,
        }
    }

    fn foreign_bit(self) -> u8 {
        match self {
            Self::Read => FOREIGN_READER,
            Self::Write => FOREIGN_WRITER,
        }
    }
}

impl Sockets {
    fn insert(&mut self) -> (u32, Token) {
        let index = self.free.pop().unwrap_or_else(|| {
            self.entries.push(Entry {
                generation: 0,
                bits: 0,
                waiting: [TaskId::NONE; 2],
            });
            (self.entries.len() - 1) as u32
        });
        let generation = self.entries[index as usize].generation;
        (index, Token(((generation as usize) << 32) | index as usize))
    }

    /// Frees an entry; returns the wakers that waited, to be dropped.
    fn remove(&mut self, index: u32) -> [Option<Waker>; 2] {
        let unused = [
            self.take_foreign(index, Side::Read),
            self.take_foreign(index, Side::Write),
        ];
        let entry = &mut self.entries[index as usize];
        entry.generation = entry.generation.wrapping_add(1);
        entry.bits = 0;
        entry.waiting = [TaskId::NONE; 2];
        self.free.push(index);
        unused
    }

    /// Notes what the poller says: tasks that wait for it are queued, other wakers go to `wakers`, to be woken.
    pub(super) fn note(
        &mut self,
        Token(token): Token,
        signs: Signs,
        tasks: &mut Tasks,
        wakers: &mut Vec<Waker>,
    ) {
        let (index, generation) = (token as u32, (token >> 32) as u32);
        let Some(entry) = self.entries.get_mut(index as usize) else {
            return;
        };
        if entry.generation != generation {
            return;
        }
        if signs.is_ended {
            entry.bits |= ENDED;
        }
        let is_ready = [
            signs.is_readable || signs.is_ended,
            signs.is_writable || signs.is_broken,
        ];
        for side in [Side::Read, Side::Write] {
            if is_ready[side as usize] {
                entry.bits |= side.bit();
                let task = mem::replace(&mut entry.waiting[side as usize], TaskId::NONE);
                if task != TaskId::NONE {
                    tasks.wake(task);
                }
            }
        }
        if entry.bits & (FOREIGN_READER | FOREIGN_WRITER) != 0 {
            for side in [Side::Read, Side::Write] {
                if is_ready[side as usize] {
                    wakers.extend(self.take_foreign(index, side));
                }
            }
        }
    }

    fn take_foreign(&mut self, index: u32, side: Side) -> Option<Waker> {
        let entry = &mut self.entries[index as usize];
        if entry.bits & side.foreign_bit() == 0 {
            return None;
        }
        entry.bits &= !side.foreign_bit();
        let found = self
            .foreign
            .iter()
            .position(|foreign| (foreign.index, foreign.side) == (index, side))?;
        Some(self.foreign.swap_remove(found).waker)
    }

    /// Replaces whoever waits by a waker; returns the one before, to be dropped.
    fn put_foreign(&mut self, index: u32, side: Side, waker: Waker) -> Option<Waker> {
        let before = self.take_foreign(index, side);
        let entry = &mut self.entries[index as usize];
        entry.bits |= side.foreign_bit();
        entry.waiting[side as usize] = TaskId::NONE;
        self.foreign.push(Foreign { index, side, waker });
        before
    }
}

impl Readiness {
    /// Registers a non-blocking socket of which nothing is known yet: the poller tells what it is ready for already.
    pub(crate) fn register(event_loop: &EventLoop, source: Source<'_>) -> io::Result<Self> {
        let core = Rc::clone(&event_loop.0);
        let (index, token) = core.sockets.borrow_mut().insert();
        let readiness = Self { core, index };
        readiness.core.poller.register(&source, token)?;
        Ok(readiness)
    }

    /// Waits until the socket is ready, as far as is known, and counts one use of it.
    pub(crate) fn poll(&self, side: Side, context: &Context<'_>) -> Poll<()> {
        let mut sockets = self.core.sockets.borrow_mut();
        let entry = &mut sockets.entries[self.index as usize];
        if entry.bits & side.bit() != 0 {
            drop(sockets);
            return self.core.poll_share(context);
        }
        match self.core.polled_task(context) {
            Some(task) if entry.bits & side.foreign_bit() == 0 => entry.waiting[side as usize] = task,
            task => {
                drop(sockets);
                self.wait_rarely(side, task, context);
            }
        }
        Poll::Pending
    }

    /// Whether the socket is ready, as far as is known.
    pub(crate) fn is_ready(&self, side: Side) -> bool {
        self.with(|entry| entry.bits & side.bit() != 0)
    }

    /// Takes the socket for ready: a fresh one can be written to.
    pub(crate) fn assume(&self, side: Side) {
        self.with(|entry| entry.bits |= side.bit());
    }

    /// Notes that a system call would have blocked.
    pub(crate) fn block(&self, side: Side) {
        // A read that blocks also refutes an end seen before, or whoever waits for the end would spin.
        let refuted = match side {
            Side::Read => READABLE | ENDED,
            Side::Write => WRITABLE,
        };
        self.with(|entry| entry.bits &= !refuted);
    }

    /// Notes that a system call moved less than it was asked to: the next one would block. But the end, once seen,
    /// stays to be read: no event tells of it again.
    pub(crate) fn exhaust(&self, side: Side) {
        self.with(|entry| {
            if side == Side::Write || entry.bits & ENDED == 0 {
                entry.bits &= !side.bit();
            }
        });
    }

    /// Waits where one of the two, whoever waited or whoever is to wait, has a waker of its own. Wakers are cloned and
    /// dropped while nothing is borrowed: that may run anything.
    #[cold]
    fn wait_rarely(&self, side: Side, task: Option<TaskId>, context: &Context<'_>) {
        let waker = task.is_none().then(|| context.waker().clone());
        let mut sockets = self.core.sockets.borrow_mut();
        let before = match (task, waker) {
            (_, Some(waker)) => sockets.put_foreign(self.index, side, waker),
            (task, None) => {
                sockets.entries[self.index as usize].waiting[side as usize] = task.unwrap_or(TaskId::NONE);
                sockets.take_foreign(self.index, side)
            }
        };
        drop(sockets);
        drop(before);
    }

    fn with<T>(&self, change: impl FnOnce(&mut Entry) -> T) -> T {
        change(&mut self.core.sockets.borrow_mut().entries[self.index as usize])
    }
}

impl Drop for Readiness {
    fn drop(&mut self) {
        let unused = self.core.sockets.borrow_mut().remove(self.index);
        drop(unused);
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Readiness({})", self.index)
    }
}
