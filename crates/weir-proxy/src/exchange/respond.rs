//! Stop 9: the response to the client; the one place where a failure becomes a status.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use weir_balance::write_set_cookie;
use weir_model::{Algorithm, HashSource, limits};
use weir_net::wall;
use weir_wire::connection::Connection;
use weir_wire::h1::{encode, status::reason_phrase};
use weir_wire::{BodyLength, Known, Method, framing};

use super::failure::{ClientFate, Reason};
use super::forward::{Answered, Sending};
use super::pick::Chosen;
use super::policy::EarlyAnswer;
use super::route::Way;
use super::{Exchange, Failure, Next, passive, policy};
use crate::transit::{Framing, Output, PumpFailure, ResponseScratch, Stall};

/// Which choices led to a response.
pub(super) struct Reply<'r, 'v> {
    pub(super) way: &'r Way<'v>,
    pub(super) chosen: Chosen<'v>,
}

/// What the response's head says.
#[derive(Clone, Copy, Debug)]
struct Outline {
    connection: Connection,
    body: BodyLength,
    framing: Framing,
    /// The end of the client's connection ends the body.
    is_until_close: bool,
    keeps_trailers: bool,
    /// The client's connection may carry another request.
    is_persistent: bool,
}

/// Why a response that has begun cannot be completed, and whose fault that is.
enum Broken {
    Client(&'static str),
    Upstream(&'static str),
}

/// Passes the endpoint's response on.
pub(super) async fn relay(
    exchange: &mut Exchange<'_>,
    reply: Reply<'_, '_>,
    mut answered: Answered,
) -> Result<Next, Failure> {
    let begun = begin(exchange, &reply, &mut answered.response);
    let outcome = match begun {
        Ok(outline) => {
            let relayed = poll_fn(|task| poll_relay(exchange, &mut answered, task)).await;
            exchange.record.bytes_sent = answered.response.download.moved();
            exchange.record.bytes_received = exchange.scratch.upload.moved();
            Ok((outline, relayed, answered.response.input.is_empty()))
        }
        Err(failure) => Err(failure),
    };
    exchange.worker.responses.give(answered.response);
    let (outline, relayed, is_drained) = outcome?;
    if let Err(Broken::Client(reason) | Broken::Upstream(reason)) = relayed {
        exchange.record.reason = Some(Reason::Own(reason));
        if matches!(relayed, Err(Broken::Upstream(_))) {
            passive::tell_broken(exchange, &reply.chosen);
        }
        if outline.is_until_close {
            exchange.client.stream.reset_on_close();
        }
        return Ok(Next::Cut);
    }
    drop(reply.chosen.lease);
    if outline.connection_lives() && answered.sending == Sending::Done && is_drained {
        reply
            .chosen
            .held
            .0
            .give(answered.connection, exchange.worker.clock.read_ms());
    }
    match exchange.settle(outline.is_persistent) {
        Some(next) => Ok(next),
        None => Ok(Box::pin(exchange.drain()).await),
    }
}

/// Forgets a response of which the client has got nothing. Its connection lives on when what is left of the response is
/// there already: nobody waits for it.
pub(super) async fn discard(exchange: &mut Exchange<'_>, chosen: Chosen<'_>, mut answered: Answered) {
    if let Ok(outline) = outline(exchange, &answered.response)
        && outline.connection_lives()
        && answered.sending == Sending::Done
    {
        let response = &mut *answered.response;
        let now_ms = exchange.worker.clock.read_ms();
        response.input.unpin();
        response
            .download
            .begin(outline.body, Framing::Plain, false, now_ms);
        let rest = poll_fn(|task| {
            let (stream, bytes_max) = (&mut answered.connection.stream, limits::DRAIN_BODY_BYTES as u64);
            Poll::Ready(
                response
                    .download
                    .poll_discard(task, stream, &mut response.input, bytes_max),
            )
        });
        let is_drained = matches!(rest.await, Poll::Ready(Ok(()))) && answered.response.input.is_empty();
        if is_drained {
            chosen.held.0.give(answered.connection, now_ms);
        }
    }
    exchange.worker.responses.give(answered.response);
}

/// Sends an answer of a rule's own.
pub(super) async fn answer(exchange: &mut Exchange<'_>, answer: EarlyAnswer) -> Result<Next, Failure> {
    let is_persistent = exchange.may_persist() && exchange.is_body_drainable();
    let mut output = Output::default();
    let out = &mut output.bytes;
    encode::status_line(out, answer.status);
    for (name, value) in exchange.scratch.edits.added() {
        encode::field_checked(out, name, value)?;
    }
    policy::write_fields(exchange, out);
    write_date(out);
    if answer.status != 204 {
        encode::field_number(out, b"content-length", 0);
    }
    exchange.write_persistence(is_persistent, out);
    encode::end(out);
    exchange.record.status = answer.status;
    Ok(exchange.send_answer(output, is_persistent).await)
}

/// Answers a failure.
pub(super) async fn fail(exchange: &mut Exchange<'_>, failure: Failure) -> Next {
    if let Reason::Own(word) = failure.reason {
        exchange.worker.recorder.failures.count(word);
    }
    exchange.record.bytes_received = exchange.scratch.upload.moved();
    exchange.record.status = failure.status;
    let is_persistent =
        failure.client == ClientFate::Lives && exchange.may_persist() && exchange.is_body_drainable();
    let is_gone = failure.client == ClientFate::Gone;
    let output = failure_text(exchange, &failure, is_persistent);
    exchange.record.reason = Some(failure.reason);
    if is_gone {
        Next::Cut
    } else {
        exchange.send_answer(output, is_persistent).await
    }
}

fn failure_text(exchange: &Exchange<'_>, failure: &Failure, is_persistent: bool) -> Output {
    let mut output = Output::default();
    let out = &mut output.bytes;
    let phrase = reason_phrase(failure.status);
    encode::status_line(out, failure.status.max(100));
    write_date(out);
    // RFC 9110 15.3.5, 15.3.6, 15.4.5: an invented answer may have a status that has no content.
    let has_content = !matches!(failure.status, 204 | 205 | 304);
    if has_content {
        encode::field(out, b"content-type", b"text/plain; charset=utf-8");
    }
    if failure.status != 204 {
        let length = if has_content { phrase.len() as u64 + 1 } else { 0 };
        encode::field_number(out, b"content-length", length);
    }
    policy::write_fields(exchange, out);
    if let Reason::NotAllowed(methods) = &failure.reason {
        // RFC 9110 15.5.6. Methods that cannot be a value come from the configuration; the answer goes without.
        let _ = encode::field_checked(out, b"allow", methods.as_bytes());
    }
    if exchange.worker.shared.options.reason_header {
        // A word that cannot be a value comes from the configuration; the answer goes without it.
        let _ = encode::field_checked(out, b"x-weir-reason", failure.reason.word().as_bytes());
    }
    exchange.write_persistence(is_persistent, out);
    encode::end(out);
    if has_content && exchange.scratch.head.method != Method::Head {
        out.extend_from_slice(phrase.as_bytes());
        out.push(b'\n');
    }
    output
}

/// RFC 9110 6.6.1: whoever makes an answer dates it.
fn write_date(out: &mut Vec<u8>) {
    out.extend_from_slice(b"date: ");
    wall::write_http_date(wall::unix_ms(), out);
    out.extend_from_slice(b"\r\n");
}

/// Writes the head and begins the body.
fn begin(
    exchange: &mut Exchange<'_>,
    reply: &Reply<'_, '_>,
    response: &mut ResponseScratch,
) -> Result<Outline, Failure> {
    let outline = outline(exchange, response)?;
    policy::decorate(exchange, reply.way, response);
    write_head(exchange, reply, response, &outline)?;
    exchange.record.status = response.head.status;
    exchange.record.is_relayed = true;
    if exchange.worker.log.is_some() {
        exchange.record.backend = Some(Arc::clone(&reply.chosen.balancer.backend));
    }
    response.input.unpin();
    let now_ms = exchange.worker.clock.read_ms();
    response
        .download
        .begin(outline.body, outline.framing, outline.keeps_trailers, now_ms);
    response
        .download
        .take_whole(&mut response.input, &mut response.output);
    Ok(outline)
}

fn outline(exchange: &Exchange<'_>, response: &ResponseScratch) -> Result<Outline, Failure> {
    let (head, bytes) = (&response.head, response.input.pinned());
    let body = framing::response_body(head, bytes, &exchange.scratch.head.method)
        .map_err(|_| Failure::answered(502, "upstream_invalid_framing"))?;
    let mut connection = Connection::of(&head.fields, bytes)
        .map_err(|_| Failure::answered(502, "upstream_invalid_connection"))?;
    connection.is_close |= !connection.is_persistent(head.version);
    let has_length = matches!(body, BodyLength::Empty | BodyLength::Length(_));
    let is_until_close = !has_length && exchange.is_http10();
    let framing = if has_length || is_until_close {
        Framing::Plain
    } else {
        Framing::Chunked
    };
    Ok(Outline {
        connection,
        body,
        framing,
        is_until_close,
        keeps_trailers: framing == Framing::Chunked && exchange.request.wants_trailers,
        is_persistent: exchange.may_persist() && !is_until_close,
    })
}

impl Outline {
    /// Whether the endpoint's connection may carry another request.
    fn connection_lives(&self) -> bool {
        !self.connection.is_close && self.body != BodyLength::UntilClose
    }
}

fn write_head(
    exchange: &Exchange<'_>,
    reply: &Reply<'_, '_>,
    response: &mut ResponseScratch,
    outline: &Outline,
) -> Result<(), Failure> {
    let (head, bytes, edits) = (&response.head, response.input.pinned(), &response.edits);
    let out = &mut response.output.bytes;
    let mut dropped = outline.connection.dropped();
    if !outline.keeps_trailers {
        dropped = dropped.union(Known::Trailer.set());
    }
    // RFC 9110 8.6: no length in a 204.
    if head.status == 204 {
        dropped = dropped.union(Known::ContentLength.set());
    }
    encode::status_line(out, head.status);
    let keeps_all = edits.keep_all()
        && !head.fields.present().intersects(dropped)
        && !outline.connection.nominates_unknown();
    if keeps_all {
        encode::all_fields(out, bytes, &head.fields);
    } else {
        let mut index = 0;
        encode::fields(out, bytes, &head.fields, |field| {
            index += 1;
            let is_dropped = dropped.contains(field.known)
                || edits.is_dropped(index - 1)
                || outline.connection.nominates(field, &head.fields, bytes);
            !is_dropped
        });
    }
    for (name, value) in edits.added() {
        encode::field_checked(out, name, value)?;
    }
    write_reports(out, reply)?;
    policy::write_fields(exchange, out);
    if outline.framing == Framing::Chunked {
        encode::field(out, b"transfer-encoding", b"chunked");
    }
    exchange.write_persistence(outline.is_persistent, out);
    encode::end(out);
    Ok(())
}

/// Writes what balancing tells the client: the cookie that it made up, and what it was asked to report.
fn write_reports(out: &mut Vec<u8>, reply: &Reply<'_, '_>) -> Result<(), Failure> {
    let spec = &reply.way.forward.spec;
    if let Some(key) = &reply.way.key
        && let Some(value) = &key.new_cookie
        && let Algorithm::ConsistentHash(hash) = &spec.algorithm
        && let Some(HashSource::Cookie(cookie)) = hash.sources.get(usize::from(key.source))
    {
        let mut text = Vec::new();
        write_set_cookie(cookie, value.as_bytes(), &mut text);
        encode::field_checked(out, b"set-cookie", &text)?;
    }
    if let Some(visit) = &reply.way.visit {
        visit.write(&reply.chosen, out)?;
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
    answered: &mut Answered,
    task: &mut Context<'_>,
) -> Poll<Result<(), Broken>> {
    let Answered {
        connection,
        response,
        sending,
        watches_client,
    } = answered;
    let stream = &mut connection.stream;
    if let Err(failure) = exchange.poll_upload(stream, sending, task) {
        let reason = match failure.reason {
            Reason::Own(word) => word,
            Reason::Configured(_) | Reason::NotAllowed(_) => "upload_failed",
        };
        return Poll::Ready(Err(Broken::Client(reason)));
    }
    let ResponseScratch {
        input,
        output,
        download,
        ..
    } = &mut **response;
    match download.poll(task, stream, input, &mut exchange.client.stream, output) {
        Poll::Ready(Ok(())) => return Poll::Ready(Ok(())),
        Poll::Ready(Err(PumpFailure::Sink)) => return Poll::Ready(Err(Broken::Client("client_gone"))),
        Poll::Ready(Err(PumpFailure::Malformed(_) | PumpFailure::TooLong)) => {
            return Poll::Ready(Err(Broken::Upstream("upstream_invalid_chunk")));
        }
        Poll::Ready(Err(PumpFailure::Source | PumpFailure::SourceEnded)) => {
            return Poll::Ready(Err(Broken::Upstream("upstream_truncated_body")));
        }
        Poll::Pending => {}
    }
    if download.stall() == Stall::Source && exchange.poll_client_gone(watches_client, task).is_err() {
        return Poll::Ready(Err(Broken::Client("client_gone")));
    }
    let upload_ms = exchange.upload_deadline_ms(*sending);
    let bounds = &exchange.worker.shared.bounds;
    let now_ms = exchange.worker.clock.refresh_ms();
    let idle_ms = exchange.stream_idle_ms;
    let download_ms = download.deadline_ms(now_ms, bounds.write_ms, |since_ms, _, _| {
        since_ms.saturating_add(idle_ms)
    });
    if exchange.is_late(download_ms.min(upload_ms).min(exchange.deadline_ms)) {
        return Poll::Ready(Err(match download.stall() {
            Stall::Sink if now_ms >= download_ms => Broken::Client("client_write_timeout"),
            _ if now_ms >= exchange.deadline_ms => Broken::Upstream(exchange.deadline_reason()),
            Stall::Source if now_ms >= download_ms => Broken::Upstream("upstream_stalled"),
            _ => Broken::Client("body_timeout"),
        }));
    }
    Poll::Pending
}
