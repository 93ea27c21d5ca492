//! Where a loop's events come from.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
#[cfg(feature = "simulation")]
use std::rc::Rc;

use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Interest, Token};

#[cfg(feature = "simulation")]
use crate::simulation::{self, SocketId, Watch};

/// Tells which sockets have become ready.
pub(super) enum Poller {
    Kernel(RefCell<mio::Poll>),
    #[cfg(feature = "simulation")]
    Simulated(Rc<Watch>),
}

/// How another thread interrupts a loop's wait.
pub(super) enum Bell {
    Kernel(mio::Waker),
    /// A stepped loop does not wait.
    #[cfg(feature = "simulation")]
    Simulated,
}

/// A socket that can be watched.
pub(crate) enum Source<'a> {
    Kernel(BorrowedFd<'a>),
    #[cfg(feature = "simulation")]
    Memory(SocketId),
}

/// What has become of a socket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signs {
    pub(super) is_readable: bool,
    pub(super) is_writable: bool,
    /// The peer sends no more, or the connection is broken.
    pub(super) is_ended: bool,
    /// The connection is broken: writing fails at once.
    pub(super) is_broken: bool,
}

impl From<&Event> for Signs {
    fn from(event: &Event) -> Self {
        let is_broken = event.is_error() || event.is_write_closed();
        Self {
            is_readable: event.is_readable(),
            is_writable: event.is_writable(),
            is_ended: event.is_read_closed() || is_broken,
            is_broken,
        }
    }
}

#[cfg(feature = "simulation")]
impl From<simulation::Readiness> for Signs {
    fn from(readiness: simulation::Readiness) -> Self {
        Self {
            is_readable: readiness.is_readable,
            is_writable: readiness.is_writable,
            is_ended: readiness.is_ended || readiness.is_broken,
            is_broken: readiness.is_broken,
        }
    }
}

impl Poller {
    /// A poller that rings for `bell`: in a simulated world, one of that world.
    pub(super) fn new(bell: Token) -> io::Result<(Self, Bell)> {
        #[cfg(feature = "simulation")]
        if let Some(watch) = simulation::watch() {
            return Ok((Self::Simulated(watch), Bell::Simulated));
        }
        let poller = mio::Poll::new()?;
        let bell = mio::Waker::new(poller.registry(), bell)?;
        Ok((Self::Kernel(RefCell::new(poller)), Bell::Kernel(bell)))
    }

    /// Watches a socket, for both directions and edge-triggered.
    pub(super) fn register(&self, source: &Source<'_>, token: Token) -> io::Result<()> {
        match (self, source) {
            (Self::Kernel(poller), Source::Kernel(socket)) => poller.borrow().registry().register(
                &mut SourceFd(&socket.as_raw_fd()),
                token,
                Interest::READABLE | Interest::WRITABLE,
            ),
            #[cfg(feature = "simulation")]
            (Self::Simulated(watch), Source::Memory(socket)) => watch.register(*socket, token.0),
            #[cfg(feature = "simulation")]
            (Self::Kernel(_), Source::Memory(_)) | (Self::Simulated(_), Source::Kernel(_)) => {
                Err(io::ErrorKind::Unsupported.into())
            }
        }
    }
}

impl Bell {
    pub(super) fn ring(&self) {
        match self {
            Self::Kernel(waker) => {
                // The eventfd cannot overflow into an error: mio resets it when it is full.
                let _ = waker.wake();
            }
            #[cfg(feature = "simulation")]
            Self::Simulated => {}
        }
    }
}
