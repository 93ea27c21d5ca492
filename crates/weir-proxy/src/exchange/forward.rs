//! Stop 8: the request to the endpoint, until a final response head is there.
//!
//! One task does both directions: it uploads the body and watches for the response at the same time, so an early
//! answer is seen early. A pooled connection may have died unnoticed; then the request is sent once more on a fresh
//! one, if that cannot do anything twice (reliability row 26).

use std::future::poll_fn;
use std::task::{Context, Poll};

use weir_model::limits;
use weir_net::Stream;
use weir_wire::h1::encode;
use weir_wire::{Known, KnownSet, Progress};

use super::pick::Chosen;
use super::route::Found;
use super::{Exchange, Failure};
use crate::compile::RuleTimeouts;
use crate::time::NEVER;
use crate::transit::{PumpFailure, Stall};
use crate::upstream::{ConnectFailure, connect};

/// How far an exchange has come, as the waiting sees it.
#[derive(Debug)]
pub(super) struct Progressing {
    /// Nothing more will be sent to the endpoint: all was, or it stopped taking.
    pub(super) is_upload_over: bool,
    /// The endpoint stopped taking the body.
    pub(super) is_upload_cut: bool,
    /// When this try has taken too long.
    try_deadline_ms: u64,
    watches_client: bool,
    interim_responses: u32,
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

/// Sends the request; returns the connection on which a final response has begun, its head in `scratch.response`.
pub(super) async fn forward(
    exchange: &mut Exchange<'_>,
    found: &Found<'_>,
    chosen: &Chosen<'_>,
) -> Result<(Stream, Progressing), Failure> {
    let now_ms = exchange.worker.clock.read_ms();
    exchange.begin_timeout(now_ms);
    let timeouts = &found.rule.timeouts;
    let mut progress = Progressing {
        is_upload_over: false,
        is_upload_cut: false,
        try_deadline_ms: timeouts
            .backend_request_ms
            .map_or(NEVER, |timeout| now_ms.saturating_add(timeout)),
        watches_client: true,
        interim_responses: 0,
    };
    let mut reused = chosen.held.0.take(now_ms);
    loop {
        let is_reused = reused.is_some();
        let mut stream = match reused.take() {
            Some(stream) => stream,
            None => open(exchange, chosen, timeouts, progress.try_deadline_ms).await?,
        };
        exchange.ask_for_body();
        let trouble = match poll_fn(|task| poll_head(exchange, &mut stream, &mut progress, task)).await {
            Ok(()) => return Ok((stream, progress)),
            Err(trouble) => trouble,
        };
        match trouble {
            Trouble::Failed(failure) => return Err(failure),
            Trouble::Died if is_reused && exchange.may_resend() => {
                exchange.scratch.upstream_out.rewind();
                exchange.scratch.upstream_in.reset();
                progress.is_upload_over = false;
                progress.is_upload_cut = false;
            }
            Trouble::Died => return Err(Failure::answered(502, "upstream_closed")),
            Trouble::Truncated => return Err(Failure::answered(502, "upstream_truncated_head")),
        }
    }
}

async fn open(
    exchange: &Exchange<'_>,
    chosen: &Chosen<'_>,
    timeouts: &RuleTimeouts,
    try_deadline_ms: u64,
) -> Result<Stream, Failure> {
    let now_ms = exchange.worker.clock.refresh_ms();
    let whole_ms = exchange.deadline_ms.min(try_deadline_ms);
    let deadline_ms = whole_ms.min(now_ms.saturating_add(timeouts.connect_ms));
    let address = &chosen.held.0.endpoint.address;
    // Boxed so that connections that never open one do not carry the room for it.
    match Box::pin(connect(address, exchange.alarm(), deadline_ms)).await {
        Ok(stream) => Ok(stream),
        Err(ConnectFailure::Refused) => Err(Failure::unreached(502, "connect_failed")),
        Err(ConnectFailure::TimedOut) if deadline_ms == whole_ms => Err(exchange.timed_out()),
        Err(ConnectFailure::TimedOut) => Err(Failure::unreached(504, "connect_timeout")),
    }
}

fn poll_head(
    exchange: &mut Exchange<'_>,
    stream: &mut Stream,
    progress: &mut Progressing,
    task: &mut Context<'_>,
) -> Poll<Result<(), Trouble>> {
    exchange.poll_interim(task)?;
    exchange.poll_upload(stream, progress, task)?;
    loop {
        let scratch = &mut *exchange.scratch;
        let is_empty = scratch.upstream_in.is_empty();
        match scratch.upstream_in.poll_fill(stream, task, limits::BUFFER_BYTES) {
            Poll::Pending => break,
            Poll::Ready(Ok(1..)) => {}
            Poll::Ready(Ok(0) | Err(_)) if is_empty && progress.interim_responses == 0 => {
                return Poll::Ready(Err(Trouble::Died));
            }
            Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Err(Trouble::Truncated)),
        }
        if exchange.read_head(progress)? {
            return Poll::Ready(Ok(()));
        }
        exchange.poll_interim(task)?;
    }
    exchange.poll_client_gone(progress, task)?;
    let deadline_ms = exchange
        .upload_deadline_ms(progress)
        .min(exchange.deadline_ms)
        .min(progress.try_deadline_ms);
    if exchange.is_late(deadline_ms) {
        return Poll::Ready(Err(Trouble::Failed(exchange.late_failure(progress))));
    }
    Poll::Pending
}

impl Exchange<'_> {
    /// Starts the clock of the whole exchange, once the request has been received.
    fn begin_timeout(&mut self, now_ms: u64) {
        if self.timeout_ms.is_some() && self.scratch.upload.is_received() {
            self.deadline_ms = self
                .timeout_ms
                .take()
                .map_or(NEVER, |timeout| now_ms.saturating_add(timeout));
        }
    }

    /// Whether sending the request again can do no harm: it asks for nothing that counts twice or never left, and all
    /// of it is still there.
    fn may_resend(&self) -> bool {
        let scratch = &*self.scratch;
        (scratch.request.method.is_idempotent() || scratch.upstream_out.sent() == 0)
            && scratch.upload.is_replayable()
    }

    /// Answers an expectation (RFC 9110 10.1.1): the request has a way to go, so the body is wanted.
    fn ask_for_body(&mut self) {
        if std::mem::take(&mut self.request.expects_continue) && self.scratch.client_in.is_empty() {
            self.scratch.client_out.bytes.extend_from_slice(encode::CONTINUE);
        }
    }

    /// Sends interim responses on to the client. Nobody waits for them.
    fn poll_interim(&mut self, task: &mut Context<'_>) -> Result<(), Failure> {
        let out = &mut self.scratch.client_out;
        if out.is_empty() {
            return Ok(());
        }
        match out.poll_flush(&mut self.client.stream, task) {
            Poll::Ready(Ok(())) => out.clear(),
            Poll::Ready(Err(_)) => return Err(Failure::client_gone("client_gone")),
            Poll::Pending => {}
        }
        Ok(())
    }

    /// Moves the request on. That the endpoint takes no more is no failure yet: it may have answered.
    pub(super) fn poll_upload(
        &mut self,
        stream: &mut Stream,
        progress: &mut Progressing,
        task: &mut Context<'_>,
    ) -> Result<(), Failure> {
        if progress.is_upload_over {
            return Ok(());
        }
        let scratch = &mut *self.scratch;
        let moved = scratch.upload.poll(
            task,
            &mut self.client.stream,
            &mut scratch.client_in,
            stream,
            &mut scratch.upstream_out,
        );
        match moved {
            Poll::Pending => {}
            Poll::Ready(Ok(())) => progress.is_upload_over = true,
            Poll::Ready(Err(PumpFailure::Sink)) => {
                progress.is_upload_over = true;
                progress.is_upload_cut = true;
            }
            Poll::Ready(Err(PumpFailure::Malformed(error))) => return Err(error.into()),
            Poll::Ready(Err(PumpFailure::Source | PumpFailure::SourceEnded)) => {
                return Err(Failure::client_gone("client_gone_uploading"));
            }
        }
        if self.timeout_ms.is_some() && self.scratch.upload.is_received() {
            let now_ms = self.worker.clock.refresh_ms();
            self.begin_timeout(now_ms);
        }
        Ok(())
    }

    /// Parses what has come; `true` when it is a final head, pinned.
    fn read_head(&mut self, progress: &mut Progressing) -> Result<bool, Failure> {
        loop {
            let scratch = &mut *self.scratch;
            if scratch.upstream_in.is_empty() {
                return Ok(false);
            }
            match scratch.response.parse(scratch.upstream_in.unread()) {
                Ok(Progress::Partial) => return Ok(false),
                Ok(Progress::Complete) => {}
                Err(_) => return Err(Failure::answered(502, "upstream_invalid_head")),
            }
            let (status, length) = (scratch.response.status, scratch.response.length);
            if status >= 200 {
                scratch.upstream_in.pin(length);
                return Ok(true);
            }
            // RFC 9110 15.2.2: weir asked for no switch.
            progress.interim_responses += 1;
            if status == 101 || progress.interim_responses > limits::INTERIM_RESPONSES {
                return Err(Failure::answered(502, "upstream_invalid_interim"));
            }
            if status == 103 {
                self.relay_interim();
            }
            self.scratch.upstream_in.consume(length);
        }
    }

    /// Passes early hints on (RFC 8297), except to a client that knows no interim responses.
    fn relay_interim(&mut self) {
        const DROPPED: KnownSet =
            weir_wire::connection::HOP_BY_HOP.union(KnownSet::of(&[Known::ContentLength, Known::Trailer]));
        if self.is_http10() {
            return;
        }
        let scratch = &mut *self.scratch;
        let out = &mut scratch.client_out.bytes;
        encode::status_line(out, 103);
        encode::fields(
            out,
            scratch.upstream_in.unread(),
            &scratch.response.fields,
            |field| !DROPPED.contains(field.known),
        );
        encode::end(out);
    }

    /// Notices a client that broke its connection while it waits. One that merely sends no more still gets its answer
    /// (reliability row 27).
    fn poll_client_gone(
        &mut self,
        progress: &mut Progressing,
        task: &mut Context<'_>,
    ) -> Result<(), Failure> {
        if !progress.watches_client || !self.scratch.upload.is_received() {
            return Ok(());
        }
        let stream = &mut self.client.stream;
        match stream.poll_read_ready(task) {
            Poll::Pending => return Ok(()),
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(_)) => return Err(Failure::client_gone("client_gone")),
        }
        match stream.poll_peek(task, &mut [0]) {
            Poll::Pending => Ok(()),
            Poll::Ready(Ok(_)) => {
                progress.watches_client = false;
                Ok(())
            }
            Poll::Ready(Err(_)) => Err(Failure::client_gone("client_gone")),
        }
    }

    /// When the upload has stalled for too long: the client too slow (reliability row 18), the endpoint not taking.
    pub(super) fn upload_deadline_ms(&mut self, progress: &Progressing) -> u64 {
        if progress.is_upload_over {
            return NEVER;
        }
        let bounds = &self.worker.shared.bounds;
        let now_ms = self.worker.clock.refresh_ms();
        self.scratch
            .upload
            .deadline_ms(now_ms, bounds.write_ms, |_since_ms, start_ms, received| {
                start_ms
                    .saturating_add(bounds.body_grace_ms)
                    .saturating_add(received * 1000 / bounds.body_rate_min)
            })
    }

    /// Sets the alarm; `true` when it would have rung.
    pub(super) fn is_late(&self, deadline_ms: u64) -> bool {
        let alarm = self.alarm();
        alarm.wheel.set(alarm.timer, deadline_ms);
        alarm.has_passed(deadline_ms)
    }

    fn late_failure(&self, progress: &Progressing) -> Failure {
        let now_ms = self.worker.clock.read_ms();
        if now_ms >= self.deadline_ms || now_ms >= progress.try_deadline_ms {
            return self.timed_out();
        }
        match self.scratch.upload.stall() {
            Stall::Source => Failure::refused(408, "body_timeout"),
            Stall::Sink => Failure::answered(504, "upstream_write_timeout"),
        }
    }

    fn timed_out(&self) -> Failure {
        let is_whole = self.worker.clock.read_ms() >= self.deadline_ms;
        Failure::answered(
            504,
            if is_whole {
                "request_timeout"
            } else {
                "backend_request_timeout"
            },
        )
    }
}
