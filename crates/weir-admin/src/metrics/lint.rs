//! Whether what is written is what Prometheus wants.

use super::lint_text::lint;
use super::{Selection, selected, text};
use crate::{
    BackendState, ConfigState, DurationState, EndpointState, FailureState, ListenerState, OverrideState,
    ProbeState, Report, RouteState, TenantState, TryState,
};

/// Everything that there can be, some of it twice, with text that does not belong in labels.
fn report() -> Report {
    let probe = |check: &str| ProbeState {
        check: check.to_owned(),
        probes: 10,
        failed: 3,
        good_mean_us: Some(1500),
        ..ProbeState::default()
    };
    let duration = |status: u16, error: &str, count: u64| {
        let mut buckets = vec![0; 15];
        (buckets[0], buckets[14]) = (count, 1);
        DurationState {
            method: "GET".to_owned(),
            status,
            version: "1.1".to_owned(),
            error: error.to_owned(),
            buckets,
            sum_us: 2_500_000,
        }
    };
    let endpoint = |address: &str, state: &str| EndpointState {
        address: address.to_owned(),
        state: state.to_owned(),
        weight_in_force: 2,
        in_flight: 1,
        picks: 40,
        classes: [0, 0, 30, 0, 5, 0],
        ejections: 1,
        ejections_by_cause: [("success_rate".to_owned(), 1)].into(),
        probes: vec![probe("GET /healthz"), probe("GET /healthz"), probe("GET /\"q\"")],
        ..EndpointState::default()
    };
    let backend = |key: &str| BackendState {
        key: key.to_owned(),
        is_in_panic: true,
        picks: [("policy", 7), ("retry", 2), ("panic", 0)]
            .map(|(reason, count)| (reason.to_owned(), count))
            .into(),
        endpoints: vec![
            endpoint("10.0.0.1:80", "serving"),
            endpoint("10.0.0.1:80", "serving"),
            endpoint("/run/a\nb.sock", "ejected"),
        ],
        ..BackendState::default()
    };
    Report {
        version: "0.1.0".to_owned(),
        uptime_ms: 1500,
        config: ConfigState {
            generation_running: 3,
            generation_disk: 4,
            last_good_unix_ms: Some(1_700_000_000_500),
            ..ConfigState::default()
        },
        listeners: vec![ListenerState {
            address: "0.0.0.0:80".to_owned(),
            connections_open: 3,
            misses: [("no_route".to_owned(), 5)].into(),
            ..ListenerState::default()
        }],
        routes: vec![RouteState {
            key: "httproute/a/b/rule/0".to_owned(),
            classes: [1, 0, 98, 0, 0, 1],
            within: vec![90; 14],
            duration_us: 2_500_000,
            retries: 2,
            retries_good: 1,
            durations: vec![
                duration(200, "", 90),
                duration(503, "no_endpoints", 10),
                duration(0, "", 1),
            ],
            ..RouteState::default()
        }],
        backends: vec![backend("service/a/b/80"), backend("tenant/x")],
        tries: vec![TryState {
            route: "httproute/a/b/rule/0".to_owned(),
            backend: "tenant/x".to_owned(),
            durations: vec![duration(404, "", 2), duration(0, "connect_failed", 3)],
        }],
        failures: vec![FailureState {
            reason: "connection_panicked".to_owned(),
            count: 2,
        }],
        overrides: vec![OverrideState {
            address: "10.0.0.1:80".to_owned(),
            usage: "draining".to_owned(),
            ..OverrideState::default()
        }],
        tenants: vec![TenantState {
            name: "x".to_owned(),
            ..TenantState::default()
        }],
        ..Report::default()
    }
}

#[test]
fn op06_the_text_is_what_prometheus_wants() {
    let text = text(&report());
    assert_eq!(lint(&text), Vec::<String>::new(), "{text}");
    assert_eq!(lint(&super::text(&Report::default())), Vec::<String>::new());
    for line in [
        "weir_requests_total{route=\"httproute/a/b/rule/0\",code_class=\"5xx\"} 1",
        "http_server_request_duration_seconds_bucket{http_route=\"httproute/a/b/rule/0\",url_scheme=\"http\",http_request_method=\"GET\",network_protocol_version=\"1.1\",http_response_status_code=\"200\",le=\"0.005\"} 90",
        "http_server_request_duration_seconds_bucket{http_route=\"httproute/a/b/rule/0\",url_scheme=\"http\",http_request_method=\"GET\",network_protocol_version=\"1.1\",http_response_status_code=\"200\",le=\"10\"} 90",
        "http_server_request_duration_seconds_bucket{http_route=\"httproute/a/b/rule/0\",url_scheme=\"http\",http_request_method=\"GET\",network_protocol_version=\"1.1\",http_response_status_code=\"200\",le=\"+Inf\"} 91",
        "http_server_request_duration_seconds_sum{http_route=\"httproute/a/b/rule/0\",url_scheme=\"http\",http_request_method=\"GET\",network_protocol_version=\"1.1\"} 2.5",
        "http_server_request_duration_seconds_count{http_route=\"httproute/a/b/rule/0\",url_scheme=\"http\",http_request_method=\"GET\",network_protocol_version=\"1.1\",http_response_status_code=\"503\",error_type=\"no_endpoints\"} 11",
        "http_client_request_duration_seconds_count{http_route=\"httproute/a/b/rule/0\",backend=\"tenant/x\",url_scheme=\"http\",http_request_method=\"GET\",network_protocol_version=\"1.1\",http_response_status_code=\"404\",error_type=\"404\"} 3",
        "http_client_request_duration_seconds_count{http_route=\"httproute/a/b/rule/0\",backend=\"tenant/x\",url_scheme=\"http\",http_request_method=\"GET\",network_protocol_version=\"1.1\",error_type=\"connect_failed\"} 4",
        "weir_lb_picks_total{backend=\"tenant/x\",reason=\"policy\"} 7",
        "weir_lb_picks_total{backend=\"tenant/x\",reason=\"retry\"} 2",
        "weir_retries_total{route=\"httproute/a/b/rule/0\",outcome=\"success\"} 1",
        "weir_retries_total{route=\"httproute/a/b/rule/0\",outcome=\"failed\"} 1",
        "weir_route_misses_total{listener=\"0.0.0.0:80\",why=\"no_route\"} 5",
        "weir_open_connections{listener=\"0.0.0.0:80\",protocol=\"http1\"} 3",
        "weir_endpoint_requests_total{backend=\"tenant/x\",endpoint=\"10.0.0.1:80\",code_class=\"2xx\"} 30",
        "weir_endpoint_up{backend=\"tenant/x\",endpoint=\"10.0.0.1:80\"} 1",
        "weir_endpoint_state{backend=\"tenant/x\",endpoint=\"/run/a\\nb.sock\",state=\"ejected\"} 1",
        "weir_connection_panics_total 2",
        "weir_config_generation{state=\"disk\"} 4",
        "weir_config_last_reload_success_timestamp_seconds 1700000000.5",
    ] {
        assert!(text.lines().any(|other| other == line), "{line}\n{text}");
    }
}

#[test]
fn op06_a_part_is_what_was_asked_for_and_clean() {
    let names = |query: &str| -> Vec<String> {
        let text = selected(&report(), Selection::parse(query).expect("a selection"));
        assert_eq!(lint(&text), Vec::<String>::new(), "{text}");
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        types
            .map(|rest| rest.split(' ').next().unwrap_or_default().to_owned())
            .collect()
    };
    let all = names("");
    assert_eq!(
        names("scope=listener"),
        [
            "weir_listener_up",
            "weir_open_connections",
            "weir_route_misses_total"
        ]
    );
    assert_eq!(
        names("scope=route,listener&metrics=weir_route_misses_total,http_server_request_duration_seconds"),
        ["weir_route_misses_total", "http_server_request_duration_seconds"]
    );
    let rest = names("metrics=-http_server_request_duration_seconds,-weir_endpoint_up");
    assert_eq!(rest.len(), all.len() - 2);
    let scopes = [
        "process", "config", "listener", "route", "backend", "endpoint", "check", "tenant",
    ];
    let by_scope: usize = scopes
        .iter()
        .map(|scope| names(&format!("scope={scope}")).len())
        .sum();
    assert_eq!(by_scope, all.len());
}

#[test]
fn op07_documented_names_of_checks_are_there() {
    let text = text(&report());
    for name in [
        "health_check_success_total",
        "health_check_failure_total",
        "health_check_duration_seconds",
    ] {
        assert!(text.contains(&format!("# TYPE {name} ")), "{name}");
    }
    let labels = "{endpoint=\"10.0.0.1:80\",check=\"GET /healthz\"}";
    assert!(text.contains(&format!("health_check_success_total{labels} 7\n")));
    assert!(text.contains(&format!("health_check_duration_seconds_sum{labels} 0.0105\n")));
}

#[test]
fn op06_series_of_endpoints_are_bounded() {
    let endpoint = |number: usize| EndpointState {
        address: format!("10.0.{}.{}:80", number / 250, number % 250),
        classes: [0, 0, 1, 0, 0, 0],
        ..EndpointState::default()
    };
    let report = Report {
        backends: vec![BackendState {
            key: "a".to_owned(),
            endpoints: (0..2500).map(endpoint).collect(),
            ..BackendState::default()
        }],
        ..Report::default()
    };
    let text = text(&report);
    assert_eq!(lint(&text), Vec::<String>::new());
    assert_eq!(text.matches("\nweir_endpoint_up{").count(), 2000);
    let other = "weir_endpoint_requests_total{backend=\"a\",endpoint=\"other\",code_class=\"2xx\"} 500\n";
    assert!(text.contains(other));
}

#[test]
fn the_lint_finds_what_it_is_for() {
    for (bad, found) in [
        ("weir_a 1", "outside its family"),
        ("# HELP weir_a A.\n# TYPE weir_a counter\nweir_a 1", "_total"),
        (
            "# HELP weir_a_total A.\n# TYPE weir_a_total gauge\nweir_a_total 1",
            "_total",
        ),
        ("# TYPE weir_a gauge\nweir_a 1", "after its help"),
        (
            "# HELP weir_a A.\n# TYPE weir_a gauge\nweir_a 1\nweir_a 2",
            "twice",
        ),
        ("# HELP weir_a A.\n# TYPE weir_a gauge\nweir_a x", "not a number"),
        (
            "# HELP weir_a_ms A.\n# TYPE weir_a_ms gauge\nweir_a_ms 1",
            "base unit",
        ),
    ] {
        let problems = lint(bad);
        assert!(
            problems.iter().any(|problem| problem.contains(found)),
            "{bad}: {problems:?}"
        );
    }
}
