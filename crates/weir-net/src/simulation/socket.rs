//! The data plane's ends of connections, and its listening sockets.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::rc::Rc;

use weir_model::EndpointAddress;

use super::kernel;
use super::watch::Watch;
use super::world::Notice;

/// Names a socket of a world; never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId(pub(super) u32);

impl SocketId {
    /// From 0, in the order in which the sockets came to be.
    pub fn number(self) -> u32 {
        self.0
    }
}

/// What a socket is ready for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// Bytes, a connection, the end or an error are there.
    pub is_readable: bool,
    /// There is room.
    pub is_writable: bool,
    /// The peer sends no more.
    pub is_ended: bool,
    /// The connection is broken.
    pub is_broken: bool,
}

impl Readiness {
    pub(super) fn is_any(self) -> bool {
        self.is_readable || self.is_writable || self.is_ended || self.is_broken
    }
}

/// How a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nobody has answered yet.
    Opening,
    Open,
    /// It could not be opened; the error is told once.
    Failed(ErrorKind),
    /// The peer has reset it; the error is told once.
    Reset,
    /// The error has been told.
    Dead,
}

/// One end.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) local: Option<SocketAddr>,
    pub(super) standing: Standing,
    pub(super) received: VecDeque<u8>,
    /// The peer sends no more than what has been received.
    pub(super) is_ended: bool,
    pub(super) sent: VecDeque<u8>,
    /// How many bytes may still be written.
    pub(super) room: usize,
    /// A write has found too little room.
    pub(super) is_blocked: bool,
    pub(super) is_shut: bool,
    pub(super) resets_on_close: bool,
    /// A listening socket gave it.
    pub(super) is_accepted: bool,
    /// The data plane has let go of it.
    pub(super) is_closed: bool,
    pub(super) bytes_read: u64,
    pub(super) bytes_written: u64,
    pub(super) watch: Option<Rc<Watch>>,
}

impl Stream {
    pub(super) fn new(standing: Standing, local: Option<SocketAddr>, room: usize) -> Self {
        Self {
            local,
            standing,
            received: VecDeque::new(),
            is_ended: false,
            sent: VecDeque::new(),
            room,
            is_blocked: false,
            is_shut: false,
            resets_on_close: false,
            is_accepted: false,
            is_closed: false,
            bytes_read: 0,
            bytes_written: 0,
            watch: None,
        }
    }

    pub(super) fn readiness(&self) -> Readiness {
        let is_broken = !matches!(self.standing, Standing::Opening | Standing::Open);
        let is_open = self.standing == Standing::Open;
        Readiness {
            is_readable: is_broken || (is_open && (!self.received.is_empty() || self.is_ended)),
            is_writable: is_broken || (is_open && self.room > 0),
            is_ended: is_broken || self.is_ended,
            is_broken,
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.received.is_empty() {
            return self.read_end();
        }
        let length = buffer.len().min(self.received.len());
        for (place, byte) in buffer.iter_mut().zip(self.received.drain(..length)) {
            *place = byte;
        }
        self.bytes_read += length as u64;
        Ok(length)
    }

    fn read_end(&mut self) -> io::Result<usize> {
        match self.standing {
            Standing::Reset => {
                self.standing = Standing::Dead;
                Err(ErrorKind::ConnectionReset.into())
            }
            Standing::Dead | Standing::Failed(_) => Ok(0),
            Standing::Open if self.is_ended => Ok(0),
            Standing::Open | Standing::Opening => Err(ErrorKind::WouldBlock.into()),
        }
    }

    fn send(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self.standing {
            Standing::Reset => {
                self.standing = Standing::Dead;
                return Err(ErrorKind::ConnectionReset.into());
            }
            Standing::Dead | Standing::Failed(_) => return Err(ErrorKind::BrokenPipe.into()),
            Standing::Open if self.is_shut => return Err(ErrorKind::BrokenPipe.into()),
            Standing::Open if self.room > 0 => {}
            Standing::Open | Standing::Opening => {
                self.is_blocked = true;
                return Err(ErrorKind::WouldBlock.into());
            }
        }
        let wanted: usize = slices.iter().map(|slice| slice.len()).sum();
        let length = wanted.min(self.room);
        self.is_blocked = length < wanted;
        self.room -= length;
        let bytes = slices.iter().flat_map(|slice| slice.iter().copied());
        self.sent.extend(bytes.take(length));
        self.bytes_written += length as u64;
        Ok(length)
    }
}

/// The data plane's hold on one end; dropping it closes the connection.
#[derive(Debug)]
pub(crate) struct MemorySocket(SocketId);

impl MemorySocket {
    pub(super) fn new(id: SocketId) -> Self {
        Self(id)
    }

    /// Begins to open a connection. Fails when no world is entered.
    pub(crate) fn dial(address: &EndpointAddress) -> io::Result<Self> {
        kernel::dial(address).map(Self)
    }

    pub(crate) fn id(&self) -> SocketId {
        self.0
    }

    pub(crate) fn local_address(&self) -> Option<SocketAddr> {
        kernel::with_stream(self.0, |stream| Ok(stream.local)).ok()?
    }

    pub(crate) fn take_error(&self) -> Option<io::Error> {
        let taken = kernel::with_stream(self.0, |stream| match stream.standing {
            Standing::Failed(kind) => {
                stream.standing = Standing::Dead;
                Err(kind.into())
            }
            Standing::Reset => {
                stream.standing = Standing::Dead;
                Err(ErrorKind::ConnectionReset.into())
            }
            Standing::Opening | Standing::Open | Standing::Dead => Ok(()),
        });
        taken.err()
    }

    pub(crate) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = kernel::with_stream(self.0, |stream| stream.read(buffer));
        if matches!(read, Ok(1..)) {
            kernel::note(Notice::Read(self.0));
        }
        read
    }

    pub(crate) fn peek(&self) -> io::Result<usize> {
        kernel::with_stream(self.0, |stream| match stream.received.len() {
            0 => stream.read_end(),
            _ => Ok(1),
        })
    }

    pub(crate) fn send(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let sent = kernel::with_stream(self.0, |stream| stream.send(slices));
        if matches!(sent, Ok(1..)) {
            kernel::note(Notice::Wrote(self.0));
        }
        sent
    }

    pub(crate) fn shutdown_write(&self) {
        let is_new = kernel::with_stream(self.0, |stream| Ok(!std::mem::replace(&mut stream.is_shut, true)));
        if is_new.unwrap_or(false) {
            kernel::note(Notice::Shut(self.0));
        }
    }

    pub(crate) fn reset_on_close(&self) {
        // Fails only when the world is gone.
        let _ = kernel::with_stream(self.0, |stream| {
            stream.resets_on_close = true;
            Ok(())
        });
    }
}

impl Drop for MemorySocket {
    fn drop(&mut self) {
        kernel::close(self.0);
    }
}

/// A listening socket.
#[derive(Debug)]
pub(super) struct Listening {
    pub(super) address: SocketAddr,
    pub(super) waiting: VecDeque<(SocketId, SocketAddr)>,
    pub(super) watch: Option<Rc<Watch>>,
}

/// The data plane's hold on a listening socket; dropping it closes that and resets who waits there.
#[derive(Debug)]
pub(crate) struct MemoryListener {
    id: SocketId,
    address: SocketAddr,
}

impl MemoryListener {
    pub(super) fn new(id: SocketId, address: SocketAddr) -> Self {
        Self { id, address }
    }

    pub(crate) fn id(&self) -> SocketId {
        self.id
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn accept(&self) -> io::Result<(MemorySocket, SocketAddr)> {
        let (socket, peer) = kernel::accept(self.id)?;
        Ok((MemorySocket(socket), peer))
    }
}

impl Drop for MemoryListener {
    fn drop(&mut self) {
        kernel::close_listener(self.id);
    }
}
