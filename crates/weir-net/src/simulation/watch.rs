//! Which sockets of a loop have something to tell.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

use super::kernel;
use super::socket::{Readiness, SocketId};

/// The poller of one simulated loop.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// Sockets with news, in the order in which it came; each once.
    signals: RefCell<Vec<SocketId>>,
    tokens: RefCell<BTreeMap<SocketId, usize>>,
}

impl Watch {
    /// Watches a socket. What it is ready for already is told at the next look.
    pub(crate) fn register(self: &Rc<Self>, socket: SocketId, token: usize) -> io::Result<()> {
        self.tokens.borrow_mut().insert(socket, token);
        kernel::watch_socket(socket, self)?;
        self.signal(socket);
        Ok(())
    }

    /// Notes that there is news of a socket.
    pub(super) fn signal(&self, socket: SocketId) {
        let mut signals = self.signals.borrow_mut();
        if !signals.contains(&socket) {
            signals.push(socket);
        }
    }

    /// Forgets a socket that has been closed.
    pub(super) fn forget(&self, socket: SocketId) {
        self.tokens.borrow_mut().remove(&socket);
        self.signals.borrow_mut().retain(|other| *other != socket);
    }

    /// Whether there is news.
    pub(crate) fn has_signals(&self) -> bool {
        !self.signals.borrow().is_empty()
    }

    /// Whether there is news of this socket.
    pub(super) fn has_signal(&self, socket: SocketId) -> bool {
        self.signals.borrow().contains(&socket)
    }

    /// The news, as things stand now: token and state. Nothing is told of a socket about which there is nothing to say.
    pub(crate) fn take_signals(&self) -> Vec<(usize, Readiness)> {
        let signals = self.signals.take();
        let tokens = self.tokens.borrow();
        signals
            .into_iter()
            .filter_map(|socket| Some((*tokens.get(&socket)?, kernel::readiness_of(socket)?)))
            .filter(|(_, readiness)| readiness.is_any())
            .collect()
    }
}
