//! The scenarios of Envoy Gateway's load-balancing page, on the repository's own example.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::harness::{
    Backends, Client, Gateway, Request, example_on, free_port, gateway_and_service, load, weir,
};

/// A gateway on the example, over four backends.
pub(crate) fn example() -> (Backends, Gateway) {
    let backends = Backends::start(4);
    let port = free_port();
    let gateway = Gateway::start(port, &example_on(port, &backends.ports()));
    (backends, gateway)
}

fn plain(target: &str) -> Request<'_> {
    Request { target, headers: &[] }
}

#[test]
fn lb02_round_robin_is_even_under_concurrency() {
    let (backends, gateway) = example();
    let spread = load(gateway.address, plain("/round"), 200, 100);
    assert_eq!(spread.total(), 200);
    assert!(
        spread.pods() == 4 && spread.counts().iter().all(|count| count.abs_diff(50) <= 5),
        "{spread:?}"
    );
    let spread = load(gateway.address, plain("/round"), 100, 100);
    assert!(
        spread.pods() == 4 && spread.counts().iter().all(|count| count.abs_diff(25) <= 1),
        "{spread:?}"
    );
    assert_eq!(
        backends.requests().iter().sum::<u64>(),
        300,
        "no request was sent twice"
    );
}

#[test]
fn lb02_round_robin_on_one_connection_is_a_strict_cycle() {
    let (_backends, gateway) = example();
    let mut client = Client::connect(gateway.address);
    let pods: Vec<_> = (0..40).map(|_| client.get("/round", &[]).pod()).collect();
    assert_eq!(pods[..4].iter().collect::<BTreeSet<_>>().len(), 4, "{pods:?}");
    assert!(pods.windows(5).all(|window| window[0] == window[4]), "{pods:?}");
}

#[test]
fn lb05_random_is_uniform_and_independent() {
    let (_backends, gateway) = example();
    // Three degrees of freedom: 16.27 is exceeded by one load in a thousand, by two in a row once in a million runs.
    let spreads = [(); 2].map(|()| load(gateway.address, plain("/random"), 1000, 100));
    assert!(
        spreads.iter().any(|spread| spread.chi_square(4) < 16.27),
        "{spreads:?}"
    );
    // As even as a rotation in both is as rare: such draws would not be independent.
    assert!(
        spreads.iter().any(|spread| spread.chi_square(4) > 0.01),
        "{spreads:?}"
    );

    let mut client = Client::connect(gateway.address);
    let pods: Vec<_> = (0..100).map(|_| client.get("/random", &[]).pod()).collect();
    assert!(
        pods.windows(2).any(|pair| pair[0] == pair[1]),
        "never the same twice in a row: {pods:?}"
    );
    assert!(pods.windows(2).any(|pair| pair[0] != pair[1]));
}

#[test]
fn lb01_without_a_policy_the_slow_backend_gets_few_requests() {
    let slow = Duration::from_millis(300);
    let backends = Backends::with_delays(&[slow, Duration::ZERO, Duration::ZERO, Duration::ZERO]);
    let port = free_port();
    let route = "\
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: all, namespace: default}
spec:
  parentRefs: [{name: eg}]
  rules: [{backendRefs: [{name: backend, port: 3000}]}]
";
    let config = gateway_and_service(port, &backends.ports()) + route;
    let gateway = Gateway::start(port, &config);
    let spread = load(gateway.address, plain("/"), 800, 40);
    let share = spread.of("backend-1") as f64 / spread.total() as f64;
    assert!(share < 0.1, "{share} {spread:?}");
    assert_eq!(spread.pods(), 4, "{spread:?}");

    let path = gateway.path();
    let explained = weir(
        &[
            "explain",
            "-c",
            path.to_str().expect("UTF-8"),
            &format!("http://h:{port}/"),
        ],
        "",
    );
    assert!(explained.stdout.contains("LeastRequest"), "{explained:?}");
}

#[test]
fn lb01_least_request_serves_everything() {
    let (_backends, gateway) = example();
    let spread = load(gateway.address, plain("/least"), 100, 100);
    assert_eq!((spread.total(), spread.pods()), (100, 4), "{spread:?}");
    assert!(
        // Even if nothing were ever in flight, 100 independent draws leave these bounds less than once in a million.
        spread.counts().iter().all(|count| (5..=50).contains(count)),
        "{spread:?}"
    );
}

#[test]
fn eo01_a_request_may_name_its_endpoint() {
    let (backends, gateway) = example();
    for (index, port) in backends.ports().iter().enumerate() {
        let named = format!("127.0.0.1:{port}");
        let request = Request {
            target: "/endpoint-override-header",
            headers: &[("x-custom-host", named.as_str())],
        };
        let spread = load(gateway.address, request, 10, 1);
        assert_eq!(spread.of(&format!("backend-{}", index + 1)), 10, "{spread:?}");
    }
}

#[test]
fn eo02_an_endpoint_that_is_unknown_or_malformed_is_ignored() {
    let (_backends, gateway) = example();
    for named in ["192.168.1.100:3000", "abc", "", "127.0.0.1", "127.0.0.1:99999"] {
        let request = Request {
            target: "/endpoint-override-header",
            headers: &[("x-custom-host", named)],
        };
        let spread = load(gateway.address, request, 10, 1);
        assert_eq!((spread.total(), spread.pods()), (10, 4), "{named:?} {spread:?}");
    }
}

#[test]
fn eo03_without_the_header_the_policy_decides() {
    let (_backends, gateway) = example();
    let spread = load(gateway.address, plain("/endpoint-override-header"), 40, 4);
    assert_eq!(spread.counts(), [10; 4], "{spread:?}");
}

#[test]
fn a_request_reaches_the_backend_with_the_headers_of_a_proxy() {
    let (_backends, gateway) = example();
    let mut client = Client::connect(gateway.address);
    let seen = client.get("/round?a=b", &[("User-Agent", "curl/7.74.0")]).json();
    assert_eq!(seen["path"], "/round?a=b");
    assert_eq!(seen["host"], "www.example.com");
    assert_eq!(seen["headers"]["User-Agent"][0], "curl/7.74.0");
    assert_eq!(seen["headers"]["X-Forwarded-For"][0], "127.0.0.1");
    assert_eq!(seen["headers"]["X-Forwarded-Proto"][0], "http");
    // The client is on a private address and nobody forwarded for it.
    assert_eq!(seen["headers"]["X-Envoy-Internal"][0], "true");
    assert!(
        seen["headers"]["X-Request-Id"][0]
            .as_str()
            .is_some_and(|id| id.len() == 36),
        "{seen}"
    );
    assert_eq!(client.get("/nowhere", &[]).status, 404);
    assert_eq!(client.get("/round", &[("Host", "other.example.com")]).status, 404);
}
