//! What is told while backends fail: a scrape that Prometheus would take, and what probes found (rows OP06, HC17).

use std::time::Instant;

use super::api::wait_for_metric;
use crate::harness::{
    ADMIN, Admin, Backends, Client, Gateway, PATIENCE, Process, ROUTE, free_port, gateway_and_service, lint,
    route_policy,
};

fn start(ports: &[u16], spec: &str) -> (Gateway, Admin) {
    let port = free_port();
    let config = gateway_and_service(port, ports) + ROUTE + &route_policy("policy", spec);
    let gateway = Gateway::start_with(port, &config, &ADMIN);
    let admin = Admin::of_gateway(&gateway);
    (gateway, admin)
}

/// The value of the one series that begins so.
fn value(metrics: &str, series: &str) -> f64 {
    let mut found = metrics.lines().filter_map(|line| line.strip_prefix(series));
    let value = found.next().unwrap_or_else(|| panic!("{series}\n{metrics}"));
    assert_eq!(found.next(), None, "{series}");
    value.trim().parse().expect("a number")
}

#[test]
fn op06_lb30_hc11_what_retries_ejections_and_breakers_count() {
    let backends = Backends::start(2);
    let (gateway, mut admin) = start(
        &backends.ports(),
        "retry: {numRetries: 1, retryOn: {httpStatusCodes: [500]}}
healthCheck: {passive: {consecutive5XxErrors: 3, interval: 50ms, baseEjectionTime: 60s, maxEjectionPercent: 50}}
circuitBreaker: {maxParallelRequests: 1}",
    );
    let mut client = Client::connect(gateway.address);
    for _ in 0..8 {
        assert_eq!(client.get("/?r=500", &[]).status, 500);
    }
    let route = "httproute/default/only/rule/0";
    let counted = |class: &str, count: u64| {
        format!("weir_requests_total{{route=\"{route}\",code_class=\"{class}\"}} {count}")
    };
    // The last of them has given its place back.
    wait_for_metric(&mut admin, &counted("5xx", 8));
    let mut busy = Client::connect(gateway.address);
    let before: u64 = backends.requests().iter().sum();
    busy.send("GET /?t=1500ms HTTP/1.1\r\nHost: www.example.com\r\n\r\n");
    while backends.requests().iter().sum::<u64>() == before {
        std::thread::yield_now();
    }
    assert_eq!(client.get("/", &[]).status, 503);
    assert_eq!(busy.response("GET").status, 200);

    wait_for_metric(&mut admin, &counted("2xx", 1));
    let metrics = wait_for_metric(&mut admin, &counted("5xx", 9));
    assert_eq!(lint(&metrics), Vec::<String>::new(), "{metrics}");
    let retries = |outcome: &str| {
        let series = format!("weir_retries_total{{route=\"{route}\",outcome=\"{outcome}\"}}");
        value(&metrics, &series)
    };
    assert!((1.0..=8.0).contains(&retries("failed")), "{}", retries("failed"));
    assert_eq!(retries("success"), 0.0);
    let overflows = "weir_overflows_total{backend=\"service/default/backend/3000\",limit=\"requests\"}";
    assert_eq!(value(&metrics, overflows), 1.0);
    assert_eq!(
        value(&metrics, "weir_failures_total{reason=\"backend_requests_full\"}"),
        1.0
    );
    let ejected: f64 = backends
        .ports()
        .iter()
        .map(|port| {
            let address = format!("127.0.0.1:{port}");
            let times = value(
                &metrics,
                &format!("weir_ejections_total{{endpoint=\"{address}\",cause=\"consecutive_5xx\"}}"),
            );
            let up = format!(
                "weir_endpoint_up{{backend=\"service/default/backend/3000\",endpoint=\"{address}\"}}"
            );
            assert_eq!(value(&metrics, &up), 1.0 - times, "an ejected one is not picked");
            times
        })
        .sum();
    assert_eq!(ejected, 1.0, "half of them at most");
}

/// Starts an echo server as a process of its own.
fn echo(port: u16) -> Process {
    let process = Process::start(&["echo", "--listen", &format!("127.0.0.1:{port}")]);
    process.stdout.wait_after(0, "echo: http");
    process
}

/// Four probed backends, three of them killed after they were healthy.
fn three_of_four_die(panic_threshold: u32) -> (Gateway, Admin, Process, [u16; 4]) {
    let ports = [free_port(), free_port(), free_port(), free_port()];
    let [alive, dying @ ..] = ports.map(echo);
    let (gateway, admin) = start(
        &ports,
        &format!(
            "healthCheck:
  panicThreshold: {panic_threshold}
  active: {{type: HTTP, http: {{path: /healthz}}, interval: 50ms, timeout: 500ms, unhealthyThreshold: 2}}"
        ),
    );
    let log = &gateway.process.stderr;
    for port in ports {
        log.wait_after(0, &format!(":{port} is healthy"));
    }
    drop(dying);
    for port in &ports[1..] {
        log.wait_after(0, &format!(":{port} is unhealthy"));
    }
    (gateway, admin, alive, ports)
}

#[test]
fn lb25_hc09_hc17_three_of_four_are_dead_and_all_are_tried_or_the_living_one() {
    for (threshold, in_panic) in [(50, 1.0), (0, 0.0)] {
        let (gateway, mut admin, _alive, ports) = three_of_four_die(threshold);
        let mut client = Client::connect(gateway.address);
        let before = picks(&mut admin);
        let statuses: Vec<u16> = (0..40).map(|_| client.get("/", &[]).status).collect();
        assert!(statuses.contains(&200), "{statuses:?}");
        // In panic three tries may all meet dead ones.
        assert!(
            statuses
                .iter()
                .all(|status| *status == 200 || in_panic > 0.0 && *status == 502),
            "{statuses:?}"
        );
        let after = picks(&mut admin);
        let tried: Vec<bool> = before
            .iter()
            .zip(&after)
            .map(|(before, after)| after > before)
            .collect();
        let is_any = in_panic > 0.0;
        assert_eq!(tried, [true, is_any, is_any, is_any], "{before:?} {after:?}");

        let status = probed(&mut admin, 1);
        check_probed(&status["backends"][0]["endpoints"], ports[1]);
        let health = admin.get("/admin/health").json();
        assert_eq!(
            (&status["status"], &health["status"]),
            (&"degraded".into(), &"degraded".into())
        );
        assert_eq!(status["backends"][0]["is_in_panic"], in_panic > 0.0);

        let metrics = String::from_utf8(admin.get("/metrics").body).expect("text");
        assert_eq!(lint(&metrics), Vec::<String>::new(), "{metrics}");
        let backend = "backend=\"service/default/backend/3000\"";
        assert_eq!(
            value(&metrics, &format!("weir_backend_in_panic{{{backend}}}")),
            in_panic
        );
        let panicked = format!("weir_lb_picks_total{{{backend},reason=\"panic\"}}");
        assert_eq!(metrics.contains(&panicked), in_panic > 0.0, "{metrics}");
        for (port, up, state) in [(ports[0], 1.0, "serving"), (ports[1], 0.0, "unhealthy")] {
            let endpoint = format!("endpoint=\"127.0.0.1:{port}\"");
            let up_series = format!("weir_endpoint_up{{{backend},{endpoint}}}");
            assert_eq!(value(&metrics, &up_series), up);
            let state = format!("weir_endpoint_state{{{backend},{endpoint},state=\"{state}\"}}");
            assert_eq!(value(&metrics, &state), 1.0);
            let failed =
                format!("weir_health_checks_total{{{endpoint},check=\"GET /healthz\",result=\"failed\"}}");
            assert_eq!(value(&metrics, &failed) >= 5.0, up == 0.0);
        }
    }
}

/// Tries begun at each endpoint.
fn picks(admin: &mut Admin) -> Vec<u64> {
    let status = admin.get("/status").json();
    let endpoints = status["backends"][0]["endpoints"]
        .as_array()
        .expect("a list")
        .iter();
    endpoints
        .map(|one| one["picks"].as_u64().expect("a number"))
        .collect()
}

/// The picture once five probes of the endpoint at `index` have failed.
fn probed(admin: &mut Admin, index: usize) -> serde_json::Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let status = admin.get("/status").json();
        let probe = &status["backends"][0]["endpoints"][index]["probes"][0];
        if probe["failed"].as_u64() > Some(5) {
            return status;
        }
        assert!(Instant::now() < deadline, "{status:#}");
    }
}

/// The first endpoint is well, the second was and is dead.
fn check_probed(endpoints: &serde_json::Value, dead_port: u16) {
    let (alive, dead) = (&endpoints[0], &endpoints[1]);
    assert_eq!(dead["address"], format!("127.0.0.1:{dead_port}"));
    assert_eq!(
        (&alive["score"], &alive["probes"][0]["verdict"]),
        (&100.into(), &"healthy".into())
    );
    assert!(dead["score"].as_u64() < Some(100), "{dead:#}");
    let probe = &dead["probes"][0];
    assert_eq!(
        (&probe["check"], &probe["verdict"]),
        (&"GET /healthz".into(), &"unhealthy".into())
    );
    let mean_us = probe["good_mean_us"].as_u64();
    assert!(
        mean_us.is_some_and(|mean_us| (1..500_000).contains(&mean_us)),
        "{probe:#}"
    );
    assert!(
        probe["last"]
            .as_str()
            .is_some_and(|last| last.contains("refused")),
        "{probe:#}"
    );
    let failures = probe["failures"].as_array().expect("a list");
    assert_eq!(failures.len(), 5, "{probe:#}");
    for failure in failures {
        assert_eq!(failure["kind"], "refused", "{probe:#}");
        assert!(
            failure["what"]
                .as_str()
                .is_some_and(|what| what.contains("refused"))
        );
    }
    let times: Vec<Option<u64>> = failures
        .iter()
        .map(|failure| failure["unix_ms"].as_u64())
        .collect();
    assert!(
        times.is_sorted() && times[0].is_some(),
        "the oldest first: {times:?}"
    );
    assert_eq!(probe["last_unix_ms"].as_u64(), times[4]);
}
