//! Connections that are opened ahead of requests (Envoy Gateway `connection.preconnect`).
//!
//! Only a request that had to open one itself looks whether there should be more: one that found an unused connection has just
//! been served by those that there are. They are opened by a task of their own, which nobody waits for, under the same
//! limits, and go to the worker's pool. What does not come about is left to requests.

use std::rc::Rc;
use std::sync::Arc;

use weir_balance::{Counted, Counters};
use weir_model::{ConnectionSpec, EndpointCondition, Preconnect, limits};

use super::pick::Chosen;
use crate::compile::LiveEndpoint;
use crate::queue::Queue;
use crate::time::{Alarm, Timer};
use crate::upstream::{ConnectFailure, Dial, Limit, Places, Preparing, UpstreamConnection, connect};
use crate::worker::Worker;

/// Connections that are to be opened to one endpoint.
struct Spares {
    worker: Rc<Worker>,
    preparing: Preparing,
    spec: ConnectionSpec,
    counters: Arc<Counters>,
    queue: Arc<Queue>,
    /// Connections that there may be to the backend and to the endpoint.
    connections_max: (u32, u32),
    /// Time that each may take.
    connect_ms: u64,
    count: u32,
}

/// Opens what is missing, for the request of `chosen` and those that may follow.
#[cold]
pub(super) fn start(worker: &Rc<Worker>, chosen: &Chosen<'_>, preconnect: Preconnect, connect_ms: u64) {
    let (upstream, spec) = (chosen.upstream, &chosen.upstream.spec);
    // A connection with a header belongs to the client that it names.
    if spec.connection.proxy_protocol.is_some() || worker.is_ending_connections() {
        return;
    }
    for (index, count) in plan(chosen, preconnect) {
        let endpoint = chosen.balancer.endpoints.get(index);
        let pool = endpoint.map(|endpoint| worker.pools.of(endpoint));
        let Some(preparing) = pool.and_then(Preparing::begin) else {
            continue;
        };
        let own_max = chosen.balancer.own_connections_max(index as u32);
        let spares = Spares {
            worker: Rc::clone(worker),
            preparing,
            spec: spec.connection,
            counters: Arc::clone(&upstream.counters),
            queue: Arc::clone(&upstream.queue),
            connections_max: (
                spec.breakers.connections,
                own_max.unwrap_or(spec.breakers.endpoint_connections),
            ),
            connect_ms,
            count,
        };
        worker.event_loop.spawn(spares.open());
    }
}

/// Endpoints, by their places, and how many connections to open to each.
fn plan(chosen: &Chosen<'_>, preconnect: Preconnect) -> Vec<(usize, u32)> {
    let mut plan = Vec::new();
    if let Some(percent) = preconnect.endpoint_percent {
        let endpoint = &chosen.held.0.endpoint;
        let count = missing(percent, endpoint.state.in_flight(), open_to(endpoint));
        if count > 0 {
            plan.push((chosen.picked.index as usize, count));
        }
    }
    if let Some(percent) = preconnect.predictive_percent {
        let counters = &chosen.upstream.counters;
        let planned: u32 = plan.iter().map(|(_, count)| count).sum();
        let open = counters.in_use(Counted::Connections).saturating_add(planned);
        for _ in 0..missing(percent, counters.in_use(Counted::ParallelRequests), open) {
            let Some(fewest) = fewest(chosen, &plan) else {
                break;
            };
            match plan.iter_mut().find(|(index, _)| *index == fewest) {
                Some((_, count)) => *count += 1,
                None => plan.push((fewest, 1)),
            }
        }
    }
    plan
}

/// How many connections there are too few of, up to what one request may open.
fn missing(percent: u32, in_flight: u32, open: u32) -> u32 {
    let wanted = (u64::from(in_flight) * u64::from(percent)).div_ceil(100);
    let missing = wanted.saturating_sub(u64::from(open));
    missing.min(u64::from(limits::PRECONNECTIONS)) as u32
}

fn open_to(endpoint: &LiveEndpoint) -> u32 {
    endpoint.counters.in_use(Counted::Connections)
}

/// The endpoint with the fewest connections, those of the plan included, among the next ones of the same tier that may be
/// picked and were reached last time.
fn fewest(chosen: &Chosen<'_>, plan: &[(usize, u32)]) -> Option<usize> {
    let (balancer, picked) = (chosen.balancer, chosen.picked.index);
    let tier = balancer.balancer.member(picked)?.endpoint.tier;
    let length = balancer.endpoints.len();
    let next =
        (0..length.min(limits::PRECONNECT_ENDPOINTS)).map(|step| (picked as usize + 1 + step) % length);
    let of_plan = |place: usize| {
        let found = plan.iter().find(|(index, _)| *index == place);
        found.map_or(0, |(_, count)| *count)
    };
    let candidates = next.filter_map(|place| {
        let endpoint = balancer.endpoints.get(place)?;
        let member = &balancer.balancer.member(place as u32)?.endpoint;
        let is_fit = member.tier == tier
            && member.condition == EndpointCondition::Ready
            && member.weight.number() > 0
            && endpoint.state.is_available()
            && !endpoint.is_unreached();
        is_fit.then(|| (open_to(endpoint).saturating_add(of_plan(place)), place))
    });
    // The first of equal ones: it is picked next.
    let fewest = candidates.min_by_key(|(connections, _)| *connections);
    fewest.map(|(_, place)| place)
}

impl Spares {
    async fn open(self) {
        let timer = Timer::of_task().await;
        for _ in 0..self.count {
            if self.open_one(self.worker.alarm(&timer)).await.is_none() {
                return;
            }
        }
    }

    /// `None` when no more are to be opened.
    async fn open_one(&self, alarm: Alarm<'_>) -> Option<()> {
        let (worker, pool) = (&self.worker, self.preparing.pool());
        let places = self.take_places()?;
        let now_ms = worker.clock.refresh_ms();
        let dial = Dial {
            address: &pool.endpoint.address,
            buffer_bytes: self.spec.socket_buffer_bytes,
            preface: &[],
            deadline_ms: now_ms.saturating_add(self.connect_ms),
        };
        // Unused connections are not closed for one that is not needed yet.
        let connected = connect(&worker.event_loop, None, alarm, dial).await;
        if connected.as_ref().err() != Some(&ConnectFailure::Exhausted) {
            pool.endpoint.note_unreached(connected.is_err());
        }
        let now_ms = worker.clock.read_ms();
        let connection = UpstreamConnection::unused(connected.ok()?, &self.spec, places, now_ms);
        pool.give(connection, now_ms);
        Some(())
    }

    /// The places of one more, where nobody waits for them. A limit that is reached has refused nothing that somebody asked for.
    fn take_places(&self) -> Option<Places> {
        let endpoint = &self.preparing.pool().endpoint;
        let backend = Limit {
            counters: &self.counters,
            connections_max: self.connections_max.0,
            queue: &self.queue,
        };
        let endpoint = Limit {
            counters: &endpoint.counters,
            connections_max: self.connections_max.1,
            queue: &endpoint.queue,
        };
        let is_free = |limit: Limit<'_>| {
            limit.queue.is_empty() && limit.counters.in_use(Counted::Connections) < limit.connections_max
        };
        if !is_free(backend) || !is_free(endpoint) {
            return None;
        }
        Places::take(backend, endpoint, None).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lb30_connections_are_missing_up_to_a_percentage_of_what_is_in_flight() {
        for (percent, in_flight, open, expected) in [
            (100, 1, 1, 0),
            (101, 1, 1, 1),
            (200, 1, 1, 1),
            (300, 1, 1, 2),
            (150, 1, 1, 1),
            (150, 2, 2, 1),
            (150, 2, 3, 0),
            (150, 3, 2, 3),
            (200, 0, 0, 0),
            (300, 100, 100, limits::PRECONNECTIONS),
            (u32::MAX, u32::MAX, 0, limits::PRECONNECTIONS),
            (100, 1, 7, 0),
        ] {
            let found = missing(percent, in_flight, open);
            assert_eq!(found, expected, "{percent} % of {in_flight}, {open} open");
        }
    }
}
