//! Connections that were handed to an exchange which waits for one, until it looks.

use std::cell::{Cell, RefCell};

use super::UpstreamConnection;
use crate::queue::Ticket;

/// Those of one worker.
#[derive(Debug)]
pub(crate) struct Handed {
    /// Its index.
    pub(super) worker: usize,
    numbers: Cell<u64>,
    /// By the number of the ticket. Few at a time: who is handed one is woken.
    connections: RefCell<Vec<(u64, UpstreamConnection)>>,
}

impl Handed {
    pub(super) fn new(worker: usize) -> Self {
        Self {
            worker,
            numbers: Cell::new(0),
            connections: RefCell::default(),
        }
    }

    /// A ticket that nobody had before.
    pub(crate) fn ticket(&self) -> Ticket {
        self.numbers.set(self.numbers.get() + 1);
        Ticket {
            worker: self.worker,
            number: self.numbers.get(),
        }
    }

    /// Takes what was handed to the ticket, about to be given another request.
    pub(crate) fn take(&self, ticket: Ticket) -> Option<UpstreamConnection> {
        let mut connections = self.connections.borrow_mut();
        let place = connections
            .iter()
            .position(|(number, _)| *number == ticket.number)?;
        let (_, mut connection) = connections.swap_remove(place);
        connection.begin_request();
        Some(connection)
    }

    pub(super) fn put(&self, number: u64, connection: UpstreamConnection) {
        self.connections.borrow_mut().push((number, connection));
    }
}
