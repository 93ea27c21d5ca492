//! What carries the bytes of a connection: a socket of the kernel. Under the feature `simulation` it may instead be one in
//! memory; without that feature there is one variant, so nothing is decided at run time.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsFd;
#[cfg(test)]
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::net::{RecvFlags, SendFlags, recv, send};
use socket2::{Socket, TcpKeepalive};

use crate::event_loop::Source;
#[cfg(feature = "simulation")]
use crate::simulation::MemorySocket;

/// One end of a connection. Non-blocking.
#[derive(Debug)]
pub(crate) enum Transport {
    /// The kernel's.
    Kernel(Socket),
    /// The simulated world's.
    #[cfg(feature = "simulation")]
    Memory(MemorySocket),
}

/// An open connection that no loop has adopted yet, non-blocking.
#[derive(Debug)]
pub struct Accepted(pub(crate) Transport);

impl From<TcpStream> for Accepted {
    fn from(stream: TcpStream) -> Self {
        Self(Transport::Kernel(stream.into()))
    }
}

#[cfg(test)]
impl From<UnixStream> for Accepted {
    fn from(stream: UnixStream) -> Self {
        Self(Transport::Kernel(stream.into()))
    }
}

impl Accepted {
    /// Sends small writes at once (`TCP_NODELAY`). That it could not be set costs latency, nothing else.
    pub fn send_at_once(&self) {
        match &self.0 {
            Transport::Kernel(socket) => {
                let _ = socket.set_tcp_nodelay(true);
            }
            #[cfg(feature = "simulation")]
            Transport::Memory(_) => {}
        }
    }
}

impl Transport {
    /// What the poller is to watch.
    pub(crate) fn source(&self) -> Source<'_> {
        match self {
            Self::Kernel(socket) => Source::Kernel(socket.as_fd()),
            #[cfg(feature = "simulation")]
            Self::Memory(socket) => Source::Memory(socket.id()),
        }
    }

    /// Why the connection could not be opened, once.
    pub(crate) fn take_error(&self) -> io::Result<Option<io::Error>> {
        match self {
            Self::Kernel(socket) => socket.take_error(),
            #[cfg(feature = "simulation")]
            Self::Memory(socket) => Ok(socket.take_error()),
        }
    }

    pub(crate) fn local_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Kernel(socket) => socket.local_addr().ok()?.as_socket(),
            #[cfg(feature = "simulation")]
            Self::Memory(socket) => socket.local_address(),
        }
    }

    pub(crate) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Kernel(socket) => Ok(recv(socket, buffer, RecvFlags::empty()).map(|(length, _)| length)?),
            #[cfg(feature = "simulation")]
            Self::Memory(socket) => socket.read(buffer),
        }
    }

    /// Looks whether there is a byte to read.
    pub(crate) fn peek(&self) -> io::Result<usize> {
        match self {
            Self::Kernel(socket) => socket.peek(&mut [MaybeUninit::uninit()]),
            #[cfg(feature = "simulation")]
            Self::Memory(socket) => socket.peek(),
        }
    }

    pub(crate) fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Kernel(socket) => Ok(send(socket, bytes, SendFlags::NOSIGNAL)?),
            #[cfg(feature = "simulation")]
            Self::Memory(socket) => socket.send(&[IoSlice::new(bytes)]),
        }
    }

    /// Sends from several places in one call.
    pub(crate) fn send_all(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Kernel(socket) => socket.send_vectored_with_flags(slices, libc::MSG_NOSIGNAL),
            #[cfg(feature = "simulation")]
            Self::Memory(socket) => socket.send(slices),
        }
    }

    /// Errors do not matter: the peer is gone then.
    pub(crate) fn shutdown_write(&self) {
        match self {
            Self::Kernel(socket) => {
                let _ = socket.shutdown(Shutdown::Write);
            }
            #[cfg(feature = "simulation")]
            Self::Memory(socket) => socket.shutdown_write(),
        }
    }

    /// A Unix socket has no reset.
    pub(crate) fn reset_on_close(&self) {
        match self {
            Self::Kernel(socket) => {
                let _ = socket.set_linger(Some(Duration::ZERO));
            }
            #[cfg(feature = "simulation")]
            Self::Memory(socket) => socket.reset_on_close(),
        }
    }

    /// TCP keepalive, in whole seconds. In memory nobody is ever silently gone.
    pub(crate) fn keep_alive(&self, idle: Duration, interval: Duration, probes: u32) {
        let whole = |time: Duration| Duration::from_secs(time.as_secs() + u64::from(time.subsec_nanos() > 0));
        match self {
            Self::Kernel(socket) => {
                let keepalive = TcpKeepalive::new()
                    .with_time(whole(idle))
                    .with_interval(whole(interval))
                    .with_retries(probes);
                let _ = socket.set_tcp_keepalive(&keepalive);
            }
            #[cfg(feature = "simulation")]
            Self::Memory(_) => {}
        }
    }
}
