//! What an exchange knows of itself while it passes the stops.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use weir_net::Stream;
use weir_wire::connection::Connection;
use weir_wire::{BodyLength, Known, Target};

use super::failure::Reason;
use super::identity::PeerText;
use super::policy::Admitted;
use super::tried::{PastTries, Tried};
use crate::stats::OpenConnection;
use crate::time::{Alarm, NEVER, Timer};
use crate::transit::RequestScratch;
use crate::upstream::EndpointPool;
use crate::worker::Worker;

/// A client's connection.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) stream: Stream,
    pub(crate) timer: Rc<Timer>,
    pub(crate) peer: SocketAddr,
    pub(crate) peer_text: PeerText,
    /// Which listener it came to, where it counts as open.
    pub(crate) open: OpenConnection,
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
    pub(super) request: RequestFacts,
    pub(super) record: Record,
    /// How the request was let in, where the rule has conditions.
    pub(super) admitted: Option<Box<Admitted>>,
    /// Time for the whole exchange, until [`Self::deadline_ms`] begins to count.
    pub(super) timeout_ms: Option<u64>,
    /// When the whole exchange has taken too long: the rule's time for it counts from the moment the request has been
    /// received, that for everything that streams from the first byte.
    pub(super) deadline_ms: u64,
    /// [`Self::deadline_ms`] is that of everything that streams.
    pub(super) is_stream_deadline: bool,
    /// How long nothing may move, milliseconds.
    pub(super) stream_idle_ms: u64,
}

/// What weir found out about the request.
#[derive(Debug)]
pub(super) struct RequestFacts {
    pub(super) body: BodyLength,
    pub(super) connection: Connection,
    /// The client waits for 100 (Continue) before it sends the body.
    pub(super) expects_continue: bool,
    pub(super) wants_trailers: bool,
    /// The connection may carry another request.
    pub(super) is_persistent: bool,
    /// Length of the path at the front of [`RequestScratch::target`].
    pub(super) path_length: usize,
    /// The client's address, after the listener's rule.
    pub(super) client_ip: IpAddr,
    /// Whether the listener's rule trusts the peer.
    pub(super) is_peer_trusted: bool,
    /// The request keeps the id that it came with.
    pub(super) keeps_id: bool,
    /// Random bits of the request id that weir gives, when it gives one.
    pub(super) request_id: u128,
}

/// What is remembered for stop 10.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) started_us: u64,
    /// 0 while the client has no answer.
    pub(super) status: u16,
    pub(super) reason: Option<Reason>,
    /// The endpoint of the last try.
    pub(super) endpoint: Option<Rc<EndpointPool>>,
    /// Tries after the first.
    pub(super) retries: u32,
    /// The last try, unless it was given up for one that could not begin.
    pub(super) tried: Option<Tried>,
    /// The tries before it; only for the access log.
    pub(super) past_tries: Option<Box<PastTries>>,
    /// A rule's fault injection let it wait.
    pub(super) is_delayed: bool,
    /// The endpoint answered and the client has got at least the beginning.
    pub(super) is_relayed: bool,
    pub(super) bytes_received: u64,
    pub(super) bytes_sent: u64,
}

impl<'a> Exchange<'a> {
    /// An exchange whose request head is the pinned part of `scratch.input`, parsed. The clock was read when it came.
    pub(crate) fn begin(
        worker: &'a Rc<Worker>,
        client: &'a mut Client,
        scratch: &'a mut RequestScratch,
    ) -> Self {
        let started_us = worker.clock.read_us();
        let client_ip = client.peer_text.address;
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
                keeps_id: false,
                request_id: 0,
            },
            record: Record {
                started_us,
                status: 0,
                reason: None,
                endpoint: None,
                retries: 0,
                tried: None,
                past_tries: None,
                is_delayed: false,
                is_relayed: false,
                bytes_received: 0,
                bytes_sent: 0,
            },
            admitted: None,
            timeout_ms: None,
            deadline_ms: NEVER,
            is_stream_deadline: false,
            stream_idle_ms: NEVER,
        }
    }

    /// How this exchange waits.
    pub(super) fn alarm(&self) -> Alarm<'_> {
        self.worker.alarm(&self.client.timer)
    }

    /// The bytes that the request head's offsets point into.
    pub(super) fn head(&self) -> &[u8] {
        self.scratch.input.pinned()
    }

    /// The request's path as it is matched, normalised. `OPTIONS *` asks about the whole server and is matched like
    /// its root.
    pub(super) fn path(&self) -> &str {
        match &self.scratch.target[..self.request.path_length] {
            "*" => "/",
            path => path,
        }
    }

    /// The host that the request names, as written (RFC 9112 3.2.2: that of an absolute target counts).
    pub(super) fn authority(&self) -> &[u8] {
        let head = &self.scratch.head;
        match head.form {
            Target::Absolute { authority, .. } | Target::Authority { authority } => authority.of(self.head()),
            Target::Origin { .. } | Target::Asterisk => {
                head.fields.value(Known::Host, self.head()).unwrap_or_default()
            }
        }
    }

    /// The request's query, as sent, without its `?`.
    pub(super) fn query(&self) -> Option<&str> {
        self.scratch.target[self.request.path_length..].strip_prefix('?')
    }
}
