//! What stands before requests, from the documentation's own policies through the binary (rows KT26, KT33; Envoy Gateway
//! `faultInjection`, `requestBuffer`, `rateLimit.local`).

use std::net::IpAddr;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::docs::yaml_block;
use crate::harness::{
    Backends, Client, Gateway, PATIENCE, answer_of, free_port, gateway_and_service, head, scripted,
};

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

#[test]
fn kt26_a_hundred_requests_at_once_are_let_in_as_documented() {
    const LIMIT: usize = 100;
    let gate = Arc::new((Mutex::new((0, false)), Condvar::new()));
    let own = Arc::clone(&gate);
    let backend = scripted(move |_| {
        let (state, changed) = &*own;
        let mut state = state.lock().expect("not poisoned");
        state.0 += 1;
        changed.notify_all();
        let _open = changed
            .wait_while(state, |(_, is_open)| !*is_open)
            .expect("not poisoned");
        answer_of("held", 200, "")
    });
    let port = free_port();
    let gateway = Gateway::start_with(port, &documented(port, backend, "sizes"), &["--reason-header"]);
    let mut held: Vec<Client> = (0..LIMIT)
        .map(|_| {
            let mut client = Client::connect(gateway.address);
            client.send(head("GET", "/", &[]));
            client
        })
        .collect();
    let (state, changed) = &*gate;
    let all_came = changed
        .wait_timeout_while(state.lock().expect("not poisoned"), PATIENCE, |(came, _)| {
            *came < LIMIT
        })
        .expect("not poisoned");
    assert_eq!(all_came.0.0, LIMIT);
    drop(all_came);
    let mut client = Client::connect(gateway.address);
    let refused = client.get("/", &[]);
    assert_eq!(
        (
            refused.status,
            refused.header("x-weir-reason"),
            refused.header("retry-after")
        ),
        (503, Some("parallel_requests_full"), Some("1"))
    );
    state.lock().expect("not poisoned").1 = true;
    changed.notify_all();
    for client in &mut held {
        assert_eq!(client.response("GET").pod(), "held");
    }
    assert_eq!(client.get("/", &[]).pod(), "held");
}

#[test]
fn kt33_everybody_else_has_twenty_a_second_together_as_documented() {
    let backends = Backends::start(1);
    let port = free_port();
    let config = documented(port, backends.ports()[0], "rates");
    let gateway = Gateway::start(port, &config);
    let ask = |source: &str| {
        let source: IpAddr = source.parse().expect("an address");
        Client::connect_from(source, gateway.address).get("/", &[])
    };
    let (mut refused, begun) = (0, Instant::now());
    for place in 0..60 {
        let response = ask(["127.0.0.1", "127.0.0.2", "127.0.0.3"][place % 3]);
        assert_eq!(response.header("x-ratelimit-limit"), Some("20"));
        assert!(place >= 20 || response.status == 200, "{place}: {response:?}");
        refused += u32::from(response.status == 429);
    }
    // Twenty at once, and one more each 50 ms.
    let let_in = 20 + begun.elapsed().as_millis() / 50 + 1;
    assert!(
        u128::from(60 - refused) <= let_in,
        "{refused} refused, {let_in} may pass"
    );
    // Without the fields, when the rule says so.
    let plain = "limit: {requests: 20, unit: Second}";
    assert_eq!(config.matches(plain).count(), 1);
    let quiet = config.replace(plain, &format!("{plain}\n        xRateLimitHeaders: \"Off\""));
    gateway.rewrite(&quiet, "generation 2 in force");
    let names = ask("127.0.0.1").headers;
    assert!(
        names.iter().all(|(name, _)| !name.contains("ratelimit")),
        "{names:?}"
    );
}

#[test]
fn a_faults_time_does_not_count_against_the_request_timeout_as_documented() {
    let backends = Backends::start(1);
    let port = free_port();
    let config = documented(port, backends.ports()[0], "faults");
    let bounded =
        "  timeout: {http: {requestTimeout: 1s}}\n  faultInjection:\n    delay: {fixedDelay: 1500ms, ";
    let written = "  faultInjection:\n    delay: {fixedDelay: 50ms, ";
    assert_eq!(config.matches(written).count(), 1);
    let config = config
        .replace(written, bounded)
        .replace("percentage: 50}", "percentage: 0}");
    let gateway = Gateway::start(port, &config);
    let begun = Instant::now();
    assert_eq!(Client::connect(gateway.address).get("/", &[]).pod(), "backend-1");
    assert!(begun.elapsed() >= Duration::from_millis(1_500));
}

#[test]
fn a_buffered_request_is_forwarded_whole_with_a_length_as_documented() {
    let backends = Backends::start(1);
    let port = free_port();
    let config = documented(port, backends.ports()[0], "buffer");
    let gateway = Gateway::start(port, &config);
    let mut client = Client::connect(gateway.address);
    let fields = [("transfer-encoding", "chunked"), ("trailer", "x-late")];
    client.send(head("POST", "/", &fields));
    client.send("5\r\nfirst\r\n");
    // Another one that comes later overtakes it.
    assert_eq!(Client::connect(gateway.address).get("/", &[]).pod(), "backend-1");
    assert_eq!(backends.requests(), [1]);
    client.send("6\r\nsecond\r\n0\r\nx-late: 1\r\n\r\n");
    let response = client.response("POST");
    assert_eq!(response.status, 200);
    assert_eq!(backends.requests(), [2]);
    let sent = &response.json()["headers"];
    assert_eq!(sent["Content-Length"][0], "11");
    assert!(
        sent["Transfer-Encoding"].is_null() && sent["X-Late"].is_null(),
        "{sent}"
    );
}

#[test]
fn the_first_that_objects_answers_in_the_documented_order() {
    let backends = Backends::start(1);
    let (port, backend) = (free_port(), backends.ports()[0]);
    let tenant = |name: &str, faults: &str| {
        format!(
            "
  - name: {name}
    path_prefix: /{name}/
    services: [{{name: s, url: 'http://127.0.0.1:{backend}'}}]
    throttle: 1
    request_limits: {{max_url_size: 40}}
    basic_auth: {{users: [{{name: ann, password: password}}]}}
    rate_limit: {{requests: 1, unit: hour}}
    filters: [{{type: CORS, cors: {{allowOrigins: ['https://a.example']}}}}]
    policy: {{{faults}requestBuffer: {{limit: 4}}}}"
        )
    };
    let faults = "faultInjection: {abort: {httpStatus: 418, percentage: 100}}, ";
    let config = format!(
        "server: {{port: {port}}}\ntenants:{}{}\n",
        tenant("plain", ""),
        tenant("faulty", faults)
    );
    let gateway = Gateway::start_with(port, &config, &["--reason-header"]);
    let known = ("authorization", "Basic YW5uOnBhc3N3b3Jk");
    let ask = |method: &str, target: &str, fields: &[(&str, &str)]| {
        let mut client = Client::connect(gateway.address);
        client.send(head(method, target, fields));
        let response = client.response(method);
        let reason = response.header("x-weir-reason").unwrap_or_default().to_owned();
        (response.status, reason)
    };
    let said = |status: u16, reason: &str| (status, reason.to_owned());
    let (long, preflight) = (
        "/plain/".to_owned() + &"x".repeat(40),
        [
            ("origin", "https://a.example"),
            ("access-control-request-method", "GET"),
        ],
    );
    let busy = said(503, "parallel_requests_full");
    // Has the one place, and takes the one token.
    let mut slow = Client::connect(gateway.address);
    let fields = [known, ("content-length", "3"), ("expect", "100-continue")];
    slow.send(head("POST", "/plain/", &fields));
    slow.expect_bytes("HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(ask("GET", "/plain/", &[]), busy);
    assert_eq!(ask("GET", &long, &[]), said(414, "target_too_long"));
    assert_eq!(ask("OPTIONS", "/plain/", &preflight), busy);
    slow.send("abc");
    assert_eq!(slow.response("POST").status, 200);

    let large = ("content-length", "5");
    for (method, target, fields, expected) in [
        ("GET", "/faulty/", &[][..], said(418, "fault_abort")),
        ("OPTIONS", "/faulty/", &preflight, said(418, "fault_abort")),
        ("OPTIONS", "/plain/", &preflight, said(204, "")),
        ("POST", "/plain/", &[large], said(401, "credentials_missing")),
        ("POST", "/plain/", &[known, large], said(413, "body_too_large")),
        ("POST", "/plain/", &[known], said(429, "rate_limited")),
    ] {
        let mut found = ask(method, target, fields);
        // The place of the one before is free once its response is out: perhaps a moment after that has come.
        while found == busy {
            found = ask(method, target, fields);
        }
        assert_eq!(found, expected, "{method} {target} {fields:?}");
    }
}
