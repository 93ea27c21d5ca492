//! One open connection, whatever its transport.

use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// A byte stream to a client or an endpoint. Reads and writes try the system call first where the last one left the
/// socket ready, and wait only when it would block; a read that does not fill its buffer counts as drained.
///
/// To be used from the thread of its runtime only: what counts as drained is exact because nobody else polls it.
#[derive(Debug)]
pub enum Stream {
    /// TCP.
    Tcp(TcpStream),
    /// A Unix stream socket.
    Unix(UnixStream),
}

impl Stream {
    /// Waits until there is something to read: bytes, the end or an error. Takes no buffer and makes no system call.
    pub fn poll_read_ready(&self, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_read_ready(task),
            Self::Unix(stream) => stream.poll_read_ready(task),
        }
    }

    /// Whether [`Self::poll_read_ready`] would be ready now. Asks nobody to be woken.
    pub fn is_read_ready(&self) -> bool {
        let probe = || Err::<(), _>(io::ErrorKind::Other.into());
        let probed = match self {
            Self::Tcp(stream) => stream.try_io(Interest::READABLE, probe),
            Self::Unix(stream) => stream.try_io(Interest::READABLE, probe),
        };
        probed.is_err_and(|error| error.kind() != io::ErrorKind::WouldBlock)
    }

    /// Reads into `buffer`, which must not be empty; 0 is the end of the stream.
    pub fn poll_read(&mut self, task: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        debug_assert!(
            !buffer.is_empty(),
            "a read into nothing looks like the end of the stream"
        );
        let mut space = ReadBuf::new(buffer);
        ready!(match self {
            Self::Tcp(stream) => Pin::new(stream).poll_read(task, &mut space),
            Self::Unix(stream) => Pin::new(stream).poll_read(task, &mut space),
        })?;
        Poll::Ready(Ok(space.filled().len()))
    }

    /// The same without waiting: [`io::ErrorKind::WouldBlock`] when nothing is there.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        debug_assert!(
            !buffer.is_empty(),
            "a read into nothing looks like the end of the stream"
        );
        match self {
            Self::Tcp(stream) => {
                let length = stream.try_read(buffer)?;
                if 0 < length && length < buffer.len() {
                    // Forgets the readiness; the next byte brings it back.
                    let _ = stream.try_io(Interest::READABLE, drained);
                }
                Ok(length)
            }
            Self::Unix(stream) => {
                let length = stream.try_read(buffer)?;
                if 0 < length && length < buffer.len() {
                    let _ = stream.try_io(Interest::READABLE, drained);
                }
                Ok(length)
            }
        }
    }

    /// Looks at what the next read would give without taking it. `Ok(None)` where the transport cannot.
    pub fn poll_peek(
        &mut self,
        task: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<Option<usize>>> {
        match self {
            Self::Tcp(stream) => stream.poll_peek(task, &mut ReadBuf::new(buffer)).map_ok(Some),
            Self::Unix(_) => Poll::Ready(Ok(None)),
        }
    }

    /// Writes a part of `bytes`.
    pub fn poll_write(&mut self, task: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let tried = match self {
            Self::Tcp(stream) => stream.try_write(bytes),
            Self::Unix(stream) => stream.try_write(bytes),
        };
        match tried {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            tried => return Poll::Ready(tried),
        }
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_write(task, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(task, bytes),
        }
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
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(task, &slices),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(task, &slices),
        }
    }

    /// Says that nothing more will be written; reading goes on. Errors do not matter: the peer is gone then.
    pub fn shutdown_write(&self) {
        let _ = match self {
            Self::Tcp(stream) => SockRef::from(stream).shutdown(Shutdown::Write),
            Self::Unix(stream) => SockRef::from(stream).shutdown(Shutdown::Write),
        };
    }

    /// Makes the coming close a reset, so that the peer cannot take a cut for a clean end.
    pub fn reset_on_close(&self) {
        if let Self::Tcp(stream) = self {
            let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
        }
    }
}

fn drained() -> io::Result<()> {
    Err(io::ErrorKind::WouldBlock.into())
}
