//! What a seed draws before anything happens: the world's size, the configuration, the load.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use weir_model::{
    Action, ActiveCheck, Algorithm, Attachment, Backend, BackendId, BalanceSpec, Breakers, ClientIp, Config,
    ConsistentHash, Destination, DnsSpec, Endpoint, EndpointAddress, EndpointSource, Failover, Filter,
    Forward, HashSource, HashTable, HeaderChange, HealthSpec, HealthStart, HostPattern, HttpProbe,
    LeastRequest, Listener, ListenerKey, Match, MissingKey, ObjectName, Origin, PassiveCheck, PathMatch,
    Percent, Period, Probe, Retry, RetryCondition, RetryConditions, RingSize, Route, RouteId, Rule, Section,
    StatusSet, TableSize, Target, Tier, Timeouts, UpstreamSpec, Weight,
};

use crate::dice::Dice;

/// The rules by path prefix; the number is the rule's index.
pub(crate) const RULES: [&str; 3] = ["/plain", "/retry", "/sticky"];

/// What stays the same for one seed.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) workers: usize,
    pub(crate) listens: SocketAddr,
    /// The endpoints that there are, by backend.
    pub(crate) endpoints: [Vec<SocketAddr>; 2],
    pub(crate) retry: Retry,
    pub(crate) panic_percent: u8,
    pub(crate) clients: u64,
    /// How long there are faults.
    pub(crate) storm_us: u64,
    /// What recovers of itself has recovered after this.
    pub(crate) settle_us: u64,
    pub(crate) pool_idle: Duration,
    /// Limits may turn requests away from their endpoints.
    pub(crate) has_small_limits: bool,
    balance: Arc<BalanceSpec>,
    sticky: Arc<BalanceSpec>,
    upstream: Arc<UpstreamSpec>,
    timeouts: Timeouts,
}

impl Plan {
    pub(crate) fn draw(dice: &mut Dice) -> Self {
        let address = |host: u64| SocketAddr::from(([10, 1, 0, host as u8], 8080));
        let (first, second) = (dice.between(2, 5), dice.between(2, 4));
        let panic_percent = dice.one_of(&[0, 0, 50]);
        let pool_idle = Duration::from_millis(dice.between(500, 8_000));
        let upstream = draw_upstream(dice, panic_percent, pool_idle);
        Self {
            workers: dice.between(1, 2) as usize,
            listens: SocketAddr::from(([10, 0, 0, 1], 80)),
            endpoints: [
                (1..=first).map(address).collect(),
                (101..=100 + second).map(address).collect(),
            ],
            retry: draw_retry(dice),
            panic_percent,
            clients: dice.between(6, 16),
            storm_us: dice.between(2_000, 6_000) * 1000,
            settle_us: 8_000_000,
            pool_idle,
            balance: Arc::new(draw_balance(dice)),
            sticky: Arc::new(BalanceSpec {
                algorithm: Algorithm::ConsistentHash(draw_hash(dice)),
                ..BalanceSpec::default()
            }),
            has_small_limits: upstream.breakers != Breakers::default(),
            upstream: Arc::new(upstream),
            timeouts: Timeouts {
                request: Some(Duration::from_millis(dice.between(500, 4_000))),
                backend_request: dice
                    .chance(40)
                    .then(|| Duration::from_millis(dice.between(100, 1_000))),
                connect: Duration::from_millis(dice.between(50, 500)),
                ..Timeouts::default()
            },
        }
    }

    /// The configuration with these endpoints; every request and response that passes carries `stamp`.
    pub(crate) fn config(&self, stamp: u64, listed: &[Vec<SocketAddr>; 2]) -> Config {
        let rules = [
            (0, &self.balance, None),
            (0, &self.balance, Some(Arc::new(self.retry.clone()))),
            (1, &self.sticky, None),
        ];
        let rules = RULES
            .iter()
            .zip(rules)
            .map(|(prefix, (backend, balance, retry))| {
                let forward = Forward {
                    destinations: vec![Destination {
                        weight: Weight::ONE,
                        tier: Tier::FIRST,
                        target: Target::Backend(BackendId(backend)),
                        filters: Vec::new(),
                    }],
                    balance: Arc::clone(balance),
                    upstream: Arc::clone(&self.upstream),
                    failover: Failover::default(),
                    retry,
                    persistence: None,
                    policy: None,
                };
                self.rule(prefix, stamp, forward)
            });
        let route = Route {
            object: ObjectName::new("HTTPRoute", "sim", "route"),
            created: None,
            rules: rules.collect(),
            origin: Origin::default(),
        };
        Config {
            listeners: vec![Arc::new(self.listener())],
            routes: vec![Arc::new(route)],
            backends: ["a", "b"].iter().zip(listed).map(backend).collect(),
        }
    }

    fn listener(&self) -> Listener {
        Listener {
            key: ListenerKey {
                address: self.listens,
            },
            sections: vec![Section {
                name: "sim/gateway/http".into(),
                host: HostPattern::Any,
                port: 80,
                attachments: vec![Attachment {
                    route: RouteId(0),
                    hosts: vec![HostPattern::Any],
                }],
                origin: Origin::default(),
            }],
            client_ip: ClientIp::Peer,
        }
    }

    fn rule(&self, prefix: &str, stamp: u64, forward: Forward) -> Rule {
        let change = || HeaderChange {
            set: vec![("x-sim-stamp".into(), stamp.to_string().into())],
            ..HeaderChange::default()
        };
        Rule {
            key: format!("httproute/sim/route{prefix}").into(),
            name: None,
            matches: vec![Match {
                path: PathMatch::Prefix(prefix.into()),
                method: None,
                headers: Vec::new(),
                query: Vec::new(),
            }],
            filters: vec![
                Filter::RequestHeaders(change()),
                Filter::ResponseHeaders(change()),
            ],
            action: Action::Forward(forward),
            timeouts: self.timeouts.clone(),
            traffic: None,
            origin: Origin::default(),
        }
    }
}

/// The key of a backend, by its index.
pub(crate) fn backend_key(index: usize) -> &'static str {
    ["service/sim/a/80", "service/sim/b/80"][index % 2]
}

/// Endpoints as a backend lists them.
pub(crate) fn endpoints(addresses: &[SocketAddr]) -> Arc<[Endpoint]> {
    let endpoint = |address: &SocketAddr| Endpoint::new(EndpointAddress::Tcp(*address));
    addresses.iter().map(endpoint).collect()
}

fn backend((name, listed): (&&str, &Vec<SocketAddr>)) -> Arc<Backend> {
    Arc::new(Backend {
        key: format!("service/sim/{name}/80").into(),
        object: ObjectName::new("Service", "sim", *name),
        endpoints: EndpointSource::Static(endpoints(listed)),
        dns: DnsSpec::default(),
        origin: Origin::default(),
    })
}

fn draw_retry(dice: &mut Dice) -> Retry {
    let conditions = dice.one_of(&[
        RetryConditions::STANDARD,
        RetryConditions::ROUTE,
        RetryConditions::ROUTE.with(RetryCondition::ServerError),
    ]);
    Retry {
        attempts: dice.between(1, 3) as u32,
        conditions,
        statuses: StatusSet::one(503).unwrap_or_default(),
        ..Retry::default()
    }
}

fn draw_balance(dice: &mut Dice) -> BalanceSpec {
    let algorithm = match dice.between(0, 4) {
        0 => Algorithm::RoundRobin,
        1 => Algorithm::Random,
        2 => Algorithm::Adaptive,
        3 => Algorithm::PeakEwma,
        _ => Algorithm::LeastRequest(LeastRequest::default()),
    };
    BalanceSpec {
        algorithm,
        ..BalanceSpec::default()
    }
}

fn draw_hash(dice: &mut Dice) -> ConsistentHash {
    // Small tables: a seed must not spend its time on building them.
    let table = if dice.chance(50) {
        HashTable::Maglev(TableSize::new(251).unwrap_or_default())
    } else {
        HashTable::Ring(RingSize::new(64, 256).unwrap_or_default())
    };
    ConsistentHash {
        sources: vec![HashSource::Headers(vec!["x-sim-key".into()])],
        table,
        missing_key: MissingKey::Random,
    }
}

fn draw_upstream(dice: &mut Dice, panic_percent: u8, pool_idle: Duration) -> UpstreamSpec {
    let percent = |number: u64| Percent::new(number).unwrap_or(Percent::ALL);
    let milliseconds =
        |dice: &mut Dice, least, most| Period::clamped(Duration::from_millis(dice.between(least, most)));
    let active = dice.chance(60).then(|| {
        Arc::new(ActiveCheck {
            probe: Probe::Http(HttpProbe {
                path: "/probe".into(),
                ..HttpProbe::default()
            }),
            interval: milliseconds(dice, 500, 2_000),
            timeout: milliseconds(dice, 50, 200),
            unhealthy_threshold: NonZeroU32::new(dice.between(1, 3) as u32).unwrap_or(NonZeroU32::MIN),
            start: dice.one_of(&[HealthStart::Probe, HealthStart::Healthy]),
            ..ActiveCheck::default()
        })
    });
    let passive = dice.chance(60).then(|| {
        Arc::new(PassiveCheck {
            interval: milliseconds(dice, 200, 1_000),
            base_ejection: milliseconds(dice, 300, 1_500),
            max_ejection: Period::clamped(Duration::from_secs(3)),
            max_ejection_percent: percent(dice.between(20, 100)),
            consecutive_5xx: NonZeroU32::new(dice.between(2, 5) as u32),
            consecutive_gateway: NonZeroU32::new(dice.between(1, 3) as u32),
            consecutive_local: NonZeroU32::new(dice.between(1, 3) as u32),
            ..PassiveCheck::default()
        })
    });
    let mut spec = UpstreamSpec {
        health: HealthSpec {
            active,
            passive,
            panic_threshold: percent(u64::from(panic_percent)),
        },
        ..UpstreamSpec::default()
    };
    spec.connection.idle_timeout = Some(pool_idle);
    if dice.chance(20) {
        spec.breakers.endpoint_connections = dice.between(1, 4) as u32;
    }
    if dice.chance(20) {
        spec.breakers.parallel_requests = dice.between(2, 8) as u32;
    }
    spec
}
