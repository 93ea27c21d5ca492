//! Failover through the binary: tiers of backends, shares of dead ones, retries in the next tier (rows LB26, LB27, MC04, LB28).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::harness::{Client, Gateway, PATIENCE, Process, free_port, gateway, weir};

fn echo(port: u16, flags: &[&str]) -> Process {
    let listen = format!("127.0.0.1:{port}");
    let process = Process::start(&[&["echo", "--listen", &listen], flags].concat());
    process.stdout.wait_after(0, "echo: http");
    process
}

/// A Gateway on `port` with an Envoy Gateway Backend per port, `b0`, `b1` and so on, and one rule over `references`.
fn config(port: u16, backends: &[(u16, &str)], references: &str, policy: &str) -> String {
    let mut text = gateway(port);
    for (place, (port, own)) in backends.iter().enumerate() {
        text += &format!(
            "\
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: Backend
metadata: {{name: b{place}, namespace: default}}
spec: {{endpoints: [{{ip: {{address: 127.0.0.1, port: {port}}}}}]{own}}}
"
        );
    }
    text + &format!(
        "\
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: only, namespace: default}}
spec:
  parentRefs: [{{name: eg}}]
  rules: [{{backendRefs: [{references}]}}]
---
apiVersion: weir.dev/v1alpha1
kind: TrafficPolicy
metadata: {{name: own, namespace: default}}
spec:
  targetRefs: [{{group: gateway.networking.k8s.io, kind: HTTPRoute, name: only}}]
  {policy}
"
    )
}

fn reference(name: &str, more: &str) -> String {
    format!("{{group: gateway.envoyproxy.io, kind: Backend, name: {name}{more}}}")
}

const PROBES: &str = "healthCheck: {active: {type: HTTP, http: {path: /}, interval: 50ms, timeout: 500ms, unhealthyThreshold: 1}}";

/// Who answers 100 requests, or with which status.
fn answers(gateway: &Gateway) -> BTreeMap<String, u32> {
    let mut client = Client::connect(gateway.address);
    let mut counts = BTreeMap::new();
    for _ in 0..100 {
        let response = client.get("/", &[]);
        let who = match response.status {
            200 => response.pod(),
            status => status.to_string(),
        };
        *counts.entry(who).or_default() += 1;
    }
    counts
}

fn all(who: &str) -> BTreeMap<String, u32> {
    BTreeMap::from([(who.to_owned(), 100)])
}

#[test]
fn lb26_each_way_to_name_a_fallback_makes_it_serve_only_when_it_has_to() {
    for (own, more, failover) in [
        (", fallback: true", "", ""),
        ("", ", priority: 3", ""),
        (
            "",
            "",
            "\n  failover: {priorities: [{group: gateway.envoyproxy.io, kind: Backend, name: b1, priority: 2}]}",
        ),
    ] {
        let ports = [free_port(), free_port()];
        let names = ports.map(|port| format!("echo-{port}"));
        let [first, _second] = ports.map(|port| echo(port, &[]));
        let port = free_port();
        let references = [reference("b0", ""), reference("b1", more)].join(", ");
        let policy = format!("{PROBES}{failover}");
        let config = config(port, &[(ports[0], ""), (ports[1], own)], &references, &policy);
        let gateway = Gateway::start(port, &config);
        let log = &gateway.process.stderr;
        for port in ports {
            log.wait_after(0, &format!(":{port} is healthy"));
        }
        assert_eq!(answers(&gateway), all(&names[0]), "{own}{more}{failover}");
        drop(first);
        log.wait_after(0, &format!(":{} is unhealthy", ports[0]));
        assert_eq!(answers(&gateway), all(&names[1]), "{own}{more}{failover}");
        let before = log.count();
        let _first = echo(ports[0], &[]);
        log.wait_after(before, &format!(":{} is healthy", ports[0]));
        assert_eq!(answers(&gateway), all(&names[0]), "{own}{more}{failover}");
    }
}

#[test]
fn lb27_requests_return_to_the_first_tier_after_the_delay() {
    const DELAY: Duration = Duration::from_secs(1);
    let ports = [free_port(), free_port()];
    let names = ports.map(|port| format!("echo-{port}"));
    let [first, _second] = ports.map(|port| echo(port, &[]));
    let port = free_port();
    let references = [reference("b0", ""), reference("b1", ", priority: 1")].join(", ");
    let policy = format!("{PROBES}\n  failover: {{failbackDelay: 1s}}");
    let config = config(port, &[(ports[0], ""), (ports[1], "")], &references, &policy);
    let gateway = Gateway::start(port, &config);
    let log = &gateway.process.stderr;
    for port in ports {
        log.wait_after(0, &format!(":{port} is healthy"));
    }
    assert_eq!(answers(&gateway), all(&names[0]));
    drop(first);
    log.wait_after(0, &format!(":{} is unhealthy", ports[0]));
    assert_eq!(answers(&gateway), all(&names[1]));
    let before = log.count();
    let begun = Instant::now();
    let _first = echo(ports[0], &[]);
    log.wait_after(before, &format!(":{} is healthy", ports[0]));
    let mut client = Client::connect(gateway.address);
    while client.get("/", &[]).pod() != names[0] {
        assert!(begun.elapsed() < PATIENCE, "its requests never return");
    }
    assert!(begun.elapsed() >= DELAY, "{:?}", begun.elapsed());
    assert_eq!(answers(&gateway), all(&names[0]));
}

#[test]
fn mc04_a_dead_clusters_share_goes_to_the_other_when_that_is_wanted() {
    let ports = [free_port(), free_port()];
    let names = ports.map(|port| format!("echo-{port}"));
    let [_first, second] = ports.map(|port| echo(port, &[]));
    let port = free_port();
    let references = [reference("b0", ", weight: 3"), reference("b1", ", weight: 1")].join(", ");
    let policy = format!("{PROBES}\n  failover: {{redistribute: true}}");
    let config = config(port, &[(ports[0], ""), (ports[1], "")], &references, &policy);
    let gateway = Gateway::start(port, &config);
    let log = &gateway.process.stderr;
    for port in ports {
        log.wait_after(0, &format!(":{port} is healthy"));
    }
    let both = names.iter().cloned().zip([75, 25]).collect();
    assert_eq!(answers(&gateway), both);
    drop(second);
    log.wait_after(0, &format!(":{} is unhealthy", ports[1]));
    assert_eq!(answers(&gateway), all(&names[0]));
}

#[test]
fn lb28_num_attempts_per_priority_moves_retries_on() {
    let ports = [free_port(), free_port()];
    let _backends = [echo(ports[0], &["--status", "503"]), echo(ports[1], &[])];
    let port = free_port();
    let references = [reference("b0", ""), reference("b1", ", priority: 1")].join(", ");
    for (per_priority, expected) in [(1, format!("echo-{}", ports[1])), (0, "503".to_owned())] {
        let policy = format!("retry: {{numRetries: 1, numAttemptsPerPriority: {per_priority}}}");
        let config = config(port, &[(ports[0], ""), (ports[1], "")], &references, &policy);
        let gateway = Gateway::start(port, &config);
        let mut client = Client::connect(gateway.address);
        let response = client.get("/", &[]);
        let who = match response.status {
            200 => response.pod(),
            status => status.to_string(),
        };
        assert_eq!(who, expected);
    }
}

#[test]
fn lb26_services_of_a_tenant_have_priorities() {
    let ports = [free_port(), free_port()];
    let names = ports.map(|port| format!("echo-{port}"));
    let [first, _second] = ports.map(|port| echo(port, &[]));
    let port = free_port();
    let config = format!(
        "tenants: [{{name: api, path_prefix: /, health_interval: 1, services: [\
         {{name: main, url: \"http://127.0.0.1:{}\", health: /health}}, \
         {{name: spare, url: \"http://127.0.0.1:{}\", health: /health, priority: 1}}]}}]\n",
        ports[0], ports[1]
    );
    let gateway = Gateway::start_with(port, &config, &["--addr", &format!("127.0.0.1:{port}")]);
    let log = &gateway.process.stderr;
    for port in ports {
        log.wait_after(0, &format!(":{port} is healthy"));
    }
    assert_eq!(answers(&gateway), all(&names[0]));
    drop(first);
    assert_eq!(
        answers(&gateway),
        all(&names[1]),
        "nothing could be sent to the first"
    );
    log.wait_after(0, &format!(":{} is unhealthy", ports[0]));
    assert_eq!(answers(&gateway), all(&names[1]));
    assert!(!log.text().contains("priority"), "{}", log.text());
}

#[test]
fn bx11_explain_knows_which_tier_serves() {
    let references = [
        reference("b0", ", weight: 3"),
        reference("b1", ", weight: 1"),
        reference("b2", ""),
    ];
    let backends = [(9_001, ""), (9_002, ""), (9_003, ", fallback: true")];
    let config = config(8_080, &backends, &references.join(", "), PROBES);
    let explained = weir(
        &["explain", "-c", "-", "--n", "400", "http://www.example.com:8080/"],
        &config,
    );
    let lines: Vec<&str> = explained
        .stdout
        .lines()
        .filter(|line| line.starts_with("backend"))
        .collect();
    let of = |place: usize| lines.get(place).copied().unwrap_or_default();
    assert!(
        of(0).contains("75.0% of the requests to Backend default/b0"),
        "{lines:?}"
    );
    assert!(
        of(1).contains("25.0% of the requests to Backend default/b1"),
        "{lines:?}"
    );
    assert!(
        of(2).contains("0.0% of the requests to Backend default/b2"),
        "{lines:?}"
    );
    assert!(
        of(2).contains("   tier 1") && !of(0).contains("tier"),
        "{lines:?}"
    );
    let predicted = explained
        .stdout
        .split_once("predicted")
        .map_or("", |(_, rest)| rest);
    assert!(
        predicted.contains("300") && predicted.contains("100"),
        "{}",
        explained.stdout
    );
}
