//! What a scripted backend is: good, slow, busy, silent, refusing, breaking or lying, changing from one to the other.

use std::collections::BTreeMap;

use weir_net::simulation::SocketId;

use crate::client::chunked;
use crate::dice::Dice;
use crate::message::{Head, Reader, body};

/// How a backend behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Good,
    /// Answers late.
    Slow,
    /// Answers 503 at once.
    Busy,
    /// Takes requests and never answers.
    BlackHole,
    /// Resets connections in the middle of a body.
    Breaks,
    /// Ends connections in the middle of a body.
    Truncates,
    /// Ends connections instead of answering.
    Hangs,
    /// Answers what is no HTTP.
    Garbage,
    /// Sends more than it announced.
    Excess,
    /// Closes connections soon after each answer.
    ClosesIdle,
    /// Answers before it has read the request's body.
    Early,
    /// Refuses connections.
    Refuses,
    /// Does not answer connections.
    Deaf,
}

/// All of them; the good one more often.
pub(crate) const MODES: [Mode; 18] = [
    Mode::Good,
    Mode::Good,
    Mode::Good,
    Mode::Good,
    Mode::Slow,
    Mode::Busy,
    Mode::BlackHole,
    Mode::Breaks,
    Mode::Truncates,
    Mode::Hangs,
    Mode::Garbage,
    Mode::Excess,
    Mode::ClosesIdle,
    Mode::ClosesIdle,
    Mode::Early,
    Mode::Early,
    Mode::Refuses,
    Mode::Deaf,
];

/// What is no answer, or not to every request. `{}` is the request's number.
const GARBAGE: [&str; 5] = [
    "\x16\x03\x01 what?\r\n\r\n",
    "HTTP/1.1 200 OK\r\nx-sim-id: {}\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "HTTP/1.1 200 OK\r\nx-sim-id: {}\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "HTTP/1.1 200 OK\nx-sim-id: {}\nContent-Length: 0\n\n",
    "SSH-2.0-OpenSSH_9.9\r\n",
];

/// A backend.
#[derive(Debug)]
pub(crate) struct Backend {
    pub(crate) mode: Mode,
    pub(crate) talks: BTreeMap<SocketId, Talk>,
}

/// One connection of a backend.
#[derive(Debug)]
pub(crate) struct Talk {
    pub(crate) reader: Reader,
    /// The request that is being read or answered.
    pub(crate) asked: Option<Asked>,
    /// Counts requests, so that what was meant for one does not hit another.
    pub(crate) turn: u64,
}

/// A request at a backend.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Absent: a probe.
    pub(crate) id: Option<u64>,
    is_head: bool,
    /// It is a copy of a request.
    is_copy: bool,
    answer_bytes: u64,
    pub(crate) stamp: u64,
    pub(crate) mode: Mode,
    pub(crate) is_read: bool,
    pub(crate) is_answered: bool,
}

/// What is written, and what becomes of the connection then.
pub(crate) struct Answer {
    pub(crate) bytes: Vec<u8>,
    pub(crate) then: Then,
}

/// What becomes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    Stays,
    Leaves,
    Breaks,
}

impl Backend {
    pub(crate) fn new(mode: Mode) -> Self {
        Self {
            mode,
            talks: BTreeMap::new(),
        }
    }
}

impl Asked {
    pub(crate) fn of(head: &Head, mode: Mode, is_copy: bool) -> Self {
        Self {
            id: head.number("x-sim-id"),
            is_head: head.request().0 == "HEAD",
            is_copy,
            answer_bytes: head.number("x-sim-want").unwrap_or(0),
            stamp: head.number("x-sim-stamp").unwrap_or(0),
            mode,
            is_read: false,
            is_answered: false,
        }
    }

    /// The bytes of an answer, and what becomes of the connection then.
    pub(crate) fn compose(&self, dice: &mut Dice) -> Answer {
        let id = self.id.unwrap_or(0);
        let leaves = |bytes| Answer {
            bytes,
            then: Then::Leaves,
        };
        match self.mode {
            Mode::Hangs => return leaves(Vec::new()),
            Mode::Garbage => {
                let text = dice.one_of(&GARBAGE).replace("{}", &id.to_string());
                return leaves(text.into_bytes());
            }
            _ => {}
        }
        let mut bytes = self.head(dice).into_bytes();
        let content = body(id, self.answer_bytes);
        // Behind a body that ends with the connection nothing can be too much.
        let shape = dice.between(0, if self.mode == Mode::Excess { 8 } else { 9 });
        let (framing, rest, then) = match shape {
            0..=5 => (format!("Content-Length: {}", content.len()), content, Then::Stays),
            6..=8 => (
                "Transfer-Encoding: chunked".to_owned(),
                chunked(&content),
                Then::Stays,
            ),
            _ => ("Connection: close".to_owned(), content, Then::Leaves),
        };
        bytes.extend_from_slice(framing.as_bytes());
        bytes.extend_from_slice(b"\r\n\r\n");
        if self.is_head {
            return Answer { bytes, then };
        }
        let half = &rest[..rest.len() / 2];
        let (sent, then) = match self.mode {
            Mode::Breaks if !rest.is_empty() => (half, Then::Breaks),
            // A body that ends with the connection can only be cut by a reset.
            Mode::Truncates if !rest.is_empty() && then == Then::Stays => (half, Then::Leaves),
            _ => (&rest[..], then),
        };
        bytes.extend_from_slice(sent);
        Answer { bytes, then }
    }

    /// The head of an answer but for its framing, perhaps with hints before it.
    fn head(&self, dice: &mut Dice) -> String {
        let mut head = String::new();
        if self.id.is_some() && dice.chance(10) {
            head.push_str("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
        }
        head.push_str(if self.mode == Mode::Busy {
            "HTTP/1.1 503 Service Unavailable\r\n"
        } else {
            "HTTP/1.1 200 OK\r\n"
        });
        if let Some(id) = self.id {
            head.push_str(&format!("x-sim-id: {id}\r\nx-sim-saw: {}\r\n", self.stamp));
        }
        if self.is_copy {
            head.push_str("x-sim-copy: 1\r\n");
        }
        head
    }
}
