//! One probe of an endpoint: a connection of its own, perhaps a request and its answer, closed again.
//!
//! Every probe opens a connection, so that an endpoint that has stopped accepting is found out; nothing is kept between
//! probes. What an endpoint sends is read up to a bound and judged, never trusted: garbage, silence, a trickle or a flood
//! are failures with their cause.
//!
//! A thread that the system has not let run finds that all deadlines have passed, and that is nobody's fault but its own.
//! So a deadline alone proves nothing: the sockets are looked at once more before an endpoint is blamed ([`Grace`]).

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::task::Context;

use memchr::memmem;
use weir_balance::{ProbeFailure, ProbeOutcome};
use weir_model::{EndpointAddress, HttpProbe, Payload, Probe, TcpProbe, limits};
use weir_net::{EventLoop, Stream};
use weir_wire::h1::chunked::{ChunkEvent, ChunkLimits, Decoder};
use weir_wire::h1::encode;
use weir_wire::{BodyLength, Fields, Known, Method, Progress, ResponseHead, framing, host};

use super::connect::is_exhaustion;
use super::grace::{Grace, Granted, Steps};
use super::preface;
use crate::compile::{ProbeMode, Probed};
use crate::time::{Alarm, Expired};
use crate::transit::HEAD_LIMITS;

/// How much is read at once. Most answers fit.
const READ_BYTES: usize = 4 * 1024;

const CHUNK_LIMITS: ChunkLimits = ChunkLimits {
    extension_bytes: limits::CHUNK_EXTENSION_BYTES,
    extensions_bytes: limits::CHUNK_EXTENSIONS_BYTES,
    trailers: HEAD_LIMITS,
};

/// What a probe does, ready to be done again and again.
#[derive(Debug)]
pub(crate) struct ProbePlan {
    address: EndpointAddress,
    /// What the connection begins with; mostly nothing.
    preface: Vec<u8>,
    act: Act,
    /// For people, such as `GET /healthz`.
    pub(crate) text: Arc<str>,
}

#[derive(Debug)]
enum Act {
    Connect,
    Payloads(TcpProbe),
    Request { bytes: Vec<u8>, probe: HttpProbe },
}

/// Why a probe ended early.
enum Trouble {
    /// The endpoint's fault.
    Failed(ProbeFailure),
    /// weir's own: nothing is known of the endpoint.
    Own,
}

/// What an endpoint has sent.
struct Received<'s> {
    stream: &'s mut Stream,
    steps: &'s Steps,
    bytes: Vec<u8>,
    /// Up to here it is done with.
    done: usize,
}

impl ProbePlan {
    pub(crate) fn new(probed: &Probed) -> Self {
        let address = match (&probed.endpoint.address, probed.check.port) {
            (EndpointAddress::Tcp(address), Some(port)) => {
                let mut address = *address;
                address.set_port(port.number());
                EndpointAddress::Tcp(address)
            }
            (address, _) => address.clone(),
        };
        let act = match (&probed.mode, &probed.check.probe) {
            (ProbeMode::Request { path, host }, Probe::Http(http)) => {
                let path = path.as_ref().unwrap_or(&http.path);
                let host = http.host.as_ref().or(host.as_ref());
                Act::Request {
                    bytes: request(http, path, host.map(|host| &**host), &address),
                    probe: http.clone(),
                }
            }
            (_, Probe::Tcp(tcp)) => Act::Payloads(tcp.clone()),
            (_, Probe::Http(_)) => Act::Connect,
        };
        let preface = probed
            .proxy_protocol
            .map_or_else(Vec::new, |version| preface(version, None));
        let text = probed.text();
        Self {
            address,
            preface,
            act,
            text,
        }
    }

    /// Probes once, from `begun_ms` on for `timeout_ms`; `restart` is told when that time begins anew. `None`: weir could
    /// not, for want of files or ports.
    pub(crate) async fn run(
        &self,
        event_loop: &EventLoop,
        alarm: Alarm<'_>,
        (begun_ms, timeout_ms): (u64, u64),
        restart: impl Fn(u64),
    ) -> Option<ProbeOutcome> {
        let steps = Steps::default();
        let mut act = std::pin::pin!(self.act(event_loop, &steps));
        let mut grace = Grace::new(timeout_ms);
        let mut deadline_ms = begun_ms.saturating_add(timeout_ms);
        loop {
            let mut is_moving = false;
            let poll = |task: &mut Context<'_>| {
                let before = steps.made();
                let polled = act.as_mut().poll(task);
                is_moving = steps.made() != before;
                polled
            };
            match alarm.until(deadline_ms, poll).await {
                Ok(Ok(outcome)) => return Some(outcome),
                Ok(Err(Trouble::Failed(failure))) => return Some(ProbeOutcome::Failed(failure)),
                Ok(Err(Trouble::Own)) => return None,
                Err(Expired) => match grace.next(is_moving, alarm.clock.read_ms()) {
                    Granted::Look(next_ms) => deadline_ms = next_ms,
                    Granted::Time(next_ms) => {
                        restart(alarm.clock.read_ms());
                        deadline_ms = next_ms;
                    }
                    Granted::Nothing => return Some(ProbeOutcome::Failed(ProbeFailure::Timeout)),
                },
            }
        }
    }

    async fn act(&self, event_loop: &EventLoop, steps: &Steps) -> Result<ProbeOutcome, Trouble> {
        let mut stream = weir_net::connect(event_loop, &self.address, None)
            .await
            .map_err(|error| unconnected(&error))?;
        steps.advance();
        send(&mut stream, &self.preface, steps).await?;
        match &self.act {
            Act::Connect => Ok(ProbeOutcome::Good),
            Act::Payloads(tcp) => payloads(&mut stream, tcp, steps).await,
            Act::Request { bytes, probe } => {
                send(&mut stream, bytes, steps).await?;
                answer(&mut Received::new(&mut stream, steps), probe).await
            }
        }
    }
}

impl<'s> Received<'s> {
    fn new(stream: &'s mut Stream, steps: &'s Steps) -> Self {
        Self {
            stream,
            steps,
            bytes: Vec::new(),
            done: 0,
        }
    }

    fn unread(&self) -> &[u8] {
        self.bytes.get(self.done..).unwrap_or_default()
    }

    /// Waits for more; `false` at the end of the stream.
    async fn fill(&mut self) -> Result<bool, Trouble> {
        let length = self.bytes.len();
        self.bytes.resize(length + READ_BYTES, 0);
        let (stream, room) = (&mut *self.stream, &mut self.bytes[length..]);
        let read = poll_fn(|task| stream.poll_read(task, room)).await;
        self.bytes
            .truncate(length + read.as_ref().map_or(0, |read| *read));
        match read {
            Ok(read) => {
                self.steps.advance();
                Ok(read > 0)
            }
            Err(_) => Err(Trouble::Failed(ProbeFailure::Closed)),
        }
    }
}

/// The bytes of the request. A method, path or host that no request may carry gives way to one that it may: the
/// configuration was looked at before, so this is a second lock on the door.
fn request(probe: &HttpProbe, path: &str, host: Option<&str>, address: &EndpointAddress) -> Vec<u8> {
    let mut out = Vec::new();
    if encode::request_line_checked(&mut out, probe.method.as_bytes(), path.as_bytes()).is_err() {
        out.clear();
        encode::request_line(&mut out, b"GET", b"/");
    }
    // RFC 9112 3.2: always a Host; a Unix socket has no name of its own.
    let own = match address {
        EndpointAddress::Tcp(address) => address.to_string(),
        EndpointAddress::Unix(_) => "localhost".to_owned(),
    };
    let host = host.filter(|host| host::parse(host.as_bytes()).is_ok());
    encode::field(&mut out, b"host", host.unwrap_or(&own).as_bytes());
    encode::field(&mut out, b"user-agent", b"weir/probe");
    encode::field(&mut out, b"accept", b"*/*");
    encode::field(&mut out, b"connection", b"close");
    let body = probe.body.as_ref().map(Payload::bytes);
    if let Some(body) = body {
        encode::field_number(&mut out, b"content-length", body.len() as u64);
    }
    encode::end(&mut out);
    out.extend_from_slice(body.unwrap_or_default());
    out
}

async fn send(stream: &mut Stream, mut bytes: &[u8], steps: &Steps) -> Result<(), Trouble> {
    while !bytes.is_empty() {
        match poll_fn(|task| stream.poll_write(task, bytes)).await {
            Ok(written) => {
                steps.advance();
                bytes = bytes.get(written..).unwrap_or_default();
            }
            Err(_) => return Err(Trouble::Failed(ProbeFailure::Closed)),
        }
    }
    Ok(())
}

async fn payloads(stream: &mut Stream, tcp: &TcpProbe, steps: &Steps) -> Result<ProbeOutcome, Trouble> {
    if let Some(payload) = &tcp.send {
        send(stream, payload.bytes(), steps).await?;
    }
    let Some(wanted) = &tcp.receive else {
        return Ok(ProbeOutcome::Good);
    };
    let mut received = Received::new(stream, steps);
    while received.bytes.len() < limits::PROBE_ANSWER_BYTES {
        let is_more = received.fill().await?;
        if memmem::find(&received.bytes, wanted.bytes()).is_some() {
            return Ok(ProbeOutcome::Good);
        }
        if !is_more {
            let failure = if received.bytes.is_empty() {
                ProbeFailure::Closed
            } else {
                ProbeFailure::Content
            };
            return Err(Trouble::Failed(failure));
        }
    }
    Err(Trouble::Failed(ProbeFailure::Content))
}

async fn answer(received: &mut Received<'_>, probe: &HttpProbe) -> Result<ProbeOutcome, Trouble> {
    let garbage = || Trouble::Failed(ProbeFailure::Garbage);
    let mut head = ResponseHead::new(HEAD_LIMITS);
    let mut interim_responses = 0;
    loop {
        match head.parse(received.unread()) {
            Err(_) => return Err(garbage()),
            Ok(Progress::Partial) => {
                if !received.fill().await? {
                    return Err(Trouble::Failed(ProbeFailure::Closed));
                }
            }
            Ok(Progress::Complete) if head.status >= 200 => break,
            Ok(Progress::Complete) => {
                interim_responses += 1;
                // RFC 9110 15.2.2: nobody asked for a switch.
                if head.status == 101 || interim_responses > limits::INTERIM_RESPONSES {
                    return Err(garbage());
                }
                received.done += head.length;
                head.clear();
            }
        }
    }
    let method = if &*probe.method == "HEAD" {
        Method::Head
    } else {
        Method::Get
    };
    // RFC 9112 6.3: an answer whose end can be read in two ways is none.
    let body = framing::response_body(&head, received.unread(), &method).map_err(|_| garbage())?;
    if is_withdrawal(&head.fields, received.unread()) {
        drain(received);
        return Ok(ProbeOutcome::Withdrawn);
    }
    received.done += head.length;
    match (ProbeOutcome::of_status(probe, head.status), &probe.expected_body) {
        (ProbeOutcome::Good, Some(wanted)) => content(received, body, wanted).await,
        (outcome, _) => {
            drain(received);
            Ok(outcome)
        }
    }
}

/// Whether a response says that its endpoint is to be taken out until its probes are good again, whatever else it says
/// (Envoy's `x-envoy-immediate-health-check-fail`; its value does not matter).
pub(crate) fn is_withdrawal(fields: &Fields, bytes: &[u8]) -> bool {
    const NAME: &[u8] = b"x-envoy-immediate-health-check-fail";
    let mut others = fields.iter().filter(|field| field.known == Known::Other);
    others.any(|field| field.name.of(bytes).eq_ignore_ascii_case(NAME))
}

/// Looks for `wanted` in the body.
async fn content(
    received: &mut Received<'_>,
    body: BodyLength,
    wanted: &Payload,
) -> Result<ProbeOutcome, Trouble> {
    let (mut found, mut decoder) = (Vec::new(), Decoder::new(CHUNK_LIMITS));
    loop {
        let is_ended = take_content(received, body, &mut decoder, &mut found)?;
        if memmem::find(&found, wanted.bytes()).is_some() {
            return Ok(ProbeOutcome::Good);
        }
        if is_ended || found.len() >= limits::PROBE_ANSWER_BYTES {
            return Err(Trouble::Failed(ProbeFailure::Content));
        }
        // What is done with must not pile up while a chunked body trickles in.
        received.bytes.drain(..received.done);
        received.done = 0;
        if !received.fill().await? {
            return Err(Trouble::Failed(match body {
                BodyLength::UntilClose => ProbeFailure::Content,
                BodyLength::Empty | BodyLength::Length(_) | BodyLength::Chunked => ProbeFailure::Closed,
            }));
        }
    }
}

/// Moves what has come of the body to `found`; says whether that was all.
fn take_content(
    received: &mut Received<'_>,
    body: BodyLength,
    decoder: &mut Decoder,
    found: &mut Vec<u8>,
) -> Result<bool, Trouble> {
    let unread = received.bytes.get(received.done..).unwrap_or_default();
    match body {
        BodyLength::Empty => Ok(true),
        BodyLength::UntilClose => {
            found.extend_from_slice(unread);
            received.done = received.bytes.len();
            Ok(false)
        }
        BodyLength::Length(length) => {
            let missing = usize::try_from(length.saturating_sub(found.len() as u64)).unwrap_or(usize::MAX);
            found.extend_from_slice(&unread[..unread.len().min(missing)]);
            received.done = received.bytes.len();
            Ok(found.len() as u64 >= length)
        }
        BodyLength::Chunked => loop {
            let input = received.bytes.get(received.done..).unwrap_or_default();
            let step = decoder
                .decode(input)
                .map_err(|_| Trouble::Failed(ProbeFailure::Garbage))?;
            if let ChunkEvent::Data(range) = &step.event {
                found.extend_from_slice(input.get(range.clone()).unwrap_or_default());
            }
            received.done += step.consumed;
            match step.event {
                ChunkEvent::Data(_) => {}
                ChunkEvent::More => return Ok(false),
                ChunkEvent::End => return Ok(true),
            }
        },
    }
}

/// Reads what is there already, so that closing does not reset the connection under an endpoint that has answered.
fn drain(received: &mut Received<'_>) {
    let mut room = [0; READ_BYTES];
    for _ in 0..limits::PROBE_ANSWER_BYTES / READ_BYTES {
        match received.stream.try_read(&mut room) {
            Ok(1..) => {}
            Ok(0) | Err(_) => return,
        }
    }
}

fn unconnected(error: &io::Error) -> Trouble {
    if is_exhaustion(error) {
        return Trouble::Own;
    }
    Trouble::Failed(match error.kind() {
        // A Unix socket that nobody has made yet is as good as one that nobody listens on.
        ErrorKind::ConnectionRefused | ErrorKind::NotFound => ProbeFailure::Refused,
        ErrorKind::TimedOut => ProbeFailure::Timeout,
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted => ProbeFailure::Closed,
        _ => ProbeFailure::Unreachable,
    })
}
