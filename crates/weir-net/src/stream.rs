//! One open connection, whatever its transport.

use std::io::{self, ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::event_loop::{EventLoop, Readiness, Side};
use crate::transport::{Accepted, Transport};

/// A byte stream to a client or an endpoint, over TCP or a Unix socket. Reads and writes try the system call first where
/// the last one left the socket ready, and wait only when it would block; one that moves less than it could counts as
/// the last that works for now.
///
/// It belongs to the thread of its loop: what is known of it is exact because nobody else uses it.
#[derive(Debug)]
pub struct Stream {
    readiness: Readiness,
    transport: Transport,
}

impl Stream {
    /// A connection that is open already, such as an accepted one. Fails when the poller has no room.
    pub fn adopt(event_loop: &EventLoop, connection: impl Into<Accepted>) -> io::Result<Self> {
        let stream = Self::register(event_loop, connection.into().0)?;
        stream.readiness.assume(Side::Write);
        Ok(stream)
    }

    /// A socket of which nothing is known yet.
    pub(crate) fn register(event_loop: &EventLoop, transport: Transport) -> io::Result<Self> {
        Ok(Self {
            readiness: Readiness::register(event_loop, transport.source())?,
            transport,
        })
    }

    /// Waits until a connection that is being opened is open, or has failed to.
    pub(crate) fn poll_connected(&self, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.readiness.poll(Side::Write, task).is_pending() {
            return Poll::Pending;
        }
        match self.transport.take_error() {
            Ok(None) => Poll::Ready(Ok(())),
            Ok(Some(error)) | Err(error) => Poll::Ready(Err(error)),
        }
    }

    /// The address that the peer connected to; `None` on a Unix socket.
    pub fn local_address(&self) -> Option<SocketAddr> {
        self.transport.local_address()
    }

    /// Waits until there is something to read: bytes, the end or an error. Takes no buffer and makes no system call.
    pub fn poll_read_ready(&self, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.readiness.poll(Side::Read, task).map(Ok)
    }

    /// Reads into `buffer`, which must not be empty; 0 is the end of the stream.
    pub fn poll_read(&mut self, task: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            if self.readiness.poll(Side::Read, task).is_pending() {
                return Poll::Pending;
            }
            match self.try_read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                read => return Poll::Ready(read),
            }
        }
    }

    /// The same without waiting: [`ErrorKind::WouldBlock`] when nothing is there.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        debug_assert!(
            !buffer.is_empty(),
            "a read into nothing looks like the end of the stream"
        );
        if !self.readiness.is_ready(Side::Read) {
            return Err(ErrorKind::WouldBlock.into());
        }
        let read = retried(|| self.transport.read(buffer));
        match &read {
            Ok(length) if 0 < *length && *length < buffer.len() => self.readiness.exhaust(Side::Read),
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.readiness.block(Side::Read),
            _ => {}
        }
        read
    }

    /// Whether nothing is there to be read: no bytes, no end, no error. What the poller delivered decides; where it is
    /// left over from a read that happened to fill its buffer, a look at the socket does.
    pub fn is_quiet(&self) -> bool {
        if !self.readiness.is_ready(Side::Read) {
            return true;
        }
        let peeked = retried(|| self.transport.peek());
        let is_quiet = peeked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
        if is_quiet {
            self.readiness.block(Side::Read);
        }
        is_quiet
    }

    /// Writes a part of `bytes`.
    pub fn poll_write(&mut self, task: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let length = bytes.len();
        self.poll_send(task, length, |transport| transport.send(bytes))
    }

    /// Writes a part of `first` and, if there is room, of `second`, in one system call.
    pub fn poll_write_pair(
        &mut self,
        task: &mut Context<'_>,
        first: &[u8],
        second: &[u8],
    ) -> Poll<io::Result<usize>> {
        if second.is_empty() {
            return self.poll_write(task, first);
        }
        if first.is_empty() {
            return self.poll_write(task, second);
        }
        let slices = [IoSlice::new(first), IoSlice::new(second)];
        self.poll_send(task, first.len() + second.len(), |transport| {
            transport.send_all(&slices)
        })
    }

    /// Says that nothing more will be written; reading goes on. Errors do not matter: the peer is gone then.
    pub fn shutdown_write(&self) {
        self.transport.shutdown_write();
    }

    /// Makes the coming close a reset, so that the peer cannot take a cut for a clean end. A Unix socket has none.
    pub fn reset_on_close(&self) {
        self.transport.reset_on_close();
    }

    /// Has the system find out whether a silent peer is still there (TCP keepalive): after `idle` without bytes, then
    /// every `interval`, until `probes` of them went unanswered. Times count in whole seconds, at least one. A Unix
    /// socket has none.
    pub fn keep_alive(&self, idle: Duration, interval: Duration, probes: u32) {
        self.transport.keep_alive(idle, interval, probes);
    }

    /// Which of the simulated world's sockets this is; `None` for one of the kernel's.
    #[cfg(feature = "simulation")]
    pub fn simulated(&self) -> Option<crate::simulation::SocketId> {
        match &self.transport {
            Transport::Kernel(_) => None,
            Transport::Memory(socket) => Some(socket.id()),
        }
    }

    #[cfg(test)]
    pub(crate) fn socket(&self) -> &socket2::Socket {
        match &self.transport {
            Transport::Kernel(socket) => socket,
            #[cfg(feature = "simulation")]
            // INVARIANT: only tests of real sockets ask.
            Transport::Memory(_) => unreachable!("a test of real sockets"),
        }
    }

    fn poll_send(
        &self,
        task: &Context<'_>,
        length: usize,
        mut send: impl FnMut(&Transport) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            if self.readiness.poll(Side::Write, task).is_pending() {
                return Poll::Pending;
            }
            let sent = retried(|| send(&self.transport));
            match &sent {
                Ok(sent) if *sent < length => self.readiness.exhaust(Side::Write),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.readiness.block(Side::Write);
                    continue;
                }
                _ => {}
            }
            return Poll::Ready(sent);
        }
    }
}

/// Makes a system call again that a signal interrupted.
fn retried<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}
