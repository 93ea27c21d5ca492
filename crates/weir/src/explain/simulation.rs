//! Predicting a split: the request many times over, on the real balancers.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use weir_balance::{
    Balancer, EndpointState, Lease, OverrideHosts, Pick, Rng, Spread, SpreadChoice, cursor_start, request_key,
};
use weir_model::{BalanceSpec, ClientIp};

use super::request::ExplainedRequest;

/// First source port that simulated clients use.
const FIRST_PORT: u16 = 32_768;
/// An hour after every endpoint appeared: no slow start.
pub(super) const NOW_MS: u64 = 3_600_000;
/// Number of source ports that they use.
const PORTS: usize = 28_000;

/// How the simulation is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Number of requests.
    pub(crate) requests: u32,
    /// Requests in flight at a time; all take the same time, so that the oldest ends when a new one begins.
    pub(crate) concurrency: u32,
    /// Seed of the random choices.
    pub(crate) seed: u64,
}

/// One rule's destinations, ready to pick from.
#[derive(Debug)]
pub(crate) struct Table<'a> {
    pub(crate) spec: &'a BalanceSpec,
    pub(crate) spread: Spread,
    /// One per destination; `None` for one that weir answers itself.
    pub(crate) balancers: Vec<Option<Balancer>>,
}

/// How many requests went where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Prediction {
    /// Per destination, per member of its balancer.
    pub(crate) picked: Vec<Vec<u64>>,
    /// Per destination: answered by weir.
    pub(crate) answered: Vec<u64>,
}

impl Table<'_> {
    /// The destination of a request; `None` when no destination has a weight.
    pub(crate) fn destination(&self, key: Option<u64>, cursor: &AtomicU64, rng: &mut Rng) -> Option<usize> {
        let mut choice = SpreadChoice {
            key,
            cursor,
            rng,
            now_ms: NOW_MS,
            passed: &[],
        };
        let availability = |one: u32| {
            let balancer = self.balancers.get(one as usize)?.as_ref()?;
            Some(balancer.availability(NOW_MS))
        };
        let pick = self.spread.next(&mut choice, availability);
        pick.map(|pick| pick.destination as usize)
    }

    /// Sends the request many times and counts.
    pub(crate) fn simulate(
        &self,
        request: &ExplainedRequest,
        local: std::net::SocketAddr,
        client_ip: &ClientIp,
        plan: Plan,
    ) -> Prediction {
        let mut rng = Rng::from_seed(plan.seed);
        let split_cursor = AtomicU64::new(cursor_start(&mut rng));
        let cursors: Vec<_> = self
            .balancers
            .iter()
            .map(|_| AtomicU64::new(cursor_start(&mut rng)))
            .collect();
        let mut prediction = Prediction {
            picked: self
                .balancers
                .iter()
                .map(|one| vec![0; one.as_ref().map_or(0, |one| one.members().len())])
                .collect(),
            answered: vec![0; self.balancers.len()],
        };
        let mut in_flight: VecDeque<Option<Lease<Arc<EndpointState>>>> = VecDeque::new();
        for number in 0..plan.requests as usize {
            if in_flight.len() >= plan.concurrency as usize {
                in_flight.pop_front();
            }
            // Each request comes over a connection of its own, as from as many clients.
            let port = FIRST_PORT + (number % PORTS) as u16;
            let arrival = request.arrive(local, client_ip, port);
            let key = request_key(self.spec, &arrival);
            let Some(destination) = self.destination(key.map(|key| key.hash), &split_cursor, &mut rng) else {
                continue;
            };
            let Some(balancer) = &self.balancers[destination] else {
                prediction.answered[destination] += 1;
                in_flight.push_back(None);
                continue;
            };
            let named = self.spec.endpoint_override.as_ref();
            let hosts = named.and_then(|named| OverrideHosts::find(named, &arrival));
            let picked = balancer.pick(&mut Pick {
                key: key.map(|key| key.hash),
                key_source: key.map_or(0, |key| key.source),
                cursor: &cursors[destination],
                rng: &mut rng,
                now_ms: NOW_MS,
                override_hosts: hosts.as_ref(),
                tried: &[],
            });
            match picked
                .ok()
                .and_then(|picked| Some((picked.index, balancer.member(picked.index)?)))
            {
                Some((index, member)) => {
                    prediction.picked[destination][index as usize] += 1;
                    in_flight.push_back(Some(Lease::new(member.state.clone())));
                }
                None => {
                    prediction.answered[destination] += 1;
                    in_flight.push_back(None);
                }
            }
        }
        prediction
    }
}
