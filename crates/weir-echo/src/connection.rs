//! One client connection: requests in, answers out, one after the other.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use weir_wire::connection::Connection;
use weir_wire::expect::{Expectation, expectation};
use weir_wire::head::{Progress, RequestHead};
use weir_wire::{BodyLength, Known, Method, Target, Version, framing};

use crate::answer::{Answer, Body};
use crate::body::{BodyReader, BodyState, LIMITS};
use crate::identity::Seen;
use crate::options::Shared;
use crate::{Identity, Knobs};

/// Bytes asked from the socket at a time.
const READ_BYTES: usize = 16 * 1024;

/// Serves until the client leaves, says something that is not HTTP/1.1, or the backend stops.
///
/// # Errors
/// The client went away in the middle of something.
pub(crate) async fn serve(
    stream: TcpStream,
    shared: Arc<Shared>,
    stopped: watch::Receiver<bool>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut abandoned = stopped.clone();
    let mut exchanges = Exchanges {
        stream,
        shared,
        stopped,
        input: Vec::new(),
        consumed: 0,
    };
    tokio::select! {
        ended = exchanges.run() => ended,
        // The backend was dropped, which cuts its connections.
        () = async { while abandoned.changed().await.is_ok() {} } => Ok(()),
    }
}

struct Exchanges {
    stream: TcpStream,
    shared: Arc<Shared>,
    stopped: watch::Receiver<bool>,
    /// Bytes received; those before `consumed` are done with.
    input: Vec<u8>,
    consumed: usize,
}

/// What is kept of a request head while its body is read.
struct Request {
    path: String,
    host: String,
    method: String,
    version: Version,
    headers: Vec<(String, String)>,
    body: BodyLength,
    expects: Expectation,
    persistent: bool,
}

/// A request that is not valid, and the status that says so.
struct Refusal {
    status: u16,
    why: String,
}

impl Exchanges {
    async fn run(&mut self) -> io::Result<()> {
        let mut head = RequestHead::new(LIMITS);
        loop {
            let request = match self.read_head(&mut head).await? {
                Some(Ok(request)) => request,
                Some(Err(refusal)) => return self.refuse(refusal).await,
                None => return Ok(()),
            };
            let body_bytes = match self.read_body(&request).await? {
                Ok(bytes) => bytes,
                Err(refusal) => return self.refuse(refusal).await,
            };
            if self.answer(&request, body_bytes).await? {
                return self.stream.shutdown().await;
            }
        }
    }

    /// `None` when the connection ended between requests, or may end because the backend stops.
    async fn read_head(&mut self, head: &mut RequestHead) -> io::Result<Option<Result<Request, Refusal>>> {
        loop {
            let bytes = &self.input[self.consumed..];
            match head.parse(bytes) {
                Ok(Progress::Complete) => {
                    let request = Request::new(head, bytes);
                    self.consumed += head.length;
                    return Ok(Some(request));
                }
                Err(error) => {
                    return Ok(Some(Err(Refusal {
                        status: error.status(),
                        why: error.to_string(),
                    })));
                }
                Ok(Progress::Partial) => {}
            }
            let is_idle = bytes.is_empty();
            // Taking the done bytes away moves the rest to the front, where the next parse expects it.
            self.input.drain(..self.consumed);
            self.consumed = 0;
            if is_idle && *self.stopped.borrow() {
                return Ok(None);
            }
            self.input.reserve(READ_BYTES);
            let read = tokio::select! {
                read = self.stream.read_buf(&mut self.input) => read?,
                _ = self.stopped.changed(), if is_idle => continue,
            };
            match (read, is_idle) {
                (0, true) => return Ok(None),
                (0, false) => return Err(io::ErrorKind::UnexpectedEof.into()),
                _ => {}
            }
        }
    }

    /// Reads and drops the body; returns its length without framing.
    async fn read_body(&mut self, request: &Request) -> io::Result<Result<u64, Refusal>> {
        let mut reader = BodyReader::new(request.body);
        let mut is_awaited = request.expects == Expectation::Continue;
        loop {
            let state = match reader.advance(&self.input[self.consumed..]) {
                Ok((used, state)) => {
                    self.consumed += used;
                    state
                }
                Err(why) => return Ok(Err(Refusal { status: 400, why })),
            };
            if state == BodyState::Finished {
                return Ok(Ok(reader.body_bytes()));
            }
            // RFC 9110 10.1.1: no 100 when the body has already begun to arrive.
            if is_awaited && self.consumed == self.input.len() {
                self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
            }
            is_awaited = false;
            self.input.drain(..self.consumed);
            self.consumed = 0;
            self.input.reserve(READ_BYTES);
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Returns whether the connection ends with this answer.
    async fn answer(&mut self, request: &Request, body_bytes: u64) -> io::Result<bool> {
        let shared = self.shared.clone();
        let options = &shared.options;
        let number = shared.counters.count_request(body_bytes);
        if let Some(journal) = &options.journal {
            // A request that cannot be written down gets no answer: the journal would not be the truth.
            journal.note(shared.port, &request.method, &request.path)?;
        }
        let (knobs, why) = match Knobs::of_target(&request.path) {
            Ok(knobs) => (knobs, None),
            Err(error) => (
                Knobs {
                    status: Some(400),
                    ..Knobs::default()
                },
                Some(error.to_string()),
            ),
        };
        let delay = knobs.delay.unwrap_or(options.delay);
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let fails = is_drawn(options.seed, number, options.error_rate_percent);
        let status = knobs.status.unwrap_or(if fails { 500 } else { options.status });
        let (content_type, body) = match (why, knobs.size) {
            (Some(why), _) => ("text/plain", Body::Bytes(format!("{why}\n").into_bytes())),
            (None, Some(size)) => ("text/plain", Body::Filler(size)),
            (None, None) => ("application/json", Body::Bytes(request.json(&options.identity))),
        };
        let answer = Answer {
            status,
            content_type,
            fields: vec![("X-Echo-Body-Bytes", body_bytes.to_string())],
            body,
            chunk: knobs.chunk,
            head_only: request.method == "HEAD",
            // Asked after the delay: the backend may have begun to stop meanwhile.
            close: !request.persistent || *self.stopped.borrow(),
            http_1_0: request.version == Version::Http10,
        };
        answer.write(&mut self.stream).await?;
        Ok(answer.close)
    }

    /// Says what was wrong and ends: where the next request begins is not known (RFC 9112 2.2).
    async fn refuse(&mut self, refusal: Refusal) -> io::Result<()> {
        self.shared.counters.count_refused();
        let answer = Answer {
            status: refusal.status,
            content_type: "text/plain",
            fields: Vec::new(),
            body: Body::Bytes(format!("{}\n", refusal.why).into_bytes()),
            chunk: None,
            head_only: false,
            close: true,
            http_1_0: false,
        };
        answer.write(&mut self.stream).await?;
        self.stream.shutdown().await
    }
}

impl Request {
    fn new(head: &RequestHead, bytes: &[u8]) -> Result<Self, Refusal> {
        let refuse = |status, why: String| Refusal { status, why };
        let body =
            framing::request_body(head, bytes).map_err(|error| refuse(error.status(), error.to_string()))?;
        let connection =
            Connection::of(&head.fields, bytes).map_err(|error| refuse(400, error.to_string()))?;
        let expects = expectation(head, bytes);
        if expects == Expectation::Unknown {
            return Err(refuse(417, "the expectation is not 100-continue".to_owned()));
        }
        // RFC 9112 3.2: exactly one Host, in HTTP/1.1 always.
        let hosts = head.fields.values(Known::Host, bytes).count();
        if hosts > 1 || (hosts == 0 && head.version == Version::Http11) {
            return Err(refuse(400, format!("the request has {hosts} Host fields")));
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        // RFC 9112 3.2.2: an authority in the target beats Host.
        let host = match head.form {
            Target::Absolute { authority, .. } | Target::Authority { authority } => authority.of(bytes),
            Target::Origin { .. } | Target::Asterisk => {
                head.fields.value(Known::Host, bytes).unwrap_or_default()
            }
        };
        Ok(Self {
            path: text(head.target.of(bytes)),
            host: text(host),
            method: head.method.name(bytes).to_owned(),
            version: head.version,
            headers: (head.fields.iter())
                .map(|field| (text(field.name.of(bytes)), text(field.value.of(bytes))))
                .collect(),
            body,
            expects,
            // What follows CONNECT would be a tunnel, which an echo backend does not have.
            persistent: connection.is_persistent(head.version) && head.method != Method::Connect,
        })
    }

    fn json(&self, identity: &Identity) -> Vec<u8> {
        let proto = match self.version {
            Version::Http10 => "HTTP/1.0",
            Version::Http11 => "HTTP/1.1",
        };
        let seen = Seen {
            path: &self.path,
            host: &self.host,
            method: &self.method,
            proto,
            headers: &self.headers,
        };
        identity.json(&seen)
    }
}

/// Whether request `number` is one of those that fail; splitmix64 of seed and number, so that the order in which
/// connections take turns changes nothing.
fn is_drawn(seed: u64, number: u64, percent: f64) -> bool {
    let mut mixed = seed.wrapping_add(number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    ((mixed >> 11) as f64) < percent / 100.0 * (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lt01_the_error_rate_is_met_and_repeats_with_the_seed() {
        for (percent, low, high) in [
            (0.0, 0, 0),
            (1.0, 70, 130),
            (50.0, 4_800, 5_200),
            (100.0, 10_000, 10_000),
        ] {
            let drawn = |seed| {
                (0..10_000)
                    .map(|number| is_drawn(seed, number, percent))
                    .collect::<Vec<_>>()
            };
            let failed = drawn(7).iter().filter(|failed| **failed).count();
            assert!((low..=high).contains(&failed), "{percent} {failed}");
            assert_eq!(drawn(7), drawn(7));
            assert_eq!(drawn(7) == drawn(8), percent == 0.0 || percent == 100.0);
        }
    }
}
