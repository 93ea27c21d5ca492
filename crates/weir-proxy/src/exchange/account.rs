//! Stop 10: one record of the finished exchange, to the counters and to the access log.

use super::Exchange;
use super::route::Found;

/// Counts and logs.
pub(super) fn account(exchange: &Exchange<'_>, found: Option<&Found<'_>>) {
    let worker = exchange.worker;
    let record = &exchange.record;
    let duration_us = worker.clock.refresh_us().saturating_sub(record.started_us);
    if let Some(found) = found {
        let recorder = worker.recorder.rule(&found.rule.live);
        recorder.finished(record.status, duration_us);
        if let Some(pool) = &record.endpoint {
            recorder.served_by(&pool.endpoint);
        }
    }
}
