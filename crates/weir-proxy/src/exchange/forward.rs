//! Stop 8: the request to the endpoint, until a final response head is there.
//!
//! One task does both directions: it uploads the body and watches for the response at the same time, so an early
//! answer is seen early. A pooled connection may have died unnoticed; then the request is sent once more on a fresh
//! one, if that cannot do anything twice (reliability row 26).

use std::future::poll_fn;
use std::io::ErrorKind;
use std::task::{Context, Poll};

use weir_model::limits;
use weir_net::{Stream, prefetch};
use weir_wire::h1::encode;
use weir_wire::{Known, KnownSet, Progress};

use super::failure::TryEnd;
use super::pick::Chosen;
use super::route::{Found, Way};
use super::{Exchange, Failure, open};
use crate::time::NEVER;
use crate::transit::{PumpFailure, ResponseScratch, Stall};
use crate::upstream::UpstreamConnection;

/// A connection on which a final response has begun.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) connection: UpstreamConnection,
    /// With the head parsed and pinned.
    pub(super) response: Box<ResponseScratch>,
    pub(super) sending: Sending,
    /// Whether the client's socket can still tell that the client is gone.
    pub(super) watches_client: bool,
}

/// How far the request has been sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sending {
    /// Some of it may be left.
    Open,
    /// All of it is out.
    Done,
    /// The endpoint stopped taking it.
    Cut,
}

/// One try, as far as waiting for it needs to know.
#[derive(Debug)]
struct Try {
    sending: Sending,
    deadline_ms: u64,
    watches_client: bool,
    interim_responses: u32,
    /// How much of the body was on its way when it was looked at last.
    moved: u64,
    /// When nothing will have moved for too long.
    idle_deadline_ms: u64,
    /// Borrowed as soon as there is something to read, or to tell the client before.
    response: Option<Box<ResponseScratch>>,
}

/// Why there is no response on a connection.
enum Trouble {
    /// The connection ended or broke before any byte of a response.
    Died,
    /// The same in the middle of a head.
    Truncated,
    Failed(Failure),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Sends the request and waits for the response's head.
pub(super) async fn forward(
    exchange: &mut Exchange<'_>,
    found: &Found<'_>,
    way: &Way<'_>,
    chosen: &mut Chosen<'_>,
) -> Result<Answered, Failure> {
    chosen.enter()?;
    let now_ms = exchange.worker.clock.read_ms();
    exchange.begin_timeout(now_ms);
    let timeouts = &found.rule.timeouts;
    let mut attempt = Try {
        sending: Sending::Open,
        deadline_ms: way
            .forward
            .try_ms
            .or(timeouts.backend_request_ms)
            .map_or(NEVER, |timeout| now_ms.saturating_add(timeout)),
        watches_client: true,
        interim_responses: 0,
        moved: 0,
        idle_deadline_ms: now_ms.saturating_add(exchange.stream_idle_ms),
        response: None,
    };
    if let Some(bytes) = chosen.upstream.spec.connection.buffer_bytes {
        exchange.scratch.upload.narrow(bytes);
    }
    let mut reused = open::pooled(exchange, chosen, now_ms);
    let failure = loop {
        let (mut connection, is_reused) = match reused.take() {
            Some(connection) => (connection, true),
            // Boxed so that connections that never open one do not carry the room for it.
            None => match Box::pin(open::open(exchange, way, chosen, timeouts, attempt.deadline_ms)).await {
                Ok(opened) => opened,
                Err(failure) => break failure,
            },
        };
        exchange.ask_for_body(&mut attempt);
        // Requests that came together go out together: endpoints on this machine are woken less often, and each write
        // finds warm what the one before it used.
        poll_fn(|task| exchange.worker.event_loop.poll_round_end(task)).await;
        match poll_fn(|task| poll_head(exchange, &mut connection.stream, &mut attempt, task)).await {
            Ok(response) => {
                let Try {
                    sending,
                    watches_client,
                    ..
                } = attempt;
                return Ok(Answered {
                    connection,
                    response,
                    sending,
                    watches_client,
                });
            }
            Err(Trouble::Died) if is_reused && exchange.may_resend() => {
                exchange.scratch.output.rewind();
                attempt.sending = Sending::Open;
            }
            Err(Trouble::Died) => break Failure::of_endpoint(TryEnd::Unanswered, 502, "upstream_closed"),
            Err(Trouble::Truncated) => {
                break Failure::of_endpoint(TryEnd::Unanswered, 502, "upstream_truncated_head");
            }
            Err(Trouble::Failed(failure)) => break failure,
        }
    };
    if let Some(response) = attempt.response {
        exchange.worker.responses.give(response);
    }
    Err(failure)
}

fn poll_head(
    exchange: &mut Exchange<'_>,
    stream: &mut Stream,
    attempt: &mut Try,
    task: &mut Context<'_>,
) -> Poll<Result<Box<ResponseScratch>, Trouble>> {
    exchange.poll_interim(attempt, task)?;
    exchange.poll_upload(stream, &mut attempt.sending, task)?;
    while let Poll::Ready(ready) = stream.poll_read_ready(task) {
        let response = attempt
            .response
            .get_or_insert_with(|| exchange.worker.responses.take());
        let is_begun = !response.input.is_empty() || attempt.interim_responses > 0;
        // Needed behind the read, and in no cache near the processor while hundreds of requests are under way.
        prefetch(&*exchange.scratch);
        match ready.and_then(|()| response.input.try_fill(stream, limits::BUFFER_BYTES)) {
            Ok(1..) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
            Ok(0) | Err(_) if is_begun => return Poll::Ready(Err(Trouble::Truncated)),
            Ok(0) | Err(_) => return Poll::Ready(Err(Trouble::Died)),
        }
        if exchange.read_head(attempt)?
            && let Some(response) = attempt.response.take()
        {
            return Poll::Ready(Ok(response));
        }
        exchange.poll_interim(attempt, task)?;
    }
    exchange.poll_client_gone(&mut attempt.watches_client, task)?;
    let deadline_ms = exchange
        .upload_deadline_ms(attempt.sending)
        .min(exchange.deadline_ms)
        .min(attempt.deadline_ms)
        .min(attempt.idle_deadline_ms(exchange));
    if exchange.is_late(deadline_ms) {
        return Poll::Ready(Err(Trouble::Failed(exchange.late_failure(attempt))));
    }
    Poll::Pending
}

impl Try {
    /// Looks whether more of the body has moved since the last time.
    fn idle_deadline_ms(&mut self, exchange: &Exchange<'_>) -> u64 {
        let moved = exchange.scratch.upload.moved();
        if moved != self.moved {
            self.moved = moved;
            let now_ms = exchange.worker.clock.read_ms();
            self.idle_deadline_ms = now_ms.saturating_add(exchange.stream_idle_ms);
        }
        self.idle_deadline_ms
    }
}

impl Exchange<'_> {
    /// Whether sending the request again can do no harm: it asks for nothing that counts twice or never left, and all
    /// of it is still there.
    fn may_resend(&self) -> bool {
        let scratch = &*self.scratch;
        (scratch.head.method.is_idempotent() || scratch.output.sent() == 0) && scratch.upload.is_replayable()
    }

    /// Answers an expectation (RFC 9110 10.1.1): the request has a way to go, so the body is wanted.
    fn ask_for_body(&mut self, attempt: &mut Try) {
        if std::mem::take(&mut self.request.expects_continue) && self.scratch.input.is_empty() {
            let response = attempt
                .response
                .get_or_insert_with(|| self.worker.responses.take());
            response.output.bytes.extend_from_slice(encode::CONTINUE);
        }
    }

    /// Sends interim responses on to the client. Nobody waits for them.
    fn poll_interim(&mut self, attempt: &mut Try, task: &mut Context<'_>) -> Result<(), Failure> {
        let Some(response) = &mut attempt.response else {
            return Ok(());
        };
        if response.output.is_empty() {
            return Ok(());
        }
        match response.output.poll_flush(&mut self.client.stream, task) {
            Poll::Ready(Ok(())) => response.output.clear(),
            Poll::Ready(Err(_)) => return Err(Failure::client_gone("client_gone")),
            Poll::Pending => {}
        }
        Ok(())
    }

    /// Moves the request on. That the endpoint takes no more is no failure yet: it may have answered.
    pub(super) fn poll_upload(
        &mut self,
        stream: &mut Stream,
        sending: &mut Sending,
        task: &mut Context<'_>,
    ) -> Result<(), Failure> {
        if *sending != Sending::Open {
            return Ok(());
        }
        let scratch = &mut *self.scratch;
        let (input, output) = (&mut scratch.input, &mut scratch.output);
        match scratch
            .upload
            .poll(task, &mut self.client.stream, input, stream, output)
        {
            Poll::Pending => {}
            Poll::Ready(Ok(())) => *sending = Sending::Done,
            Poll::Ready(Err(PumpFailure::Sink)) => *sending = Sending::Cut,
            Poll::Ready(Err(failure)) => return Err(Failure::of_upload(failure)),
        }
        if self.timeout_ms.is_some() && self.scratch.upload.is_received() {
            let now_ms = self.worker.clock.refresh_ms();
            self.begin_timeout(now_ms);
        }
        Ok(())
    }

    /// Parses what has come; `true` when it is a final head, pinned.
    fn read_head(&mut self, attempt: &mut Try) -> Result<bool, Failure> {
        let Some(response) = &mut attempt.response else {
            return Ok(false);
        };
        while !response.input.is_empty() {
            match response.head.parse(response.input.unread()) {
                Ok(Progress::Partial) => return Ok(false),
                Ok(Progress::Complete) => {}
                Err(_) => {
                    return Err(Failure::of_endpoint(
                        TryEnd::Unanswered,
                        502,
                        "upstream_invalid_head",
                    ));
                }
            }
            let length = response.head.length;
            if response.head.status >= 200 {
                response.input.pin(length);
                return Ok(true);
            }
            // RFC 9110 15.2.2: weir asked for no switch.
            attempt.interim_responses += 1;
            if response.head.status == 101 || attempt.interim_responses > limits::INTERIM_RESPONSES {
                return Err(Failure::of_endpoint(
                    TryEnd::Unanswered,
                    502,
                    "upstream_invalid_interim",
                ));
            }
            if response.head.status == 103 && !self.is_http10() {
                relay_hints(response);
            }
            response.input.consume(length);
        }
        Ok(false)
    }

    /// Notices a client that broke its connection while it waits. One that merely sends no more still gets its answer
    /// (reliability row 27). Bytes of its next request are taken in, so that they do not hide what comes behind.
    pub(super) fn poll_client_gone(
        &mut self,
        watches_client: &mut bool,
        task: &mut Context<'_>,
    ) -> Result<(), Failure> {
        while *watches_client && self.scratch.upload.is_received() {
            let Poll::Ready(ready) = self.client.stream.poll_read_ready(task) else {
                return Ok(());
            };
            let input = &mut self.scratch.input;
            match ready.and_then(|()| input.try_fill(&self.client.stream, limits::BUFFER_BYTES / 2)) {
                Ok(1..) => {}
                Ok(0) => *watches_client = false,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => *watches_client = false,
                Err(_) => return Err(Failure::client_gone("client_gone")),
            }
        }
        Ok(())
    }

    fn late_failure(&self, attempt: &Try) -> Failure {
        let now_ms = self.worker.clock.read_ms();
        if now_ms >= self.deadline_ms || now_ms >= attempt.deadline_ms {
            return self.timed_out();
        }
        if now_ms >= attempt.idle_deadline_ms {
            return Failure::of_endpoint(TryEnd::TimedOut, 504, "stream_idle_timeout");
        }
        match self.scratch.upload.stall() {
            Stall::Source => Failure::refused(408, "body_timeout"),
            Stall::Sink => Failure::of_endpoint(TryEnd::TimedOut, 504, "upstream_write_timeout"),
        }
    }
}

/// Passes early hints on (RFC 8297).
fn relay_hints(response: &mut ResponseScratch) {
    const DROPPED: KnownSet =
        weir_wire::connection::HOP_BY_HOP.union(KnownSet::of(&[Known::ContentLength, Known::Trailer]));
    let out = &mut response.output.bytes;
    encode::status_line(out, 103);
    encode::fields(out, response.input.unread(), &response.head.fields, |field| {
        !DROPPED.contains(field.known)
    });
    encode::end(out);
}
