//! What becomes of the client's connection behind a response: whether it lives on, and what of the request is read for
//! that.

use weir_model::limits;
use weir_wire::BodyLength;
use weir_wire::h1::encode;

use super::{Exchange, Next};
use crate::transit::Output;

impl Exchange<'_> {
    /// Whether the client's connection may carry another request after this answer.
    pub(super) fn may_persist(&self) -> bool {
        self.request.is_persistent && !self.worker.is_ending_connections()
    }

    /// Whether what is missing of the request's body may be read for the sake of the connection (reliability row 8).
    /// A client that expects to be asked for it sends nothing until it is.
    pub(super) fn is_body_drainable(&self) -> bool {
        let body = self.request.body;
        self.scratch.upload.is_received()
            || (!self.request.expects_continue
                && !matches!(body, BodyLength::Length(length) if length > limits::DRAIN_BODY_BYTES as u64))
    }

    /// Says whether the connection lives on, where it is not what the client's version implies.
    pub(super) fn write_persistence(&self, is_persistent: bool, out: &mut Vec<u8>) {
        match (is_persistent, self.is_http10()) {
            (false, _) => encode::field(out, b"connection", b"close"),
            (true, true) => encode::field(out, b"connection", b"keep-alive"),
            (true, false) => {}
        }
    }

    /// Sends an answer of weir's own.
    pub(super) async fn send_answer(&mut self, mut output: Output, is_persistent: bool) -> Next {
        let deadline_ms = self
            .worker
            .clock
            .refresh_ms()
            .saturating_add(self.worker.shared.bounds.write_ms);
        let alarm = self.worker.alarm(&self.client.timer);
        let stream = &mut self.client.stream;
        match alarm
            .until(deadline_ms, |task| output.poll_flush(stream, task))
            .await
        {
            Ok(Ok(())) => match self.settle(is_persistent) {
                Some(next) => next,
                None => Box::pin(self.drain()).await,
            },
            Ok(Err(_)) | Err(_) => Next::Cut,
        }
    }

    /// Decides over the connection when the response is out; `None` when what is missing of the request is to be read
    /// first ([`Self::drain`]).
    pub(super) fn settle(&self, is_persistent: bool) -> Option<Next> {
        let is_received = self.scratch.upload.is_received();
        match (is_persistent, is_received) {
            (true, true) => Some(Next::KeepAlive),
            (true, false) => None,
            (false, _) => {
                let is_wished = is_received && !self.request.is_persistent && self.record.status < 400;
                Some(if is_wished { Next::End } else { Next::Close })
            }
        }
    }

    /// Reads what is missing of the request if that is little, so that the next request is found (reliability row 8).
    pub(super) async fn drain(&mut self) -> Next {
        let deadline_ms = self.worker.clock.refresh_ms() + limits::DRAIN_BODY_TIME.as_millis() as u64;
        let alarm = self.worker.alarm(&self.client.timer);
        let (scratch, stream) = (&mut *self.scratch, &mut self.client.stream);
        let drained = alarm.until(deadline_ms, |task| {
            scratch
                .upload
                .poll_discard(task, stream, &mut scratch.input, limits::DRAIN_BODY_BYTES as u64)
        });
        match drained.await {
            Ok(Ok(())) => Next::KeepAlive,
            Ok(Err(_)) | Err(_) => Next::Close,
        }
    }
}
