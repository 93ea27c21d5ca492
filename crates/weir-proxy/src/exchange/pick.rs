//! Stop 7: which endpoint, and a lease on its load.

use std::sync::atomic::AtomicU64;

use weir_balance::{
    Counted, Counters, Lease, NoPick, Overflow, OverrideHosts, Permit, Pick, PickReason, Picked, Scope,
};

use super::failure::TryEnd;
use super::route::Way;
use super::{Exchange, Failure};
use crate::compile::{CompiledBalancer, Goal, LiveUpstream, Snapshot};
use crate::upstream::{Held, Limit, OnBehalf, Places};

/// What an exchange has tried already, and its place under the limit of the backend.
#[derive(Debug)]
pub(super) struct Tries<'v> {
    /// The tries before the last one. Boxed: most exchanges have none.
    past: Option<Box<Past<'v>>>,
    /// [`Picked::index`] of the last try.
    pub(super) last: u32,
    worker: u16,
    /// Held over all tries at one backend together.
    _place: Option<Permit<&'v Counters>>,
}

/// Tries that came to nothing.
#[derive(Debug, Default)]
struct Past<'v> {
    /// [`Picked::index`] of each at the present destination, and of those that are to be passed over with them.
    tried: Vec<u32>,
    /// How many there were in the present tier.
    in_tier: u32,
    /// Destinations that were given up for others.
    passed: Vec<u32>,
    /// Why the last one did.
    failure: Option<Failure>,
    /// The place of the retry that is under way.
    _place: Option<Permit<&'v Counters>>,
}

impl<'v> Tries<'v> {
    /// None yet. Takes the request's place at the backend, on the worker of this number.
    pub(super) fn begin(worker: usize, way: &Way<'v>) -> Result<Self, Failure> {
        let worker = worker as u16;
        Ok(Self {
            past: None,
            last: 0,
            worker,
            _place: take_place(worker, way)?,
        })
    }

    /// Remembers that the last try came to nothing, and the place of the one that follows, if it needs one.
    pub(super) fn note(&mut self, failure: Failure, place: Option<Permit<&'v Counters>>) {
        let past = self.past.get_or_insert_default();
        past.tried.push(self.last);
        past.in_tier += 1;
        past.failure = Some(failure);
        past._place = place;
    }

    /// Tries in the present tier, and how the last one ended.
    pub(super) fn standing(&self) -> Option<(u32, TryEnd)> {
        let past = self.past.as_ref()?;
        Some((past.in_tier, past.failure.as_ref()?.end))
    }

    /// Destinations that were given up for others.
    pub(super) fn passed(&self) -> &[u32] {
        self.past.as_ref().map_or(&[], |past| &past.passed)
    }

    /// Whether the next try follows one that came to nothing.
    fn is_retry(&self) -> bool {
        self.past.is_some()
    }

    /// Another tier begins at the same destination: `others` are not tried any more.
    pub(super) fn pass_over(&mut self, others: impl Iterator<Item = u32>) {
        if let Some(past) = &mut self.past {
            past.tried.extend(others);
            past.in_tier = 0;
        }
    }

    /// Another tier begins at another destination, `way`, since that of `given_up` was given up. `false`: the backend
    /// there has no place for the request, nothing has changed.
    pub(super) fn move_to(&mut self, way: &Way<'v>, given_up: u32) -> bool {
        let Ok(place) = take_place(self.worker, way) else {
            return false;
        };
        self._place = place;
        if let Some(past) = &mut self.past {
            past.tried.clear();
            past.in_tier = 0;
            past.passed.push(given_up);
        }
        true
    }

    /// All tiers have had their tries: they begin anew.
    pub(super) fn begin_anew(&mut self) {
        if let Some(past) = &mut self.past {
            past.in_tier = 0;
            past.passed.clear();
        }
    }

    /// Gives back the place of the retry that is over.
    pub(super) fn end_retry(&mut self) {
        if let Some(past) = &mut self.past {
            past._place = None;
        }
    }

    /// The tries before the last one, as far as they count at the present destination.
    pub(super) fn tried(&self) -> &[u32] {
        self.past.as_ref().map_or(&[], |past| &past.tried)
    }
}

/// The request's place at the backend of `way`.
fn take_place<'v>(worker: u16, way: &Way<'v>) -> Result<Option<Permit<&'v Counters>>, Failure> {
    match &way.destination.goal {
        Goal::Balancer { upstream, .. } => {
            let limit = upstream.spec.breakers.parallel_requests;
            let counters = &*upstream.counters;
            let place = Permit::take_at(counters, Counted::ParallelRequests, worker, limit)?;
            Ok(Some(place))
        }
        Goal::Answer(_) => Ok(None),
    }
}

/// A picked endpoint. While it lives, the request counts as in flight there.
#[derive(Debug)]
pub(super) struct Chosen<'v> {
    pub(super) balancer: &'v CompiledBalancer,
    pub(super) upstream: &'v LiveUpstream,
    pub(super) picked: Picked,
    pub(super) lease: Lease<Held>,
    pub(super) held: Held,
    place: Option<Permit<&'v Counters>>,
    /// When the try began, microseconds, if the balancer learns from how it ends.
    pub(super) watched_since_us: Option<u64>,
}

impl<'v> Chosen<'v> {
    /// Takes the request's place at the endpoint, where there is a limit.
    pub(super) fn enter(&mut self) -> Result<(), Failure> {
        let limit = self.upstream.spec.breakers.endpoint_requests;
        if limit < u32::MAX
            && let Some(endpoint) = self.balancer.endpoints.get(self.picked.index as usize)
        {
            self.place = Some(Permit::take(
                &*endpoint.counters,
                Counted::ParallelRequests,
                limit,
            )?);
        }
        Ok(())
    }

    /// Takes the place of a request that has no connection yet.
    pub(super) fn take_pending(&self) -> Result<Permit<&'v Counters>, Failure> {
        let limit = self.upstream.spec.breakers.pending_requests;
        let counters = &*self.upstream.counters;
        Ok(Permit::take(counters, Counted::PendingRequests, limit)?)
    }

    /// Takes the places of a connection that is about to be opened, unless others wait for them.
    pub(super) fn take_places(&self, on_behalf: Option<OnBehalf>) -> Result<Places, Overflow> {
        let full = |scope| {
            Err(Overflow {
                scope,
                counted: Counted::Connections,
            })
        };
        if !self.upstream.queue.is_empty() {
            return full(Scope::Backend);
        }
        if !self.held.0.endpoint.queue.is_empty() {
            return full(Scope::Endpoint);
        }
        self.take_free_places(on_behalf)
    }

    /// The same without regard to others.
    pub(super) fn take_free_places(&self, on_behalf: Option<OnBehalf>) -> Result<Places, Overflow> {
        let (backend_max, endpoint_max) = self.connections_max();
        let endpoint = &self.held.0.endpoint;
        Places::take(
            Limit {
                counters: &self.upstream.counters,
                connections_max: backend_max,
                queue: &self.upstream.queue,
            },
            Limit {
                counters: &endpoint.counters,
                connections_max: endpoint_max,
                queue: &endpoint.queue,
            },
            on_behalf,
        )
    }

    /// How many connections there may be to the backend and to the endpoint.
    pub(super) fn connections_max(&self) -> (u32, u32) {
        let breakers = &self.upstream.spec.breakers;
        let own_max = self.balancer.own_connections_max(self.picked.index);
        (
            breakers.connections,
            own_max.unwrap_or(breakers.endpoint_connections),
        )
    }
}

/// Picks an endpoint that was not tried yet. When all have been, a rule that has retries tries one again.
pub(super) fn pick<'v>(
    exchange: &mut Exchange<'_>,
    snapshot: &'v Snapshot,
    way: &Way<'v>,
    tries: &mut Tries<'_>,
) -> Result<Chosen<'v>, Failure> {
    let Goal::Balancer { live, upstream, .. } = &way.destination.goal else {
        return Err(Failure::answered(500, "no_destination"));
    };
    let Some(balancer) = snapshot.balancer(way.slot) else {
        debug_assert!(false, "a snapshot has every balancer that its rules name");
        return Err(Failure::answered(500, "balancer_unknown"));
    };
    let picked = pick_index(exchange, balancer, &live.cursor, way, tries)?;
    tries.last = picked.index;
    let Some(endpoint) = balancer.endpoints.get(picked.index as usize) else {
        debug_assert!(false, "endpoints are in the order of members");
        return Err(Failure::answered(500, "endpoint_unknown"));
    };
    let worker = exchange.worker;
    let held = Held(worker.pools.of(endpoint));
    exchange.record.endpoint = Some(std::rc::Rc::clone(&held.0));
    exchange.begin_try(live, balancer, picked, tries.is_retry());
    let watched_since_us = balancer.balancer.learns().then(|| worker.clock.refresh_us());
    let lease = match watched_since_us {
        None => Lease::new(held.clone()),
        Some(_) => Lease::watched(held.clone(), worker.clock.read_ms()),
    };
    Ok(Chosen {
        balancer,
        upstream,
        picked,
        lease,
        held,
        place: None,
        watched_since_us,
    })
}

fn pick_index(
    exchange: &Exchange<'_>,
    balancer: &CompiledBalancer,
    cursor: &AtomicU64,
    way: &Way<'_>,
    tries: &mut Tries<'_>,
) -> Result<Picked, Failure> {
    let worker = exchange.worker;
    if let Some(visit) = &way.visit
        && let Some(index) = visit.pick(balancer, tries.tried(), worker.clock.read_ms())
    {
        let reason = PickReason::Session;
        return Ok(Picked { index, reason });
    }
    let hosts = way
        .forward
        .spec
        .endpoint_override
        .as_ref()
        .and_then(|spec| OverrideHosts::find(spec, exchange));
    let pick_without = |tried: &[u32]| {
        balancer.balancer.pick(&mut Pick {
            key: way.key.as_ref().map(|key| key.hash),
            key_source: way.key.as_ref().map_or(0, |key| key.source),
            cursor,
            rng: &mut worker.rng.borrow_mut(),
            now_ms: worker.clock.read_ms(),
            override_hosts: hosts.as_ref(),
            tried,
        })
    };
    let mut picked = pick_without(tries.tried());
    if picked == Err(NoPick::AllTried) && way.forward.retry.is_some() {
        // The one that failed last comes last.
        picked = pick_without(&[tries.last]);
        if picked == Err(NoPick::AllTried) {
            picked = pick_without(&[]);
        }
    }
    // When no other endpoint is left, what the tried one did is what the client is told.
    picked.map_err(|no_pick| {
        let failure = tries.past.as_mut().and_then(|past| past.failure.take());
        failure.unwrap_or_else(|| no_pick.into())
    })
}
