//! Stop 9: the response to the client; the one place where a failure becomes a status.

use std::future::poll_fn;
use std::task::{Context, Poll};

use weir_balance::write_set_cookie;
use weir_model::{Algorithm, HashSource, limits};
use weir_wire::connection::Connection;
use weir_wire::h1::encode;
use weir_wire::{BodyLength, Known, framing};

use super::failure::{ClientFate, Reason};
use super::forward::{Answered, Sending};
use super::own_answer::{self, write_date};
use super::pick::Chosen;
use super::policy::EarlyAnswer;
use super::replace::Shape;
use super::route::{Found, Way};
use super::{Exchange, Failure, Next, identity, passive, policy};
use crate::transit::{Framing, Output, PumpFailure, ResponseScratch, Stall};

/// Which choices led to a response.
pub(super) struct Reply<'r, 'v> {
    pub(super) way: &'r Way<'v>,
    pub(super) chosen: Chosen<'v>,
}

/// What the response's head says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outline {
    connection: Connection,
    pub(super) body: BodyLength,
    pub(super) framing: Framing,
    /// The end of the client's connection ends the body.
    pub(super) is_until_close: bool,
    pub(super) keeps_trailers: bool,
    /// The client's connection may carry another request.
    pub(super) is_persistent: bool,
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
    let outline = begin(exchange, &reply, None, &mut answered.response)?;
    let relayed = poll_fn(|task| poll_relay(exchange, &mut answered, task)).await;
    match end(exchange, reply, answered, &outline, &relayed) {
        Some(next) => Ok(next),
        None => Ok(Box::pin(exchange.drain()).await),
    }
}

/// The same for a response of which the rule makes something else. Apart, so that other exchanges do not carry `shape`.
pub(super) async fn relay_shaped(
    exchange: &mut Exchange<'_>,
    reply: Reply<'_, '_>,
    mut answered: Answered,
    shape: &Shape<'_>,
) -> Result<Next, Failure> {
    let outline = begin(exchange, &reply, Some(shape), &mut answered.response)?;
    let relayed = poll_fn(|task| poll_relay(exchange, &mut answered, task)).await;
    match end(exchange, reply, answered, &outline, &relayed) {
        Some(next) => Ok(next),
        None => Ok(exchange.drain().await),
    }
}

/// What is left to do when the response is out or broken; `None` when what is missing of the request is to be read.
fn end(
    exchange: &mut Exchange<'_>,
    reply: Reply<'_, '_>,
    answered: Answered,
    outline: &Outline,
    relayed: &Result<(), Broken>,
) -> Option<Next> {
    exchange.record.bytes_sent = answered.response.download.moved();
    exchange.record.bytes_received = exchange.scratch.upload.moved();
    let is_drained = answered.response.input.is_empty();
    exchange.worker.responses.give(answered.response);
    if let Err(Broken::Client(reason) | Broken::Upstream(reason)) = relayed {
        exchange.record.reason = Some(Reason::Own(reason));
        if matches!(relayed, Err(Broken::Upstream(_))) {
            passive::tell_broken(exchange, &reply.chosen);
        }
        if outline.is_until_close {
            exchange.client.stream.reset_on_close();
        }
        return Some(Next::Cut);
    }
    let Chosen { lease, held, .. } = reply.chosen;
    drop(lease);
    if outline.connection_lives() && answered.sending == Sending::Done {
        if is_drained {
            held.0.give(answered.connection, exchange.worker.clock.read_ms());
        } else {
            // Reliability row 12: what stands behind a response poisons the connection, and is told of.
            exchange.worker.recorder.failures.count("upstream_excess_bytes");
        }
    }
    exchange.settle(outline.is_persistent)
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

/// Answers a failure, in the words of the rule that was found, if it has any.
pub(super) async fn fail(exchange: &mut Exchange<'_>, failure: Failure, found: Option<&Found<'_>>) -> Next {
    if let Reason::Own(word) = failure.reason {
        exchange.worker.recorder.failures.count(word);
    }
    exchange.record.bytes_received = exchange.scratch.upload.moved();
    identity::name_request(exchange);
    let is_persistent =
        failure.client == ClientFate::Lives && exchange.may_persist() && exchange.is_body_drainable();
    let is_gone = failure.client == ClientFate::Gone;
    let written = own_answer::of_failure(exchange, &failure, found, is_persistent);
    exchange.record.status = if is_gone { failure.status } else { written.status };
    exchange.record.reason = Some(failure.reason);
    if is_gone {
        Next::Cut
    } else {
        exchange.send_answer(written.output, is_persistent).await
    }
}

/// Writes the head and begins the body.
fn begin(
    exchange: &mut Exchange<'_>,
    Reply { way, chosen }: &Reply<'_, '_>,
    shape: Option<&Shape<'_>>,
    response: &mut ResponseScratch,
) -> Result<Outline, Failure> {
    let mut outline = outline(exchange, response)?;
    policy::decorate(exchange, way, response);
    let encoder = match shape {
        None => None,
        Some(shape) => shape.apply(exchange, response, &mut outline),
    };
    write_head(exchange, (way, chosen), response, &outline)?;
    exchange.record.status = response.head.status;
    exchange.record.is_relayed = true;
    response.input.unpin();
    let now_ms = exchange.worker.clock.read_ms();
    response
        .download
        .begin(outline.body, outline.framing, outline.keeps_trailers, now_ms);
    if let Some(bytes) = chosen.upstream.spec.connection.buffer_bytes {
        response.download.narrow(bytes);
    }
    if let Some(encoder) = encoder {
        response.download.encode(encoder);
    }
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
    (way, chosen): (&Way<'_>, &Chosen<'_>),
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
    write_reports(out, way, chosen)?;
    policy::write_fields(exchange, out);
    if outline.framing == Framing::Chunked {
        encode::field(out, b"transfer-encoding", b"chunked");
    }
    exchange.write_persistence(outline.is_persistent, out);
    encode::end(out);
    Ok(())
}

/// Writes what balancing tells the client: the cookie that it made up, and what it was asked to report.
pub(super) fn write_reports(out: &mut Vec<u8>, way: &Way<'_>, chosen: &Chosen<'_>) -> Result<(), Failure> {
    let spec = &way.forward.spec;
    if let Some(key) = &way.key
        && let Some(value) = &key.new_cookie
        && let Algorithm::ConsistentHash(hash) = &spec.algorithm
        && let Some(HashSource::Cookie(cookie)) = hash.sources.get(usize::from(key.source))
    {
        let mut text = Vec::new();
        write_set_cookie(cookie, value.as_bytes(), &mut text);
        encode::field_checked(out, b"set-cookie", &text)?;
    }
    if let Some(visit) = &way.visit {
        visit.write(chosen, out)?;
    }
    if let Some(name) = &spec.report_header {
        let mut text = Vec::new();
        chosen
            .balancer
            .balancer
            .write_report(spec, chosen.picked, &mut text);
        encode::field_checked(out, name.as_bytes(), &text)?;
    }
    if let Some(name) = spec
        .endpoint_override
        .as_ref()
        .and_then(|spec| spec.report_header.as_ref())
    {
        encode::field_checked(out, name.as_bytes(), chosen.held.0.endpoint.text.as_bytes())?;
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
        // The client's connection is cut: what it has got of the body cannot be completed.
        Poll::Ready(Err(PumpFailure::Encoder)) => return Poll::Ready(Err(Broken::Client("encoding_failed"))),
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
