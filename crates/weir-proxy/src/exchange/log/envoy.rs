//! Records of the access log with the fields of Envoy Gateway's default one, in its order, for what reads those (row
//! OP08). What weir does not know is `null`, as there.

use std::io::Write as _;

use weir_wire::Known;

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
    text(line, "method", head.method.name(bytes).as_bytes());
    text(line, "x-envoy-origin-path", head.target.of(bytes));
    text(line, "protocol", parts::protocol(exchange));
    number(line, "response_code", record.status.into());
    text(line, "response_flags", flags::text(exchange).as_bytes());
    text(line, "response_code_details", parts::reason(exchange));
    text(line, "connection_termination_details", b"");
    text(line, "upstream_transport_failure_reason", b"");
    number(line, "bytes_received", record.bytes_received);
    number(line, "bytes_sent", record.bytes_sent);
    number(line, "duration", duration_us / 1000);
    match exchange.last_try_us(record.started_us + duration_us) {
        Some(try_us) => {
            let milliseconds = (try_us / 1000).to_string();
            text(line, "x-envoy-upstream-service-time", milliseconds.as_bytes());
        }
        None => text(line, "x-envoy-upstream-service-time", b""),
    }
    text(line, "x-forwarded-for", field(Known::XForwardedFor));
    text(line, "user-agent", field(Known::UserAgent));
    identity::tell_request_id(exchange, |id| text(line, "x-request-id", id));
    text(line, ":authority", exchange.authority());
    text(line, "upstream_host", parts::endpoint(exchange));
    text(line, "upstream_cluster", exchange.backend_of_try().as_bytes());
    text(line, "upstream_local_address", b"");
    let local = exchange.client.stream.local_address();
    let local = local
        .unwrap_or(exchange.client.open.listener().address)
        .to_string();
    text(line, "downstream_local_address", local.as_bytes());
    let peer = exchange.client.peer.to_string();
    text(line, "downstream_remote_address", peer.as_bytes());
    text(line, "requested_server_name", b"");
    text(line, "route_name", parts::rule(found));
    line.extend_from_slice(b"}\n");
}

fn text(line: &mut Vec<u8>, name: &str, value: &[u8]) {
    if value.is_empty() {
        // Writing into a Vec cannot fail.
        let _ = write!(line, ",\"{name}\":null");
    } else {
        write_json(line, name, value);
    }
}

fn number(line: &mut Vec<u8>, name: &str, value: u64) {
    let _ = write!(line, ",\"{name}\":{value}");
}
