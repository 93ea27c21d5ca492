//! What stands before a tenant's requests (rows KT20, KT26, KT33, KT34).

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::{get, one_tenant};
use crate::docs::yaml_block;
use crate::harness::{Backends, Client, Gateway, PATIENCE, Response, free_port, head, weir};

const REASONS: &[&str] = &["--reason-header"];

fn reason(response: &Response) -> (u16, &str) {
    (
        response.status,
        response.header("x-weir-reason").unwrap_or_default(),
    )
}

#[test]
fn kt26_sizes_are_bounded_for_the_file_and_for_each_tenant() {
    let backends = Backends::start(1);
    let (port, backend) = (free_port(), backends.ports()[0]);
    let top = "request_limits: {max_body_size: 1Ki, max_header_size: 300, max_url_size: 32}";
    let own = format!(
        "    request_limits: {{max_body_size: 2Ki}}
  - name: u
    path_prefix: /u/
    services: [{{name: s, url: 'http://127.0.0.1:{backend}'}}]"
    );
    let gateway = Gateway::start_with(port, &one_tenant(port, backend, top, &own), REASONS);
    for (prefix, length, status) in [
        ("/t/", 2048, 200),
        ("/t/", 2049, 413),
        ("/u/", 1024, 200),
        ("/u/", 1025, 413),
    ] {
        let mut client = Client::connect(gateway.address);
        client.send(head("POST", prefix, &[("content-length", &length.to_string())]));
        client.send("x".repeat(length));
        assert_eq!(client.response("POST").status, status, "{prefix} {length}");
    }
    // `Host: www.example.com` and its line end are 23 bytes, `x: ` and the other's are five.
    let mut client = Client::connect(gateway.address);
    for (bytes, expected) in [(300, (200, "")), (301, (431, "head_too_large"))] {
        let response = client.get("/t/", &[("x", &"v".repeat(bytes - 28))]);
        assert_eq!(reason(&response), expected, "{bytes}");
    }
    for (bytes, expected) in [(32, (200, "")), (33, (414, "target_too_long"))] {
        let response = client.get(&format!("/u/{}", "p".repeat(bytes - 3)), &[]);
        assert_eq!(reason(&response), expected, "{bytes}");
    }
}

#[test]
fn kt26_kt20_one_tenants_throttle_is_not_the_others() {
    let backends = Backends::with_delays(&[Duration::from_secs(2), Duration::ZERO]);
    let port = free_port();
    let [slow, fast] = backends.ports()[..] else {
        panic!("two backends");
    };
    let own = format!(
        "  - name: u
    path_prefix: /u/
    services: [{{name: s, url: 'http://127.0.0.1:{fast}'}}]"
    );
    let config = one_tenant(port, slow, "middleware: {throttle: 3}", &own);
    let gateway = Gateway::start_with(port, &config, REASONS);
    let mut busy: Vec<Client> = (0..3)
        .map(|_| {
            let mut client = Client::connect(gateway.address);
            client.send(head("GET", "/t/", &[]));
            client
        })
        .collect();
    let deadline = Instant::now() + PATIENCE;
    while backends.requests()[0] < 3 {
        assert!(Instant::now() < deadline, "all three arrive");
        std::thread::yield_now();
    }
    let mut client = Client::connect(gateway.address);
    let refused = get(&mut client, "h", "/t/");
    assert_eq!(reason(&refused), (503, "parallel_requests_full"));
    assert_eq!(refused.header("retry-after"), Some("1"));
    for _ in 0..50 {
        assert_eq!(get(&mut client, "h", "/u/").status, 200);
    }
    for client in &mut busy {
        assert_eq!(client.response("GET").status, 200);
    }
}

#[test]
fn kt33_a_tenants_rates_count_side_by_side() {
    let backends = Backends::start(1);
    let (port, backend) = (free_port(), backends.ports()[0]);
    let own = "
    rate_limit:
      - {requests: 3, unit: hour}
      - {requests: 5, unit: hour, per: tenant}
      - {requests: 2, unit: hour, header: x-key}";
    let gateway = Gateway::start_with(port, &one_tenant(port, backend, "", own), REASONS);
    let status = |source: &str, key: &str| {
        let source: IpAddr = source.parse().expect("an address");
        Client::connect_from(source, gateway.address)
            .get("/t/", &[("x-key", key)])
            .status
    };
    for (source, key, expected) in [
        ("127.0.0.1", "a", 200),
        ("127.0.0.1", "a", 200),
        // The key's two are used up.
        ("127.0.0.1", "a", 429),
        ("127.0.0.1", "b", 200),
        // The address's three are used up; the refusal before cost nothing.
        ("127.0.0.1", "b", 429),
        ("127.0.0.2", "b", 200),
        ("127.0.0.2", "c", 200),
        // The tenant's five are used up.
        ("127.0.0.3", "d", 429),
    ] {
        assert_eq!(status(source, key), expected, "{source} {key}");
    }
    // Whoever names no key is counted by address, under both limits.
    let keyless = one_tenant(
        port,
        backend,
        "",
        "    rate_limit: {requests: 2, unit: minute, header: x-key}",
    );
    gateway.rewrite(&keyless, "generation 2 in force");
    let mut client = Client::connect(gateway.address);
    let statuses: Vec<u16> = (0..3).map(|_| get(&mut client, "h", "/t/").status).collect();
    assert_eq!(statuses, [200, 200, 429]);
}

#[test]
fn kt34_a_tenant_asks_for_names_and_passwords_as_documented() {
    let backends = Backends::start(1);
    let port = free_port();
    let documented = yaml_block("docs/tenants.md", "basic_auth:");
    let config = documented.replace("10.0.0.1:80", &format!("127.0.0.1:{}", backends.ports()[0]));
    assert_ne!(config, documented);
    let gateway = Gateway::start_with(port, &format!("server: {{port: {port}}}\n{config}"), REASONS);
    let mut client = Client::connect(gateway.address);
    let mut ask =
        |credentials: &str| client.get("/admin/", &[("Authorization", credentials), ("x-user", "root")]);
    // ann:password, bob:example, ann:example
    for (credentials, user) in [
        ("Basic YW5uOnBhc3N3b3Jk", "ann"),
        ("Basic Ym9iOmV4YW1wbGU=", "bob"),
    ] {
        let response = ask(credentials);
        assert_eq!(response.status, 200, "{credentials}");
        assert_eq!(response.json()["headers"]["X-User"], serde_json::json!([user]));
    }
    let refused = ask("Basic YW5uOmV4YW1wbGU=");
    assert_eq!(reason(&refused), (401, "credentials_wrong"));
    assert_eq!(
        refused.header("www-authenticate"),
        Some("Basic realm=\"back office\", charset=\"UTF-8\"")
    );
    assert_eq!(backends.requests(), [2]);
}

#[test]
fn what_cannot_be_read_of_it_is_an_error_and_lets_nobody_in() {
    for (own, expected) in [
        ("rate_limit: {requests: 3}", "E0102"),
        ("rate_limit: {requests: 3, unit: fortnight}", "E0104"),
        ("rate_limit: {requests: -1, unit: second}", "E0103"),
        (
            "rate_limit: {requests: 3, unit: second, per: client, header: x}",
            "E0105",
        ),
        ("rate_limit: {requests: 3, unit: second, header: 'a b'}", "E0103"),
        ("rate_limits: {requests: 3, unit: second}", "E0114"),
        ("throttle: 0", "E0103"),
        ("request_limits: {max_body_size: 10MB}", "E0303"),
        ("request_limits: {max_body_size: 0}", "E0303"),
        ("request_limits: [1]", "E0101"),
        ("basic_auth: {users: []}", "E0105"),
        ("basic_auth: {realm: r}", "E0102"),
        ("basic_auth: {users: [{name: 'a:b', password: p}]}", "E0103"),
        (
            "basic_auth: {users: [{name: a, password: p}, {name: a, password: q}]}",
            "E0105",
        ),
        (
            "basic_auth: {users: [{name: a, password: '$2y$05$abc'}]}",
            "E0103",
        ),
        ("basic_auth: {users: [{name: a, password: '{SHA}no'}]}", "E0103"),
        (
            "basic_auth: {realm: 'a\"b', users: [{name: a, password: p}]}",
            "E0103",
        ),
        (
            "basic_auth: {forward_name: host, users: [{name: a, password: p}]}",
            "E0103",
        ),
        ("basic_auth: {user: [{name: a, password: p}]}", "E0114"),
        (
            "rate_limit: {requests: 3, unit: second}\n    policy: {rateLimit: {local: {rules: []}}}",
            "E0105",
        ),
    ] {
        let config = one_tenant(80, 81, "", &format!("    {own}"));
        let finished = weir(&["check", "-o", "json", "-"], &config);
        let report: serde_json::Value = serde_json::from_str(&finished.stdout).expect("JSON");
        let problems = report["problems"].as_array().expect("a list");
        let is_said = problems.iter().any(|problem| {
            problem["code"] == expected && problem["effect"] == "all requests of the tenant are answered 500"
        });
        assert!(is_said, "{own}: {problems:#?}");
        assert!(!finished.stdout.contains("$2y$"), "a secret is shown");
    }
}
