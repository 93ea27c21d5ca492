//! When an endpoint counts as healthy: probes, and how it answers requests.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use crate::{Percent, Period, Port, StatusSet, limits};

/// How the health of a backend's endpoints is found out (Envoy Gateway `healthCheck`). One state per endpoint and
/// equal specification, whatever number of rules uses it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HealthSpec {
    /// Probes; `None`: every endpoint counts as healthy until it is ejected.
    pub active: Option<Arc<ActiveCheck>>,
    /// Judging by the answers to requests; `None`: nothing is ejected.
    pub passive: Option<Arc<PassiveCheck>>,
    /// When less than this part of the endpoints is usable, all of them are used; 0 answers 503 instead (row LB25).
    pub panic_threshold: Percent,
}

impl Default for HealthSpec {
    fn default() -> Self {
        Self {
            active: None,
            passive: None,
            panic_threshold: percent(limits::PANIC_THRESHOLD_PERCENT),
        }
    }
}

/// Probing endpoints.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ActiveCheck {
    /// What a probe does.
    pub probe: Probe,
    /// Time between two probes of an endpoint.
    pub interval: Period,
    /// How far that time strays to either side, so that probes spread (row HC04).
    pub interval_jitter: Percent,
    /// Time for a probe to be answered, connecting included.
    pub timeout: Period,
    /// The first probe of an endpoint waits a random time up to this.
    pub initial_jitter: Duration,
    /// Failed probes in a row until an endpoint is unhealthy.
    pub unhealthy_threshold: NonZeroU32,
    /// Good probes in a row until an unhealthy endpoint is healthy.
    pub healthy_threshold: NonZeroU32,
    /// What a new endpoint counts as before its first probe has ended (row HC02).
    pub start: HealthStart,
    /// Probe this port instead of the endpoint's own (row HC07).
    pub port: Option<Port>,
}

impl Default for ActiveCheck {
    /// `GET /`, 200 expected, with Envoy Gateway's times and thresholds.
    fn default() -> Self {
        Self {
            probe: Probe::Http(HttpProbe::default()),
            interval: Period::clamped(limits::PROBE_INTERVAL),
            interval_jitter: percent(limits::PROBE_JITTER_PERCENT),
            timeout: Period::clamped(limits::PROBE_TIMEOUT),
            initial_jitter: Duration::ZERO,
            unhealthy_threshold: at_least_one(limits::PROBE_UNHEALTHY_THRESHOLD),
            healthy_threshold: at_least_one(limits::PROBE_HEALTHY_THRESHOLD),
            start: HealthStart::default(),
            port: None,
        }
    }
}

/// What a new endpoint counts as before its first probe has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum HealthStart {
    /// Not picked until the first probe has ended; its outcome alone decides, whatever the thresholds. When no other
    /// endpoint is usable, requests wait for it, at most one probe timeout.
    #[default]
    Probe,
    /// Picked at once; goes when it reaches the unhealthy threshold.
    Healthy,
    /// Not picked until it reaches the healthy threshold.
    Unhealthy,
}

/// What a probe does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Probe {
    /// A request, judged by its response.
    Http(HttpProbe),
    /// A connection, and what is received on it.
    Tcp(TcpProbe),
}

/// A request as a probe.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HttpProbe {
    /// The method, upper case.
    pub method: Arc<str>,
    /// The path, beginning with `/`, at most [`limits::PROBE_PATH_BYTES`]; [`crate::EndpointTraits::probe`] may name
    /// another for one endpoint.
    pub path: Arc<str>,
    /// The `Host`; `None`: the endpoint's own host name ([`crate::EndpointTraits::host`]), else its address.
    pub host: Option<Arc<str>>,
    /// A body to send; POST and PUT only.
    pub body: Option<Payload>,
    /// Statuses of a good answer. Never empty.
    pub expected: StatusSet,
    /// Statuses that count as one failure towards the threshold. A status in neither set makes the endpoint
    /// unhealthy at once, as Envoy does; [`StatusSet::all`] makes every failure count alike.
    pub retriable: StatusSet,
    /// The good answer's body contains this, within its first [`limits::PROBE_ANSWER_BYTES`].
    pub expected_body: Option<Payload>,
}

impl Default for HttpProbe {
    fn default() -> Self {
        Self {
            method: "GET".into(),
            path: "/".into(),
            host: None,
            body: None,
            expected: StatusSet::one(200).unwrap_or_default(),
            retriable: StatusSet::none(),
            expected_body: None,
        }
    }
}

/// A connection as a probe.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct TcpProbe {
    /// Sent once connected; `None`: connecting is enough when nothing is expected either.
    pub send: Option<Payload>,
    /// What is received contains this, within its first [`limits::PROBE_ANSWER_BYTES`].
    pub receive: Option<Payload>,
}

/// Bytes that a probe sends or expects. Never empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Payload(Arc<[u8]>);

impl Payload {
    /// `None` when there are no bytes.
    pub fn new(bytes: impl Into<Arc<[u8]>>) -> Option<Self> {
        let bytes = bytes.into();
        (!bytes.is_empty()).then_some(Self(bytes))
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Judging endpoints by how they answer requests, by Envoy's outlier rules.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PassiveCheck {
    /// Time between two sweeps: rates are judged, ejections end and are forgiven.
    pub interval: Period,
    /// Time that a first ejection lasts; each following one in a row lasts that much longer.
    pub base_ejection: Period,
    /// Longest ejection, unless the base is longer.
    pub max_ejection: Period,
    /// Part of the endpoints that may be ejected at once. 0 ejects none, unless `always_eject_one`.
    pub max_ejection_percent: Percent,
    /// One endpoint may be ejected whatever `max_ejection_percent` says.
    pub always_eject_one: bool,
    /// 5xx answers in a row (and, unless split, failures to get an answer) until an ejection; `None`: off.
    pub consecutive_5xx: Option<NonZeroU32>,
    /// 502, 503 and 504 in a row until an ejection; `None`: off.
    pub consecutive_gateway: Option<NonZeroU32>,
    /// Failures in a row to connect or get an answer until an ejection; `None`: off. Counts only when split.
    pub consecutive_local: Option<NonZeroU32>,
    /// Failures to get an answer are counted apart from answers that say failure (`splitExternalLocalOriginErrors`).
    pub split_local: bool,
    /// Ejects who fails too often in an interval; `None`: off.
    pub failure_percentage: Option<FailurePercentage>,
    /// Ejects who succeeds clearly less often than the others; `None`: off.
    pub success_rate: Option<SuccessRate>,
}

impl Default for PassiveCheck {
    fn default() -> Self {
        Self {
            interval: Period::clamped(limits::PASSIVE_INTERVAL),
            base_ejection: Period::clamped(limits::EJECTION_BASE),
            max_ejection: Period::clamped(limits::EJECTION_MAX),
            max_ejection_percent: percent(limits::EJECTION_MAX_PERCENT),
            always_eject_one: false,
            consecutive_5xx: NonZeroU32::new(limits::EJECTION_CONSECUTIVE),
            consecutive_gateway: None,
            consecutive_local: NonZeroU32::new(limits::EJECTION_CONSECUTIVE),
            split_local: false,
            failure_percentage: None,
            success_rate: None,
        }
    }
}

/// Ejects endpoints whose failures in one interval reach a part of their requests (Envoy `failure_percentage`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FailurePercentage {
    /// Failures of the requests in one interval from which an endpoint is ejected.
    pub threshold: Percent,
    /// Endpoints that must have had `requests_min` before anybody is judged.
    pub endpoints_min: u32,
    /// Requests of an endpoint in one interval before it is judged.
    pub requests_min: u32,
}

impl Default for FailurePercentage {
    fn default() -> Self {
        Self {
            threshold: percent(limits::FAILURE_PERCENTAGE_THRESHOLD),
            endpoints_min: limits::RATE_ENDPOINTS_MIN,
            requests_min: limits::FAILURE_PERCENTAGE_REQUESTS_MIN,
        }
    }
}

/// Ejects endpoints whose success rate in one interval is below the mean of all by a number of standard deviations
/// (Envoy `success_rate`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SuccessRate {
    /// That number, in thousandths.
    pub factor_milli: u32,
    /// Endpoints that must have had `requests_min` before anybody is judged.
    pub endpoints_min: u32,
    /// Requests of an endpoint in one interval before it is judged.
    pub requests_min: u32,
}

impl Default for SuccessRate {
    fn default() -> Self {
        Self {
            factor_milli: limits::SUCCESS_RATE_FACTOR_MILLI,
            endpoints_min: limits::RATE_ENDPOINTS_MIN,
            requests_min: limits::SUCCESS_RATE_REQUESTS_MIN,
        }
    }
}

/// A percentage of [`limits`], whose bounds are asserted there.
fn percent(number: u8) -> Percent {
    Percent::new(u64::from(number)).unwrap_or(Percent::ALL)
}

fn at_least_one(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hc03_defaults_are_envoy_gateways() {
        let active = ActiveCheck::default();
        assert_eq!(active.interval.milliseconds(), 3_000);
        assert_eq!(active.timeout.milliseconds(), 1_000);
        assert_eq!(
            (active.unhealthy_threshold.get(), active.healthy_threshold.get()),
            (3, 1)
        );
        let Probe::Http(probe) = active.probe else {
            panic!("a request by default");
        };
        assert_eq!(probe.expected.ranges(), [200..=200]);
        let passive = PassiveCheck::default();
        assert_eq!(passive.interval.milliseconds(), 3_000);
        assert_eq!(passive.base_ejection.milliseconds(), 30_000);
        assert_eq!(passive.max_ejection_percent.number(), 10);
        assert_eq!(passive.consecutive_5xx.map(NonZeroU32::get), Some(5));
        assert_eq!(HealthSpec::default().panic_threshold.number(), 50);
        assert_eq!(Payload::new([]), None);
    }
}
