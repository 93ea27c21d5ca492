//! What records say alike, whatever their format.

use weir_net::wall;
use weir_wire::Version;

use super::super::Exchange;
use super::super::route::Found;

/// When the exchange began, milliseconds since 1970.
pub(super) fn started_ms(duration_us: u64) -> u64 {
    wall::unix_ms().saturating_sub(duration_us / 1000)
}

/// Opens a JSON object with the time when the exchange began.
pub(super) fn open_json(duration_us: u64, line: &mut Vec<u8>) {
    line.extend_from_slice(b"{\"start_time\":\"");
    wall::write_rfc3339(started_ms(duration_us), line);
    line.push(b'"');
}

/// The client's protocol.
pub(super) fn protocol(exchange: &Exchange<'_>) -> &'static [u8] {
    match exchange.scratch.head.version {
        Version::Http10 => b"HTTP/1.0",
        Version::Http11 => b"HTTP/1.1",
    }
}

/// The word for what became of the exchange.
pub(super) fn reason<'a>(exchange: &'a Exchange<'_>) -> &'a [u8] {
    let reason = exchange.record.reason.as_ref();
    reason.map_or("via_upstream", |reason| reason.word()).as_bytes()
}

/// The endpoint of the last try; empty when there was none.
pub(super) fn endpoint<'a>(exchange: &'a Exchange<'_>) -> &'a [u8] {
    let pool = exchange.record.endpoint.as_ref();
    pool.map_or(&[][..], |pool| pool.endpoint.text.as_bytes())
}

/// Name of the section that the request came to; empty when there is none.
pub(super) fn section<'a>(found: Option<&'a Found<'_>>) -> &'a [u8] {
    found.map_or(&[][..], |found| found.section.name.as_bytes())
}

/// Key of the rule that the request got; empty when there was none.
pub(super) fn rule<'a>(found: Option<&'a Found<'_>>) -> &'a [u8] {
    found.map_or(&[][..], |found| found.rule.live.key.as_bytes())
}
