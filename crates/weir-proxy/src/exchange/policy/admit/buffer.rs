//! The whole body before anything of the request is forwarded (Envoy Gateway `requestBuffer`).

use std::future::poll_fn;
use std::task::Poll;

use weir_wire::h1::encode;
use weir_wire::{BodyLength, Known};

use super::super::super::forward::Sending;
use super::super::super::{Exchange, Failure};
use crate::transit::Output;

/// Receives the body; `None` when there is none. The request has a length then: a body in chunks loses its trailers,
/// as RFC 9112 7.1.2 lets it.
pub(super) async fn receive(exchange: &mut Exchange<'_>, forwards: bool) -> Result<Option<Output>, Failure> {
    if exchange.scratch.upload.is_received() {
        return Ok(None);
    }
    ask_for_it(exchange).await?;
    let mut body = Output::default();
    poll_fn(|task| {
        let scratch = &mut *exchange.scratch;
        let stream = &mut exchange.client.stream;
        if let Poll::Ready(received) =
            scratch
                .upload
                .poll_receive(task, stream, &mut scratch.input, &mut body)
        {
            return Poll::Ready(received.map_err(Failure::of_upload));
        }
        let deadline_ms = exchange.upload_deadline_ms(Sending::Open);
        if exchange.is_late(deadline_ms) {
            return Poll::Ready(Err(Failure::refused(408, "body_timeout")));
        }
        Poll::Pending
    })
    .await?;
    let had_chunks = exchange.request.body == BodyLength::Chunked;
    exchange.request.body = BodyLength::Length(body.bytes.len() as u64);
    if had_chunks && forwards {
        let mut edits = std::mem::take(&mut exchange.scratch.edits);
        if exchange.scratch.head.fields.has(Known::Trailer) {
            edits.remove("trailer", &exchange.scratch.head.fields, exchange.head());
        }
        edits.add(b"content-length", body.bytes.len().to_string().as_bytes());
        exchange.scratch.edits = edits;
    }
    Ok(Some(body))
}

/// RFC 9110 10.1.1: a client that expects to be asked for its body is.
async fn ask_for_it(exchange: &mut Exchange<'_>) -> Result<(), Failure> {
    if !std::mem::take(&mut exchange.request.expects_continue) || !exchange.scratch.input.is_empty() {
        return Ok(());
    }
    let mut interim = Output::default();
    interim.bytes.extend_from_slice(encode::CONTINUE);
    let worker = exchange.worker;
    let deadline_ms = worker
        .clock
        .refresh_ms()
        .saturating_add(worker.shared.bounds.write_ms);
    let (alarm, stream) = (worker.alarm(&exchange.client.timer), &mut exchange.client.stream);
    match alarm
        .until(deadline_ms, |task| interim.poll_flush(stream, task))
        .await
    {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(Failure::client_gone("client_gone_uploading")),
    }
}
