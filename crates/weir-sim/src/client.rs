//! What a scripted client is: polite, pipelining, slow, aborting, half-closing.

use std::collections::VecDeque;

use weir_net::simulation::SocketId;

use crate::dice::Dice;
use crate::homes::Token;
use crate::message::{Reader, body};
use crate::plan::Plan;
use crate::rules::RuleKind;

/// How a client behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// One request after the other on one connection.
    Polite,
    /// All requests at once.
    Pipelining,
    /// Breaks or closes the connection while it waits.
    Aborting,
    /// Reads in spells.
    SlowReading,
    /// Writes in small pieces.
    SlowWriting,
    /// Ends its direction behind the last request.
    HalfClosing,
}

/// How a request's body is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    None,
    Length(u64),
    Chunked(u64),
}

/// A request to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) method: &'static str,
    pub(crate) kind: RuleKind,
    pub(crate) key: Option<u64>,
    pub(crate) body: Body,
    answer_bytes: u64,
    expects: bool,
}

/// One client.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) style: Style,
    /// Every request must be answered with 200.
    pub(crate) is_proof: bool,
    pub(crate) asks: VecDeque<Ask>,
    pub(crate) socket: Option<SocketId>,
    pub(crate) outstanding: VecDeque<u64>,
    pub(crate) reader: Reader,
    pub(crate) pieces: VecDeque<Vec<u8>>,
    pub(crate) stamp: u64,
    pub(crate) connects: u64,
    /// Where its session is, once it has one.
    pub(crate) session: Option<Token>,
}

/// What a client does of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    Connect,
    /// The next request, or all of them.
    Ask,
    /// The next piece.
    Write,
    Resume,
    Abort,
}

impl Ask {
    fn draw(dice: &mut Dice, is_proof: bool) -> Self {
        let method = dice.one_of(&["GET", "GET", "GET", "POST", "POST", "PUT", "HEAD"]);
        let kind = dice.one_of(&RuleKind::ALL);
        let length = match dice.between(0, 9) {
            0..=5 => dice.between(0, 300),
            6..=8 => dice.between(1_000, 20_000),
            // More than weir holds for a mirror, and not more than can be sent in time.
            _ if is_proof && kind == RuleKind::Mirrored => dice.between(66_000, 80_000),
            _ if is_proof => 1_000,
            _ => dice.between(50_000, 200_000),
        };
        let body = match (method, dice.chance(50)) {
            ("GET" | "HEAD", _) => Body::None,
            (_, true) => Body::Length(length),
            (_, false) => Body::Chunked(length),
        };
        Self {
            method,
            kind,
            key: dice.chance(80).then(|| dice.between(1, 6)),
            body,
            answer_bytes: if dice.chance(90) {
                dice.between(0, 2_000)
            } else {
                dice.between(50_000, 250_000)
            },
            expects: body != Body::None && dice.chance(15),
        }
    }

    /// The head, and what follows it.
    pub(crate) fn bytes(&self, id: u64, plan: &Plan, session: Option<&Token>) -> (Vec<u8>, Vec<u8>) {
        let mut head = format!(
            "{} {}/{id} HTTP/1.1\r\nHost: sim.test\r\nx-sim-id: {id}\r\nx-sim-want: {}\r\n",
            self.method,
            self.kind.prefix(),
            self.answer_bytes
        );
        if let Some(session) = session {
            head.push_str(&plan.session_field(&session.text));
        }
        if let Some(key) = self.key {
            head.push_str(&format!("x-sim-key: {key}\r\n"));
        }
        if self.expects {
            head.push_str("Expect: 100-continue\r\n");
        }
        let rest = match self.body {
            Body::None => Vec::new(),
            Body::Length(length) => {
                head.push_str(&format!("Content-Length: {length}\r\n"));
                body(id, length)
            }
            Body::Chunked(length) => {
                head.push_str("Transfer-Encoding: chunked\r\n");
                chunked(&body(id, length))
            }
        };
        head.push_str("\r\n");
        (head.into_bytes(), rest)
    }
}

/// A body in chunks of growing size.
pub(crate) fn chunked(body: &[u8]) -> Vec<u8> {
    let (mut out, mut left, mut size) = (Vec::new(), body, 5);
    while !left.is_empty() {
        let (chunk, rest) = left.split_at(left.len().min(size));
        out.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
        (left, size) = (rest, size * 3);
    }
    out.extend_from_slice(b"0\r\n\r\n");
    out
}

impl Client {
    pub(crate) fn draw(dice: &mut Dice, is_proof: bool) -> Self {
        let style = match dice.between(0, 9) {
            _ if is_proof => Style::Polite,
            0..=3 => Style::Polite,
            4..=5 => Style::Pipelining,
            6 => Style::Aborting,
            7 => Style::SlowReading,
            8 => Style::SlowWriting,
            _ => Style::HalfClosing,
        };
        let asks = (0..dice.between(2, 12)).map(|_| Ask::draw(dice, is_proof));
        Self {
            style,
            is_proof,
            asks: asks.collect(),
            socket: None,
            outstanding: VecDeque::new(),
            reader: Reader::of_responses(),
            pieces: VecDeque::new(),
            stamp: 0,
            connects: 0,
            session: None,
        }
    }
}
