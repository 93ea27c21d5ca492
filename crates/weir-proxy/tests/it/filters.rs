//! Filters end to end.

use std::sync::Arc;
use std::time::Duration;

use crate::harness::{Backend, Plan, Response, Rig, eventually, forward_to, prefix_rule, respond};
use weir_model::{
    Action, BackendId, Cors, Filter, Fraction, HeaderChange, HostPattern, Mirror, OriginPattern, PathRewrite,
    Redirect, Rewrite,
};

fn pairs(pairs: &[(&str, &str)]) -> Vec<(Arc<str>, Arc<str>)> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).into(), (*value).into()))
        .collect()
}

#[test]
fn ga03_header_filters_change_requests_and_responses() {
    let backend = Backend::answering(|_| respond(200, "X-Old: 1\r\nX-List: a\r\n", b"ok"));
    let mut plan = Plan::to(&[backend.address]);
    let change = HeaderChange {
        set: pairs(&[("x-set", "new")]),
        add: pairs(&[("x-list", "b"), ("x-forwarded-proto", "extra")]),
        remove: vec!["x-old".into(), "x-request-id".into()],
    };
    plan.rules[0].filters = vec![
        Filter::RequestHeaders(change.clone()),
        Filter::ResponseHeaders(change.clone()),
    ];
    if let Action::Forward(forward) = &mut plan.rules[0].action {
        let add = HeaderChange {
            add: pairs(&[("x-list", "c")]),
            ..HeaderChange::default()
        };
        forward.destinations[0].filters = vec![Filter::RequestHeaders(add)];
    }
    let rig = Rig::new(&plan);
    let mut client = rig.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nX-SET: old\r\nX-Set: older\r\nX-List: a\r\nX-Old: 1\r\n\r\n");
    let response = client.response();
    let seen = backend.take();
    for (name, value) in [
        ("x-set", Some("new")),
        ("x-list", Some("a,b,c")),
        ("x-old", None),
        ("x-request-id", None),
        ("x-forwarded-proto", Some("http,extra")),
        ("x-forwarded-for", Some("127.0.0.1")),
    ] {
        assert_eq!(seen.field(name), value, "{name}");
    }
    for (name, value) in [("x-set", Some("new")), ("x-list", Some("a,b")), ("x-old", None)] {
        assert_eq!(response.field(name), value, "{name}");
    }
}

#[test]
fn ga03_rewrites_change_what_the_endpoint_sees() {
    let backend = Backend::named("a");
    let mut plan = Plan::new();
    plan.backend("only", &[backend.address]);
    let mut rule = |prefix: &str, host: Option<&str>, path: PathRewrite| {
        let mut rule = prefix_rule(prefix, forward_to(&[0]));
        rule.filters = vec![Filter::Rewrite(Rewrite {
            host: host.map(Into::into),
            path: Some(path),
            query: None,
        })];
        plan.rules.push(rule);
    };
    rule("/strip", None, PathRewrite::Prefix("/".into()));
    rule("/full", Some("new.example"), PathRewrite::Full("/one".into()));
    let rig = Rig::new(&plan);
    for (path, line, host, forwarded_host) in [
        ("/strip/three?q=1", "GET /three?q=1 HTTP/1.1", "test", None),
        ("/strip", "GET / HTTP/1.1", "test", None),
        ("/full/x?q", "GET /one?q HTTP/1.1", "new.example", Some("test")),
    ] {
        rig.get(path);
        let seen = backend.take();
        assert_eq!((&*seen.line, seen.field("host")), (line, Some(host)), "{path}");
        assert_eq!(seen.field("x-forwarded-host"), forwarded_host, "{path}");
    }
}

#[test]
fn ga03_redirects_are_answered_here() {
    let mut plan = Plan::new();
    let redirect = |scheme: Option<&str>, host: Option<&str>, path: Option<PathRewrite>, status: u16| {
        Action::Redirect(Redirect {
            scheme: scheme.map(Into::into),
            host: host.map(Into::into),
            path,
            port: None,
            status,
            is_relative: false,
        })
    };
    plan.rules = vec![
        prefix_rule("/https", redirect(Some("https"), None, None, 301)),
        prefix_rule("/host", redirect(None, Some("other"), None, 302)),
        prefix_rule(
            "/path",
            redirect(None, None, Some(PathRewrite::Prefix("/new".into())), 308),
        ),
    ];
    plan.rules[1].filters = vec![Filter::ResponseHeaders(HeaderChange {
        set: pairs(&[("x-set", "1")]),
        ..HeaderChange::default()
    })];
    plan.port = 8080;
    let rig = Rig::new(&plan);
    for (path, status, location) in [
        ("/https/a?b=c", 301, "https://test/https/a?b=c"),
        ("/host/a", 302, "http://other:8080/host/a"),
        ("/path/a?x", 308, "http://test:8080/new/a?x"),
    ] {
        let response = rig.get(path);
        assert_eq!(
            (response.status, response.field("location")),
            (status, Some(location)),
            "{path}"
        );
    }
    let mut client = rig.client();
    for _ in 0..3 {
        let response = client.get("/host");
        assert_eq!(
            (response.field("x-set"), response.field("content-length")),
            (Some("1"), Some("0"))
        );
    }
}

fn cors(origins: &[&str], credentials: bool) -> Cors {
    let origin = |text: &&str| match text.split_once("://") {
        None => OriginPattern::Any,
        Some((scheme, host)) => OriginPattern::Of {
            scheme: scheme.into(),
            host: HostPattern::parse(host),
            port: None,
        },
    };
    Cors {
        allow_origins: origins.iter().map(origin).collect(),
        allow_methods: vec!["GET".into(), "PUT".into()],
        allow_headers: vec!["x-one".into(), "x-two".into()],
        expose_headers: vec!["x-three".into()],
        allow_credentials: credentials,
        max_age: Duration::from_secs(7),
    }
}

fn cors_rig(cors: Cors) -> (Rig, Backend) {
    let backend = Backend::answering(|_| respond(200, "Access-Control-Allow-Origin: theirs\r\n", b"ok"));
    let mut plan = Plan::to(&[backend.address]);
    plan.rules[0].filters = vec![Filter::Cors(Arc::new(cors))];
    (Rig::new(&plan), backend)
}

fn ask(rig: &Rig, method: &str, lines: &str) -> Response {
    let mut client = rig.client();
    client.send(&format!("{method} / HTTP/1.1\r\nHost: a\r\n{lines}\r\n"));
    client.response()
}

#[test]
fn ga03_cors_preflights_are_answered_here() {
    let (rig, backend) = cors_rig(cors(&["https://*.bar.com"], false));
    let preflight = "Access-Control-Request-Method: PUT\r\nAccess-Control-Request-Headers: x-one\r\n";
    let response = ask(
        &rig,
        "OPTIONS",
        &format!("Origin: https://a.b.bar.com\r\n{preflight}"),
    );
    for (name, value) in [
        ("access-control-allow-origin", Some("https://a.b.bar.com")),
        ("access-control-allow-methods", Some("GET, PUT")),
        ("access-control-allow-headers", Some("x-one, x-two")),
        ("access-control-max-age", Some("7")),
        ("access-control-allow-credentials", None),
    ] {
        assert_eq!(response.field(name), value, "{name}");
    }
    assert_eq!(response.status, 204);
    let response = ask(
        &rig,
        "OPTIONS",
        &format!("Origin: https://evil.com\r\n{preflight}"),
    );
    assert_eq!(
        (response.status, response.field("access-control-allow-origin")),
        (204, None)
    );
    assert!(backend.seen().is_empty());
    // Without the question it is a request like any other.
    assert_eq!(ask(&rig, "OPTIONS", "Origin: https://a.bar.com\r\n").text(), "ok");
}

#[test]
fn ga03_cors_with_credentials_never_says_star() {
    let mut policy = cors(&["*"], true);
    policy.allow_methods = vec!["*".into()];
    policy.allow_headers = vec!["*".into()];
    let (rig, _backend) = cors_rig(policy);
    let response = ask(
        &rig,
        "OPTIONS",
        "Origin: https://x.com\r\nAccess-Control-Request-Method: DELETE\r\nAccess-Control-Request-Headers: a, b\r\n",
    );
    for (name, value) in [
        ("access-control-allow-origin", "https://x.com"),
        ("access-control-allow-methods", "DELETE"),
        ("access-control-allow-headers", "a, b"),
        ("access-control-allow-credentials", "true"),
    ] {
        assert_eq!(response.field(name), Some(value), "{name}");
    }
}

#[test]
fn ga03_cors_decorates_simple_responses() {
    let (rig, _backend) = cors_rig(cors(&["https://www.foo.com"], false));
    let response = ask(&rig, "GET", "Origin: https://www.foo.com\r\n");
    assert_eq!(
        response.field("access-control-allow-origin"),
        Some("https://www.foo.com")
    );
    assert_eq!(response.field("access-control-expose-headers"), Some("x-three"));
    let response = ask(&rig, "GET", "Origin: https://other.com\r\n");
    assert_eq!(
        (response.text(), response.field("access-control-allow-origin")),
        ("ok", None)
    );
    let response = ask(&rig, "GET", "");
    assert_eq!(response.field("access-control-allow-origin"), Some("theirs"));
}

#[test]
fn ga03_a_mirror_gets_a_copy_and_nobody_waits_for_it() {
    let backend = Backend::named("a");
    let shadow = Backend::answering(|_| {
        std::thread::sleep(Duration::from_secs(3));
        respond(500, "", b"ignored")
    });
    let mut plan = Plan::new();
    plan.backend("a", &[backend.address]);
    plan.backend("shadow", &[shadow.address]);
    let mut rule = prefix_rule("", forward_to(&[0]));
    rule.filters = vec![
        Filter::RequestHeaders(HeaderChange {
            set: pairs(&[("x-set", "1")]),
            ..HeaderChange::default()
        }),
        Filter::Mirror(Mirror {
            backend: BackendId(1),
            fraction: Fraction::ALL,
        }),
    ];
    plan.rules.push(rule);
    let rig = Rig::new(&plan);
    let start = std::time::Instant::now();
    let mut client = rig.client();
    let body = "z".repeat(30_000);
    client.send(&format!(
        "POST /p?q HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    assert_eq!(client.response().text(), "a");
    client.send("POST /p?q HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    client.send("2\r\nde\r\n0\r\n\r\n");
    assert_eq!(client.response().text(), "a");
    assert!(
        start.elapsed() < Duration::from_millis(2900),
        "{:?}",
        start.elapsed()
    );
    eventually("copies arrive", || shadow.seen().len() == 2);
    let mut copies = shadow.seen();
    copies.sort_by_key(|copy| copy.body.len());
    assert_eq!((&*copies[0].body, copies[1].body.len()), (&b"abcde"[..], 30_000));
    for (copy, original) in copies.iter().rev().zip(backend.seen()) {
        assert_eq!((&copy.line, copy.field("x-set")), (&original.line, Some("1")));
        assert_eq!(copy.field("x-request-id"), original.field("x-request-id"));
    }
}

#[test]
fn ga03_a_mirror_may_get_a_part_and_may_be_dead() {
    let backend = Backend::named("a");
    let shadow = Backend::named("shadow");
    let dead = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut plan = Plan::new();
    plan.backend("a", &[backend.address]);
    plan.backend("dead", &[dead]);
    plan.backend("shadow", &[shadow.address]);
    let mut rule = prefix_rule("", forward_to(&[0]));
    let quarter = Fraction::new(1, 4).unwrap();
    rule.filters = vec![
        Filter::Mirror(Mirror {
            backend: BackendId(1),
            fraction: Fraction::ALL,
        }),
        Filter::Mirror(Mirror {
            backend: BackendId(2),
            fraction: quarter,
        }),
    ];
    plan.rules.push(rule);
    let rig = Rig::new(&plan);
    let mut client = rig.client();
    for _ in 0..400 {
        assert_eq!(client.get("/").status, 200);
    }
    eventually("copies are lost", || {
        rig.gateway
            .stats()
            .failures
            .iter()
            .any(|failure| failure.reason == "mirror_lost" && failure.count == 400)
    });
    let copies = shadow.seen().len();
    assert!((55..=145).contains(&copies), "{copies} of 400");
}
