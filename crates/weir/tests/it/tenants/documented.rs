//! The main blocks of `docs/tenants.md`, served as they stand: only addresses are put in.

use super::get;
use crate::docs::yaml_block;
use crate::harness::{Backends, Client, Gateway, Process, Request, free_port, head, load};
use crate::responses::{answer, backend};

/// The one block with that text, on this port, with backends instead of `10.0.0.1:80`, `10.0.0.2:80` and so on.
fn documented(port: u16, text: &str, backends: &[u16]) -> String {
    let mut config = yaml_block("docs/tenants.md", text);
    for (number, backend) in (1..).zip(backends) {
        let written = format!("10.0.0.{number}:80");
        assert!(config.contains(&written), "{written}: {config}");
        config = config.replace(&written, &format!("127.0.0.1:{backend}"));
    }
    format!("server: {{port: {port}}}\n{config}")
}

#[test]
fn kt02_the_most_specific_tenant_serves_as_documented() {
    let backends = Backends::start(2);
    let port = free_port();
    let gateway = Gateway::start(port, &documented(port, "- name: everything", &backends.ports()));
    let mut client = Client::connect(gateway.address);
    for (host, target, pod, path) in [
        ("example.com", "/admin/x", 2, "/x"),
        ("EXAMPLE.com:81", "/admin", 2, "/"),
        ("a.b.example.com", "/admin/", 2, "/"),
        ("127.0.0.1", "/admin/", 2, "/"),
        ("example.com", "/adminx", 1, "/adminx"),
        ("example.com", "/", 1, "/"),
        ("example.org", "/admin/x", 1, "/admin/x"),
    ] {
        let response = get(&mut client, host, target);
        assert_eq!(response.pod(), format!("backend-{pod}"), "{host} {target}");
        assert_eq!(response.json()["path"], path, "{host} {target}");
    }
}

#[test]
fn kt32_a_canary_gets_its_share_as_documented() {
    let backends = Backends::start(2);
    let port = free_port();
    let gateway = Gateway::start(port, &documented(port, "percent: 5\n", &backends.ports()));
    let spread = |headers: &[(&str, &str)]| {
        let request = Request { target: "/", headers };
        load(gateway.address, request, 100, 1)
    };
    let unmarked = spread(&[("x-canary", "no")]);
    assert_eq!((unmarked.of("backend-1"), unmarked.of("backend-2")), (95, 5));
    for mark in [("x-canary", "yes"), ("Cookie", "a=b; canary=1")] {
        assert_eq!(spread(&[mark]).of("backend-2"), 100, "{mark:?}");
    }
}

#[test]
fn kt26_kt33_limits_hold_as_documented() {
    let backends = Backends::start(1);
    let port = free_port();
    let config = documented(port, "max_body_size: 10Mi", &backends.ports());
    let gateway = Gateway::start(port, &config);
    let ask = |method: &str, target: &str, headers: &[(&str, &str)]| {
        let mut client = Client::connect(gateway.address);
        client.send(head(method, target, headers));
        client.response(method).status
    };
    let (long, large) = (format!("/api/{}", "x".repeat(4_096)), "y".repeat(17 * 1024));
    assert_eq!(ask("POST", "/api/", &[("Content-Length", "1048577")]), 413);
    assert_eq!(ask("GET", &long, &[]), 414);
    assert_eq!(ask("GET", "/api/", &[("x-large", &large)]), 431);
    let statuses: Vec<u16> = (0..25)
        .map(|_| ask("GET", "/api/", &[("x-api-key", "a")]))
        .collect();
    assert_eq!(statuses[..10], [200; 10], "ten a second of each value");
    assert!(statuses[10..].contains(&429), "{statuses:?}");
    assert_eq!(ask("GET", "/api/", &[("x-api-key", "b")]), 200);
}

#[test]
fn kt30_routes_serve_as_documented() {
    let backends = Backends::start(2);
    let port = free_port();
    let gateway = Gateway::start(port, &documented(port, "route_groups:", &backends.ports()));
    let mut client = Client::connect(gateway.address);
    for (method, target, status, pod, allow) in [
        ("GET", "/api/users/7", 200, 1, None),
        ("GET", "/api/users/x", 404, 0, None),
        ("DELETE", "/api/users/7", 405, 0, Some("GET")),
        ("PUT", "/api/files/a/b", 200, 2, None),
        ("POST", "/api/v1/users", 200, 1, None),
        ("GET", "/api/v1/users", 405, 0, Some("POST")),
        ("GET", "/api/other", 404, 0, None),
    ] {
        let length = [("Content-Length", "0")];
        client.send(head(method, target, &length));
        let response = client.response(method);
        assert_eq!(response.status, status, "{method} {target}");
        assert_eq!(response.header("allow"), allow, "{method} {target}");
        if status == 200 {
            assert_eq!(response.pod(), format!("backend-{pod}"), "{method} {target}");
        }
    }
}

#[test]
fn mc04_a_spare_stands_in_as_documented() {
    let ports = [free_port(), free_port()];
    let echo = |port: u16| {
        let process = Process::start(&["echo", "--listen", &format!("127.0.0.1:{port}")]);
        process.stdout.wait_after(0, "echo: http");
        process
    };
    let _spare = echo(ports[1]);
    let serve = || {
        let port = free_port();
        Gateway::start(port, &documented(port, "priority: 1", &ports))
    };
    let expect = |gateway: &Gateway, port: u16| {
        let request = Request {
            target: "/api/",
            headers: &[],
        };
        let spread = load(gateway.address, request, 20, 2);
        assert_eq!(spread.of(&format!("echo-{port}")), 20, "{spread:?}");
    };
    let without = serve();
    let dead = format!("127.0.0.1:{} is unhealthy", ports[0]);
    without.process.stderr.wait_after(0, &dead);
    without
        .process
        .stderr
        .wait_after(0, &format!("127.0.0.1:{} is healthy", ports[1]));
    expect(&without, ports[1]);
    let _main = echo(ports[0]);
    let with = serve();
    for port in ports {
        with.process
            .stderr
            .wait_after(0, &format!("127.0.0.1:{port} is healthy"));
    }
    expect(&with, ports[0]);
}

#[test]
fn hc05_connect_checks_hold_as_documented() {
    let ports = [free_port(), free_port(), free_port()];
    let there = Process::start(&["echo", "--listen", &format!("127.0.0.1:{}", ports[1])]);
    there.stdout.wait_after(0, "echo: http");
    let port = free_port();
    let gateway = Gateway::start(port, &documented(port, "health_type: tcp}", &ports));
    let log = &gateway.process.stderr;
    log.wait_after(0, &format!("127.0.0.1:{} is unhealthy", ports[0]));
    log.wait_after(0, &format!("127.0.0.1:{} is healthy", ports[1]));
    let request = Request {
        target: "/cache/",
        headers: &[],
    };
    let spread = load(gateway.address, request, 20, 2);
    assert_eq!(spread.of(&format!("echo-{}", ports[1])), 20, "{spread:?}");
    assert!(
        !log.text().contains(&format!("127.0.0.1:{} is", ports[2])),
        "{}",
        log.text()
    );
    assert!(!log.text().contains("W0417"), "{}", log.text());
}

#[test]
fn kt23_responses_are_compressed_as_documented() {
    let text = "again and again ".repeat(200);
    let sent = text.clone();
    let service = backend(move |path, stream| {
        let media_type = format!("{}/{}", &path[1..5], &path[6..]);
        answer(stream, 200, &media_type, &sent);
    });
    let port = free_port();
    let gateway = Gateway::start(port, &documented(port, "compression: {level: 5", &[service]));
    let mut client = Client::connect(gateway.address);
    for (target, coding) in [("/text/html", Some("gzip")), ("/text/plain", None)] {
        let response = client.get(target, &[("accept-encoding", "gzip")]);
        assert_eq!(response.header("content-encoding"), coding, "{target}");
        assert_eq!(response.body == text.as_bytes(), coding.is_none(), "{target}");
    }
}
