//! What became of every request, as its client and the backends saw it.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use weir_net::simulation::SocketId;

use crate::homes::Token;
use crate::rules::RuleKind;

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) client: usize,
    pub(crate) socket: SocketId,
    pub(crate) method: &'static str,
    pub(crate) kind: RuleKind,
    pub(crate) key: Option<u64>,
    /// What its client knew of its session.
    pub(crate) session: Option<Token>,
    /// Its whole head has arrived at weir.
    pub(crate) arrival: Option<Arrival>,
    pub(crate) deliveries: Vec<Delivery>,
    /// How many copies mirrors got.
    pub(crate) copies: u32,
    pub(crate) outcome: Outcome,
    /// When the outcome was known, or began to be.
    pub(crate) ended_us: Option<u64>,
    /// Where both connections stood at the last delivery: bytes read from the backend, bytes written to the client.
    pub(crate) baseline: (u64, u64),
}

/// When a head had arrived as a whole.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    pub(crate) at_us: u64,
    /// Of the configuration that ran then.
    pub(crate) stamp: u64,
    /// How often something had happened by then that may move sessions.
    pub(crate) shakes: u64,
}

/// A request head that a backend got.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivery {
    pub(crate) address: SocketAddr,
    /// The status that the backend answered with, once it has.
    pub(crate) answered: Option<u16>,
}

/// What the client got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nothing yet.
    Awaited,
    /// The head of a final response.
    Begun(u16),
    /// A whole response.
    Answered(u16),
    /// A response that was cut, visibly.
    Truncated(u16),
    /// The connection ended instead.
    Lost,
    /// The client did not wait.
    Abandoned,
}

/// All requests, by number.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) entries: BTreeMap<u64, Entry>,
    next: u64,
}

impl Entry {
    /// RFC 9110 9.2.2.
    pub(crate) fn is_idempotent(&self) -> bool {
        self.method != "POST"
    }
}

impl Ledger {
    /// A number for another request.
    pub(crate) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// The client's side of a request changes.
    pub(crate) fn conclude(&mut self, id: u64, outcome: Outcome, now_us: u64) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.outcome = outcome;
            entry.ended_us.get_or_insert(now_us);
        }
    }

    /// How many responses of this class clients have got as a whole.
    pub(crate) fn answered(&self, kind: RuleKind, class: u16) -> u64 {
        let is_such = |entry: &&Entry| {
            entry.kind == kind && matches!(entry.outcome, Outcome::Answered(status) if status / 100 == class)
        };
        self.entries.values().filter(is_such).count() as u64
    }
}
