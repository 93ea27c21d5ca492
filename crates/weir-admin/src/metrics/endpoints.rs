//! Endpoints and their checks.

use std::collections::HashSet;

use super::families::{classes, flag, refused};
use super::text::{Exposition, Kind};
use crate::{BackendState, EndpointState, Report};

/// Endpoints that have series of their own; what further ones count is added up as `other`.
const ENDPOINTS_MAX: usize = 2000;

pub(super) fn endpoints(out: &mut Exposition, report: &Report) {
    let own = own_series(report);
    let mut gauge = |name: &str, help: &str, value: fn(&EndpointState) -> f64| {
        out.family(name, Kind::Gauge, help, |samples| {
            for (backend, endpoint) in &own {
                let labels = [("backend", &*backend.key), ("endpoint", &*endpoint.address)];
                samples.set(&labels, value(endpoint));
            }
        });
    };
    gauge("weir_endpoint_up", "Whether an endpoint is picked.", |endpoint| {
        flag(endpoint.state == "serving")
    });
    gauge("weir_endpoint_weight", "Its weight in force.", |endpoint| {
        f64::from(endpoint.weight_in_force)
    });
    let help = "Tries in flight there, for all backends that list it.";
    gauge("weir_endpoint_active_requests", help, |endpoint| {
        f64::from(endpoint.in_flight)
    });
    let help = "Connections to it, in use and waiting to be used, for all backends that list it.";
    gauge("weir_endpoint_connections", help, |endpoint| {
        endpoint.load.connections as f64
    });
    out.family(
        "weir_endpoint_state",
        Kind::Gauge,
        "The state that an endpoint is in.",
        |samples| {
            for (backend, endpoint) in &own {
                let labels = [
                    ("backend", &*backend.key),
                    ("endpoint", &*endpoint.address),
                    ("state", &*endpoint.state),
                ];
                samples.set(&labels, 1.0);
            }
        },
    );
    counters(out, report, &own);
}

fn counters(out: &mut Exposition, report: &Report, own: &[(&BackendState, &EndpointState)]) {
    let help = "Requests that an endpoint answered for a backend, by class of the status.";
    out.family("weir_endpoint_requests_total", Kind::Counter, help, |samples| {
        let mut seen = HashSet::new();
        for (place, (backend, endpoint)) in all_endpoints(report).enumerate() {
            // An address that a backend lists twice has been counted already.
            if seen.insert((&backend.key, &endpoint.address)) {
                let address = if place < ENDPOINTS_MAX {
                    &*endpoint.address
                } else {
                    "other"
                };
                let labels = [("backend", &*backend.key), ("endpoint", address)];
                classes(samples, &labels, &endpoint.classes);
            }
        }
    });
    out.family(
        "weir_endpoint_tries_total",
        Kind::Counter,
        "Tries ever begun at an address.",
        |samples| {
            for (_, endpoint) in own {
                samples.set(&[("endpoint", &endpoint.address)], endpoint.picks as f64);
            }
        },
    );
    let help = "Times that an address was ejected because of how it answered.";
    out.family("weir_ejections_total", Kind::Counter, help, |samples| {
        for (_, endpoint) in own {
            for (cause, count) in &endpoint.ejections_by_cause {
                samples.set(
                    &[("endpoint", &endpoint.address), ("cause", cause)],
                    *count as f64,
                );
            }
        }
    });
    let help = "What an address's own limits refused, for all backends that list it.";
    out.family("weir_endpoint_overflows_total", Kind::Counter, help, |samples| {
        for (_, endpoint) in own {
            for (limit, count) in refused(&endpoint.load) {
                samples.set(&[("endpoint", &endpoint.address), ("limit", limit)], count as f64);
            }
        }
    });
    let help = "Whether something was decided about an endpoint by hand.";
    out.family("weir_endpoint_override", Kind::Gauge, help, |samples| {
        for decided in &report.overrides {
            samples.set(&[("endpoint", &decided.address), ("usage", &decided.usage)], 1.0);
        }
    });
}

pub(super) fn checks(out: &mut Exposition, report: &Report) {
    let own = own_series(report);
    let all = || {
        own.iter()
            .flat_map(|(_, endpoint)| endpoint.probes.iter().map(|probe| (&*endpoint.address, probe)))
    };
    out.family(
        "weir_health_checks_total",
        Kind::Counter,
        "Probes that have ended.",
        |samples| {
            for (address, probe) in all() {
                let labels = |result| {
                    [
                        ("endpoint", address),
                        ("check", &*probe.check),
                        ("result", result),
                    ]
                };
                samples.set(&labels("good"), probe.probes.saturating_sub(probe.failed) as f64);
                samples.set(&labels("failed"), probe.failed as f64);
            }
        },
    );
}

/// The names that are documented for the gateway that weir replaces (row OP07).
pub(super) fn check_aliases(out: &mut Exposition, report: &Report) {
    let own = own_series(report);
    let all = || {
        own.iter()
            .flat_map(|(_, endpoint)| endpoint.probes.iter().map(|probe| (&*endpoint.address, probe)))
    };
    let mut alias = |name: &str, help: &str, failed: bool| {
        out.family(name, Kind::Counter, help, |samples| {
            for (address, probe) in all() {
                let good = probe.probes.saturating_sub(probe.failed);
                let count = if failed { probe.failed } else { good };
                samples.set(&[("endpoint", address), ("check", &probe.check)], count as f64);
            }
        });
    };
    alias("health_check_success_total", "Probes that were good.", false);
    alias("health_check_failure_total", "Probes that failed.", true);
    let mut written = HashSet::new();
    for (address, probe) in all() {
        if !written.insert((address, &probe.check)) {
            continue;
        }
        if written.len() == 1 {
            out.head(
                "health_check_duration_seconds",
                Kind::Summary,
                "Time of the good probes.",
            );
        }
        let labels = [("endpoint", address), ("check", &*probe.check)];
        let good = probe.probes.saturating_sub(probe.failed) as f64;
        let sum_s = good * probe.good_mean_us.unwrap_or(0) as f64 / 1e6;
        out.sample("health_check_duration_seconds_sum", &labels, sum_s);
        out.sample("health_check_duration_seconds_count", &labels, good);
    }
}

/// The endpoints that have series of their own, with their backends.
fn own_series(report: &Report) -> Vec<(&BackendState, &EndpointState)> {
    all_endpoints(report).take(ENDPOINTS_MAX).collect()
}

fn all_endpoints(report: &Report) -> impl Iterator<Item = (&BackendState, &EndpointState)> {
    let backends = report.backends.iter();
    backends.flat_map(|backend| backend.endpoints.iter().map(move |endpoint| (backend, endpoint)))
}
