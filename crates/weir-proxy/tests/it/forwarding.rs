//! What the endpoint gets, and what the client gets back.

use crate::harness::{Backend, Plan, Rig, forward_to, prefix_rule, respond};
use weir_model::{Action, Cidr, ClientIp, FixedAnswer, HostPattern};

#[test]
fn a_request_arrives_with_weirs_fields_and_without_the_clients_own() {
    let backend = Backend::named("a");
    let rig = Rig::new(&Plan::to(&[backend.address]));
    let mut client = rig.client();
    client.send(
        "GET /a/b?c=d HTTP/1.1\r\nHost: Example.COM:8080\r\nX-Custom:  spaced \r\nx_under: 1\r\nConnection: \
         keep-alive, x-hop, x-forwarded-for\r\nx-hop: 1\r\nKeep-Alive: 5\r\nX-Forwarded-For: 1.2.3.4\r\n\
         X-Forwarded-Proto: https\r\nX-Request-Id: mine\r\nX-Envoy-Internal: true\r\nX-Real-IP: 9.9.9.9\r\n\
         X-Envoy-External-Address: 5.5.5.5\r\nForwarded: for=6.6.6.6\r\nX-Forwarded-Host: evil\r\nTE: gzip\r\n\
         Proxy-Connection: x\r\nUpgrade: websocket\r\nVia: 1.1 edge\r\n\r\n",
    );
    assert_eq!(client.response().text(), "a");
    let seen = backend.take();
    assert_eq!(seen.line, "GET /a/b?c=d HTTP/1.1");
    let id = seen.field("x-request-id").unwrap();
    assert!(id.len() == 36 && id.as_bytes()[14] == b'4', "{id}");
    for (name, value) in [
        ("host", Some("Example.COM:8080")),
        ("x-custom", Some("spaced")),
        ("x_under", None),
        ("x-hop", None),
        ("connection", None),
        ("keep-alive", None),
        ("proxy-connection", None),
        ("te", None),
        ("upgrade", None),
        ("x-forwarded-for", Some("1.2.3.4, 127.0.0.1")),
        ("x-forwarded-proto", Some("http")),
        ("x-forwarded-host", None),
        ("x-real-ip", None),
        ("forwarded", None),
        ("x-envoy-internal", None),
        ("x-envoy-external-address", Some("127.0.0.1")),
        ("via", Some("1.1 edge")),
    ] {
        assert_eq!(seen.field(name), value, "{name}");
    }
}

#[test]
fn without_forwarded_for_a_loopback_client_is_internal() {
    let backend = Backend::named("a");
    let rig = Rig::new(&Plan::to(&[backend.address]));
    rig.get("/");
    let seen = backend.take();
    assert_eq!(seen.field("x-envoy-internal"), Some("true"));
    assert_eq!(seen.field("x-envoy-external-address"), None);
    assert_eq!(seen.field("x-forwarded-for"), Some("127.0.0.1"));
}

#[test]
fn d1_a_trusted_peer_speaks_for_its_clients() {
    let backend = Backend::named("a");
    let mut plan = Plan::to(&[backend.address]);
    let cidr = |text: &str| Cidr::parse(text).unwrap();
    for (rule, trusted, client_ip) in [
        (ClientIp::Peer, false, "127.0.0.1"),
        (ClientIp::TrustedHops(1), true, "2.2.2.2"),
        (ClientIp::TrustedHops(2), true, "1.1.1.1"),
        (ClientIp::TrustedHops(9), true, "127.0.0.1"),
        (ClientIp::TrustedCidrs(vec![cidr("127.0.0.0/8")]), true, "2.2.2.2"),
        (
            ClientIp::TrustedCidrs(vec![cidr("127.0.0.0/8"), cidr("2.0.0.0/8")]),
            true,
            "1.1.1.1",
        ),
        (
            ClientIp::TrustedCidrs(vec![cidr("10.0.0.0/8")]),
            false,
            "127.0.0.1",
        ),
    ] {
        plan.client_ip = rule.clone();
        let rig = Rig::new(&plan);
        let mut client = rig.client();
        client.send(
            "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.1.1.1, 2.2.2.2\r\nX-Forwarded-Proto: \
             https\r\nX-Request-Id: theirs\r\nX-Real-IP: 1.1.1.1\r\n\r\n",
        );
        client.response();
        let seen = backend.take();
        assert_eq!(seen.field("x-request-id") == Some("theirs"), trusted, "{rule:?}");
        assert_eq!(
            seen.field("x-forwarded-proto"),
            Some(if trusted { "https" } else { "http" }),
            "{rule:?}"
        );
        assert_eq!(seen.field("x-real-ip").is_some(), trusted, "{rule:?}");
        assert_eq!(
            seen.field("x-envoy-external-address"),
            Some(client_ip),
            "{rule:?}"
        );
        assert_eq!(
            seen.field("x-forwarded-for"),
            Some("1.1.1.1, 2.2.2.2, 127.0.0.1"),
            "{rule:?}"
        );
    }
}

#[test]
fn row20_what_is_matched_is_what_is_forwarded() {
    let backend = Backend::named("a");
    let mut plan = Plan::to(&[backend.address]);
    plan.rules
        .push(prefix_rule("/secret", Action::Answer(answer(403))));
    let rig = Rig::new(&plan);
    for (target, line) in [
        ("/a//b/./c/../d?x=/../y", "GET /a/b/d?x=/../y HTTP/1.1"),
        ("/%61%2d%c3", "GET /a-%C3 HTTP/1.1"),
        ("http://test/abs?q", "GET /abs?q HTTP/1.1"),
        ("http://test", "GET / HTTP/1.1"),
        ("http://test?q", "GET /?q HTTP/1.1"),
    ] {
        assert_eq!(rig.get(target).status, 200, "{target}");
        assert_eq!(backend.take().line, line);
    }
    for target in ["/x/../secret", "/%73ecret", "//secret", "/./secret/x"] {
        assert_eq!(rig.get(target).status, 403, "{target}");
    }
    for target in ["/a%2fb", "/a%5Cb", "/a%00", "/..", "/a\\b", "/%zz"] {
        let mut client = rig.client();
        let refused = client.get(target);
        assert_eq!(refused.status, 400, "{target}");
        assert_eq!(
            client.get("/next").status,
            200,
            "the connection is sound after {target}"
        );
        backend.take();
    }
}

#[test]
fn options_may_ask_about_the_whole_server() {
    let backend = Backend::answering(|_| respond(204, "allow: GET\r\n", b""));
    let rig = Rig::new(&Plan::to(&[backend.address]));
    for target in ["*", "http://test"] {
        let mut client = rig.client();
        client.send(&format!("OPTIONS {target} HTTP/1.1\r\nHost: test\r\n\r\n"));
        let response = client.response();
        assert_eq!((response.status, response.field("content-length")), (204, None));
        assert_eq!(backend.take().line, "OPTIONS * HTTP/1.1");
    }
}

#[test]
fn nothing_serves_the_request_so_the_status_says_why() {
    let backend = Backend::named("a");
    let mut plan = Plan::new();
    plan.backend("a", &[backend.address]);
    plan.backend("none", &[]);
    plan.rules.push(prefix_rule("/ok", forward_to(&[0])));
    plan.rules.push(prefix_rule("/empty", forward_to(&[1])));
    plan.rules.push(prefix_rule("/bad", Action::Answer(answer(500))));
    plan.hosts = vec![HostPattern::parse("test")];
    let rig = Rig::new(&plan);
    for (path, status, reason) in [
        ("/ok", 200, ""),
        ("/other", 404, "no_route"),
        ("/empty", 503, "no_endpoints"),
        ("/bad", 500, "BackendNotFound"),
    ] {
        let response = rig.get(path);
        assert_eq!((response.status, response.reason()), (status, reason), "{path}");
        assert_eq!(response.field("date").is_some(), status != 200);
    }
    let mut client = rig.client();
    client.send("GET /ok HTTP/1.1\r\nHost: other\r\n\r\n");
    assert_eq!(client.response().status, 404);
    let failures = rig.gateway.stats().failures;
    assert!(
        failures
            .iter()
            .any(|failure| failure.reason == "no_route" && failure.count == 2),
        "{failures:?}"
    );
}

#[test]
fn methods_that_no_resource_behind_weir_has() {
    let backend = Backend::named("a");
    let rig = Rig::new(&Plan::to(&[backend.address]));
    for line in ["CONNECT test:80", "TRACE /"] {
        let mut client = rig.client();
        client.send(&format!("{line} HTTP/1.1\r\nHost: test:80\r\n\r\n"));
        assert_eq!(client.response().status, 501, "{line}");
        assert!(client.is_closed());
    }
    assert!(backend.seen().is_empty());
}

#[test]
fn response_fields_of_this_hop_stay_here() {
    let backend = Backend::answering(|_| {
        respond(
            200,
            "Connection: keep-alive, x-private\r\nX-Private: 1\r\nKeep-Alive: 5\r\nServer: them\r\nVia: 1.1 x\r\n\
             Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nx_odd: 1\r\n",
            b"body",
        )
    });
    let rig = Rig::new(&Plan::to(&[backend.address]));
    let response = rig.get("/");
    for (name, value) in [
        ("connection", None),
        ("x-private", None),
        ("keep-alive", None),
        ("server", Some("them")),
        ("via", Some("1.1 x")),
        ("x_odd", Some("1")),
        ("content-length", Some("4")),
    ] {
        assert_eq!(response.field(name), value, "{name}");
    }
    let cookies = response
        .fields
        .iter()
        .filter(|(name, _)| name == "set-cookie")
        .count();
    assert_eq!(cookies, 2);
}

fn answer(status: u16) -> FixedAnswer {
    FixedAnswer {
        status,
        reason: "BackendNotFound".into(),
        allow: None,
    }
}
