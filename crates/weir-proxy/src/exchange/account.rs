//! Stop 10: one record of the finished exchange, to the counters and to the access log.

use std::io::Write;

use weir_net::wall;
use weir_wire::{Known, Version, forwarded};

use super::route::Found;
use super::{Exchange, flags, identity, log_envoy, log_text};
use crate::LogFormat;
use crate::access_log::write_json;

/// Counts and logs.
pub(super) fn account(exchange: &Exchange<'_>, found: Option<&Found<'_>>) {
    let worker = exchange.worker;
    let record = &exchange.record;
    let now_us = worker.clock.refresh_us();
    let duration_us = now_us.saturating_sub(record.started_us);
    exchange.finish_try(now_us);
    if let Some(found) = found {
        let recorder = worker.recorder.rule(&found.rule.live);
        recorder.finished(exchange.kind(), duration_us);
        if record.retries > 0 {
            recorder.retried(record.retries, exchange.is_good());
        }
        if let Some(pool) = record.endpoint.as_ref().filter(|_| record.is_relayed) {
            recorder.served_by(&pool.endpoint, record.status);
        }
    }
    if let Some(log) = &worker.log {
        let style = &worker.shared.options.log_style;
        if style.is_everything() || log_text::is_wanted(style, exchange) {
            log.append(|line| match &style.format {
                LogFormat::Json => write_record(exchange, found, duration_us, line),
                LogFormat::Envoy => log_envoy::write_record(exchange, found, duration_us, line),
                LogFormat::Text(template) => {
                    log_text::write_record(template, exchange, found, duration_us, line);
                }
            });
        }
    }
}

/// Writes one line. The names are those of Envoy Gateway's default access log, so that what reads it goes on working.
fn write_record(exchange: &Exchange<'_>, found: Option<&Found<'_>>, duration_us: u64, line: &mut Vec<u8>) {
    let record = &exchange.record;
    let (head, bytes) = (&exchange.scratch.head, exchange.head());
    let field = |name| head.fields.value(name, bytes).unwrap_or_default();
    line.extend_from_slice(b"{\"start_time\":\"");
    wall::write_rfc3339(wall::unix_ms().saturating_sub(duration_us / 1000), line);
    line.push(b'"');
    write_json(line, "method", head.method.name(bytes).as_bytes());
    write_json(line, "path", head.target.of(bytes));
    let protocol = if head.version == Version::Http10 {
        "HTTP/1.0"
    } else {
        "HTTP/1.1"
    };
    write_json(line, "protocol", protocol.as_bytes());
    // Writing into a Vec cannot fail.
    let _ = write!(line, ",\"status\":{}", record.status);
    let reason = record
        .reason
        .as_ref()
        .map_or("via_upstream", |reason| reason.word());
    write_json(line, "reason", reason.as_bytes());
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
    let record = &exchange.record;
    let pool = record.endpoint.as_ref();
    write_json(
        line,
        "endpoint",
        pool.map_or(&[][..], |pool| pool.endpoint.text.as_bytes()),
    );
    write_json(line, "backend", exchange.backend_of_try().as_bytes());
    write_json(line, "policy", exchange.policy_of_try(found).as_bytes());
    write_json(line, "pick_reason", exchange.pick_word().as_bytes());
    let _ = write!(line, ",\"peer\":\"{}\",\"client_ip\":\"", exchange.client.peer);
    forwarded::address_text(line, exchange.request.client_ip);
    line.push(b'"');
    write_json(
        line,
        "listener",
        found.map_or(&[][..], |found| found.section.name.as_bytes()),
    );
    write_json(
        line,
        "route",
        found.map_or(&[][..], |found| found.rule.live.key.as_bytes()),
    );
}
