//! What happens outside exchanges, for whoever runs the gateway.

use std::net::SocketAddr;
use std::sync::Arc;

use weir_balance::Change;
use weir_model::{EndpointAddress, ListenerKey};

/// One thing that happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A listener accepts connections.
    ListenerOpened {
        /// As configured.
        key: ListenerKey,
        /// As bound; the port that the system chose when port 0 was configured.
        address: SocketAddr,
    },
    /// A listener could not be opened; it is tried again with the next publication and every few seconds.
    ListenerFailed {
        /// As configured.
        key: ListenerKey,
        /// What the system said.
        error: Arc<str>,
    },
    /// A listener was closed because the configuration has it no more.
    ListenerClosed {
        /// As configured.
        key: ListenerKey,
    },
    /// A name of a backend could not be resolved; its last good addresses stay.
    NameFailed {
        /// The name.
        name: Arc<str>,
        /// What the resolver said.
        error: Arc<str>,
    },
    /// An endpoint's health has changed: traffic leaves it or returns to it (row HC09).
    EndpointChanged {
        /// Whose.
        endpoint: EndpointAddress,
        /// Who has found that out.
        judge: Judge,
        /// What has become of it, and why.
        change: Change,
    },
    /// Connections are refused or left waiting because a bound is reached.
    ConnectionsShed {
        /// Which bound, in a stable word: `connections`, `source` or `files`.
        bound: &'static str,
    },
    /// The access log could not be written; its records are dropped.
    AccessLogFailed {
        /// What the system said.
        error: Arc<str>,
    },
    /// A worker died of a defect in weir. Its connections are lost, the others go on.
    WorkerFailed {
        /// Which worker, from 0.
        worker: usize,
    },
    /// A probe, or what was to be done with its outcome, ended in a defect of weir or of whoever hears of events. The
    /// endpoint's next probes are made all the same.
    ProbePanicked {
        /// Whose.
        endpoint: EndpointAddress,
    },
    /// The thread that probes died of a defect in weir or for want of files: endpoints stay as they were.
    ProberFailed,
}

/// Who judges an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judge {
    /// Its probes; what they do, such as `GET /healthz`.
    Probe(Arc<str>),
    /// The answers to requests of the backend with this key.
    Backend(Arc<str>),
    /// Somebody, by hand (row HC18).
    Person,
}
