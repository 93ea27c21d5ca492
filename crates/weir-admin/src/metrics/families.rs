//! What there is to measure.

use super::durations;
use super::endpoints::{check_aliases, checks, endpoints};
use super::scope::MetricScope;
use super::selection::Selection;
use super::text::{Exposition, Kind, Samples};
use crate::{BackendState, LoadState, Report};

/// Classes of statuses by their place in [`crate::RouteState::classes`].
const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// Every scope with what writes its families.
type Family = fn(&mut Exposition, &Report);
const FAMILIES: [(MetricScope, Family); 13] = [
    (MetricScope::Process, process),
    (MetricScope::Config, config),
    (MetricScope::Listener, listeners),
    (MetricScope::Route, routes),
    (MetricScope::Route, durations::requests),
    (MetricScope::Process, failures),
    (MetricScope::Backend, backends),
    (MetricScope::Backend, picks),
    (MetricScope::Backend, durations::tries),
    (MetricScope::Endpoint, endpoints),
    (MetricScope::Check, checks),
    (MetricScope::Check, check_aliases),
    (MetricScope::Tenant, tenants),
];

/// Writes everything that `report` says in Prometheus' text format.
pub fn text(report: &Report) -> String {
    selected(report, Selection::default())
}

/// Writes a part of it.
pub(crate) fn selected(report: &Report, selection: Selection) -> String {
    let wanted = FAMILIES.iter().filter(|(scope, _)| selection.has_scope(*scope));
    let wanted: Vec<Family> = wanted.map(|(_, family)| *family).collect();
    let mut out = Exposition::of(selection);
    wanted.iter().for_each(|family| family(&mut out, report));
    out.finish()
}

fn process(out: &mut Exposition, report: &Report) {
    out.family(
        "weir_build_info",
        Kind::Gauge,
        "The version that runs.",
        |samples| {
            samples.set(&[("version", &report.version)], 1.0);
        },
    );
    let uptime_s = report.uptime_ms as f64 / 1000.0;
    single(
        out,
        "weir_uptime_seconds",
        Kind::Gauge,
        "Time since the process started.",
        uptime_s,
    );
    let draining = flag(report.is_draining);
    single(
        out,
        "weir_draining",
        Kind::Gauge,
        "Whether weir finishes what is in progress in order to end.",
        draining,
    );
    let dropped = report.log_records_dropped as f64;
    let help = "Access log records that were dropped because their writer did not keep up.";
    single(
        out,
        "weir_access_log_records_dropped_total",
        Kind::Counter,
        help,
        dropped,
    );
}

fn listeners(out: &mut Exposition, report: &Report) {
    let help = "Whether a listener accepts connections.";
    out.family("weir_listener_up", Kind::Gauge, help, |samples| {
        for listener in &report.listeners {
            samples.set(&[("listener", &listener.address)], flag(listener.bound.is_some()));
        }
    });
    let help = "Client connections open now.";
    out.family("weir_open_connections", Kind::Gauge, help, |samples| {
        for listener in &report.listeners {
            let labels = [("listener", &*listener.address), ("protocol", "http1")];
            samples.set(&labels, listener.connections_open as f64);
        }
    });
    let help = "Requests that no rule serves, answered 404.";
    out.family("weir_route_misses_total", Kind::Counter, help, |samples| {
        for listener in &report.listeners {
            for (why, count) in &listener.misses {
                samples.set(&[("listener", &listener.address), ("why", why)], *count as f64);
            }
        }
    });
}

fn config(out: &mut Exposition, report: &Report) {
    let config = &report.config;
    let help = "Number of the configuration that is in force, and of the last one that was read.";
    out.family("weir_config_generation", Kind::Gauge, help, |samples| {
        samples.set(&[("state", "running")], config.generation_running as f64);
        samples.set(&[("state", "disk")], config.generation_disk as f64);
    });
    let in_sync = flag(config.is_in_sync);
    single(
        out,
        "weir_config_in_sync",
        Kind::Gauge,
        "Whether what runs is what is written.",
        in_sync,
    );
    let help = "Times that a configuration was read: wholly in force, or not.";
    out.family("weir_config_reloads_total", Kind::Counter, help, |samples| {
        samples.set(&[("result", "good")], config.reloads_good as f64);
        samples.set(&[("result", "bad")], config.reloads_bad as f64);
    });
    let good = flag(config.is_last_good);
    single(
        out,
        "weir_config_last_reload_success",
        Kind::Gauge,
        "Whether the last reload was wholly in force.",
        good,
    );
    let help = "When a configuration was last put wholly in force, seconds since 1970.";
    out.family(
        "weir_config_last_reload_success_timestamp_seconds",
        Kind::Gauge,
        help,
        |samples| {
            if let Some(unix_ms) = config.last_good_unix_ms {
                samples.set(&[], unix_ms as f64 / 1000.0);
            }
        },
    );
    out.family(
        "weir_config_problems",
        Kind::Gauge,
        "What is wrong with the configuration.",
        |samples| {
            for severity in ["error", "warning", "note"] {
                let of = |problem: &&crate::ProblemState| problem.severity == severity;
                let count = report.problems.iter().filter(of).count();
                samples.set(&[("severity", severity)], count as f64);
            }
        },
    );
}

fn routes(out: &mut Exposition, report: &Report) {
    let help = "Requests by rule and class of the status; none: the client got no answer.";
    out.family("weir_requests_total", Kind::Counter, help, |samples| {
        for route in &report.routes {
            classes(samples, &[("route", &route.key)], &route.classes);
        }
    });
    let help = "Tries after the first ones; success: it brought an answer below 500.";
    out.family("weir_retries_total", Kind::Counter, help, |samples| {
        for route in &report.routes {
            let labels = |outcome| [("route", &*route.key), ("outcome", outcome)];
            samples.set(&labels("success"), route.retries_good as f64);
            let failed = route.retries.saturating_sub(route.retries_good);
            samples.set(&labels("failed"), failed as f64);
        }
    });
}

fn failures(out: &mut Exposition, report: &Report) {
    const PANICKED: &str = "connection_panicked";
    let help = "Answers that weir gave itself because something failed, by the word of x-weir-reason.";
    out.family("weir_failures_total", Kind::Counter, help, |samples| {
        for failure in &report.failures {
            samples.add(&[("reason", &failure.reason)], failure.count as f64);
        }
    });
    let panicked = report
        .failures
        .iter()
        .filter(|failure| failure.reason == PANICKED);
    let panicked: u64 = panicked.map(|failure| failure.count).sum();
    let help = "Connections that were lost to a defect in weir.";
    single(
        out,
        "weir_connection_panics_total",
        Kind::Counter,
        help,
        panicked as f64,
    );
}

fn backends(out: &mut Exposition, report: &Report) {
    let help = "Whether all endpoints of a backend are used because too few are healthy.";
    let mut each = |name: &str, kind: Kind, help: &str, value: fn(&BackendState) -> f64| {
        out.family(name, kind, help, |samples| {
            for backend in &report.backends {
                samples.set(&[("backend", &backend.key)], value(backend));
            }
        });
    };
    each("weir_backend_in_panic", Kind::Gauge, help, |backend| {
        flag(backend.is_in_panic)
    });
    let help = "Connections to a backend's endpoints, in use and waiting to be used.";
    each("weir_backend_connections", Kind::Gauge, help, |backend| {
        backend.load.connections as f64
    });
    let help = "Requests that wait for a connection.";
    each("weir_backend_pending_requests", Kind::Gauge, help, |backend| {
        backend.load.pending as f64
    });
    let help = "Retries in flight.";
    each("weir_backend_active_retries", Kind::Gauge, help, |backend| {
        backend.load.retries as f64
    });
    let help = "What a backend's circuit breakers refused, by the limit that was reached.";
    out.family("weir_overflows_total", Kind::Counter, help, |samples| {
        for backend in &report.backends {
            for (limit, count) in refused(&backend.load) {
                samples.set(&[("backend", &backend.key), ("limit", limit)], count as f64);
            }
        }
    });
}

fn picks(out: &mut Exposition, report: &Report) {
    let help =
        "Endpoints picked, by what decided: the policy, affinity, a session, an override, panic, a retry.";
    out.family("weir_lb_picks_total", Kind::Counter, help, |samples| {
        for backend in &report.backends {
            for (reason, count) in &backend.picks {
                // As with classes of statuses: most backends never see most reasons.
                if *count > 0 || reason == "policy" {
                    samples.set(&[("backend", &backend.key), ("reason", reason)], *count as f64);
                }
            }
        }
    });
}

fn tenants(out: &mut Exposition, report: &Report) {
    out.family(
        "weir_tenant_services",
        Kind::Gauge,
        "Services of a tenant.",
        |samples| {
            for tenant in &report.tenants {
                samples.set(&[("tenant", &tenant.name)], tenant.healthy().1 as f64);
            }
        },
    );
    out.family(
        "weir_tenant_services_healthy",
        Kind::Gauge,
        "Healthy services of a tenant.",
        |samples| {
            for tenant in &report.tenants {
                samples.set(&[("tenant", &tenant.name)], tenant.healthy().0 as f64);
            }
        },
    );
}

fn single(out: &mut Exposition, name: &str, kind: Kind, help: &str, value: f64) {
    out.family(name, kind, help, |samples| samples.set(&[], value));
}

pub(super) fn classes(samples: &mut Samples, labels: &[(&str, &str)], counts: &[u64; 6]) {
    for (class, count) in CLASSES.iter().zip(counts) {
        // A series begins with the first of its kind: most rules never see most classes.
        if *count > 0 || *class == "2xx" {
            let labels = [labels, &[("code_class", *class)]].concat();
            samples.add(&labels, *count as f64);
        }
    }
}

pub(super) fn refused(load: &LoadState) -> [(&'static str, u64); 4] {
    [
        ("connections", load.refused_connections),
        ("pending_requests", load.refused_pending),
        ("requests", load.refused_requests),
        ("retries", load.refused_retries),
    ]
}

pub(super) fn flag(is_so: bool) -> f64 {
    f64::from(u8::from(is_so))
}
