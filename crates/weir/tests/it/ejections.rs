//! Rules of passive health that compare endpoints, and the ones that only weir's own policy has (row HC11), through the
//! binary.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Instant;

use crate::harness::{
    Client, Gateway, PATIENCE, ROUTE, answer_of, free_port, gateway_and_service, scripted, weir,
};

/// A Service over these ports under a policy of weir's own.
fn config(port: u16, ports: &[u16], passive: &str) -> String {
    gateway_and_service(port, ports)
        + ROUTE
        + &format!(
            "\
---
apiVersion: weir.dev/v1alpha1
kind: TrafficPolicy
metadata: {{name: judged, namespace: default}}
spec:
  targetRefs: [{{group: gateway.networking.k8s.io, kind: HTTPRoute, name: only}}]
  loadBalancer: {{type: RoundRobin}}
  healthCheck: {{passive: {passive}}}
"
        )
}

/// An endpoint that fails once in `every` requests.
fn failing_once_in(every: usize, pod: &'static str) -> u16 {
    let turn = Mutex::new(0_usize);
    scripted(move |_| {
        let mut turn = turn.lock().expect("not poisoned");
        *turn += 1;
        answer_of(pod, if turn.is_multiple_of(every) { 500 } else { 200 }, "")
    })
}

fn good(count: usize) -> Vec<u16> {
    (0..count)
        .map(|_| scripted(|_| answer_of("good", 200, "")))
        .collect()
}

#[test]
fn hc11_who_succeeds_less_often_than_the_others_is_ejected() {
    let mut ports = good(5);
    // A third of its requests: never two in a row, and no share that any fixed threshold calls too large.
    ports.push(failing_once_in(3, "flaky"));
    let passive = "{successRate: {factor: 1.5, minEndpoints: 4, minRequests: 20}, interval: 1s, maxEjectionPercent: 20}";
    let port = free_port();
    let gateway = Gateway::start(port, &config(port, &ports, passive));
    let mut client = Client::connect(gateway.address);
    let log = &gateway.process.stderr;
    let deadline = Instant::now() + PATIENCE;
    while !log.text().contains("is ejected") {
        assert!(Instant::now() < deadline, "{}", log.text());
        client.get("/", &[]);
    }
    let line = log.wait_after(0, "is ejected");
    assert!(
        line.contains(&format!(":{} is ejected for 30 s: ", ports[5])),
        "{line}"
    );
    assert!(line.contains("% of its requests succeeded"), "{line}");
    let pods: BTreeSet<String> = (0..60).map(|_| client.get("/", &[]).pod()).collect();
    assert_eq!(pods, BTreeSet::from(["good".to_owned()]));
}

#[test]
fn hc11_success_rates_are_not_compared_when_too_few_have_had_enough_requests() {
    let mut ports = good(2);
    ports.push(failing_once_in(2, "flaky"));
    let passive = "{successRate: {factor: 0.5, minRequests: 5}, interval: 200ms, consecutive5XxErrors: 0, maxEjectionPercent: 100}";
    let port = free_port();
    let gateway = Gateway::start(port, &config(port, &ports, passive));
    let mut client = Client::connect(gateway.address);
    let begun = Instant::now();
    // Some sweeps: three endpoints are fewer than the five that it takes.
    while begun.elapsed().as_millis() < 1_000 {
        client.get("/", &[]);
    }
    let fewer = passive.replace("minRequests", "minEndpoints: 3, minRequests");
    assert!(!gateway.process.stderr.text().contains("is ejected"));
    gateway.rewrite(&config(port, &ports, &fewer), "generation 2 in force");
    let deadline = Instant::now() + PATIENCE;
    while !gateway.process.stderr.text().contains("is ejected") {
        assert!(Instant::now() < deadline, "now it is judged");
        client.get("/", &[]);
    }
}

#[test]
fn hc11_one_endpoint_may_always_be_ejected_when_that_is_said() {
    let bad = || scripted(|_| answer_of("bad", 500, ""));
    let ports = [bad(), bad(), bad()];
    let passive = "{consecutive5XxErrors: 1, maxEjectionPercent: 0, alwaysEjectOneEndpoint: true}";
    let port = free_port();
    let gateway = Gateway::start(port, &config(port, &ports, passive));
    let mut client = Client::connect(gateway.address);
    for _ in 0..60 {
        assert_eq!(client.get("/", &[]).status, 500);
    }
    let log = &gateway.process.stderr;
    log.wait_after(0, "is ejected");
    assert_eq!(log.text().matches("is ejected").count(), 1, "{}", log.text());
}

#[test]
fn hc11_what_only_weirs_own_policy_has_is_checked_and_reported_elsewhere() {
    let own = |passive: &str| config(80, &[81], passive);
    for (passive, expected) in [
        (
            "{successRate: {factor: 2.5, minEndpoints: 3, minRequests: 10}}",
            None,
        ),
        ("{successRate: {}}", None),
        ("{successRate: {factor: 11}}", Some("E0303")),
        ("{successRate: {factor: much}}", Some("E0101")),
        ("{successRate: {minRequests: -1}}", Some("E0103")),
        ("{successRate: 5}", Some("E0101")),
        ("{successRate: {stdev: 2}}", Some("W0101")),
        ("{maxEjectionTime: 0s}", Some("E0303")),
    ] {
        let finished = weir(&["check", "-o", "json", "-"], &own(passive));
        let report: serde_json::Value = serde_json::from_str(&finished.stdout).expect("JSON");
        let problems = report["problems"].as_array().expect("a list").iter();
        let codes: Vec<&str> = problems
            .filter_map(|problem| problem["code"].as_str())
            .filter(|code| *code != "N0201")
            .collect();
        assert_eq!(codes, Vec::from_iter(expected), "{passive}");
    }
    let envoy = own("{successRate: {}}")
        .replace("weir.dev/v1alpha1", "gateway.envoyproxy.io/v1alpha1")
        .replace("TrafficPolicy", "BackendTrafficPolicy");
    let finished = weir(&["check", "-"], &envoy);
    assert!(finished.stdout.contains("W0301"), "{}", finished.stdout);
}
