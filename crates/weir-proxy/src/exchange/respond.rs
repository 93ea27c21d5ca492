//! Stop 9: the response to the client; the one place where a failure becomes a status.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use weir_balance::write_set_cookie;
use weir_model::{HashSource, limits};
use weir_net::{Stream, wall};
use weir_wire::connection::Connection;
use weir_wire::h1::{encode, status::reason_phrase};
use weir_wire::{BodyLength, Known, framing};

use super::failure::ClientFate;
use super::forward::Progressing;
use super::pick::Chosen;
use super::policy::EarlyAnswer;
use super::route::{Found, Way};
use super::{Exchange, Failure, Next, policy};
use crate::transit::{Framing, PumpFailure, Stall};

/// A response that has begun to arrive.
pub(super) struct Reply<'r, 'v> {
    pub(super) found: &'r Found<'v>,
    pub(super) way: &'r Way<'v>,
    pub(super) chosen: Chosen<'v>,
    pub(super) stream: Stream,
    pub(super) progress: Progressing,
}

/// What the response's head says about its end.
#[derive(Clone, Copy, Debug)]
struct Outline {
    body: BodyLength,
    framing: Framing,
    /// The end of the client's connection ends the body.
    is_until_close: bool,
    /// The endpoint's connection may carry another request.
    is_upstream_persistent: bool,
    keeps_trailers: bool,
}

/// Why a response that has begun cannot be completed.
enum Broken {
    Client(&'static str),
    Upstream(&'static str),
}

/// Passes the endpoint's response on.
pub(super) async fn relay(exchange: &mut Exchange<'_>, mut reply: Reply<'_, '_>) -> Result<Next, Failure> {
    let outline = outline(exchange)?;
    let is_persistent = exchange.may_persist() && !outline.is_until_close;
    write_head(exchange, &reply, outline, is_persistent)?;
    exchange.record.status = exchange.scratch.response.status;
    exchange.record.is_relayed = true;
    if exchange.worker.log.is_some() {
        exchange.record.backend = Some(Arc::clone(&reply.chosen.balancer.backend));
    }
    let now_ms = exchange.worker.clock.read_ms();
    exchange.scratch.upstream_in.unpin();
    exchange
        .scratch
        .download
        .begin(outline.body, outline.framing, outline.keeps_trailers, now_ms);

    let relayed = {
        let (stream, progress) = (&mut reply.stream, &mut reply.progress);
        poll_fn(|task| poll_relay(exchange, stream, progress, task)).await
    };
    exchange.record.bytes_sent = exchange.scratch.download.moved();
    exchange.record.bytes_received = exchange.scratch.upload.moved();
    if let Err(broken) = relayed {
        let (Broken::Client(reason) | Broken::Upstream(reason)) = broken;
        exchange.record.reason = Some(super::failure::Reason::Own(reason));
        if outline.is_until_close {
            exchange.client.stream.reset_on_close();
        }
        return Ok(Next::Cut);
    }
    let Reply {
        chosen,
        stream,
        progress,
        ..
    } = reply;
    drop(chosen.lease);
    let is_request_sent = progress.is_upload_over && !progress.is_upload_cut;
    if outline.is_upstream_persistent && is_request_sent && exchange.scratch.upstream_in.is_empty() {
        chosen.held.0.give(stream, exchange.worker.clock.read_ms());
    }
    Ok(exchange.after_response(is_persistent).await)
}

/// Sends an answer of a rule's own.
pub(super) async fn answer(exchange: &mut Exchange<'_>, answer: EarlyAnswer) -> Result<Next, Failure> {
    let is_persistent = exchange.may_persist() && exchange.is_body_drainable();
    let mut out = std::mem::take(&mut exchange.scratch.client_out.bytes);
    out.clear();
    encode::status_line(&mut out, answer.status);
    for (name, value) in exchange.scratch.response_edits.added() {
        encode::field_checked(&mut out, name, value)?;
    }
    write_date(&mut out);
    if answer.status != 204 {
        encode::field_number(&mut out, b"content-length", 0);
    }
    exchange.write_persistence(is_persistent, &mut out);
    encode::end(&mut out);
    exchange.scratch.client_out.bytes = out;
    exchange.record.status = answer.status;
    Ok(exchange.send_answer(is_persistent).await)
}

/// Answers a failure.
pub(super) async fn fail(exchange: &mut Exchange<'_>, failure: Failure) -> Next {
    if let super::failure::Reason::Own(word) = failure.reason {
        exchange.worker.recorder.failures.count(word);
    }
    exchange.record.bytes_received = exchange.scratch.upload.moved();
    exchange.record.status = failure.status;
    let is_persistent =
        failure.client == ClientFate::Lives && exchange.may_persist() && exchange.is_body_drainable();
    let is_gone = failure.client == ClientFate::Gone;
    if !is_gone {
        write_failure(exchange, &failure, is_persistent);
    }
    exchange.record.reason = Some(failure.reason);
    if is_gone {
        Next::Cut
    } else {
        exchange.send_answer(is_persistent).await
    }
}

fn write_failure(exchange: &mut Exchange<'_>, failure: &Failure, is_persistent: bool) {
    let out = &mut exchange.scratch.client_out;
    // What is left of an interim response goes first; the rest of the exchange's output is forgotten.
    let mut bytes = out.pending().to_vec();
    out.clear();
    let phrase = reason_phrase(failure.status);
    encode::status_line(&mut bytes, failure.status);
    write_date(&mut bytes);
    encode::field(&mut bytes, b"content-type", b"text/plain; charset=utf-8");
    encode::field_number(&mut bytes, b"content-length", phrase.len() as u64 + 1);
    if exchange.worker.shared.options.reason_header {
        // A word that cannot be a value comes from the configuration; the answer goes without it.
        let _ = encode::field_checked(&mut bytes, b"x-weir-reason", failure.reason.word().as_bytes());
    }
    exchange.write_persistence(is_persistent, &mut bytes);
    encode::end(&mut bytes);
    if exchange.scratch.request.method != weir_wire::Method::Head {
        bytes.extend_from_slice(phrase.as_bytes());
        bytes.push(b'\n');
    }
    exchange.scratch.client_out.bytes = bytes;
}

/// RFC 9110 6.6.1: whoever makes an answer dates it.
fn write_date(out: &mut Vec<u8>) {
    out.extend_from_slice(b"date: ");
    wall::write_http_date(wall::unix_ms(), out);
    out.extend_from_slice(b"\r\n");
}

fn outline(exchange: &Exchange<'_>) -> Result<Outline, Failure> {
    let scratch = &*exchange.scratch;
    let (head, bytes) = (&scratch.response, scratch.upstream_in.pinned());
    let body = framing::response_body(head, bytes, &scratch.request.method)
        .map_err(|_| Failure::answered(502, "upstream_invalid_framing"))?;
    let connection = Connection::of(&head.fields, bytes)
        .map_err(|_| Failure::answered(502, "upstream_invalid_connection"))?;
    let has_length = matches!(body, BodyLength::Empty | BodyLength::Length(_));
    let is_until_close = !has_length && exchange.is_http10();
    let framing = if has_length || is_until_close {
        Framing::Plain
    } else {
        Framing::Chunked
    };
    Ok(Outline {
        body,
        framing,
        is_until_close,
        is_upstream_persistent: connection.is_persistent(head.version) && body != BodyLength::UntilClose,
        keeps_trailers: framing == Framing::Chunked && exchange.request.wants_trailers,
    })
}

fn write_head(
    exchange: &mut Exchange<'_>,
    reply: &Reply<'_, '_>,
    outline: Outline,
    is_persistent: bool,
) -> Result<(), Failure> {
    policy::decorate(exchange, reply.found, reply.way);
    let mut out = std::mem::take(&mut exchange.scratch.client_out.bytes);
    let written = write_head_to(&mut out, exchange, reply, outline, is_persistent);
    exchange.scratch.client_out.bytes = out;
    written
}

fn write_head_to(
    out: &mut Vec<u8>,
    exchange: &Exchange<'_>,
    reply: &Reply<'_, '_>,
    outline: Outline,
    is_persistent: bool,
) -> Result<(), Failure> {
    let (head, bytes) = (&exchange.scratch.response, exchange.scratch.upstream_in.pinned());
    let connection = Connection::of(&head.fields, bytes).unwrap_or(Connection::ABSENT);
    let mut dropped = connection.dropped();
    if !outline.keeps_trailers {
        dropped = dropped.union(Known::Trailer.set());
    }
    // RFC 9110 8.6: no length in a 204.
    if head.status == 204 {
        dropped = dropped.union(Known::ContentLength.set());
    }
    let edits = &exchange.scratch.response_edits;
    let mut index = 0;
    encode::status_line(out, head.status);
    encode::fields(out, bytes, &head.fields, |field| {
        index += 1;
        let is_dropped = dropped.contains(field.known)
            || edits.is_dropped(index - 1)
            || connection.nominates(field, &head.fields, bytes);
        !is_dropped
    });
    for (name, value) in edits.added() {
        encode::field_checked(out, name, value)?;
    }
    write_reports(out, reply)?;
    if outline.framing == Framing::Chunked {
        encode::field(out, b"transfer-encoding", b"chunked");
    }
    exchange.write_persistence(is_persistent, out);
    encode::end(out);
    Ok(())
}

/// Writes what balancing tells the client: the cookie that it made up, and what it was asked to report.
fn write_reports(out: &mut Vec<u8>, reply: &Reply<'_, '_>) -> Result<(), Failure> {
    let spec = &reply.way.forward.spec;
    if let Some(key) = &reply.way.key
        && let Some(value) = &key.new_cookie
        && let weir_model::Algorithm::ConsistentHash(hash) = &spec.algorithm
        && let Some(HashSource::Cookie(cookie)) = hash.sources.get(usize::from(key.source))
    {
        let mut text = Vec::new();
        write_set_cookie(cookie, value.as_bytes(), &mut text);
        encode::field_checked(out, b"set-cookie", &text)?;
    }
    if let Some(name) = &spec.report_header {
        let mut text = Vec::new();
        reply
            .chosen
            .balancer
            .balancer
            .write_report(spec, reply.chosen.picked, &mut text);
        encode::field_checked(out, name.as_bytes(), &text)?;
    }
    if let Some(name) = spec
        .endpoint_override
        .as_ref()
        .and_then(|spec| spec.report_header.as_ref())
    {
        encode::field_checked(out, name.as_bytes(), reply.chosen.held.0.endpoint.text.as_bytes())?;
    }
    Ok(())
}

fn poll_relay(
    exchange: &mut Exchange<'_>,
    stream: &mut Stream,
    progress: &mut Progressing,
    task: &mut Context<'_>,
) -> Poll<Result<(), Broken>> {
    if let Err(failure) = exchange.poll_upload(stream, progress, task) {
        let reason = match failure.reason {
            super::failure::Reason::Own(word) => word,
            super::failure::Reason::Configured(_) => "upload_failed",
        };
        return Poll::Ready(Err(Broken::Client(reason)));
    }
    let scratch = &mut *exchange.scratch;
    let moved = scratch.download.poll(
        task,
        stream,
        &mut scratch.upstream_in,
        &mut exchange.client.stream,
        &mut scratch.client_out,
    );
    match moved {
        Poll::Ready(Ok(())) => return Poll::Ready(Ok(())),
        Poll::Ready(Err(PumpFailure::Sink)) => return Poll::Ready(Err(Broken::Client("client_gone"))),
        Poll::Ready(Err(PumpFailure::Malformed(_))) => {
            return Poll::Ready(Err(Broken::Upstream("upstream_invalid_chunk")));
        }
        Poll::Ready(Err(PumpFailure::Source | PumpFailure::SourceEnded)) => {
            return Poll::Ready(Err(Broken::Upstream("upstream_truncated_body")));
        }
        Poll::Pending => {}
    }
    let upload_ms = exchange.upload_deadline_ms(progress);
    let bounds = &exchange.worker.shared.bounds;
    let now_ms = exchange.worker.clock.refresh_ms();
    let download_ms = exchange
        .scratch
        .download
        .deadline_ms(now_ms, bounds.write_ms, |since_ms, _, _| {
            since_ms.saturating_add(bounds.stream_idle_ms)
        });
    if exchange.is_late(download_ms.min(upload_ms).min(exchange.deadline_ms)) {
        return Poll::Ready(Err(match exchange.scratch.download.stall() {
            Stall::Sink if now_ms >= download_ms => Broken::Client("client_write_timeout"),
            _ if now_ms >= exchange.deadline_ms => Broken::Upstream("request_timeout"),
            Stall::Source if now_ms >= download_ms => Broken::Upstream("upstream_stalled"),
            _ => Broken::Client("body_timeout"),
        }));
    }
    Poll::Pending
}

impl Exchange<'_> {
    /// Whether the client's connection may carry another request after this answer.
    fn may_persist(&self) -> bool {
        self.request.is_persistent && !self.worker.is_ending_connections()
    }

    /// Whether what is missing of the request's body may be read for the sake of the connection (reliability row 8).
    /// A client that expects to be asked for it sends nothing until it is.
    fn is_body_drainable(&self) -> bool {
        let body = self.request.body;
        self.scratch.upload.is_received()
            || (!self.request.expects_continue
                && !matches!(body, BodyLength::Length(length) if length > limits::DRAIN_BODY_BYTES as u64))
    }

    /// Says whether the connection lives on, where it is not what the client's version implies.
    fn write_persistence(&self, is_persistent: bool, out: &mut Vec<u8>) {
        match (is_persistent, self.is_http10()) {
            (false, _) => encode::field(out, b"connection", b"close"),
            (true, true) => encode::field(out, b"connection", b"keep-alive"),
            (true, false) => {}
        }
    }

    /// Sends what waits in `client_out`.
    async fn send_answer(&mut self, is_persistent: bool) -> Next {
        let deadline_ms = self
            .worker
            .clock
            .refresh_ms()
            .saturating_add(self.worker.shared.bounds.write_ms);
        let alarm = self.worker.alarm(&self.client.timer);
        let (out, stream) = (&mut self.scratch.client_out, &mut self.client.stream);
        let sent = alarm
            .until(deadline_ms, |task| out.poll_flush(stream, task))
            .await;
        match sent {
            Ok(Ok(())) => self.after_response(is_persistent).await,
            Ok(Err(_)) | Err(_) => Next::Cut,
        }
    }

    /// Decides over the connection when the response is out: what is missing of the request is read if that is
    /// little, so that the next request is found (reliability row 8).
    async fn after_response(&mut self, is_persistent: bool) -> Next {
        let is_received = self.scratch.upload.is_received();
        if !is_persistent {
            let is_wished = is_received && !self.request.is_persistent && self.record.status < 400;
            return if is_wished { Next::End } else { Next::Close };
        }
        if is_received {
            return Next::KeepAlive;
        }
        let now_ms = self.worker.clock.refresh_ms();
        let deadline_ms = now_ms + limits::DRAIN_BODY_TIME.as_millis() as u64;
        let alarm = self.worker.alarm(&self.client.timer);
        let (scratch, stream) = (&mut *self.scratch, &mut self.client.stream);
        let drained = alarm.until(deadline_ms, |task| {
            scratch.upload.poll_discard(
                task,
                stream,
                &mut scratch.client_in,
                limits::DRAIN_BODY_BYTES as u64,
            )
        });
        match drained.await {
            Ok(Ok(())) => Next::KeepAlive,
            Ok(Err(_)) | Err(_) => Next::Close,
        }
    }
}
