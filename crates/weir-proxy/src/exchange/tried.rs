//! What is remembered of an exchange's tries: for the counters, and for the access log.

use std::io::Write as _;
use std::rc::Rc;
use std::sync::Arc;

use weir_balance::{PickReason, Picked};
use weir_wire::{Method, Version};

use super::failure::Reason;
use super::forward::Answered;
use super::route::Found;
use super::{Exchange, Failure};
use crate::access_log::write_json_bytes;
use crate::compile::{Action, CompiledBalancer, LiveDestination};
use crate::stats::{DestinationRecorder, DurationKind, PickCause};
use crate::upstream::EndpointPool;

/// The word of an answer that a rule replaced, which is nothing that went wrong.
pub(super) const OVERRIDDEN: &str = "response_overridden";

/// The try that is under way, or that has brought the answer.
#[derive(Debug)]
pub(super) struct Tried {
    recorder: Rc<DestinationRecorder>,
    cause: PickCause,
    started_us: u64,
    /// Of the endpoint's answer; 0 before there is one.
    status: u16,
    is_http10: bool,
}

/// The tries before the last one, in order.
#[derive(Debug, Default)]
pub(super) struct PastTries(Vec<PastTry>);

/// A try that another one followed.
#[derive(Debug)]
struct PastTry {
    recorder: Rc<DestinationRecorder>,
    endpoint: Option<Rc<EndpointPool>>,
    cause: PickCause,
    result: TryResult,
    duration_us: u64,
}

/// What came of a try.
#[derive(Clone, Debug)]
enum TryResult {
    Status(u16),
    Failed(Reason),
}

impl Exchange<'_> {
    /// Remembers and counts a try that begins.
    pub(super) fn begin_try(
        &mut self,
        live: &Arc<LiveDestination>,
        balancer: &CompiledBalancer,
        picked: Picked,
        is_retry: bool,
    ) {
        self.record.retries += u32::from(is_retry);
        let cause = self.cause_of(balancer, picked.reason);
        let recorder = self.worker.recorder.destination(live);
        recorder.picked(cause);
        self.record.tried = Some(Tried {
            recorder,
            cause,
            started_us: self.worker.clock.read_us(),
            status: 0,
            is_http10: false,
        });
    }

    fn cause_of(&self, balancer: &CompiledBalancer, reason: PickReason) -> PickCause {
        if self.record.retries > 0 {
            return PickCause::Retry;
        }
        match reason {
            PickReason::Override => PickCause::Override,
            PickReason::Session => PickCause::Session,
            _ if balancer.balancer.is_in_panic(self.worker.clock.read_ms()) => PickCause::Panic,
            PickReason::Hash { .. } => PickCause::Affinity,
            PickReason::MissingKey(_) => PickCause::NoKey,
            PickReason::RoundRobin
            | PickReason::Random
            | PickReason::LeastRequest
            | PickReason::Adaptive
            | PickReason::PeakEwma => PickCause::Policy,
        }
    }

    /// Remembers what the try has brought, if it has brought an answer.
    #[inline]
    pub(super) fn note_answer(&mut self, result: &Result<Answered, Failure>) {
        if let (Ok(answered), Some(tried)) = (result, &mut self.record.tried) {
            tried.status = answered.response.head.status;
            tried.is_http10 = answered.response.head.version == Version::Http10;
        }
    }

    /// Counts a try that another one follows, and remembers it if it is to be logged.
    #[cold]
    pub(super) fn give_up_try(&mut self, result: &Result<Answered, Failure>) {
        let Some(tried) = self.record.tried.take() else {
            return;
        };
        let result = match result {
            Ok(_) => TryResult::Status(tried.status),
            Err(failure) => TryResult::Failed(failure.reason.clone()),
        };
        let error = match &result {
            TryResult::Failed(reason) => own_word(reason),
            TryResult::Status(_) => "",
        };
        let duration_us = self.worker.clock.refresh_us().saturating_sub(tried.started_us);
        tried.recorder.tried(self.try_kind(&tried, error), duration_us);
        if self.worker.log.is_some() {
            let past = self.record.past_tries.get_or_insert_default();
            past.0.push(PastTry {
                recorder: tried.recorder,
                endpoint: self.record.endpoint.clone(),
                cause: tried.cause,
                result,
                duration_us,
            });
        }
    }

    /// Counts the last try, which ends with the exchange.
    #[inline]
    pub(super) fn finish_try(&self, now_us: u64) {
        if let Some(tried) = &self.record.tried {
            let error = self.record.reason.as_ref().map_or("", own_word);
            let duration_us = now_us.saturating_sub(tried.started_us);
            tried.recorder.tried(self.try_kind(tried, error), duration_us);
        }
    }

    fn try_kind(&self, tried: &Tried, error: &'static str) -> DurationKind {
        DurationKind {
            status: tried.status,
            method: method_word(self.scratch.head.method),
            version: version_word(tried.is_http10),
            error,
        }
    }

    /// Of what kind the exchange was for its client.
    #[inline]
    pub(super) fn kind(&self) -> DurationKind {
        let record = &self.record;
        let is_error = record.status == 0 || record.status >= 500;
        let reason = record.reason.as_ref().filter(|_| is_error);
        DurationKind {
            status: record.status,
            method: method_word(self.scratch.head.method),
            version: version_word(self.is_http10()),
            error: reason.map_or("", own_word),
        }
    }

    /// Whether the client got a good answer of an endpoint, as a whole.
    pub(super) fn is_good(&self) -> bool {
        let record = &self.record;
        let is_whole = record
            .reason
            .as_ref()
            .is_none_or(|reason| reason.word() == OVERRIDDEN);
        record.is_relayed && record.status < 500 && is_whole
    }

    /// What decided where the last try went; empty when there was none.
    pub(super) fn pick_word(&self) -> &'static str {
        self.last_try().map_or("", |(_, cause)| cause.word())
    }

    /// Key of the backend of the last try; empty when there was none.
    pub(super) fn backend_of_try(&self) -> &str {
        self.last_try().map_or("", |(recorder, _)| recorder.backend())
    }

    /// Name of the algorithm over the endpoints of the last try; empty when there was none.
    pub(super) fn policy_of_try(&self, found: Option<&Found<'_>>) -> &'static str {
        match found.map(|found| &found.rule.action) {
            Some(Action::Forward(forward)) if self.last_try().is_some() => forward.spec.algorithm.name(),
            Some(Action::Forward(_) | Action::Redirect(_) | Action::Answer(_)) | None => "",
        }
    }

    fn last_try(&self) -> Option<(&DestinationRecorder, PickCause)> {
        let past = || {
            let past = self.record.past_tries.as_ref()?.0.last()?;
            Some((&*past.recorder, past.cause))
        };
        let last = self.record.tried.as_ref();
        last.map(|tried| (&*tried.recorder, tried.cause)).or_else(past)
    }

    /// How long the last try took that ended with the exchange.
    pub(super) fn last_try_us(&self, now_us: u64) -> Option<u64> {
        let tried = self.record.tried.as_ref()?;
        Some(now_us.saturating_sub(tried.started_us))
    }

    /// Calls `each` with every try in order: endpoint, what decided it, what came of it, and how long it took.
    pub(super) fn each_try(&self, now_us: u64, mut each: impl FnMut(&str, &str, &str, u64)) {
        let record = &self.record;
        let mut tell = |endpoint: &Option<Rc<EndpointPool>>, cause: PickCause, result: &str, duration_us| {
            let endpoint = endpoint.as_ref().map_or("", |pool| &pool.endpoint.text);
            each(endpoint, cause.word(), result, duration_us);
        };
        let mut digits = [0; 3];
        for past in record.past_tries.iter().flat_map(|past| &past.0) {
            let result = match &past.result {
                TryResult::Status(status) => status_text(*status, &mut digits),
                TryResult::Failed(reason) => reason.word(),
            };
            tell(&past.endpoint, past.cause, result, past.duration_us);
        }
        if let Some(tried) = &record.tried {
            let failed = record
                .reason
                .as_ref()
                .filter(|reason| reason.word() != OVERRIDDEN);
            let result = match failed {
                Some(reason) => reason.word(),
                None => status_text(tried.status, &mut digits),
            };
            let duration_us = now_us.saturating_sub(tried.started_us);
            tell(&record.endpoint, tried.cause, result, duration_us);
        }
    }

    /// Appends all tries as a JSON array.
    pub(super) fn write_tries_json(&self, now_us: u64, line: &mut Vec<u8>) {
        line.push(b'[');
        let mut is_first = true;
        self.each_try(now_us, |endpoint, cause, result, duration_us| {
            line.extend_from_slice(if is_first { b"{" } else { b",{" });
            is_first = false;
            for (name, value) in [
                ("\"endpoint\":\"", endpoint),
                ("\",\"pick_reason\":\"", cause),
                ("\",\"result\":\"", result),
            ] {
                line.extend_from_slice(name.as_bytes());
                write_json_bytes(line, value.as_bytes());
            }
            // Writing into a Vec cannot fail.
            let _ = write!(
                line,
                "\",\"duration_ms\":{}.{:03}}}",
                duration_us / 1000,
                duration_us % 1000
            );
        });
        line.push(b']');
    }

    /// All tries as text: `10.0.0.1:80=connect_failed,10.0.0.2:80=200`.
    pub(super) fn tries_text(&self, now_us: u64) -> String {
        let mut text = String::new();
        self.each_try(now_us, |endpoint, _, result, _| {
            text.push_str(if text.is_empty() { "" } else { "," });
            text.push_str(endpoint);
            text.push('=');
            text.push_str(result);
        });
        text
    }
}

/// The word of a reason that is one of weir's own, which are few; those of the configuration are no labels.
fn own_word(reason: &Reason) -> &'static str {
    match reason {
        Reason::Own(OVERRIDDEN) | Reason::Configured(_) | Reason::NotAllowed(_) => "",
        Reason::Own(word) => word,
    }
}

/// A method as a label: clients make up others.
fn method_word(method: Method) -> &'static str {
    match method {
        Method::Other(_) => "_OTHER",
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Delete => "DELETE",
        Method::Connect => "CONNECT",
        Method::Options => "OPTIONS",
        Method::Trace => "TRACE",
        Method::Patch => "PATCH",
    }
}

fn version_word(is_http10: bool) -> &'static str {
    if is_http10 { "1.0" } else { "1.1" }
}

/// A status of three digits.
fn status_text(status: u16, digits: &mut [u8; 3]) -> &str {
    *digits = [status / 100, status / 10 % 10, status % 10].map(|digit| b'0' + (digit % 10) as u8);
    str::from_utf8(digits).unwrap_or_default()
}
