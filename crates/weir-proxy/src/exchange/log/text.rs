//! Records of the access log as lines of text, and which records are written at all (row OP08).

use std::io::Write as _;

use weir_net::wall;
use weir_wire::{Known, forwarded};

use super::super::route::Found;
use super::super::{Exchange, identity};
use super::{flags, parts};
use crate::log_style::{LogPart, LogStyle, LogTemplate, LogValue, write_text};

/// Whether a style that does not write everything writes this record.
#[cold]
pub(in super::super) fn is_wanted(style: &LogStyle, exchange: &Exchange<'_>) -> bool {
    let record = &exchange.record;
    let went_wrong = record.status == 0 || record.status >= 500 || record.reason.is_some();
    if went_wrong || style.errors_only {
        return went_wrong;
    }
    style
        .sample
        .is_none_or(|part| exchange.worker.rng.borrow_mut().unit() < part)
}

/// Writes one line.
pub(in super::super) fn write_record(
    template: &LogTemplate,
    exchange: &Exchange<'_>,
    found: Option<&Found<'_>>,
    duration_us: u64,
    line: &mut Vec<u8>,
) {
    for part in &template.parts {
        match part {
            LogPart::Text(text) => line.extend_from_slice(text.as_bytes()),
            LogPart::Header(name) => {
                let fields = &exchange.scratch.head.fields;
                let mut values = fields.values_named(name, exchange.head());
                write_text(line, values.next().unwrap_or_default());
            }
            LogPart::Value(value) => write_value(*value, exchange, found, duration_us, line),
        }
    }
    line.push(b'\n');
}

fn write_value(
    value: LogValue,
    exchange: &Exchange<'_>,
    found: Option<&Found<'_>>,
    duration_us: u64,
    line: &mut Vec<u8>,
) {
    let record = &exchange.record;
    let (head, bytes) = (&exchange.scratch.head, exchange.head());
    let field = |name| head.fields.value(name, bytes).unwrap_or_default();
    let number = |line: &mut Vec<u8>, number: u64| {
        // Writing into a Vec cannot fail.
        let _ = write!(line, "{number}");
    };
    match value {
        LogValue::StartTime => wall::write_rfc3339(parts::started_ms(duration_us), line),
        LogValue::ClfTime => write_clf_time(parts::started_ms(duration_us), line),
        LogValue::Method => write_text(line, head.method.name(bytes).as_bytes()),
        LogValue::Path => write_text(line, head.target.of(bytes)),
        LogValue::Protocol => line.extend_from_slice(parts::protocol(exchange)),
        LogValue::Status => number(line, record.status.into()),
        LogValue::Reason => write_text(line, parts::reason(exchange)),
        LogValue::Flags => write_text(line, flags::text(exchange).as_bytes()),
        LogValue::PickReason => write_text(line, exchange.pick_word().as_bytes()),
        LogValue::Attempts => {
            let text = exchange.tries_text(record.started_us + duration_us);
            write_text(line, text.as_bytes());
        }
        LogValue::Retries => number(line, record.retries.into()),
        LogValue::BytesReceived => number(line, record.bytes_received),
        LogValue::BytesSent => number(line, record.bytes_sent),
        LogValue::DurationMs => {
            let _ = write!(line, "{}.{:03}", duration_us / 1000, duration_us % 1000);
        }
        LogValue::XForwardedFor => write_text(line, field(Known::XForwardedFor)),
        LogValue::UserAgent => write_text(line, field(Known::UserAgent)),
        LogValue::RequestId => identity::tell_request_id(exchange, |id| write_text(line, id)),
        LogValue::Authority => write_text(line, exchange.authority()),
        LogValue::Endpoint => write_text(line, parts::endpoint(exchange)),
        LogValue::Backend => write_text(line, exchange.backend_of_try().as_bytes()),
        LogValue::Policy => write_text(line, exchange.policy_of_try(found).as_bytes()),
        LogValue::Peer => {
            let _ = write!(line, "{}", exchange.client.peer);
        }
        LogValue::ClientIp => forwarded::address_text(line, exchange.request.client_ip),
        LogValue::Listener => write_text(line, parts::section(found)),
        LogValue::Route => write_text(line, parts::rule(found)),
    }
}

/// `21/Nov/2026:17:20:00 +0000`, out of `Sat, 21 Nov 2026 17:20:00 GMT`.
fn write_clf_time(unix_ms: u64, line: &mut Vec<u8>) {
    let mut date = Vec::with_capacity(32);
    wall::write_http_date(unix_ms, &mut date);
    for (range, after) in [(5..7, b'/'), (8..11, b'/'), (12..16, b':'), (17..25, b' ')] {
        line.extend_from_slice(date.get(range).unwrap_or_default());
        line.push(after);
    }
    line.extend_from_slice(b"+0000");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn op08_the_time_as_web_servers_write_it() {
        let mut line = Vec::new();
        write_clf_time(1_795_281_600_000, &mut line);
        assert_eq!(String::from_utf8_lossy(&line), "21/Nov/2026:17:20:00 +0000");
    }
}
