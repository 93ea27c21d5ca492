//! `retry`: what is tried again, how often, and after how long.

use std::num::NonZeroU32;
use std::time::Duration;

use weir_model::{Backoff, Retry, RetryCondition, RetryConditions, limits};

use super::values::{count, overwrite, read, statuses, time_bound};
use crate::resource::decode::{Decoder, Field};
use crate::resource::{Finding, attempts};

/// How triggers are written.
const TRIGGERS: [(&str, RetryCondition); 13] = [
    ("5xx", RetryCondition::ServerError),
    ("gateway-error", RetryCondition::GatewayError),
    ("reset", RetryCondition::Reset),
    ("reset-before-request", RetryCondition::ResetBeforeRequest),
    ("connect-failure", RetryCondition::ConnectFailure),
    ("retriable-4xx", RetryCondition::Retriable4xx),
    ("refused-stream", RetryCondition::RefusedStream),
    ("retriable-status-codes", RetryCondition::Status),
    ("cancelled", RetryCondition::GrpcCancelled),
    ("deadline-exceeded", RetryCondition::GrpcDeadlineExceeded),
    ("internal", RetryCondition::GrpcInternal),
    ("resource-exhausted", RetryCondition::GrpcResourceExhausted),
    ("unavailable", RetryCondition::GrpcUnavailable),
];

/// Decodes the block; `None` when it cannot be used.
pub(super) fn retry(decoder: &mut Decoder, block: Field<'_>) -> Option<Retry> {
    let known = ["numRetries", "numAttemptsPerPriority", "retryOn", "perRetry"];
    let fields = decoder.fields(block, &known)?;
    let mut retry = Retry::default();
    overwrite(&mut retry.attempts, read(decoder, fields, "numRetries", attempts));
    let per_tier = read(decoder, fields, "numAttemptsPerPriority", count);
    retry.attempts_per_tier = per_tier.and_then(NonZeroU32::new);
    if let Some(on) = fields.optional("retryOn") {
        let fields = decoder.fields(on, &["triggers", "httpStatusCodes"])?;
        let conditions = read(decoder, fields, "triggers", conditions);
        overwrite(&mut retry.conditions, conditions.flatten());
        let codes = read(decoder, fields, "httpStatusCodes", statuses);
        overwrite(&mut retry.statuses, codes.filter(|set| !set.is_empty()));
    }
    if let Some(each) = fields.optional("perRetry") {
        let fields = decoder.fields(each, &["timeout", "backOff"])?;
        let timeout = read(decoder, fields, "timeout", time_bound).flatten();
        retry.try_timeout = timeout.map(weir_model::Period::clamped);
        overwrite(&mut retry.backoff, read(decoder, fields, "backOff", backoff));
    }
    Some(retry)
}

/// An empty list is as good as none.
fn conditions(decoder: &mut Decoder, field: Field<'_>) -> Option<Option<RetryConditions>> {
    let mut conditions = None;
    for item in decoder.items(field, TRIGGERS.len()) {
        let condition = decoder.choice(item, &TRIGGERS)?.value;
        conditions = Some(conditions.unwrap_or(RetryConditions::default()).with(condition));
    }
    Some(conditions)
}

fn backoff(decoder: &mut Decoder, block: Field<'_>) -> Option<Backoff> {
    let fields = decoder.fields(block, &["baseInterval", "maxInterval"])?;
    let base = read(decoder, fields, "baseInterval", some_time);
    let max = read(decoder, fields, "maxInterval", some_time);
    if let (Some(base), Some(max)) = (base, max)
        && max < base
    {
        let finding = Finding::new(
            "E0303",
            fields.key_span("maxInterval"),
            "maxInterval cannot be less than baseInterval",
        );
        decoder.report(finding.label("less than baseInterval"));
        return None;
    }
    let standard = Backoff::default();
    let base = base.unwrap_or(max.map_or(standard.base, |max| max.min(standard.base)));
    Some(Backoff {
        base,
        max: max.unwrap_or(base * limits::RETRY_BACKOFF_FACTOR),
        is_minimum: false,
    })
}

/// More than no time at all.
fn some_time(decoder: &mut Decoder, field: Field<'_>) -> Option<Duration> {
    let span = decoder.duration(field)?;
    if span.value.is_zero() {
        let message = format!("{} cannot be set to 0s", field.name);
        decoder.report(Finding::new("E0303", span.span, message).label("no time at all"));
        return None;
    }
    Some(span.value)
}
