//! Stop 10: one record of the finished exchange, to the counters and to the access log.

use super::route::Found;
use super::{Exchange, log};
use crate::LogFormat;

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
    if let Some(lines) = &worker.log {
        let style = &worker.shared.options.log_style;
        if style.is_everything() || log::text::is_wanted(style, exchange) {
            lines.append(|line| match &style.format {
                LogFormat::Json => log::json::write_record(exchange, found, duration_us, line),
                LogFormat::Envoy => log::envoy::write_record(exchange, found, duration_us, line),
                LogFormat::Text(template) => {
                    log::text::write_record(template, exchange, found, duration_us, line);
                }
            });
        }
    }
}
