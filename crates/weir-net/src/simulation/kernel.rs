//! What the data plane finds in the world of its thread: what it would ask the kernel for.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::rc::Rc;

use weir_model::EndpointAddress;

use super::socket::{Listening, MemoryListener, MemorySocket, Readiness, SocketId, Standing, Stream};
use super::watch::Watch;
use super::world::{Notice, current};

/// Time in the world of this thread; `None` outside of one.
pub(crate) fn now_us() -> Option<u64> {
    current().map(|inner| inner.now_us.get())
}

/// Another seed of the world of this thread.
pub(crate) fn seed() -> Option<u64> {
    let inner = current()?;
    // The generator of SplitMix64: one addition, two multiplications.
    let state = inner.seed.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
    inner.seed.set(state);
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    Some(mixed ^ (mixed >> 31))
}

/// A poller for a loop of the world of this thread.
pub(crate) fn watch() -> Option<Rc<Watch>> {
    current().map(|_| Rc::default())
}

/// Listens in the world of this thread.
pub(crate) fn listen(address: SocketAddr, count: usize) -> Option<io::Result<Vec<MemoryListener>>> {
    let inner = current()?;
    let mut listeners = inner.listeners.borrow_mut();
    if listeners.values().any(|listening| listening.address == address) {
        return Some(Err(ErrorKind::AddrInUse.into()));
    }
    let open = |_| {
        let id = inner.name();
        let listening = Listening {
            address,
            waiting: Default::default(),
            watch: None,
        };
        listeners.insert(id, listening);
        MemoryListener::new(id, address)
    };
    Some(Ok((0..count).map(open).collect()))
}

pub(super) fn dial(address: &EndpointAddress) -> io::Result<SocketId> {
    let inner = current().ok_or(ErrorKind::NetworkDown)?;
    let socket = inner.insert(Stream::new(Standing::Opening, None, 0));
    inner.notices.borrow_mut().push(Notice::Dialled {
        socket,
        address: address.clone(),
    });
    Ok(socket)
}

pub(super) fn note(notice: Notice) {
    if let Some(inner) = current() {
        inner.notices.borrow_mut().push(notice);
    }
}

pub(super) fn with_stream<T>(
    socket: SocketId,
    act: impl FnOnce(&mut Stream) -> io::Result<T>,
) -> io::Result<T> {
    let inner = current().ok_or(ErrorKind::NetworkDown)?;
    let mut streams = inner.streams.borrow_mut();
    act(streams.get_mut(&socket).ok_or(ErrorKind::NotConnected)?)
}

pub(super) fn close(socket: SocketId) {
    let Some(inner) = current() else {
        return;
    };
    let mut streams = inner.streams.borrow_mut();
    let Some(stream) = streams.get_mut(&socket) else {
        return;
    };
    stream.is_closed = true;
    if stream.is_accepted {
        inner.accepted.set(inner.accepted.get() - 1);
    }
    if let Some(watch) = stream.watch.take() {
        watch.forget(socket);
    }
    let is_reset = stream.resets_on_close || !stream.received.is_empty();
    inner
        .notices
        .borrow_mut()
        .push(Notice::Closed { socket, is_reset });
}

pub(super) fn accept(listener: SocketId) -> io::Result<(SocketId, SocketAddr)> {
    let inner = current().ok_or(ErrorKind::NetworkDown)?;
    let mut listeners = inner.listeners.borrow_mut();
    let listening = listeners.get_mut(&listener).ok_or(ErrorKind::NotConnected)?;
    let accepted = listening.waiting.pop_front().ok_or(ErrorKind::WouldBlock)?;
    if let Some(stream) = inner.streams.borrow_mut().get_mut(&accepted.0) {
        stream.is_accepted = true;
        inner.accepted.set(inner.accepted.get() + 1);
    }
    Ok(accepted)
}

pub(super) fn close_listener(listener: SocketId) {
    let Some(inner) = current() else {
        return;
    };
    let closed = inner.listeners.borrow_mut().remove(&listener);
    for (socket, _) in closed.into_iter().flat_map(|listening| listening.waiting) {
        // The kernel resets whom nobody has accepted.
        let held = MemorySocket::new(socket);
        held.reset_on_close();
    }
}

pub(super) fn watch_socket(socket: SocketId, watch: &Rc<Watch>) -> io::Result<()> {
    let inner = current().ok_or(ErrorKind::NetworkDown)?;
    if let Some(stream) = inner.streams.borrow_mut().get_mut(&socket) {
        stream.watch = Some(Rc::clone(watch));
        return Ok(());
    }
    let mut listeners = inner.listeners.borrow_mut();
    let listening = listeners.get_mut(&socket).ok_or(ErrorKind::NotConnected)?;
    listening.watch = Some(Rc::clone(watch));
    Ok(())
}

pub(super) fn readiness_of(socket: SocketId) -> Option<Readiness> {
    let inner = current()?;
    if let Some(stream) = inner.streams.borrow().get(&socket) {
        return Some(stream.readiness());
    }
    let listeners = inner.listeners.borrow();
    let listening = listeners.get(&socket)?;
    Some(Readiness {
        is_readable: !listening.waiting.is_empty(),
        ..Readiness::default()
    })
}
