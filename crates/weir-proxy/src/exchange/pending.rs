//! Before stop 7, for a request that comes before the first probes have ended (row HC02).

use std::task::Poll;

use super::Exchange;
use super::route::Way;
use crate::compile::{CompiledBalancer, Goal, Snapshot};

/// Time between two looks, milliseconds.
const LOOK_MS: u64 = 10;

/// Whether no endpoint can be used yet and some have not been probed. Costs a look at a pointer where nothing is checked.
#[inline]
pub(super) fn is_to_wait(exchange: &Exchange<'_>, snapshot: &Snapshot, way: &Way<'_>) -> bool {
    match &way.destination.goal {
        Goal::Balancer { upstream, .. } if upstream.spec.health.active.is_some() => {
            let availability =
                balancer(snapshot, way).map(|one| one.balancer.availability(exchange.worker.clock.read_ms()));
            availability.is_some_and(|availability| availability.usable == 0 && availability.pending > 0)
        }
        Goal::Balancer { .. } | Goal::Answer(_) => false,
    }
}

/// Waits until a probe has found an endpoint good, or all of them bad; gives up after one probe's timeout.
pub(super) async fn wait(exchange: &Exchange<'_>, snapshot: &Snapshot, way: &Way<'_>) {
    let check = balancer(snapshot, way).and_then(|one| one.upstream.spec.health.active.as_ref());
    let patience_ms = check.map_or(0, |check| check.timeout.milliseconds());
    let begun_ms = exchange.worker.clock.refresh_ms();
    let deadline_ms = begun_ms.saturating_add(patience_ms).min(exchange.deadline_ms);
    while exchange.worker.clock.read_ms() < deadline_ms && is_to_wait(exchange, snapshot, way) {
        let look_ms = (exchange.worker.clock.read_ms() + LOOK_MS).min(deadline_ms);
        // It only ever expires.
        let _ = exchange.alarm().until(look_ms, |_| Poll::<()>::Pending).await;
    }
}

fn balancer<'v>(snapshot: &'v Snapshot, way: &Way<'_>) -> Option<&'v CompiledBalancer> {
    snapshot.balancer(way.slot).map(|balancer| &**balancer)
}
