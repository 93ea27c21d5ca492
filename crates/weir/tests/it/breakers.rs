//! Limits of requests under way, from YAML through the binary: the answer, its reason and the access log (row LB30).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use crate::harness::{
    ADMIN, Admin, Client, Folder, Gateway, PATIENCE, ROUTE, answer_of, free_port, gateway_and_service, head,
    scripted,
};

fn policy(api: &str, kind: &str, limits: &str) -> String {
    format!(
        "\
apiVersion: {api}/v1alpha1
kind: {kind}
metadata: {{name: limits, namespace: default}}
spec:
  targetRefs: [{{group: gateway.networking.k8s.io, kind: HTTPRoute, name: only}}]
  circuitBreaker: {limits}
"
    )
}

/// Five requests are held, fifteen more are refused at once and for this reason; then the five are answered.
fn check(policy: &str, reason: &str) {
    let (is_open, arrived) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (gate, count) = (Arc::clone(&is_open), Arc::clone(&arrived));
    let backend = scripted(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        while !gate.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        answer_of("backend", 200, "")
    });
    let folder = Folder::new();
    let log = folder.path().join("access.log");
    let flags = [
        &["--reason-header", "--access-log", log.to_str().expect("UTF-8")],
        &ADMIN[..],
    ]
    .concat();
    let port = free_port();
    let config = gateway_and_service(port, &[backend]) + ROUTE + "---\n" + policy;
    let mut gateway = Gateway::start_with(port, &config, &flags);
    let mut held: Vec<Client> = (0..5)
        .map(|_| {
            let mut client = Client::connect(gateway.address);
            client.send(head("GET", "/", &[]));
            client
        })
        .collect();
    let deadline = Instant::now() + PATIENCE;
    while arrived.load(Ordering::SeqCst) < 5 {
        assert!(Instant::now() < deadline, "five are held");
        std::thread::yield_now();
    }
    for _ in 0..15 {
        let refused = Client::connect(gateway.address).get("/", &[]);
        assert_eq!(
            (refused.status, refused.header("x-weir-reason")),
            (503, Some(reason))
        );
    }
    assert_eq!(arrived.load(Ordering::SeqCst), 5);
    is_open.store(true, Ordering::SeqCst);
    for client in &mut held {
        assert_eq!(client.response("GET").pod(), "backend");
    }
    drop(held);
    let metrics = String::from_utf8(Admin::of_gateway(&gateway).get("/metrics").body).expect("text");
    let counted = |line: &str| line.contains("overflows_total{") && line.ends_with(" 15");
    assert_eq!(
        metrics.lines().filter(|line| counted(line)).count(),
        1,
        "{metrics}"
    );
    gateway.process.signal("TERM");
    assert!(gateway.process.wait().success());
    let text = std::fs::read_to_string(&log).expect("a log");
    let reasons = text.lines().map(|line| {
        let record: serde_json::Value = serde_json::from_str(line).expect("JSON");
        record["reason"].as_str().expect("a word").to_owned()
    });
    assert_eq!(reasons.filter(|word| word == reason).count(), 15, "{text}");
}

#[test]
fn lb30_requests_over_the_limit_of_a_backend_are_refused() {
    let policy = policy(
        "gateway.envoyproxy.io",
        "BackendTrafficPolicy",
        "{maxParallelRequests: 5}",
    );
    check(&policy, "backend_requests_full");
}

#[test]
fn lb30_requests_over_the_limit_of_an_endpoint_are_refused() {
    let policy = policy("weir.dev", "TrafficPolicy", "{perEndpoint: {maxRequests: 5}}");
    check(&policy, "endpoint_requests_full");
}
