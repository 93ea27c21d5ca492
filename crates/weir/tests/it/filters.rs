//! Filters and timeouts of HTTPRoute as they are written, through the gateway (row GA03; Gateway API `HTTPRouteFilter`,
//! `HTTPRouteTimeouts`).

use std::time::{Duration, Instant};

use crate::harness::{Backends, Client, Gateway, PATIENCE, Response, free_port, gateway_and_service, head};

/// A gateway on one route with these rules (list items, two spaces deep) over one backend; a Service `shadow` over
/// another, and a Service `nowhere` without endpoints.
fn ruled(rules: &str) -> (Backends, Backends, Gateway) {
    let (backends, shadow, port) = (Backends::start(1), Backends::start(1), free_port());
    let config = gateway_and_service(port, &backends.ports())
        + &format!(
            "\
---
apiVersion: v1
kind: Service
metadata: {{name: shadow, namespace: default}}
spec: {{ports: [{{name: http, port: 80}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: shadow, namespace: default, labels: {{kubernetes.io/service-name: shadow}}}}
addressType: IPv4
ports: [{{name: http, port: {}}}]
endpoints: [{{addresses: [127.0.0.1]}}]
---
apiVersion: v1
kind: Service
metadata: {{name: nowhere, namespace: default}}
spec: {{ports: [{{name: http, port: 80}}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: filtered, namespace: default}}
spec:
  parentRefs: [{{name: eg}}]
  rules:
{rules}",
            shadow.ports()[0]
        );
    let gateway = Gateway::start(port, &config);
    (backends, shadow, gateway)
}

/// A rule for a path prefix with further fields in flow style.
fn rule(path: &str, fields: &str) -> String {
    format!(
        "  - {{matches: [{{path: {{value: {path}}}}}], backendRefs: [{{name: backend, port: 3000}}], {fields}}}\n"
    )
}

fn ask(gateway: &Gateway, method: &str, target: &str, headers: &[(&str, &str)]) -> Response {
    let mut client = Client::connect(gateway.address);
    client.send(head(method, target, headers));
    client.response(method)
}

#[test]
fn ga03_header_modifiers_change_requests_and_responses() {
    let (_backends, _shadow, gateway) = ruled(
        "  - matches: [{path: {value: /}}]
    filters:
      - type: RequestHeaderModifier
        requestHeaderModifier:
          set: [{name: X-Set, value: new}]
          add: [{name: x-list, value: b}]
          remove: [X-Gone]
      - type: ResponseHeaderModifier
        responseHeaderModifier:
          set: [{name: Content-Type, value: text/odd}]
          add: [{name: X-Added, value: '1'}]
          remove: [date]
    backendRefs: [{name: backend, port: 3000}]
",
    );
    let answer = ask(
        &gateway,
        "GET",
        "/",
        &[
            ("x-set", "old"),
            ("X-List", "a"),
            ("x-gone", "1"),
            ("X-Kept", "2"),
        ],
    );
    let seen = answer.json();
    for (name, values) in [
        ("X-Set", vec!["new"]),
        ("X-List", vec!["a,b"]),
        ("X-Kept", vec!["2"]),
    ] {
        assert_eq!(seen["headers"][name], serde_json::json!(values), "{name} {seen}");
    }
    assert!(seen["headers"]["X-Gone"].is_null(), "{seen}");
    assert_eq!(answer.header("content-type"), Some("text/odd"));
    assert_eq!(
        (answer.header("x-added"), answer.header("date")),
        (Some("1"), None)
    );
}

#[test]
fn ga03_redirects_are_answered_here() {
    let redirect = |path: &str, fields: &str| {
        format!(
            "  - {{matches: [{{path: {{value: {path}}}}}], filters: [{{type: RequestRedirect, requestRedirect: \
             {{{fields}}}}}]}}\n"
        )
    };
    let (backends, _shadow, gateway) = ruled(
        &[
            redirect("/https", "scheme: https, statusCode: 301"),
            redirect("/host", "hostname: other.example.com"),
            redirect("/port", "port: 8443"),
            redirect("/eighty", "scheme: http, hostname: a, port: 80, statusCode: 307"),
            redirect("/full", "path: {type: ReplaceFullPath, replaceFullPath: /all}"),
            redirect(
                "/old",
                "path: {type: ReplacePrefixMatch, replacePrefixMatch: /new}, statusCode: 308",
            ),
        ]
        .concat(),
    );
    let own = gateway.address.port();
    for (target, status, location) in [
        // The well-known port of the scheme that is named, else the listener's.
        (
            "/https/a?b=c",
            301,
            "https://www.example.com/https/a?b=c".to_owned(),
        ),
        ("/host/a", 302, format!("http://other.example.com:{own}/host/a")),
        ("/port", 302, "http://www.example.com:8443/port".to_owned()),
        ("/eighty", 307, "http://a/eighty".to_owned()),
        ("/full/x?y", 302, format!("http://www.example.com:{own}/all?y")),
        (
            "/old/x/y?z",
            308,
            format!("http://www.example.com:{own}/new/x/y?z"),
        ),
        ("/old", 308, format!("http://www.example.com:{own}/new")),
    ] {
        let answer = ask(&gateway, "GET", target, &[]);
        assert_eq!(
            (answer.status, answer.header("location")),
            (status, Some(&*location)),
            "{target}"
        );
    }
    assert_eq!(backends.requests(), [0]);
}

#[test]
fn ga03_rewrites_change_what_the_backend_sees() {
    let rewrite = |path: &str, fields: &str| {
        rule(
            path,
            &format!("filters: [{{type: URLRewrite, urlRewrite: {{{fields}}}}}]"),
        )
    };
    let (_backends, _shadow, gateway) = ruled(
        &[
            rewrite(
                "/strip",
                "path: {type: ReplacePrefixMatch, replacePrefixMatch: /}",
            ),
            rewrite(
                "/one",
                "path: {type: ReplacePrefixMatch, replacePrefixMatch: /two/}",
            ),
            rewrite("/full", "path: {type: ReplaceFullPath, replaceFullPath: /all}"),
            rewrite("/host", "hostname: inner.example.com"),
        ]
        .concat(),
    );
    for (target, path, host) in [
        ("/strip/three?x=1", "/three?x=1", "www.example.com"),
        ("/strip", "/", "www.example.com"),
        ("/strip/", "/", "www.example.com"),
        ("/one/a", "/two/a", "www.example.com"),
        ("/full/a?b", "/all?b", "www.example.com"),
        ("/host/a", "/host/a", "inner.example.com"),
    ] {
        let seen = ask(&gateway, "GET", target, &[]).json();
        assert_eq!(
            (&seen["path"], &seen["host"]),
            (&path.into(), &host.into()),
            "{target}"
        );
    }
    // By element only.
    assert_eq!(ask(&gateway, "GET", "/stripe", &[]).status, 404);
}

#[test]
fn ga03_mirrors_get_their_part_of_the_requests() {
    let mirror = |path: &str, name: &str, fields: &str| {
        rule(
            path,
            &format!(
                "filters: [{{type: RequestMirror, requestMirror: {{backendRef: {{name: {name}, port: 80}}{fields}}}}}]"
            ),
        )
    };
    let (backends, shadow, gateway) = ruled(
        &[
            mirror("/all", "shadow", ""),
            mirror("/none", "shadow", ", percent: 0"),
            mirror("/half", "shadow", ", percent: 50"),
            mirror("/tenth", "shadow", ", fraction: {numerator: 1, denominator: 10}"),
            mirror("/empty", "nowhere", ""),
            mirror("/bad", "nobody", ""),
        ]
        .concat(),
    );
    // Binomial with n = 400: five standard deviations and more either way.
    for (path, least, most) in [
        ("/all", 400, 400),
        ("/none", 0, 0),
        ("/half", 150, 250),
        ("/tenth", 8, 78),
        // Nobody hears of a mirror that leads nowhere.
        ("/empty", 0, 0),
        ("/bad", 0, 0),
    ] {
        let before = shadow.requests()[0];
        let mut client = Client::connect(gateway.address);
        for _ in 0..400 {
            assert_eq!(client.get(path, &[]).status, 200, "{path}");
        }
        let deadline = Instant::now() + PATIENCE;
        while shadow.requests()[0] - before < least {
            assert!(
                Instant::now() < deadline,
                "{path}: {} copies",
                shadow.requests()[0] - before
            );
            std::thread::yield_now();
        }
        let copies = shadow.requests()[0] - before;
        assert!(copies <= most, "{path}: {copies}");
    }
    assert_eq!(backends.requests(), [2400]);
}

#[test]
fn ga03_cross_origin_questions_are_answered_here() {
    let (backends, _shadow, gateway) = ruled(
        "  - matches: [{path: {value: /open}}]
    filters: [{type: CORS, cors: {allowOrigins: ['*']}}]
    backendRefs: [{name: backend, port: 3000}]
  - matches: [{path: {value: /some}}]
    filters:
      - type: CORS
        cors:
          allowOrigins: ['https://*.bar.com', 'http://foo.com:8080']
          allowMethods: [GET, PUT]
          allowHeaders: [x-one]
          exposeHeaders: [x-two]
          allowCredentials: true
          maxAge: 60
    backendRefs: [{name: backend, port: 3000}]
",
    );
    let preflight = |target: &str, origin: &str, headers: &str| {
        let mut lines = vec![("Origin", origin), ("Access-Control-Request-Method", "PUT")];
        if !headers.is_empty() {
            lines.push(("Access-Control-Request-Headers", headers));
        }
        ask(&gateway, "OPTIONS", target, &lines)
    };
    for (origin, allowed) in [
        ("https://www.bar.com", true),
        ("https://a.b.bar.com", true),
        ("https://bar.com", false),
        ("http://www.bar.com", false),
        ("http://foo.com:8080", true),
        ("http://foo.com", false),
    ] {
        let answer = preflight("/some", origin, "x-one");
        assert!([200, 204].contains(&answer.status), "{origin} {answer:?}");
        let expected = allowed.then_some(origin);
        assert_eq!(answer.header("access-control-allow-origin"), expected);
        assert_eq!(
            answer.header("access-control-allow-credentials"),
            allowed.then_some("true"),
            "{origin}"
        );
        if allowed {
            assert_eq!(answer.header("access-control-max-age"), Some("60"));
            assert_eq!(answer.header("access-control-allow-methods"), Some("GET, PUT"));
            assert_eq!(answer.header("access-control-allow-headers"), Some("x-one"));
        }
    }
    let answer = preflight("/open", "https://any.where", "");
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.header("access-control-max-age"), Some("5"), "the default");
    assert_eq!(
        answer.header("access-control-allow-headers"),
        None,
        "nobody asked"
    );
    assert_eq!(backends.requests(), [0]);
    // Simple requests are served whoever asks; only those allowed are told so.
    let answer = ask(&gateway, "GET", "/some", &[("Origin", "https://www.bar.com")]);
    assert_eq!(
        answer.header("access-control-allow-origin"),
        Some("https://www.bar.com")
    );
    assert_eq!(
        (answer.status, answer.header("access-control-expose-headers")),
        (200, Some("x-two"))
    );
    let answer = ask(&gateway, "GET", "/some", &[("Origin", "https://evil.com")]);
    assert_eq!(
        (answer.status, answer.header("access-control-allow-origin")),
        (200, None)
    );
}

#[test]
fn ga03_timeouts_of_a_rule_end_in_504() {
    let (_backends, _shadow, gateway) = ruled(
        &[
            rule("/request", "timeouts: {request: 200ms}"),
            rule("/try", "timeouts: {request: 10s, backendRequest: 200ms}"),
            rule("/off", "timeouts: {request: 0s}"),
        ]
        .concat(),
    );
    for path in ["/request", "/try"] {
        let started = Instant::now();
        assert_eq!(
            ask(&gateway, "GET", &format!("{path}?t=600s"), &[]).status,
            504,
            "{path}"
        );
        // The workers' clock counts whole milliseconds: less than one may be missing.
        assert!(started.elapsed() > Duration::from_millis(199), "{path}");
        assert!(started.elapsed() < Duration::from_secs(8), "{path}");
        assert_eq!(ask(&gateway, "GET", path, &[]).status, 200, "{path}");
    }
    assert_eq!(ask(&gateway, "GET", "/off?t=400ms", &[]).status, 200);
}
