//! What a tenant's requests and responses go through besides routing.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::{get, one_tenant};
use crate::harness::{Backends, Client, Gateway, Request, Response, free_port, head, load};

/// The first field of that name as the backend saw it.
fn seen(response: &Response, name: &str) -> Option<String> {
    let json = response.json();
    let headers = json["headers"].as_object().expect("headers");
    let (_, values) = headers
        .iter()
        .find(|(other, _)| other.eq_ignore_ascii_case(name))?;
    values[0].as_str().map(str::to_owned)
}

#[test]
fn kt15_what_is_said_of_the_client_depends_on_who_says_it() {
    let backends = Backends::start(1);
    let port = free_port();
    let top = "trusted_proxies: [127.0.0.2, 10.0.0.0/8]\nforwarded: true";
    let gateway = Gateway::start(port, &one_tenant(port, backends.ports()[0], top, ""));
    let said = [
        ("Host", "h.example:81"),
        ("X-Forwarded-For", "9.9.9.9, 10.1.1.1"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "public.example"),
        ("X-Forwarded-Port", "443"),
        ("X-Real-IP", "9.9.9.9"),
        ("Forwarded", "for=9.9.9.9"),
    ];
    let own = port.to_string();
    for (source, headers, expected) in [
        (
            "127.0.0.1",
            &said[..1],
            ["127.0.0.1", "http", "h.example:81", &own, "127.0.0.1"],
        ),
        (
            "127.0.0.1",
            &said[..],
            ["127.0.0.1", "http", "h.example:81", &own, "127.0.0.1"],
        ),
        (
            "127.0.0.2",
            &said[..],
            [
                "9.9.9.9, 10.1.1.1, 127.0.0.2",
                "https",
                "public.example",
                "443",
                "9.9.9.9",
            ],
        ),
        (
            "127.0.0.2",
            &said[..2],
            [
                "9.9.9.9, 10.1.1.1, 127.0.0.2",
                "http",
                "h.example:81",
                &own,
                "9.9.9.9",
            ],
        ),
    ] {
        let source: IpAddr = source.parse().expect("an address");
        let response = Client::connect_from(source, gateway.address).get("/t/", headers);
        let names = [
            "x-forwarded-for",
            "x-forwarded-proto",
            "x-forwarded-host",
            "x-forwarded-port",
            "x-real-ip",
        ];
        let found = names.map(|name| seen(&response, name).unwrap_or_default());
        assert_eq!(found, expected.map(str::to_owned), "{source} {headers:?}");
        let forwarded = response.json()["headers"]["Forwarded"].to_string();
        let own = format!("for={source};host=\\\"h.example:81\\\";proto=http");
        assert!(forwarded.contains(&own), "{forwarded}");
        let is_kept = source.to_string() == "127.0.0.2" && headers.len() > 2;
        assert_eq!(forwarded.contains("for=9.9.9.9"), is_kept, "{forwarded}");
    }
}

#[test]
fn kt16_one_request_id_reaches_service_and_client() {
    let backends = Backends::start(1);
    let port = free_port();
    let config = one_tenant(port, backends.ports()[0], "trusted_proxies: [127.0.0.2]", "");
    let gateway = Gateway::start(port, &config);
    for (source, is_trusted) in [("127.0.0.1", false), ("127.0.0.2", true)] {
        let source: IpAddr = source.parse().expect("an address");
        let response =
            Client::connect_from(source, gateway.address).get("/t/", &[("X-Request-Id", "own-id")]);
        let id = response.header("x-request-id").expect("an id").to_owned();
        assert_eq!(seen(&response, "x-request-id"), Some(id.clone()));
        assert_eq!(id == "own-id", is_trusted, "{id}");
    }
    let off = one_tenant(port, backends.ports()[0], "middleware: {request_id: false}", "");
    gateway.rewrite(&off, "generation 2 in force");
    let response = Client::connect(gateway.address).get("/t/", &[]);
    assert_eq!(response.header("x-request-id"), None);
}

#[test]
fn kt21_a_tenant_has_its_own_way_of_balancing() {
    let backends = Backends::start(3);
    let ports = backends.ports();
    let port = free_port();
    let services: String = ports
        .iter()
        .map(|backend| format!("      - {{name: s{backend}, url: 'http://127.0.0.1:{backend}'}}\n"))
        .collect();
    let config = format!(
        "\
server: {{port: {port}}}
tenants:
  - name: turns
    path_prefix: /turns/
    services:
{services}
  - name: hash
    path_prefix: /hash/
    load_balancer: {{type: ConsistentHash, consistentHash: {{type: Header, header: {{name: x-user}}}}}}
    services:
{services}
  - name: policy
    path_prefix: /policy/
    policy: {{loadBalancer: {{type: LeastRequest, leastRequest: {{choices: All}}}}, timeout: {{http: {{requestTimeout: 5s}}}}}}
    services:
{services}
"
    );
    let gateway = Gateway::start(port, &config);
    let plain = |target| Request { target, headers: &[] };
    assert_eq!(
        load(gateway.address, plain("/turns/"), 30, 1).counts(),
        [10, 10, 10]
    );
    assert_eq!(load(gateway.address, plain("/policy/"), 30, 3).total(), 30);
    for user in ["a", "b", "c", "d"] {
        let headers = [("x-user", user)];
        let request = Request {
            target: "/hash/",
            headers: &headers,
        };
        assert_eq!(load(gateway.address, request, 20, 2).pods(), 1, "{user}");
    }
}

#[test]
fn kt24_a_tenant_bounds_its_requests() {
    let backends = Backends::with_delays(&[Duration::from_secs(5)]);
    let port = free_port();
    let timeouts = "    timeouts: {request: 300ms}";
    let gateway = Gateway::start(port, &one_tenant(port, backends.ports()[0], "", timeouts));
    let started = Instant::now();
    let mut client = Client::connect(gateway.address);
    assert_eq!(get(&mut client, "h", "/t/").status, 504);
    assert!(
        started.elapsed() < Duration::from_secs(4),
        "{:?}",
        started.elapsed()
    );
    // The file's own bound, in seconds as keystone-gateway has it.
    let file = one_tenant(port, backends.ports()[0], "middleware: {timeout: 1}", "");
    gateway.rewrite(&file, "generation 2 in force");
    assert_eq!(get(&mut client, "h", "/t/").status, 504);
}

#[test]
fn kt34_filters_hold_for_a_tenant() {
    let backends = Backends::start(2);
    let (port, ports) = (free_port(), backends.ports());
    let filters = format!(
        "
    mirror: {{url: 'http://127.0.0.1:{}', percent: 100}}
    filters:
      - type: RequestHeaderModifier
        requestHeaderModifier: {{set: [{{name: x-set, value: '1'}}], add: [{{name: x-add, value: '2'}}], remove: [x-gone]}}
      - type: ResponseHeaderModifier
        responseHeaderModifier: {{set: [{{name: x-answer, value: '3'}}]}}
      - type: CORS
        cors: {{allowOrigins: ['https://a.example'], allowMethods: [PUT]}}
  - name: moved
    path_prefix: /moved/
    filters:
      - type: RequestRedirect
        requestRedirect: {{hostname: new.example, statusCode: 301}}",
        ports[1]
    );
    let gateway = Gateway::start(port, &one_tenant(port, ports[0], "", &filters));
    let mut client = Client::connect(gateway.address);
    let response = client.get(
        "/t/x",
        &[("x-add", "0"), ("x-gone", "y"), ("Origin", "https://a.example")],
    );
    let found = ["x-set", "x-add", "x-gone"].map(|name| seen(&response, name));
    assert_eq!(found, [Some("1".to_owned()), Some("0,2".to_owned()), None]);
    assert_eq!(response.header("x-answer"), Some("3"));
    assert_eq!(
        response.header("access-control-allow-origin"),
        Some("https://a.example")
    );
    let preflight = [
        ("Origin", "https://a.example"),
        ("Access-Control-Request-Method", "PUT"),
    ];
    client.send(head("OPTIONS", "/t/x", &preflight));
    let preflight = client.response("OPTIONS");
    assert_eq!(
        (preflight.status, preflight.header("access-control-allow-methods")),
        (204, Some("PUT"))
    );
    let moved = client.get("/moved/x", &[]);
    assert_eq!(moved.status, 301);
    let location = moved.header("location").expect("a location");
    assert!(
        location.starts_with("http://new.example") && location.ends_with("/moved/x"),
        "{location}"
    );
    let deadline = Instant::now() + crate::harness::PATIENCE;
    while backends.requests()[1] == 0 {
        assert!(Instant::now() < deadline, "a copy arrives");
        std::thread::yield_now();
    }
}

#[test]
fn what_could_guard_something_is_not_skipped() {
    let backends = Backends::start(1);
    let (port, backend) = (free_port(), backends.ports()[0]);
    let gateway = Gateway::start(port, &one_tenant(port, backend, "", "    lua_routes: auth.lua"));
    let mut client = Client::connect(gateway.address);
    assert_eq!(get(&mut client, "h", "/t/").status, 501);
    let bad_filter = "    filters: [{type: ExternalAuth, externalAuth: {}}]";
    gateway.rewrite(
        &one_tenant(port, backend, "", bad_filter),
        "generation 2 in force",
    );
    assert_eq!(get(&mut client, "h", "/t/").status, 500);
    gateway.rewrite(&one_tenant(port, backend, "", ""), "generation 3 in force");
    assert_eq!(get(&mut client, "h", "/t/").status, 200);
    assert_eq!(backends.requests(), [1]);
}
