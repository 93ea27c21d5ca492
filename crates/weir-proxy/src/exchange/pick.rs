//! Stop 7: which endpoint, and a lease on its load.

use weir_balance::{Lease, OverrideHosts, Pick, Picked};

use super::failure::Retry;
use super::route::Way;
use super::{Exchange, Failure};
use crate::compile::{CompiledBalancer, Goal, Snapshot};
use crate::upstream::Held;

/// Tries at most, the first included (reliability: 3 attempts).
const TRIES: usize = 3;

/// What was tried already.
#[derive(Debug, Default)]
pub(super) struct Tries {
    tried: [u32; TRIES],
    count: usize,
    last: Option<Failure>,
}

impl Tries {
    /// Remembers why a try failed; gives the failure back when no other try may follow.
    pub(super) fn note(&mut self, failure: Failure) -> Result<(), Failure> {
        if failure.retry != Retry::OtherEndpoint || self.count == TRIES {
            return Err(failure);
        }
        self.last = Some(failure);
        Ok(())
    }
}

/// A picked endpoint. While it lives, the request counts as in flight there.
#[derive(Debug)]
pub(super) struct Chosen<'v> {
    pub(super) balancer: &'v CompiledBalancer,
    pub(super) picked: Picked,
    pub(super) lease: Lease<Held>,
    pub(super) held: Held,
}

/// Picks an endpoint that was not tried yet.
pub(super) fn pick<'v>(
    exchange: &mut Exchange<'_>,
    snapshot: &'v Snapshot,
    way: &Way<'_>,
    tries: &mut Tries,
) -> Result<Chosen<'v>, Failure> {
    let Goal::Balancer { slot, cursor } = &way.destination.goal else {
        return Err(Failure::answered(500, "no_destination"));
    };
    let Some(balancer) = snapshot.balancer(*slot) else {
        debug_assert!(false, "a snapshot has every balancer that its rules name");
        return Err(Failure::answered(500, "balancer_unknown"));
    };
    let worker = exchange.worker;
    let hosts = way
        .forward
        .spec
        .endpoint_override
        .as_ref()
        .and_then(|spec| OverrideHosts::find(spec, &*exchange));
    let picked = balancer.balancer.pick(&mut Pick {
        key: way.key.as_ref().map(|key| key.hash),
        key_source: way.key.as_ref().map_or(0, |key| key.source),
        cursor,
        rng: &mut worker.rng.borrow_mut(),
        now_ms: worker.clock.read_ms(),
        override_hosts: hosts.as_ref(),
        tried: &tries.tried[..tries.count],
    });
    // When no other endpoint is left, what the tried one did is what the client is told.
    let picked = picked.map_err(|no_pick| tries.last.take().unwrap_or_else(|| no_pick.into()))?;
    if let Some(place) = tries.tried.get_mut(tries.count) {
        *place = picked.index;
        tries.count += 1;
    }
    let Some(endpoint) = balancer.endpoints.get(picked.index as usize) else {
        debug_assert!(false, "endpoints are in the order of members");
        return Err(Failure::answered(500, "endpoint_unknown"));
    };
    let held = Held(worker.pools.of(endpoint));
    exchange.record.endpoint = Some(std::rc::Rc::clone(&held.0));
    Ok(Chosen {
        balancer,
        picked,
        lease: Lease::new(held.clone()),
        held,
    })
}
