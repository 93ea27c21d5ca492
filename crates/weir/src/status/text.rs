//! One screen: what runs, who listens, where requests go and how those do who serve them.

use std::time::Duration;

use weir_admin::{BackendState, EndpointState, Overall, OverrideState, Report, RouteState, TenantState};

use super::cells::{Cell, Paint, lines};
use crate::value::duration_text;

/// Problems that are shown, at most; `weir check` shows all.
const PROBLEMS_MAX: usize = 10;

/// How it is shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    /// With colours.
    pub(crate) color: bool,
}

/// The whole screen, each line with a line end. `now_ms` is the time of day, milliseconds since 1970.
pub(crate) fn screen_text(report: &Report, now_ms: u64, style: Style) -> String {
    let parts = [
        head(report, style),
        listeners(report, style),
        tenants(&report.tenants, style),
        routes(&report.routes, style),
        backends(&report.backends, now_ms, style),
        overrides(&report.overrides, now_ms, style),
        failures(report, style),
        problems(report, style),
    ];
    parts
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("\n")
}

fn head(report: &Report, style: Style) -> String {
    let paint = match report.status {
        Overall::Healthy => Paint::Good,
        Overall::Degraded => Paint::Doubtful,
        Overall::Unhealthy => Paint::Bad,
    };
    let config = &report.config;
    let generation = match (
        &config.difference,
        config.generation_disk == config.generation_running,
    ) {
        (None, _) => format!("generation {}, as on disk", config.generation_running),
        (Some(_), true) => format!("generation {}, partly", config.generation_running),
        (Some(_), false) => {
            format!(
                "generation {} ({} is on disk)",
                config.generation_running, config.generation_disk
            )
        }
    };
    let draining = if report.is_draining { "  draining" } else { "" };
    let up = Duration::from_secs(report.uptime_ms / 1000);
    let mut text = format!(
        "{}  {}{draining}  {generation}  up {}  {} open\n",
        Paint::Strong.on(&format!("weir {}", report.version), style.color),
        paint.on(report.status.word(), style.color),
        duration_text(up),
        counted(report.connections_open, "connection"),
    );
    if let Some(difference) = &config.difference {
        let line = format!("running differs from disk: {difference}");
        text += &format!("{}\n", Paint::Bad.on(&line, style.color));
    }
    text
}

fn listeners(report: &Report, style: Style) -> String {
    let row = |listener: &weir_admin::ListenerState| {
        let state = match (&listener.bound, &listener.error) {
            (Some(_), _) => Cell::words("listening").painted(Paint::Good),
            (None, Some(error)) => Cell::words(error.clone()).painted(Paint::Bad),
            (None, None) => Cell::words("not open").painted(Paint::Bad),
        };
        vec![
            Cell::words(listener.address.clone()),
            state,
            Cell::words(listener.sections.join(", ")),
        ]
    };
    table(
        "listeners",
        &[],
        report.listeners.iter().map(row).collect(),
        style,
    )
}

fn tenants(tenants: &[TenantState], style: Style) -> String {
    let row = |tenant: &TenantState| {
        let (healthy, all) = tenant.healthy();
        let paint = match tenant.status() {
            Overall::Healthy => Paint::Good,
            Overall::Degraded => Paint::Doubtful,
            Overall::Unhealthy => Paint::Bad,
        };
        let reached = tenant.domains.join(", ") + tenant.path_prefix.as_deref().unwrap_or_default();
        vec![
            Cell::words(tenant.name.clone()),
            Cell::words(format!("{healthy}/{all} healthy")).painted(paint),
            Cell::words(reached),
        ]
    };
    table("tenants", &[], tenants.iter().map(row).collect(), style)
}

fn routes(routes: &[RouteState], style: Style) -> String {
    let row = |route: &RouteState| {
        let requests = route.requests();
        let failed = route.classes[5] + route.classes[0];
        let time = |us: u64| {
            if requests == 0 {
                String::new()
            } else {
                time_text(us)
            }
        };
        let errors = percent(failed, requests);
        vec![
            Cell::words(route.key.clone()),
            Cell::number(requests.to_string()),
            if failed > 0 {
                Cell::number(errors).painted(Paint::Doubtful)
            } else {
                Cell::number(errors)
            },
            Cell::number(if route.retries > 0 {
                route.retries.to_string()
            } else {
                String::new()
            }),
            Cell::number(time(route.median_us)),
            Cell::number(time(route.p99_us)),
            Cell::words(route.matches.join("; ")),
        ]
    };
    let head = ["", "requests", "errors", "retries", "p50", "p99", "matches"];
    table("routes", &head, routes.iter().map(row).collect(), style)
}

fn backends(backends: &[BackendState], now_ms: u64, style: Style) -> String {
    backends
        .iter()
        .map(|backend| {
            let serving = backend
                .endpoints
                .iter()
                .filter(|one| one.state == "serving")
                .count();
            let all = backend.endpoints.len();
            let panic = if backend.is_in_panic {
                Paint::Bad.on("  panic: all are used, too few are healthy", style.color)
            } else {
                String::new()
            };
            let title = Paint::Strong.on(&format!("backend {}", backend.key), style.color);
            let rows = backend
                .endpoints
                .iter()
                .map(|endpoint| endpoint_row(endpoint, now_ms))
                .collect();
            let head = ["", "", "share", "in flight", "weight", "mean", "checked", ""];
            format!(
                "{title}  {serving} of {all} serving{panic}\n{}",
                rows_text(&head, rows, style)
            )
        })
        .collect::<Vec<_>>()
        .join("\n")
}

fn endpoint_row(endpoint: &EndpointState, now_ms: u64) -> Vec<Cell> {
    let paint = match &*endpoint.state {
        "serving" => Paint::Good,
        "unhealthy" | "ejected" => Paint::Bad,
        _ => Paint::Doubtful,
    };
    let name = if endpoint.name.is_empty() || endpoint.address.starts_with(&endpoint.name) {
        endpoint.address.clone()
    } else {
        format!("{} ({})", endpoint.address, endpoint.name)
    };
    let mean = endpoint
        .probes
        .iter()
        .filter_map(|probe| probe.good_mean_us)
        .max();
    let checked = endpoint
        .probes
        .iter()
        .filter_map(|probe| probe.last_unix_ms)
        .max();
    let weight = if endpoint.weight == endpoint.weight_in_force {
        Cell::number(endpoint.weight.to_string())
    } else {
        let both = format!("{} (not {})", endpoint.weight_in_force, endpoint.weight);
        Cell::number(both).painted(Paint::Doubtful)
    };
    let share = endpoint.share_percent.map(|share| format!("{share:.1} %"));
    vec![
        Cell::words(name),
        Cell::words(endpoint.state.clone()).painted(paint),
        Cell::number(share.unwrap_or_default()),
        Cell::number(endpoint.in_flight.to_string()),
        weight,
        Cell::number(mean.map(time_text).unwrap_or_default()),
        Cell::number(checked.map(|checked| ago(checked, now_ms)).unwrap_or_default()),
        Cell::words(endpoint.cause.clone()),
    ]
}

fn overrides(overrides: &[OverrideState], now_ms: u64, style: Style) -> String {
    let row = |decided: &OverrideState| {
        let weight = decided.weight.map(|weight| format!("weight {weight}"));
        let usage = Some(decided.usage.clone()).filter(|usage| usage != "serving");
        let what: Vec<String> = usage.into_iter().chain(weight).collect();
        let left = decided.until_unix_ms.map(|until_ms| {
            let left = Duration::from_secs(until_ms.saturating_sub(now_ms) / 1000);
            format!("for {} more", duration_text(left))
        });
        let listed = (!decided.is_listed).then(|| "no backend has it now".to_owned());
        vec![
            Cell::words(decided.address.clone()),
            Cell::words(what.join(", ")).painted(Paint::Doubtful),
            Cell::words(ago(decided.since_unix_ms, now_ms)),
            Cell::words(left.unwrap_or_else(|| "until reset".to_owned())),
            Cell::words(decided.reason.clone().or(listed).unwrap_or_default()),
        ]
    };
    table("decided by hand", &[], overrides.iter().map(row).collect(), style)
}

fn failures(report: &Report, style: Style) -> String {
    let row = |failure: &weir_admin::FailureState| {
        vec![
            Cell::words(failure.reason.clone()),
            Cell::number(failure.count.to_string()),
        ]
    };
    table(
        "answered by weir itself",
        &[],
        report.failures.iter().map(row).collect(),
        style,
    )
}

fn problems(report: &Report, style: Style) -> String {
    let row = |problem: &weir_admin::ProblemState| {
        let paint = match &*problem.severity {
            "error" => Paint::Bad,
            "warning" => Paint::Doubtful,
            _ => Paint::Faint,
        };
        vec![
            Cell::words(format!("{}[{}]", problem.severity, problem.code)).painted(paint),
            Cell::words(problem.place.clone()),
            Cell::words(problem.message.clone()),
        ]
    };
    let rows = report.problems.iter().take(PROBLEMS_MAX).map(row).collect();
    let mut text = table("problems", &[], rows, style);
    if report.problems.len() > PROBLEMS_MAX {
        let more = report.problems.len() - PROBLEMS_MAX;
        text += &format!("  and {more} more: weir check shows all\n");
    }
    text
}

/// A title and its rows; nothing when there are none.
fn table(title: &str, head: &[&str], rows: Vec<Vec<Cell>>, style: Style) -> String {
    if rows.is_empty() {
        return String::new();
    }
    format!(
        "{}\n{}",
        Paint::Strong.on(title, style.color),
        rows_text(head, rows, style)
    )
}

fn rows_text(head: &[&str], rows: Vec<Vec<Cell>>, style: Style) -> String {
    let mut all = Vec::with_capacity(rows.len() + 1);
    if !head.is_empty() {
        let titles = head.iter().enumerate().map(|(column, title)| {
            let is_words = matches!(column, 0 | 1) || column + 1 == head.len();
            let cell = if is_words && *title != "requests" {
                Cell::words(*title)
            } else {
                Cell::number(*title)
            };
            cell.painted(Paint::Faint)
        });
        all.push(titles.collect());
    }
    all.extend(rows);
    lines(&all, "  ", style.color)
}

fn percent(part: u64, whole: u64) -> String {
    if whole == 0 || part == 0 {
        return String::new();
    }
    format!("{:.1} %", part as f64 * 100.0 / whole as f64)
}

fn time_text(us: u64) -> String {
    match us {
        0..1000 => format!("{us} us"),
        1000..10_000 => format!("{:.1} ms", us as f64 / 1000.0),
        10_000..1_000_000 => format!("{} ms", us / 1000),
        _ => format!("{:.1} s", us as f64 / 1e6),
    }
}

fn ago(unix_ms: u64, now_ms: u64) -> String {
    match now_ms.saturating_sub(unix_ms) / 1000 {
        0 => "now".to_owned(),
        seconds @ 1..120 => format!("{seconds} s ago"),
        seconds @ 120..7200 => format!("{} min ago", seconds / 60),
        seconds => format!("{} h ago", seconds / 3600),
    }
}

fn counted(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
