//! Between stops 8 and 9: what the end of a try tells of its endpoint.

use std::time::Duration;

use weir_balance::Answer;
use weir_wire::Known;

use super::failure::ClientFate;
use super::forward::Answered;
use super::pick::Chosen;
use super::{Exchange, Failure};

/// Tells the balancer how a try ended, if it learns from that.
#[inline]
pub(super) fn tell(exchange: &Exchange<'_>, chosen: &mut Chosen<'_>, tried: &Result<Answered, Failure>) {
    if let Some(since_us) = chosen.watched_since_us.take() {
        tell_balancer(exchange, chosen, since_us, tried);
    }
}

fn tell_balancer(
    exchange: &Exchange<'_>,
    chosen: &mut Chosen<'_>,
    since_us: u64,
    tried: &Result<Answered, Failure>,
) {
    let answer = match tried {
        Ok(answered) => {
            let (head, bytes) = (&answered.response.head, answered.response.input.pinned());
            answer_of(head.status, head.fields.value(Known::RetryAfter, bytes))
        }
        Err(failure) if failure.client == ClientFate::Gone => Answer::Abandoned,
        Err(failure) if failure.end.is_of_endpoint() => Answer::Failure,
        // Nothing that the endpoint did: it is not told of at all.
        Err(_) => return,
    };
    let now_us = exchange.worker.clock.refresh_us();
    let latency = Duration::from_micros(now_us.saturating_sub(since_us));
    chosen
        .lease
        .answered(exchange.worker.clock.read_ms(), latency, answer);
}

/// What a response says of its endpoint. `retry_after` is the field's value (RFC 9110 10.2.3); only its form in
/// seconds is read.
fn answer_of(status: u16, retry_after: Option<&[u8]>) -> Answer {
    let seconds = || str::from_utf8(retry_after?).ok()?.trim().parse::<u32>().ok();
    match (status, seconds()) {
        (429 | 500 | 502..=504, Some(seconds)) => Answer::Pushback {
            retry_after_ms: seconds.saturating_mul(1_000),
        },
        (500 | 502..=504, None) => Answer::Failure,
        _ => Answer::Success,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bx01_what_a_status_says_of_its_endpoint() {
        let pushback = |retry_after_ms| Answer::Pushback { retry_after_ms };
        for (status, retry_after, expected) in [
            (200, None, Answer::Success),
            (404, None, Answer::Success),
            (501, None, Answer::Success),
            (500, None, Answer::Failure),
            (502, None, Answer::Failure),
            (504, Some("soon"), Answer::Failure),
            (503, Some("Sat, 21 Nov 2026 16:00:00 GMT"), Answer::Failure),
            (503, Some("2"), pushback(2_000)),
            (429, Some("1"), pushback(1_000)),
            (429, None, Answer::Success),
            (200, Some("1"), Answer::Success),
            (503, Some("99999999999"), Answer::Failure),
        ] {
            let found = answer_of(status, retry_after.map(str::as_bytes));
            assert_eq!(found, expected, "{status} {retry_after:?}");
        }
    }
}
