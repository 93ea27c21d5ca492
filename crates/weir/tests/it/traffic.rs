//! What stands before requests, from the documentation's own policies through the binary (rows KT26, KT33; Envoy Gateway
//! `faultInjection`, `requestBuffer`, `rateLimit.local`).

use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::docs::yaml_block;
use crate::harness::{Backends, Client, Gateway, free_port, gateway_and_service, head};

/// A route `shop` under the documentation's policy of this name.
fn documented(port: u16, backend: u16, policy: &str) -> String {
    let route = "\
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop, namespace: default}
spec:
  parentRefs: [{name: eg}]
  rules: [{backendRefs: [{name: backend, port: 3000}]}]
---
";
    gateway_and_service(port, &[backend])
        + route
        + &yaml_block("docs/traffic.md", &format!("name: {policy}\n"))
}

#[test]
fn kt33_a_rate_limit_counts_each_client_as_documented() {
    let backends = Backends::start(1);
    let port = free_port();
    let config = documented(port, backends.ports()[0], "rates");
    let gateway = Gateway::start_with(port, &config, &["--reason-header"]);
    let free = [("x-plan", "free")];
    for source in ["127.0.0.1", "127.0.0.2"] {
        let source: IpAddr = source.parse().expect("an address");
        let mut client = Client::connect_from(source, gateway.address);
        for left in ["2", "1", "0"] {
            let response = client.get("/", &free);
            assert_eq!(response.status, 200);
            assert_eq!(response.header("x-ratelimit-limit"), Some("3"));
            assert_eq!(response.header("x-ratelimit-remaining"), Some(left));
        }
        let refused = client.get("/", &free);
        assert_eq!(
            (refused.status, refused.header("x-weir-reason")),
            (429, Some("rate_limited"))
        );
        let seconds: u32 = refused
            .header("retry-after")
            .expect("a time")
            .parse()
            .expect("seconds");
        assert!((1..=20).contains(&seconds), "{seconds}");
        // Others are not touched, on the same connection.
        assert_eq!(client.get("/", &[]).status, 200);
    }
    assert_eq!(backends.requests(), [8]);
    // Another route comes: whoever was limited still is.
    let more = config.clone()
        + "---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: more, namespace: default}
spec:
  parentRefs: [{name: eg}]
  rules: [{matches: [{path: {value: /more}}], backendRefs: [{name: backend, port: 3000}]}]
";
    gateway.rewrite(&more, "generation 2 in force");
    let mut client = Client::connect(gateway.address);
    assert_eq!(client.get("/", &free).status, 429);
    assert_eq!(client.get("/more", &free).status, 200);
}

#[test]
fn faults_are_injected_as_documented() {
    let backends = Backends::start(1);
    let port = free_port();
    let config = documented(port, backends.ports()[0], "faults");
    let gateway = Gateway::start_with(port, &config, &["--reason-header"]);
    let mut client = Client::connect(gateway.address);
    let mut statuses = [0, 0];
    for _ in 0..40 {
        let started = Instant::now();
        let response = client.get("/", &[]);
        assert!(
            started.elapsed() >= Duration::from_millis(50),
            "{:?}",
            started.elapsed()
        );
        match response.status {
            418 => assert_eq!(response.header("x-weir-reason"), Some("fault_abort")),
            status => assert_eq!(status, 200),
        }
        statuses[usize::from(response.status == 418)] += 1;
    }
    // By chance alone one in ten thousand runs would miss this.
    assert!(statuses.iter().all(|count| *count >= 8), "{statuses:?}");
    assert_eq!(backends.requests(), [statuses[0]]);
}

#[test]
fn a_request_buffer_holds_back_and_refuses_as_documented() {
    let backends = Backends::start(1);
    let port = free_port();
    let config = documented(port, backends.ports()[0], "buffer");
    let gateway = Gateway::start_with(port, &config, &["--reason-header"]);
    for (length, status) in [(65_536, 200), (65_537, 413)] {
        let body = "x".repeat(length);
        for chunked in [false, true] {
            let (field, body) = match chunked {
                true => (
                    ("transfer-encoding", "chunked".to_owned()),
                    format!("{length:x}\r\n{body}\r\n0\r\n\r\n"),
                ),
                false => (("content-length", length.to_string()), body.clone()),
            };
            let mut client = Client::connect(gateway.address);
            client.send(head("POST", "/", &[(field.0, &field.1)]));
            client.send(&body);
            let response = client.response("POST");
            assert_eq!(response.status, status, "{length} {chunked}");
            if status == 413 {
                assert_eq!(response.header("x-weir-reason"), Some("body_too_large"));
                continue;
            }
            let length = length.to_string();
            assert_eq!(
                response.json()["headers"]["Content-Length"][0].as_str(),
                Some(&*length)
            );
        }
    }
    assert_eq!(backends.requests(), [2]);
}

#[test]
fn kt26_sizes_are_bounded_as_documented() {
    let backends = Backends::start(1);
    let port = free_port();
    let config = documented(port, backends.ports()[0], "sizes");
    let gateway = Gateway::start_with(port, &config, &["--reason-header"]);
    let mut client = Client::connect(gateway.address);
    // `Host: www.example.com` and its line end are 23 bytes, `x: ` and the other's are five.
    let field = |bytes: usize| "v".repeat(bytes - 28);
    let target = |bytes: usize| format!("/{}", "t".repeat(bytes - 1));
    for (target, value, status, reason) in [
        (target(1024), field(8192), 200, None),
        (target(1025), field(8192), 414, Some("target_too_long")),
        (target(1024), field(8193), 431, Some("head_too_large")),
    ] {
        let response = client.get(&target, &[("x", &value)]);
        assert_eq!(
            (response.status, response.header("x-weir-reason")),
            (status, reason)
        );
    }
    for (length, status) in [(1 << 20, 200), ((1 << 20) + 1, 413)] {
        let mut client = Client::connect(gateway.address);
        client.send(head("POST", "/", &[("content-length", &length.to_string())]));
        if status == 200 {
            client.send("x".repeat(length));
        }
        assert_eq!(client.response("POST").status, status, "{length}");
    }
}
