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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use weir_model::RetryCondition;

    use super::*;
    use crate::yaml::Parser;

    /// What `retry` means, and the codes of what is said of it.
    fn read(text: &str) -> (Option<Retry>, Vec<&'static str>) {
        let tree = Parser::new().parse(text).root.expect(text);
        let mut decoder = Decoder::default();
        let found = decode(&mut decoder, Field::new("retry", &tree));
        let findings = decoder.into_findings();
        (found, findings.iter().map(|finding| finding.code).collect())
    }

    #[test]
    fn lb28_a_route_retries_listed_codes_and_failures_to_get_an_answer() {
        let (found, said) = read("{codes: [500, 502], attempts: 3, backoff: 100ms}");
        let found = found.expect("a retry");
        assert!(said.is_empty(), "{said:?}");
        assert_eq!(found.attempts, 3);
        assert_eq!(found.statuses.ranges(), [500..=500, 502..=502]);
        for condition in [
            RetryCondition::Status,
            RetryCondition::ConnectFailure,
            RetryCondition::Reset,
            RetryCondition::TryTimeout,
        ] {
            assert!(found.conditions.holds(condition), "{condition:?}");
        }
        assert!(!found.conditions.holds(RetryCondition::ServerError));
        let backoff = (found.backoff.base, found.backoff.max, found.backoff.is_minimum);
        assert_eq!(
            backoff,
            (Duration::from_millis(100), Duration::from_secs(1), true)
        );
        let plain = read("{}").0.expect("a retry");
        assert!(plain.statuses.is_empty() && !plain.backoff.is_minimum);
        assert_eq!((plain.attempts, plain.backoff), (2, Backoff::default()));
        assert_eq!(read("{attempts: 0}").0.map(|retry| retry.attempts), Some(0));
    }

    #[test]
    fn lb28_numbers_of_a_route_are_bounded() {
        for (text, said) in [
            ("{codes: [399]}", &["E0103"][..]),
            ("{codes: [400]}", &[]),
            ("{codes: [599]}", &[]),
            ("{codes: [600]}", &["E0103"]),
            ("{codes: [a]}", &["E0101"]),
            ("{attempts: -1}", &["E0103"]),
            ("{attempts: 31}", &[]),
            ("{attempts: 32}", &[]),
            ("{attempts: 33}", &["W0317"]),
            ("{backoff: 1}", &["E0103"]),
            ("{code: [500]}", &["W0101"]),
            ("[]", &["E0101"]),
        ] {
            let (found, codes) = read(text);
            assert_eq!(codes, said, "{text}");
            assert_eq!(
                found.is_none(),
                codes.iter().any(|code| code.starts_with('E')),
                "{text}"
            );
        }
        assert_eq!(read("{attempts: 33}").0.map(|retry| retry.attempts), Some(32));
    }
}
