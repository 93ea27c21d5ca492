//! A small world for tests: endpoints 10.0.0.1:8080 and up, one cursor, one generator, a clock that stands still.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use weir_model::{Algorithm, BalanceSpec, Endpoint, EndpointAddress, Weight};

use crate::{Balancer, EndpointState, KeyView, Lease, Member, NoPick, OverrideHosts, Pick, Picked, Rng};

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
        self.pick_for(balancer, key, None)
    }

    pub(crate) fn pick_for(
        &mut self,
        balancer: &Balancer,
        key: Option<u64>,
        override_hosts: Option<&OverrideHosts<'_>>,
    ) -> Result<Picked, NoPick> {
        balancer.pick(&mut Pick {
            key,
            key_source: 0,
            cursor: &self.cursor,
            rng: &mut self.rng,
            now_ms: self.now_ms,
            override_hosts,
            tried: &self.tried,
        })
    }

    pub(crate) fn pick(&mut self, balancer: &Balancer) -> u32 {
        self.try_pick(balancer, None).expect("an endpoint").index
    }

    pub(crate) fn pick_by(&mut self, balancer: &Balancer, key: u64) -> u32 {
        self.try_pick(balancer, Some(key)).expect("an endpoint").index
    }

    /// Tries each key's endpoints one after the other: every member once, then nobody.
    pub(crate) fn check_that_tries_reach_everyone(
        &mut self,
        balancer: &Balancer,
        keys: impl IntoIterator<Item = u64>,
    ) {
        for key in keys {
            self.tried.clear();
            for _ in balancer.members() {
                let index = self.pick_by(balancer, key);
                assert!(!self.tried.contains(&index));
                self.tried.push(index);
            }
            assert_eq!(self.try_pick(balancer, Some(key)), Err(NoPick::AllTried));
        }
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
    let endpoint = Endpoint {
        weight: Weight::new(weight).expect("a weight"),
        ..Endpoint::new(EndpointAddress::Tcp(address.parse().expect("an address")))
    };
    Member::new(endpoint, Arc::new(EndpointState::new(0)))
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

/// A request as the key and the override see it.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) cookies: Vec<(String, String)>,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) client_ip: IpAddr,
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            headers: Vec::new(),
            cookies: Vec::new(),
            query: Vec::new(),
            client_ip: IpAddr::from([127, 0, 0, 1]),
            peer: SocketAddr::from(([127, 0, 0, 1], 40_000)),
            local: SocketAddr::from(([127, 0, 0, 1], 8_080)),
        }
    }
}

impl Request {
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn cookie(mut self, name: &str, value: &str) -> Self {
        self.cookies.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn query(mut self, name: &str, value: &str) -> Self {
        self.query.push((name.to_owned(), value.to_owned()));
        self
    }
}

impl KeyView for Request {
    fn header_values<'a>(&'a self, name: &str, each: &mut dyn FnMut(&'a [u8])) {
        self.headers
            .iter()
            .filter(|(field, _)| field == name)
            .for_each(|(_, value)| each(value.as_bytes()));
    }

    fn cookie(&self, name: &str) -> Option<&[u8]> {
        self.cookies
            .iter()
            .find(|(cookie, _)| cookie == name)
            .map(|(_, value)| value.as_bytes())
    }

    fn query_parameter(&self, name: &str) -> Option<&[u8]> {
        self.query
            .iter()
            .find(|(parameter, _)| parameter == name)
            .map(|(_, value)| value.as_bytes())
    }

    fn client_ip(&self) -> IpAddr {
        self.client_ip
    }

    fn peer(&self) -> SocketAddr {
        self.peer
    }

    fn local(&self) -> SocketAddr {
        self.local
    }
}
