//! The world of a thread: entering it, what its owner does to it, and what the data plane finds in it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::rc::Rc;

use weir_model::EndpointAddress;

use super::socket::{Listening, SocketId, Standing, Stream};

/// What wall clocks show when a world begins: 2026-01-01, milliseconds since 1970.
pub const BEGAN_UNIX_MS: u64 = 1_767_225_600_000;

thread_local! {
    static CURRENT: RefCell<Option<Rc<Inner>>> = const { RefCell::new(None) };
}

/// What the data plane did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// It wants a connection: [`World::open`] or [`World::fail`] answers.
    Dialled {
        /// Its end.
        socket: SocketId,
        /// Where to.
        address: EndpointAddress,
    },
    /// It took bytes in.
    Read(SocketId),
    /// It wrote bytes.
    Wrote(SocketId),
    /// It will write no more.
    Shut(SocketId),
    /// It closed its end.
    Closed {
        /// Which.
        socket: SocketId,
        /// The peer sees a reset, not an end: the socket was told so, or bytes were left unread.
        is_reset: bool,
    },
}

/// What can be seen of a socket from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glimpse {
    /// Bytes that wait to be read.
    pub received: usize,
    /// The peer's end or a reset waits behind them.
    pub is_ended: bool,
    /// The data plane has been told of the last arrival: it looked at its sockets since.
    pub is_told: bool,
    /// Bytes written that nobody has collected.
    pub sent: usize,
    /// Bytes read since the beginning.
    pub bytes_read: u64,
    /// Bytes written since the beginning.
    pub bytes_written: u64,
    /// It was closed by the data plane.
    pub is_closed: bool,
}

/// A world that this thread has entered. Dropping it leaves; whatever lives in it finds every socket closed then.
#[derive(Debug)]
pub struct World(Rc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) now_us: Cell<u64>,
    pub(super) seed: Cell<u64>,
    next: Cell<u32>,
    pub(super) accepted: Cell<u32>,
    pub(super) streams: RefCell<BTreeMap<SocketId, Stream>>,
    pub(super) listeners: RefCell<BTreeMap<SocketId, Listening>>,
    pub(super) notices: RefCell<Vec<Notice>>,
}

impl World {
    /// Makes a world the one of this thread. Time begins at 0.
    pub fn enter(seed: u64) -> Self {
        let inner = Rc::new(Inner {
            now_us: Cell::new(0),
            seed: Cell::new(seed),
            next: Cell::new(0),
            accepted: Cell::new(0),
            streams: RefCell::default(),
            listeners: RefCell::default(),
            notices: RefCell::default(),
        });
        CURRENT.with(|current| current.replace(Some(Rc::clone(&inner))));
        Self(inner)
    }

    /// Microseconds since the beginning.
    pub fn now_us(&self) -> u64 {
        self.0.now_us.get()
    }

    /// Lets time pass; it never goes back.
    pub fn advance_to(&self, now_us: u64) {
        self.0.now_us.set(now_us.max(self.now_us()));
    }

    /// What the data plane did since the last call.
    pub fn take_notices(&self) -> Vec<Notice> {
        self.0.notices.take()
    }

    /// Opens a connection that was dialled; `room` is how many bytes may be written before any is collected.
    pub fn open(&self, socket: SocketId, room: usize) {
        self.change(socket, |stream| {
            if stream.standing == Standing::Opening {
                stream.standing = Standing::Open;
                stream.room = room;
            }
        });
    }

    /// Fails a connection that was dialled.
    pub fn fail(&self, socket: SocketId, kind: ErrorKind) {
        self.change(socket, |stream| {
            if stream.standing == Standing::Opening {
                stream.standing = Standing::Failed(kind);
            }
        });
    }

    /// A client connects; `None` when nobody listens there. `draw` chooses among several listening sockets.
    pub fn knock(&self, address: SocketAddr, peer: SocketAddr, room: usize, draw: u64) -> Option<SocketId> {
        let listeners = &mut *self.0.listeners.borrow_mut();
        let mut at: Vec<_> = listeners
            .iter_mut()
            .filter(|(_, listening)| listening.address == address)
            .collect();
        let chosen = draw as usize % at.len().max(1);
        let (id, listening) = at.get_mut(chosen)?;
        let stream = Stream::new(Standing::Open, Some(address), room);
        let socket = self.0.insert(stream);
        listening.waiting.push_back((socket, peer));
        if let Some(watch) = &listening.watch {
            watch.signal(**id);
        }
        Some(socket)
    }

    /// Bytes arrive; `false` when the data plane has closed its end.
    pub fn arrive(&self, socket: SocketId, bytes: &[u8]) -> bool {
        self.change(socket, |stream| stream.received.extend(bytes))
    }

    /// The peer's end arrives.
    pub fn arrive_end(&self, socket: SocketId) {
        self.change(socket, |stream| stream.is_ended = true);
    }

    /// A reset arrives. What was received before can still be read.
    pub fn arrive_reset(&self, socket: SocketId) {
        self.change(socket, |stream| {
            if matches!(stream.standing, Standing::Open | Standing::Opening) {
                stream.standing = Standing::Reset;
            }
        });
    }

    /// Has the data plane told of a socket although nothing happened there.
    pub fn nudge(&self, socket: SocketId) {
        self.change(socket, |_| {});
    }

    /// Takes what was written, at most `length_max` bytes. That makes no room yet.
    pub fn collect(&self, socket: SocketId, length_max: usize) -> Vec<u8> {
        let mut streams = self.0.streams.borrow_mut();
        let Some(stream) = streams.get_mut(&socket) else {
            return Vec::new();
        };
        let length = stream.sent.len().min(length_max);
        stream.sent.drain(..length).collect()
    }

    /// Makes room for more bytes.
    pub fn grant(&self, socket: SocketId, room: usize) {
        let mut streams = self.0.streams.borrow_mut();
        let Some(stream) = streams.get_mut(&socket).filter(|stream| !stream.is_closed) else {
            return;
        };
        stream.room += room;
        if stream.is_blocked && stream.room > 0 {
            stream.is_blocked = false;
            if let Some(watch) = &stream.watch {
                watch.signal(socket);
            }
        }
    }

    /// What can be seen of a socket; `None` when it was forgotten.
    pub fn glimpse(&self, socket: SocketId) -> Option<Glimpse> {
        let streams = self.0.streams.borrow();
        let stream = streams.get(&socket)?;
        Some(Glimpse {
            received: stream.received.len(),
            is_ended: stream.is_ended || !matches!(stream.standing, Standing::Open | Standing::Opening),
            is_told: stream
                .watch
                .as_ref()
                .is_none_or(|watch| !watch.has_signal(socket)),
            sent: stream.sent.len(),
            bytes_read: stream.bytes_read,
            bytes_written: stream.bytes_written,
            is_closed: stream.is_closed,
        })
    }

    /// Forgets a socket that both sides are done with.
    pub fn forget(&self, socket: SocketId) {
        self.0.streams.borrow_mut().remove(&socket);
    }

    /// Connections that the data plane has accepted and not closed.
    pub fn accepted_sockets(&self) -> u32 {
        self.0.accepted.get()
    }

    /// Changes a socket that the data plane holds and signals it; `false` when there is none.
    fn change(&self, socket: SocketId, change: impl FnOnce(&mut Stream)) -> bool {
        let mut streams = self.0.streams.borrow_mut();
        let Some(stream) = streams.get_mut(&socket).filter(|stream| !stream.is_closed) else {
            return false;
        };
        change(stream);
        if let Some(watch) = &stream.watch {
            watch.signal(socket);
        }
        true
    }
}

impl Drop for World {
    fn drop(&mut self) {
        CURRENT.with(|current| {
            let is_own = current
                .borrow()
                .as_ref()
                .is_some_and(|inner| Rc::ptr_eq(inner, &self.0));
            if is_own {
                current.replace(None);
            }
        });
    }
}

impl Inner {
    pub(super) fn insert(&self, stream: Stream) -> SocketId {
        let id = self.name();
        self.streams.borrow_mut().insert(id, stream);
        id
    }

    pub(super) fn name(&self) -> SocketId {
        let id = SocketId(self.next.get());
        self.next.set(id.0 + 1);
        id
    }
}

/// The world that this thread has entered.
pub(super) fn current() -> Option<Rc<Inner>> {
    CURRENT.try_with(|current| current.borrow().clone()).ok()?
}
