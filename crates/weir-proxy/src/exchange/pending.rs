//! Stop 7 again, for a request that came before the first probes have ended (row HC02).

use std::task::Poll;

use super::failure::{NOT_PROBED, Reason};
use super::pick::{self, Chosen, Tries};
use super::route::Way;
use super::{Exchange, Failure};
use crate::compile::{Goal, Snapshot};

/// Time between two looks, milliseconds.
const LOOK_MS: u64 = 10;

/// Whether `failure` is that no endpoint is known yet.
#[inline]
pub(super) fn is_reason(failure: &Failure) -> bool {
    matches!(failure.reason, Reason::Own(NOT_PROBED))
}

/// Picks as soon as a probe has found an endpoint good, or all of them bad; gives up after one probe's timeout.
pub(super) async fn pick<'v>(
    exchange: &mut Exchange<'_>,
    snapshot: &'v Snapshot,
    way: &Way<'v>,
    tries: &mut Tries<'_>,
) -> Result<Chosen<'v>, Failure> {
    let balancer = match &way.destination.goal {
        Goal::Balancer { slot, .. } => snapshot.balancer(*slot),
        Goal::Answer(_) => None,
    };
    let check = balancer.and_then(|balancer| balancer.upstream.spec.health.active.as_ref());
    let patience_ms = check.map_or(0, |check| check.timeout.milliseconds());
    let begun_ms = exchange.worker.clock.refresh_ms();
    let deadline_ms = begun_ms.saturating_add(patience_ms).min(exchange.deadline_ms);
    loop {
        let look_ms = (exchange.worker.clock.read_ms() + LOOK_MS).min(deadline_ms);
        // It only ever expires.
        let _ = exchange.alarm().until(look_ms, |_| Poll::<()>::Pending).await;
        match pick::pick(exchange, snapshot, way, tries) {
            Err(failure) if is_reason(&failure) && exchange.worker.clock.read_ms() < deadline_ms => {}
            picked => return picked,
        }
    }
}
