//! How a rule spreads requests over the endpoints of a backend.

use std::sync::Arc;
use std::time::Duration;

use crate::{Cidr, Period, limits};

/// The whole specification of balancing for a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BalanceSpec {
    /// The algorithm that picks an endpoint.
    pub algorithm: Algorithm,
    /// A request may name its endpoint; the algorithm serves the rest.
    pub endpoint_override: Option<EndpointOverride>,
    /// New endpoints get their share gradually. Neither random nor consistent hash.
    pub slow_start: Option<SlowStart>,
    /// Endpoints say in responses how much they can still take, which counts like a weight (row HC15). Neither random
    /// nor consistent hash.
    pub load_report: Option<LoadReport>,
    /// Stickiness gives way to load: consistent hash and session persistence pass over an endpoint that has more than its
    /// bound (rows LB11, BX04).
    pub load_bound: Option<LoadBound>,
    /// Response header that reports policy, key source and endpoint of the pick (row CH18); off when `None`.
    /// Lower case.
    pub report_header: Option<Arc<str>>,
}

impl Default for BalanceSpec {
    /// Least request over two choices (Envoy Gateway's default when no policy is attached).
    fn default() -> Self {
        Self {
            algorithm: Algorithm::LeastRequest(LeastRequest::default()),
            endpoint_override: None,
            slow_start: None,
            load_report: None,
            load_bound: None,
            report_header: None,
        }
    }
}

/// Where endpoints say how much they can still take, and how long that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadReport {
    /// The response header, lower case.
    pub header: Arc<str>,
    /// An endpoint that has not said anything for this long has its whole weight again.
    pub expiry: Period,
    /// The client gets the header, too.
    pub keep: bool,
}

impl Default for LoadReport {
    /// The header of ORCA, the load reports of gRPC and Envoy.
    fn default() -> Self {
        Self {
            header: "endpoint-load-metrics".into(),
            expiry: Period::clamped(limits::LOAD_REPORT_EXPIRY),
            keep: false,
        }
    }
}

/// The algorithm that picks an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// Each endpoint in turn, smoothly by weight, exact across workers.
    RoundRobin,
    /// Independent draws by weight.
    Random,
    /// Fewest requests in flight.
    LeastRequest(LeastRequest),
    /// Quickest to answer for its load: latency, failures and requests in flight as one score (row BX01). weir's own.
    Adaptive,
    /// The lesser of two draws by peak-sensitive latency times requests in flight (row LB08). weir's own.
    PeakEwma,
    /// A table over a key of the request.
    ConsistentHash(ConsistentHash),
}

impl Algorithm {
    /// Its name, as `loadBalancer.type` has it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::RoundRobin => "RoundRobin",
            Self::Random => "Random",
            Self::LeastRequest(_) => "LeastRequest",
            Self::Adaptive => "Adaptive",
            Self::PeakEwma => "PeakEwma",
            Self::ConsistentHash(_) => "ConsistentHash",
        }
    }
}

/// Options of [`Algorithm::LeastRequest`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeastRequest {
    /// How many endpoints are compared.
    pub choices: Choices,
    /// Exponent on the number of requests in flight, in thousandths: the effective weight is
    /// `weight / (in_flight + 1)^bias`. 1000 by default; 0 makes it weighted round robin.
    pub bias_milli: u32,
}

impl Default for LeastRequest {
    fn default() -> Self {
        Self {
            choices: Choices::Sample(2),
            bias_milli: 1000,
        }
    }
}

/// How many endpoints least request compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choices {
    /// That many, drawn with replacement; 2 or more.
    Sample(u8),
    /// All of them: the true minimum.
    All,
}

/// Options of [`Algorithm::ConsistentHash`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsistentHash {
    /// Key sources in order: the first that yields a key decides. Never empty.
    pub sources: Vec<HashSource>,
    /// The table that places keys.
    pub table: HashTable,
    /// What to do when no source yields a key.
    pub missing_key: MissingKey,
}

/// The table that places hash keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashTable {
    /// Maglev: even shares, the quickest pick; besides an endpoint's own keys a few others move when it comes or goes.
    Maglev(TableSize),
    /// A ring (Ketama): nobody else's keys move for most changes; shares are less even the smaller the ring. weir's own (row LB09).
    Ring(RingSize),
}

impl Default for HashTable {
    fn default() -> Self {
        Self::Maglev(TableSize::default())
    }
}

/// How many points a hash ring has: at least `min`, and as many more as unequal weights take, up to `max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingSize {
    min: u32,
    max: u32,
}

impl RingSize {
    /// `None` unless `1 <= min <= max <=` [`limits::RING_MAX`].
    pub fn new(min: u64, max: u64) -> Option<Self> {
        let (min, max) = (u32::try_from(min).ok()?, u32::try_from(max).ok()?);
        (1 <= min && min <= max && max <= limits::RING_MAX).then_some(Self { min, max })
    }

    /// Points at least.
    pub fn min(self) -> u32 {
        self.min
    }

    /// Points at most.
    pub fn max(self) -> u32 {
        self.max
    }
}

impl Default for RingSize {
    /// Envoy's.
    fn default() -> Self {
        Self {
            min: limits::RING_MIN_DEFAULT,
            max: limits::RING_MAX,
        }
    }
}

/// How much more than its share of the requests in flight an endpoint may have before stickiness gives way (Envoy
/// `hash_balance_factor`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadBound(u32);

impl LoadBound {
    /// A percentage of the mean, from 100 to 10,000; 125 lets an endpoint have a quarter more than its share.
    pub fn new(percent: u64) -> Option<Self> {
        u32::try_from(percent)
            .ok()
            .filter(|percent| (100..=10_000).contains(percent))
            .map(Self)
    }

    /// The percentage.
    pub fn percent(self) -> u32 {
        self.0
    }
}

/// A prime from 2 to [`limits::MAGLEV_TABLE_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableSize(u32);

impl TableSize {
    /// `None` when the value is out of range or not a prime.
    pub fn new(value: u64) -> Option<Self> {
        let value = u32::try_from(value)
            .ok()
            .filter(|value| *value <= limits::MAGLEV_TABLE_MAX)?;
        let prime = value >= 2
            && (2..)
                .take_while(|divisor| divisor * divisor <= value)
                .all(|d| value % d != 0);
        prime.then_some(Self(value))
    }

    /// The number of slots.
    pub fn slots(self) -> u32 {
        self.0
    }
}

impl Default for TableSize {
    fn default() -> Self {
        Self(limits::MAGLEV_TABLE_DEFAULT)
    }
}

/// Where a hash key comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashSource {
    /// The client's address after the trusted-proxy rule, without port, cut to a prefix (32 and 128 by default).
    SourceIp {
        /// Bits of an IPv4 address that count.
        prefix_length_v4: u8,
        /// Bits of an IPv6 address that count.
        prefix_length_v6: u8,
    },
    /// The values of these headers, combined in order; names are lower case.
    Headers(Vec<Arc<str>>),
    /// The value of a cookie, generated when absent and `generate` says so.
    Cookie(CookieSpec),
    /// The first values of these query parameters, combined in order; names are case-sensitive.
    QueryParams(Vec<Arc<str>>),
}

/// A cookie that carries a hash key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookieSpec {
    /// The cookie's name, case-sensitive.
    pub name: Arc<str>,
    /// `None`: never generated. `Some(0)`: generated as a session cookie. Otherwise its `Max-Age`; whole seconds.
    pub ttl: Option<Duration>,
    /// Attributes in the order in which they are sent; an empty value is sent as a bare name.
    pub attributes: Vec<(Arc<str>, Arc<str>)>,
}

/// What consistent hash does with a request that yields no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum MissingKey {
    /// An independent draw (Envoy's behaviour).
    #[default]
    Random,
    /// Each endpoint in turn.
    RoundRobin,
    /// Fewest requests in flight.
    LeastRequest,
}

/// A request may name its endpoint in a header as `IP:PORT[,IP:PORT...]`, IPv6 in brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointOverride {
    /// Headers in order, lower case; 1 to 10. Only the first value of each counts.
    pub headers: Vec<Arc<str>>,
    /// Answer 503 instead of falling back to the algorithm (row EO08).
    pub strict: bool,
    /// When not empty, only peers inside these prefixes may name an endpoint (row EO09).
    pub trusted: Vec<Cidr>,
    /// Remove the headers before forwarding (row EO09).
    pub strip: bool,
    /// Response header that reports `ip:port` of the endpoint that served (row EO10); lower case.
    pub report_header: Option<Arc<str>>,
}

/// New endpoints get `weight * max(min_weight, (elapsed / window)^(1 / aggression))`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlowStart {
    /// Time until an endpoint has its full share.
    pub window: Duration,
    /// Curve of the ramp, in thousandths; 1000 is linear.
    pub aggression_milli: u32,
    /// Least share during the ramp, percent of the full share.
    pub min_weight_percent: u8,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lb09_a_ring_has_at_least_one_point_and_at_most_the_limit() {
        for (min, max, valid) in [
            (1, 1, true),
            (1_024, 8_388_608, true),
            (0, 8, false),
            (9, 8, false),
            (1, 8_388_609, false),
        ] {
            assert_eq!(RingSize::new(min, max).is_some(), valid, "{min} {max}");
        }
        let default = RingSize::default();
        assert_eq!(
            RingSize::new(default.min().into(), default.max().into()),
            Some(default)
        );
    }

    #[test]
    fn lb11_a_bound_is_no_less_than_the_mean() {
        for (percent, valid) in [
            (0, false),
            (99, false),
            (100, true),
            (125, true),
            (10_000, true),
            (10_001, false),
        ] {
            assert_eq!(LoadBound::new(percent).is_some(), valid, "{percent}");
        }
    }

    #[test]
    fn lb10_a_table_size_is_a_prime_within_bounds() {
        for (value, valid) in [
            (0, false),
            (1, false),
            (2, true),
            (65_536, false),
            (65_537, true),
            (5_000_011, true),
            (5_000_012, false),
            (5_000_021, false),
        ] {
            assert_eq!(TableSize::new(value).is_some(), valid, "{value}");
        }
    }
}
