//! A small world for tests: endpoints 10.0.0.1:8080 and up, one cursor, one generator, a clock that stands still.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use weir_model::{Algorithm, BalanceSpec, Endpoint, EndpointAddress, EndpointCondition, Weight};

use crate::{Balancer, EndpointState, Lease, Member, NoPick, Pick, Picked, Rng};

/// What a pick needs besides the balancer.
pub(crate) struct World {
    pub(crate) cursor: AtomicU64,
    pub(crate) rng: Rng,
    pub(crate) now_ms: u64,
    pub(crate) tried: Vec<u32>,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            cursor: AtomicU64::new(0),
            rng: Rng::from_seed(seed),
            now_ms: 1_000_000,
            tried: Vec::new(),
        }
    }

    pub(crate) fn try_pick(&mut self, balancer: &Balancer, key: Option<u64>) -> Result<Picked, NoPick> {
        balancer.pick(&mut Pick {
            key,
            key_source: 0,
            cursor: &self.cursor,
            rng: &mut self.rng,
            now_ms: self.now_ms,
            override_hosts: None,
            tried: &self.tried,
        })
    }

    pub(crate) fn pick(&mut self, balancer: &Balancer) -> u32 {
        self.try_pick(balancer, None).expect("an endpoint").index
    }

    pub(crate) fn pick_by(&mut self, balancer: &Balancer, key: u64) -> u32 {
        self.try_pick(balancer, Some(key)).expect("an endpoint").index
    }

    /// Picks of each member over `count` picks without load.
    pub(crate) fn counts(&mut self, balancer: &Balancer, count: u32) -> Vec<u32> {
        let mut counts = vec![0; balancer.members().len()];
        for _ in 0..count {
            counts[self.pick(balancer) as usize] += 1;
        }
        counts
    }
}

pub(crate) fn member(number: usize, weight: u64) -> Member {
    let address = format!("10.{}.{}.{}:8080", number >> 16, number >> 8 & 255, number & 255);
    Member {
        endpoint: Endpoint {
            address: EndpointAddress::Tcp(address.parse().expect("an address")),
            weight: Weight::new(weight).expect("a weight"),
            condition: EndpointCondition::Ready,
            name: "".into(),
            zone: "".into(),
        },
        state: Arc::new(EndpointState::new(0)),
    }
}

pub(crate) fn members(weights: &[u64]) -> Vec<Member> {
    weights
        .iter()
        .zip(1..)
        .map(|(weight, number)| member(number, *weight))
        .collect()
}

pub(crate) fn spec(algorithm: Algorithm) -> BalanceSpec {
    BalanceSpec {
        algorithm,
        ..BalanceSpec::default()
    }
}

pub(crate) fn balancer(algorithm: Algorithm, weights: &[u64]) -> Balancer {
    Balancer::new(&spec(algorithm), members(weights))
}

/// Keeps `in_flight` requests in flight at a member.
pub(crate) fn hold(member: &Member, in_flight: usize) -> Vec<Lease<Arc<EndpointState>>> {
    (0..in_flight)
        .map(|_| Lease::new(Arc::clone(&member.state)))
        .collect()
}
