//! How weir treats the endpoints of a backend: health, limits, connections, failover.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::{HealthSpec, Percent, Period, limits};

/// Settings of a backend's endpoints that hold for all requests together. State (health, ejections, counters of
/// limits) is kept once per backend and equal value, whatever number of rules and workers use it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct UpstreamSpec {
    /// How health is found out.
    pub health: HealthSpec,
    /// How much may be going on at once.
    pub breakers: Breakers,
    /// What connections are like.
    pub connection: ConnectionSpec,
}

/// How much may be going on at once (Envoy Gateway `circuitBreaker`). What is over a limit is answered 503 at once.
/// 0 lets nothing through; [`u32::MAX`] is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Breakers {
    /// Connections to all endpoints of the backend.
    pub connections: u32,
    /// Requests that wait for a connection.
    pub pending_requests: u32,
    /// Requests in flight to all endpoints of the backend.
    pub parallel_requests: u32,
    /// Retries in flight.
    pub retries: RetryLimit,
    /// Connections to each endpoint; [`crate::EndpointTraits::connections_max`] may name another for one endpoint.
    pub endpoint_connections: u32,
    /// Requests in flight to each endpoint.
    pub endpoint_requests: u32,
}

impl Breakers {
    /// No limit but the retry budget.
    pub const OPEN: Self = Self {
        connections: u32::MAX,
        pending_requests: u32::MAX,
        parallel_requests: u32::MAX,
        retries: RetryLimit::Budget(RetryBudget::STANDARD),
        endpoint_connections: u32::MAX,
        endpoint_requests: u32::MAX,
    };
}

impl Default for Breakers {
    /// Envoy's limits, with a retry budget in place of its fixed number of retries.
    fn default() -> Self {
        Self {
            connections: limits::BREAKER_LIMIT,
            pending_requests: limits::BREAKER_LIMIT,
            parallel_requests: limits::BREAKER_LIMIT,
            retries: RetryLimit::default(),
            endpoint_connections: limits::BREAKER_LIMIT,
            endpoint_requests: u32::MAX,
        }
    }
}

/// How many retries may be in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RetryLimit {
    /// That many (Envoy Gateway `maxParallelRetries`).
    Parallel(u32),
    /// In proportion to what is in flight (Envoy Gateway `retryBudget`).
    Budget(RetryBudget),
}

impl Default for RetryLimit {
    fn default() -> Self {
        Self::Budget(RetryBudget::STANDARD)
    }
}

/// Retries in proportion to the requests in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RetryBudget {
    /// Retries in flight, of the requests in flight.
    pub percent: Percent,
    /// Retries in flight that are always allowed.
    pub min_concurrency: u32,
}

impl RetryBudget {
    /// 20 %, and 3 always.
    pub const STANDARD: Self = Self {
        percent: match Percent::new(limits::RETRY_BUDGET_PERCENT as u64) {
            Some(percent) => percent,
            None => Percent::ALL,
        },
        min_concurrency: limits::RETRY_BUDGET_MIN,
    };
}

/// What connections to endpoints are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConnectionSpec {
    /// Time that a connection may stay unused (Envoy Gateway `connectionIdleTimeout`); `None`: for ever.
    pub idle_timeout: Option<Duration>,
    /// Age at which a connection takes no further request (Envoy Gateway `maxConnectionDuration`).
    pub duration_max: Option<Duration>,
    /// Requests that one connection serves (Envoy Gateway `maxRequestsPerConnection`); `None`: any number.
    pub requests_max: Option<NonZeroU32>,
    /// TCP keepalive; `None`: off.
    pub keepalive: Option<TcpKeepalive>,
    /// Bytes in flight in one direction of one exchange; `None`: [`limits::BUFFER_BYTES`].
    pub buffer_bytes: Option<NonZeroU32>,
    /// Size of each of a TCP connection's two socket buffers, bytes (Envoy Gateway `socketBufferLimit`); `None`: weir's own.
    pub socket_buffer_bytes: Option<NonZeroU32>,
    /// PROXY protocol header that every connection begins with; `None`: none.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// How many connections there are ahead of requests; `None`: each is opened when a request needs it.
    pub preconnect: Option<Preconnect>,
}

impl Default for ConnectionSpec {
    fn default() -> Self {
        Self {
            idle_timeout: Some(limits::POOL_IDLE_TIMEOUT),
            duration_max: None,
            requests_max: None,
            keepalive: None,
            buffer_bytes: None,
            socket_buffer_bytes: None,
            proxy_protocol: None,
            preconnect: None,
        }
    }
}

/// Connections that are opened ahead of requests (Envoy Gateway `connection.preconnect`). A request that had to open one
/// opens more, up to these parts of the requests in flight. Has no effect on connections with a PROXY protocol header, each
/// of which belongs to one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Preconnect {
    /// Connections to the request's endpoint, percent of the requests in flight there; `None`: none ahead.
    pub endpoint_percent: Option<u32>,
    /// Connections to all endpoints of the backend, percent of the requests in flight to all of them; `None`: none ahead.
    pub predictive_percent: Option<u32>,
}

/// TCP keepalive (Envoy Gateway `tcpKeepalive`). Times are rounded up to seconds by the kernel's interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TcpKeepalive {
    /// Probes without answer until the connection is dead.
    pub probes: NonZeroU32,
    /// Silence before the first probe.
    pub idle: Period,
    /// Time between probes.
    pub interval: Period,
}

impl Default for TcpKeepalive {
    fn default() -> Self {
        Self {
            probes: NonZeroU32::new(limits::KEEPALIVE_PROBES).unwrap_or(NonZeroU32::MIN),
            idle: Period::clamped(limits::KEEPALIVE_IDLE),
            interval: Period::clamped(limits::KEEPALIVE_INTERVAL),
        }
    }
}

/// Version of the PROXY protocol header that an endpoint is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProxyProtocol {
    /// Text.
    V1,
    /// Binary.
    V2,
}

/// How names become addresses (Envoy Gateway `dns`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DnsSpec {
    /// Time between two resolutions of a name.
    pub refresh: Period,
    /// The answer's own time to live counts instead, where it is known.
    pub respect_ttl: bool,
    /// Which addresses are wanted.
    pub family: LookupFamily,
}

impl Default for DnsSpec {
    fn default() -> Self {
        Self {
            refresh: Period::clamped(limits::DNS_REFRESH),
            respect_ttl: true,
            family: LookupFamily::default(),
        }
    }
}

/// Which addresses of a name are endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum LookupFamily {
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
    /// IPv4, or IPv6 when there is none (Envoy Gateway's default).
    #[default]
    PreferV4,
    /// IPv6, or IPv4 when there is none.
    PreferV6,
    /// All of both.
    Both,
}

/// How the tiers of a rule share its requests, and what becomes of a destination that cannot serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Failover {
    /// A tier carries its usable part times this, percent, before the next one gets any; at least 100.
    pub overprovisioning_percent: u32,
    /// A tier that recovers gets its requests back after it has been able to carry them for this long (row LB27).
    pub failback_delay: Duration,
    /// The share of a destination without usable endpoint goes to the others of its tier instead of being answered
    /// 503 (row MC04).
    pub redistribute: bool,
}

impl Default for Failover {
    fn default() -> Self {
        Self {
            overprovisioning_percent: limits::OVERPROVISIONING_PERCENT,
            failback_delay: Duration::ZERO,
            redistribute: false,
        }
    }
}
