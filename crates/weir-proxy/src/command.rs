//! What the gateway and other workers tell a worker.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use weir_balance::Counters;
use weir_model::ListenerKey;
use weir_net::{Accepted, Bound};

/// A message to one worker.
#[derive(Debug)]
pub(crate) enum Command {
    /// Accept on this socket.
    Open {
        /// The listener it belongs to.
        key: ListenerKey,
        /// Listening.
        socket: Bound,
    },
    /// Stop accepting for this listener and let its connections end.
    Close(ListenerKey),
    /// Serve this connection, which another worker accepted.
    Adopt {
        /// The listener that accepted it.
        key: ListenerKey,
        /// The connection.
        stream: Accepted,
        /// Its client.
        peer: SocketAddr,
    },
    /// Somebody at another worker waits for a connection under the limit of these counters: close an unused one.
    MakeRoom(Arc<Counters>),
    /// There is a new snapshot.
    Refresh,
    /// Stop accepting; connections end after the exchange they are in.
    Drain,
    /// End now.
    Stop,
}

pub(crate) type Inbox = UnboundedReceiver<Command>;
pub(crate) type Outbox = UnboundedSender<Command>;

/// The two ends of a worker's inbox.
pub(crate) fn inbox() -> (Outbox, Inbox) {
    unbounded_channel()
}
