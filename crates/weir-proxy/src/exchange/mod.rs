//! One request and its response: stops 3 to 10 of a request's way, one file each.
//!
//! This folder owns what happens to an exchange. It is given a client's connection and a parsed head, and knows
//! neither listeners nor how connections are accepted. Read [`handle`] first.

mod account;
mod failure;
mod forward;
mod handle;
mod identity;
mod outbound;
mod pick;
mod policy;
mod request;
mod respond;
mod route;
mod view;

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use weir_model::ListenerKey;
use weir_net::Stream;
use weir_wire::connection::Connection;
use weir_wire::{BodyLength, Known, Target};

pub(crate) use failure::Failure;
pub(crate) use handle::handle;

use crate::time::{Alarm, NEVER, Timer};
use crate::transit::RequestScratch;
use crate::upstream::EndpointPool;
use crate::worker::Worker;
use failure::Reason;

/// A client's connection.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) stream: Stream,
    pub(crate) timer: Rc<Timer>,
    pub(crate) peer: SocketAddr,
    pub(crate) listener: ListenerKey,
}

/// What becomes of a client's connection after an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// The next request may follow.
    KeepAlive,
    /// It ends, as the client wished.
    End,
    /// It ends by weir's decision; what the client still sends is read for a moment, so that the answer is not lost in a reset.
    Close,
    /// It ends at once: the response was cut short, and the client must see that.
    Cut,
}

/// One exchange.
#[derive(Debug)]
pub(crate) struct Exchange<'a> {
    pub(crate) worker: &'a Rc<Worker>,
    pub(crate) client: &'a mut Client,
    pub(crate) scratch: &'a mut RequestScratch,
    request: RequestFacts,
    record: Record,
    /// Time for the whole exchange, until [`Self::deadline_ms`] begins to count.
    timeout_ms: Option<u64>,
    /// When the whole exchange has taken too long. Counts from the moment the request has been received.
    deadline_ms: u64,
}

/// What weir found out about the request.
#[derive(Debug)]
struct RequestFacts {
    body: BodyLength,
    connection: Connection,
    /// The client waits for 100 (Continue) before it sends the body.
    expects_continue: bool,
    wants_trailers: bool,
    /// The connection may carry another request.
    is_persistent: bool,
    /// Length of the path at the front of [`RequestScratch::target`].
    path_length: usize,
    /// The client's address, after the listener's rule.
    client_ip: IpAddr,
    /// Whether the listener's rule trusts the peer.
    is_peer_trusted: bool,
    /// Random bits of the request id that weir gives, when it gives one.
    request_id: u128,
}

/// What is remembered for stop 10.
#[derive(Debug)]
struct Record {
    started_us: u64,
    /// 0 while the client has no answer.
    status: u16,
    reason: Option<Reason>,
    /// The endpoint of the last try.
    endpoint: Option<Rc<EndpointPool>>,
    /// The backend of the last try; only for the access log.
    backend: Option<Arc<str>>,
    /// The endpoint answered and the client has got at least the beginning.
    is_relayed: bool,
    bytes_received: u64,
    bytes_sent: u64,
}

impl<'a> Exchange<'a> {
    /// An exchange whose request head is the pinned part of `scratch.input`, parsed. The clock was read when it came.
    pub(crate) fn begin(
        worker: &'a Rc<Worker>,
        client: &'a mut Client,
        scratch: &'a mut RequestScratch,
    ) -> Self {
        let started_us = worker.clock.read_us();
        let client_ip = client.peer.ip();
        Self {
            worker,
            client,
            scratch,
            request: RequestFacts {
                body: BodyLength::Empty,
                connection: Connection::ABSENT,
                expects_continue: false,
                wants_trailers: false,
                is_persistent: false,
                path_length: 0,
                client_ip,
                is_peer_trusted: false,
                request_id: 0,
            },
            record: Record {
                started_us,
                status: 0,
                reason: None,
                endpoint: None,
                backend: None,
                is_relayed: false,
                bytes_received: 0,
                bytes_sent: 0,
            },
            timeout_ms: None,
            deadline_ms: NEVER,
        }
    }

    fn alarm(&self) -> Alarm<'_> {
        self.worker.alarm(&self.client.timer)
    }

    /// The bytes that the request head's offsets point into.
    fn head(&self) -> &[u8] {
        self.scratch.input.pinned()
    }

    /// The request's path as it is matched, normalised. `OPTIONS *` asks about the whole server and is matched like
    /// its root.
    fn path(&self) -> &str {
        match &self.scratch.target[..self.request.path_length] {
            "*" => "/",
            path => path,
        }
    }

    /// The host that the request names, as written (RFC 9112 3.2.2: that of an absolute target counts).
    fn authority(&self) -> &[u8] {
        let head = &self.scratch.head;
        match head.form {
            Target::Absolute { authority, .. } | Target::Authority { authority } => authority.of(self.head()),
            Target::Origin { .. } | Target::Asterisk => {
                head.fields.value(Known::Host, self.head()).unwrap_or_default()
            }
        }
    }

    /// The request's query, as sent, without its `?`.
    fn query(&self) -> Option<&str> {
        self.scratch.target[self.request.path_length..].strip_prefix('?')
    }
}
