//! `retry` of an `HTTPRoute` rule (GEP-1731).

use weir_model::{Backoff, Retry, RetryConditions, StatusSet, limits};

use super::decode::{Decoder, Field};
use crate::yaml::Finding;

/// Reads `retry`; `None` when it cannot be used.
pub(super) fn decode(decoder: &mut Decoder, field: Field<'_>) -> Option<Retry> {
    let fields = decoder.fields(field, &["codes", "attempts", "backoff"])?;
    let mark = decoder.mark();
    let mut codes = Vec::new();
    if let Some(list) = fields.optional("codes") {
        for item in decoder.items(list, usize::MAX) {
            let code = decoder.integer(item, 400..=599)?;
            let code = u16::try_from(code.value).ok()?;
            codes.push(code..=code);
        }
    }
    let attempts = match fields.optional("attempts") {
        Some(field) => attempts(decoder, field)?,
        None => limits::RETRIES,
    };
    let mut backoff = Backoff::default();
    if let Some(field) = fields.optional("backoff") {
        backoff.base = decoder.duration(field)?.value;
        backoff.max = backoff.base * limits::RETRY_BACKOFF_FACTOR;
        // What is written is the least that is waited (GEP-1731).
        backoff.is_minimum = true;
    }
    (!decoder.failed_since(mark)).then(|| Retry {
        attempts,
        conditions: RetryConditions::ROUTE,
        statuses: StatusSet::of(codes).unwrap_or_default(),
        backoff,
        ..Retry::default()
    })
}

/// Tries after the first. More than weir makes are read as the most that it makes.
pub(crate) fn attempts(decoder: &mut Decoder, field: Field<'_>) -> Option<u32> {
    let number = decoder.integer(field, 0..=i64::from(i32::MAX))?;
    let number = u32::try_from(number.value).ok()?;
    let most = limits::RETRIES_MAX;
    if number > most {
        let message = format!("\"{}\" is {number}; weir makes at most {most}", field.name);
        let finding = Finding::new("W0317", field.span(), message);
        let finding = finding.label(format!("read as {most}"));
        decoder.report(finding.effect(format!("a request is tried at most {} times", most + 1)));
    }
    Some(number.min(most))
}
