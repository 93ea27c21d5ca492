//! Records of the access log as JSON. The names are those of Envoy Gateway's default one where it has them, so that what reads it
//! goes on working (row OP08).

use std::io::Write as _;

use weir_wire::{Known, forwarded};

use super::super::route::Found;
use super::super::{Exchange, identity};
use super::{flags, parts};
use crate::access_log::write_json;

/// Writes one line.
pub(in super::super) fn write_record(
    exchange: &Exchange<'_>,
    found: Option<&Found<'_>>,
    duration_us: u64,
    line: &mut Vec<u8>,
) {
    let record = &exchange.record;
    let (head, bytes) = (&exchange.scratch.head, exchange.head());
    let field = |name| head.fields.value(name, bytes).unwrap_or_default();
    parts::open_json(duration_us, line);
    write_json(line, "method", head.method.name(bytes).as_bytes());
    write_json(line, "path", head.target.of(bytes));
    write_json(line, "protocol", parts::protocol(exchange));
    // Writing into a Vec cannot fail.
    let _ = write!(line, ",\"status\":{}", record.status);
    write_json(line, "reason", parts::reason(exchange));
    write_json(line, "flags", flags::text(exchange).as_bytes());
    let _ = write!(
        line,
        ",\"retries\":{},\"bytes_received\":{},\"bytes_sent\":{},\"duration_ms\":{}.{:03}",
        record.retries,
        record.bytes_received,
        record.bytes_sent,
        duration_us / 1000,
        duration_us % 1000
    );
    write_json(line, "x_forwarded_for", field(Known::XForwardedFor));
    write_json(line, "user_agent", field(Known::UserAgent));
    identity::tell_request_id(exchange, |id| write_json(line, "request_id", id));
    write_json(line, "authority", exchange.authority());
    write_way(exchange, found, line);
    line.extend_from_slice(b",\"attempts\":");
    exchange.write_tries_json(record.started_us + duration_us, line);
    line.extend_from_slice(b"}\n");
}

/// Writes where the request went and whose rule sent it there.
fn write_way(exchange: &Exchange<'_>, found: Option<&Found<'_>>, line: &mut Vec<u8>) {
    write_json(line, "endpoint", parts::endpoint(exchange));
    write_json(line, "backend", exchange.backend_of_try().as_bytes());
    write_json(line, "policy", exchange.policy_of_try(found).as_bytes());
    write_json(line, "pick_reason", exchange.pick_word().as_bytes());
    let _ = write!(line, ",\"peer\":\"{}\",\"client_ip\":\"", exchange.client.peer);
    forwarded::address_text(line, exchange.request.client_ip);
    line.push(b'"');
    write_json(line, "listener", parts::section(found));
    write_json(line, "route", parts::rule(found));
}
