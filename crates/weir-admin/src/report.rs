//! The whole picture, as values that are written as JSON, rendered as metrics and read back by `weir status`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What there is to say of a running weir at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// `weir.status/v1`.
    pub schema: String,
    /// Version of the binary.
    pub version: String,
    /// Time since the process started, milliseconds.
    pub uptime_ms: u64,
    /// All in all.
    pub status: Overall,
    /// Whether it is finishing what is in progress in order to end.
    pub is_draining: bool,
    /// What is in force, and what is written.
    pub config: ConfigState,
    /// In order of their addresses.
    pub listeners: Vec<ListenerState>,
    /// Rules, in order of their keys.
    pub routes: Vec<RouteState>,
    /// In order of their keys.
    pub backends: Vec<BackendState>,
    /// Tries, by rule and backend. Only for metrics.
    #[serde(skip)]
    pub tries: Vec<TryState>,
    /// What people have decided by hand, in order of addresses; also about endpoints that no backend lists.
    pub overrides: Vec<OverrideState>,
    /// In the order of the files.
    pub tenants: Vec<TenantState>,
    /// Answers that weir gave itself because something failed, by reason.
    pub failures: Vec<FailureState>,
    /// What is wrong with the configuration.
    pub problems: Vec<ProblemState>,
    /// Client connections open now.
    pub connections_open: u64,
    /// Access log records that were dropped because their writer did not keep up.
    pub log_records_dropped: u64,
}

/// One word for how things are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Overall {
    /// Everything is as it should be.
    #[default]
    Healthy,
    /// Something is not.
    Degraded,
    /// Nothing is.
    Unhealthy,
}

/// What is in force, and what is written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConfigState {
    /// Number of the load that is in force.
    pub generation_running: u64,
    /// Number of the last load.
    pub generation_disk: u64,
    /// Whether what runs is what is written.
    pub is_in_sync: bool,
    /// Why not.
    pub difference: Option<String>,
    /// Loads that were put in force.
    pub reloads_good: u64,
    /// Loads that were not, or not wholly.
    pub reloads_bad: u64,
    /// Whether the last one was.
    pub is_last_good: bool,
    /// When the last one that was put in force was, milliseconds since 1970.
    pub last_good_unix_ms: Option<u64>,
}

/// A listener.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ListenerState {
    /// As configured.
    pub address: String,
    /// As bound; `None` when it is not.
    pub bound: Option<String>,
    /// Why it is not bound.
    pub error: Option<String>,
    /// Who uses it: sections of Gateways, or tenants.
    pub sections: Vec<String>,
    /// Client connections open now.
    pub connections_open: u64,
    /// Requests that no rule serves, by the word for why: `no_host` or `no_route`.
    pub misses: BTreeMap<String, u64>,
}

/// A rule of a route.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RouteState {
    /// Stable over reloads.
    pub key: String,
    /// What it matches, for people.
    pub matches: Vec<String>,
    /// Where it sends requests, with weights, for people.
    pub destinations: Vec<String>,
    /// Keys of the backends among them.
    pub backends: Vec<String>,
    /// Where it is written.
    pub origin: String,
    /// Exchanges by first digit of the status; index 0 counts those without an answer.
    pub classes: [u64; 6],
    /// Tries after the first ones.
    pub retries: u64,
    /// Those of them that brought an answer below 500.
    pub retries_good: u64,
    /// Time of all exchanges together, microseconds.
    pub duration_us: u64,
    /// How many took at most as long as each of [`crate::DURATION_BOUNDS_S`].
    pub within: Vec<u64>,
    /// Half of them took no longer, microseconds.
    pub median_us: u64,
    /// All but a hundredth of them took no longer, microseconds.
    pub p99_us: u64,
    /// Durations by what became of the requests. Only for metrics.
    #[serde(skip)]
    pub durations: Vec<DurationState>,
}

/// Durations of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DurationState {
    /// Such as `GET`; `_OTHER` for one that is not known, empty for several.
    pub method: String,
    /// 0 when there was no answer.
    pub status: u16,
    /// Of HTTP, such as `1.1`.
    pub version: String,
    /// What went wrong, where the status does not say it; may be empty.
    pub error: String,
    /// How many, by the first of [`crate::DURATION_BOUNDS_S`] that they do not exceed, and how many exceed them all.
    pub buckets: Vec<u64>,
    /// All of them together, microseconds.
    pub sum_us: u64,
}

/// Tries at one backend on behalf of one rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TryState {
    /// Key of the rule.
    pub route: String,
    /// Key of the backend.
    pub backend: String,
    /// How long they took. Statuses are the endpoints'.
    pub durations: Vec<DurationState>,
}

/// A backend.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BackendState {
    /// Stable over reloads.
    pub key: String,
    /// Where it is written.
    pub origin: String,
    /// All endpoints are used because too few are healthy.
    pub is_in_panic: bool,
    /// What goes on there, as its limits count it.
    pub load: LoadState,
    /// Endpoints picked, by what decided: `policy`, `no_key`, `affinity`, `session`, `override`, `panic` or `retry`.
    pub picks: BTreeMap<String, u64>,
    /// In the order configured.
    pub endpoints: Vec<EndpointState>,
}

/// What goes on at once, and what was refused because it was too much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LoadState {
    /// Open connections.
    pub connections: u64,
    /// Requests that wait for one.
    pub pending: u64,
    /// Requests in flight; counted only where a limit asks for it.
    pub requests: u64,
    /// Retries in flight.
    pub retries: u64,
    /// Connections refused, ever.
    pub refused_connections: u64,
    /// Waiting requests refused, ever.
    pub refused_pending: u64,
    /// Requests refused, ever.
    pub refused_requests: u64,
    /// Retries refused, ever.
    pub refused_retries: u64,
}

/// An endpoint of a backend.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointState {
    /// Address and port, or a socket's path.
    pub address: String,
    /// For people; may be empty.
    pub name: String,
    /// May be empty.
    pub zone: String,
    /// `serving`, `pending`, `unhealthy`, `ejected`, `draining` or `disabled`.
    pub state: String,
    /// Why; may be empty.
    pub cause: String,
    /// When it became so, milliseconds since 1970.
    pub since_unix_ms: Option<u64>,
    /// From 0 to 100: how many of the last probes were good, the newer the more one counts; without probes, the part of all
    /// answers that were no 5xx. `None` when nothing is known.
    pub score: Option<u32>,
    /// As configured.
    pub weight: u32,
    /// In force: set by hand, or as configured.
    pub weight_in_force: u32,
    /// 0 serves first.
    pub tier: u32,
    /// Set by hand, in words; empty when nothing is.
    pub decided: String,
    /// Tries in flight.
    pub in_flight: u32,
    /// Tries ever begun.
    pub picks: u64,
    /// Its part of what this backend's endpoints have answered, percent; `None` before the first answer.
    pub share_percent: Option<f64>,
    /// Answers by first digit of the status, for this backend.
    pub classes: [u64; 6],
    /// How often it was ejected.
    pub ejections: u64,
    /// The same by cause: `consecutive_5xx`, `consecutive_gateway`, `consecutive_local`, `failure_percentage` or
    /// `success_rate`.
    pub ejections_by_cause: BTreeMap<String, u64>,
    /// What goes on there, as limits count it.
    pub load: LoadState,
    /// Active checks.
    pub probes: Vec<ProbeState>,
}

/// An active check of an endpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProbeState {
    /// What its probes do, such as `GET /healthz`.
    pub check: String,
    /// `healthy`, `unhealthy` or `unknown`.
    pub verdict: String,
    /// Probes that have ended.
    pub probes: u64,
    /// Those of them that failed.
    pub failed: u64,
    /// Mean time of the good ones, microseconds; `None` before the first.
    pub good_mean_us: Option<u64>,
    /// When the last one ended, milliseconds since 1970.
    pub last_unix_ms: Option<u64>,
    /// How it ended; empty before the first.
    pub last: String,
    /// The last five that failed, the oldest first.
    pub failures: Vec<ProbeFailureState>,
}

/// A probe that failed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProbeFailureState {
    /// When it ended, milliseconds since 1970.
    pub unix_ms: u64,
    /// A stable word, such as `timeout`, `refused`, `closed` or `status`.
    pub kind: String,
    /// In words.
    pub what: String,
    /// How long it took, microseconds.
    pub duration_us: u64,
}

/// What somebody has decided about an endpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct OverrideState {
    /// Address of the endpoint.
    pub address: String,
    /// `serving`, `draining` or `disabled`.
    pub usage: String,
    /// In place of the configured one.
    pub weight: Option<u32>,
    /// When it was decided, milliseconds since 1970.
    pub since_unix_ms: u64,
    /// When it is taken back by itself, milliseconds since 1970.
    pub until_unix_ms: Option<u64>,
    /// As given.
    pub reason: Option<String>,
    /// Whether any backend lists the endpoint now.
    pub is_listed: bool,
}

/// A tenant of a tenants file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TenantState {
    /// Its name.
    pub name: String,
    /// Hosts.
    pub domains: Vec<String>,
    /// With slashes at both ends.
    pub path_prefix: Option<String>,
    /// As written.
    pub services: Vec<ServiceState>,
}

/// A service of a tenant.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceState {
    /// Its name.
    pub name: String,
    /// Without its query, which may hold a secret.
    pub url: String,
    /// Path of its probes.
    pub health: Option<String>,
    /// `healthy`, or the state of its best endpoint.
    pub status: String,
    /// When the last probe ended, milliseconds since 1970.
    pub last_check_unix_ms: Option<u64>,
    /// Why it is not healthy; may be empty.
    pub cause: String,
}

/// Answers of weir's own, of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FailureState {
    /// The word that `x-weir-reason` and the access log carry.
    pub reason: String,
    /// How many.
    pub count: u64,
}

/// What is wrong with the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProblemState {
    /// `error`, `warning` or `note`.
    pub severity: String,
    /// Stable.
    pub code: String,
    /// One sentence.
    pub message: String,
    /// File, line and column.
    pub place: String,
    /// The object concerned.
    pub object: Option<String>,
    /// What to do about it.
    pub help: Option<String>,
    /// What it means for traffic.
    pub effect: Option<String>,
}

impl TenantState {
    /// How many services are healthy, and how many there are.
    pub fn healthy(&self) -> (usize, usize) {
        let healthy = self.services.iter().filter(|one| one.status == "healthy").count();
        (healthy, self.services.len())
    }

    /// One word.
    pub fn status(&self) -> Overall {
        match self.healthy() {
            (healthy, all) if healthy == all => Overall::Healthy,
            (0, _) => Overall::Unhealthy,
            _ => Overall::Degraded,
        }
    }
}

impl Overall {
    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
        }
    }
}

impl RouteState {
    /// All exchanges.
    pub fn requests(&self) -> u64 {
        self.classes.iter().sum()
    }
}
