//! The time that an exchange may take, and the alarm that watches it.

use std::future::poll_fn;
use std::task::Poll;

use super::failure::TryEnd;
use super::forward::Sending;
use super::{Exchange, Failure};
use crate::compile::RuleTimeouts;
use crate::time::NEVER;

impl Exchange<'_> {
    /// Takes the rule's bounds on the whole exchange.
    pub(super) fn take_timeouts(&mut self, timeouts: &RuleTimeouts) {
        self.timeout_ms = timeouts.request_ms;
        self.stream_idle_ms = timeouts.stream_idle_ms.unwrap_or(NEVER);
        if let Some(stream_ms) = timeouts.stream_ms {
            self.deadline_ms = (self.record.started_us / 1000).saturating_add(stream_ms);
            self.is_stream_deadline = true;
        }
    }

    /// The word for having passed the deadline of the whole exchange.
    pub(super) fn deadline_reason(&self) -> &'static str {
        if self.is_stream_deadline {
            "stream_timeout"
        } else {
            "request_timeout"
        }
    }

    /// Starts the clock of the whole exchange, once the request has been received.
    pub(super) fn begin_timeout(&mut self, now_ms: u64) {
        if self.timeout_ms.is_some() && self.scratch.upload.is_received() {
            let timeout_ms = self.timeout_ms.take().unwrap_or(NEVER);
            let deadline_ms = now_ms.saturating_add(timeout_ms);
            if deadline_ms < self.deadline_ms {
                (self.deadline_ms, self.is_stream_deadline) = (deadline_ms, false);
            }
        }
    }

    /// When the upload has stalled for too long: the client too slow (reliability row 18), the endpoint not taking.
    pub(super) fn upload_deadline_ms(&mut self, sending: Sending) -> u64 {
        if sending != Sending::Open {
            return NEVER;
        }
        let bounds = &self.worker.shared.bounds;
        let now_ms = self.worker.clock.refresh_ms();
        self.scratch
            .upload
            .deadline_ms(now_ms, bounds.write_ms, |_since_ms, start_ms, moved| {
                start_ms
                    .saturating_add(bounds.body_grace_ms)
                    .saturating_add(moved * 1000 / bounds.body_rate_min)
            })
    }

    /// Waits so long at least, unless the client goes.
    pub(super) async fn pause(&mut self, wait_ms: u64) -> Result<(), Failure> {
        // The clock tells whole milliseconds; some of this one may have passed.
        let deadline_ms = self
            .worker
            .clock
            .refresh_ms()
            .saturating_add(wait_ms)
            .saturating_add(1);
        let mut watches_client = true;
        poll_fn(|task| {
            self.poll_client_gone(&mut watches_client, task)?;
            if self.is_late(deadline_ms) {
                return Poll::Ready(Ok(()));
            }
            Poll::Pending
        })
        .await
    }

    /// Sets the alarm; `true` when it would have rung.
    pub(super) fn is_late(&self, deadline_ms: u64) -> bool {
        let alarm = self.alarm();
        alarm.wheel.set(alarm.timer, deadline_ms);
        alarm.has_passed(deadline_ms)
    }

    /// What it means that the time for a try, or for everything, is over.
    pub(super) fn timed_out(&self) -> Failure {
        let is_whole = self.worker.clock.read_ms() >= self.deadline_ms;
        let reason = if is_whole {
            self.deadline_reason()
        } else {
            "backend_request_timeout"
        };
        Failure::of_endpoint(TryEnd::TimedOut, 504, reason)
    }
}
