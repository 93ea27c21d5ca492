//! What a seed draws before anything happens: the world's size, the configuration, the load.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use weir_model::{
    ActiveCheck, Algorithm, BalanceSpec, Breakers, ConsistentHash, CookieLifetime, CookiePath, Failover,
    Fraction, HashSource, HashTable, HealthSpec, HealthStart, HttpProbe, LeastRequest, MissingKey,
    ParallelLimit, PassiveCheck, Percent, Period, Persistence, PersistenceMode, Probe, Rate, RateLimit,
    RateLimitRule, RateUnit, RequestLimits, Retry, RetryCondition, RetryConditions, RetryLimit, RingSize,
    StatusSet, TableSize, Timeouts, TokenCarrier, TokenCookie, TrafficSpec, UpstreamSpec,
};

use crate::dice::Dice;

/// For how long the system does not run a thread, at most.
pub(crate) const STALL_US: u64 = 300_000;
/// Name of the cookie or header that carries a session's token.
pub(crate) const SESSION_NAME: &str = "x-sim-session";

/// The endpoints that each backend lists.
pub(crate) type Listed = [Vec<SocketAddr>; 3];

/// What stays the same for one seed.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) workers: usize,
    pub(crate) listens: SocketAddr,
    /// The endpoints that there are, by backend.
    pub(crate) endpoints: Listed,
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
    /// What stands before the limited rule.
    pub(crate) traffic: Arc<TrafficSpec>,
    pub(crate) persistence: Arc<Persistence>,
    pub(crate) failover: Failover,
    /// Which part of the requests is copied to the mirror.
    pub(crate) copied: Fraction,
    pub(crate) balance: Arc<BalanceSpec>,
    pub(crate) keyed: Arc<BalanceSpec>,
    pub(crate) upstream: Arc<UpstreamSpec>,
    pub(crate) timeouts: Timeouts,
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
                (201..=202).map(address).collect(),
            ],
            retry: draw_retry(dice),
            panic_percent,
            clients: dice.between(6, 16),
            storm_us: dice.between(2_000, 6_000) * 1000,
            settle_us: 8_000_000,
            pool_idle,
            balance: Arc::new(draw_balance(dice)),
            keyed: Arc::new(BalanceSpec {
                algorithm: Algorithm::ConsistentHash(draw_hash(dice)),
                ..BalanceSpec::default()
            }),
            traffic: Arc::new(draw_traffic(dice)),
            persistence: Arc::new(draw_persistence(dice)),
            failover: Failover {
                failback_delay: Duration::from_millis(dice.one_of(&[0, 0, 700])),
                ..Failover::default()
            },
            copied: Fraction::new(1, dice.between(1, 2) as u32).unwrap_or(Fraction::ALL),
            has_small_limits: upstream.breakers != Breakers::default(),
            upstream: Arc::new(upstream),
            timeouts: Timeouts {
                request: Some(Duration::from_millis(dice.between(500, 4_000))),
                backend_request: dice
                    .chance(40)
                    .then(|| Duration::from_millis(dice.between(300, 1_000))),
                connect: Duration::from_millis(dice.between(50, 500)),
                ..Timeouts::default()
            },
        }
    }
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
        HashTable::Maglev(TableSize::new(1_021).unwrap_or_default())
    } else {
        HashTable::Ring(RingSize::new(64, 256).unwrap_or_default())
    };
    ConsistentHash {
        sources: vec![HashSource::Headers(vec!["x-sim-key".into()])],
        table,
        missing_key: MissingKey::Random,
    }
}

fn draw_persistence(dice: &mut Dice) -> Persistence {
    let absolute_timeout = dice
        .chance(50)
        .then(|| Period::clamped(Duration::from_secs(3_600)));
    let cookie = TokenCookie {
        path: CookiePath::OfMatch,
        lifetime: if absolute_timeout.is_some() {
            CookieLifetime::Permanent
        } else {
            CookieLifetime::Session
        },
        attributes: Vec::new(),
    };
    Persistence {
        name: SESSION_NAME.into(),
        carrier: if dice.chance(50) {
            TokenCarrier::Cookie(cookie)
        } else {
            TokenCarrier::Header
        },
        absolute_timeout,
        mode: dice.one_of(&[
            PersistenceMode::Persistent,
            PersistenceMode::Persistent,
            PersistenceMode::Balanced,
        ]),
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
    if dice.chance(40) {
        spec.breakers = draw_breakers(dice);
    }
    spec
}

/// Some limits that requests will meet.
fn draw_breakers(dice: &mut Dice) -> Breakers {
    let mut breakers = Breakers::default();
    let mut narrow = |limit: &mut u32, least, most| {
        let drawn = dice.between(least, most) as u32;
        if dice.chance(35) {
            *limit = drawn;
        }
    };
    narrow(&mut breakers.connections, 2, 6);
    narrow(&mut breakers.pending_requests, 1, 3);
    narrow(&mut breakers.parallel_requests, 1, 5);
    narrow(&mut breakers.endpoint_connections, 1, 4);
    narrow(&mut breakers.endpoint_requests, 1, 4);
    if dice.chance(35) {
        breakers.retries = RetryLimit::Parallel(dice.between(0, 2) as u32);
    }
    breakers
}

/// What stands before the limited rule: so many requests at once, so often.
fn draw_traffic(dice: &mut Dice) -> TrafficSpec {
    let (requests, unit) = dice.one_of(&[
        (2, RateUnit::Second),
        (4, RateUnit::Second),
        (6, RateUnit::Minute),
        (20, RateUnit::Minute),
    ]);
    let rule = RateLimitRule {
        key: "sim/rate".into(),
        selectors: Vec::new(),
        rate: Rate { requests, unit },
    };
    TrafficSpec {
        request_limits: RequestLimits {
            parallel: dice.chance(60).then(|| ParallelLimit {
                key: "sim/parallel".into(),
                requests: dice.between(1, 3) as u32,
            }),
            ..RequestLimits::default()
        },
        rate_limit: dice.chance(70).then(|| RateLimit {
            rules: vec![rule],
            headers: true,
        }),
        ..TrafficSpec::default()
    }
}
