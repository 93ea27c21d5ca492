//! What a client says about itself and about the connection (reliability rows 21 and 23, scorecard D1, D2 and D6).

use super::stage::{Received, Scripted, Site, once, site, site_with, statuses};

/// What the backend gets of a request with these header lines.
fn received(backend: &Scripted, gateway: &Site, target: &str, lines: &str) -> Received {
    let request =
        format!("GET {target} HTTP/1.1\r\nHost: www.example.com\r\n{lines}Connection: close\r\n\r\n");
    let (text, _) = once(gateway.address, request);
    assert_eq!(statuses(&text), [200], "{lines:?}: {text}");
    backend.received().pop().expect("a request")
}

#[test]
fn kt17_d2_row22_connection_fields_end_at_this_hop() {
    let backend = Scripted::polite();
    let gateway = site(&[backend.port()]);
    let found = received(
        &backend,
        &gateway,
        "/",
        "Connection: keep-alive, X-Nominated, x-nominated-2 ,,\"odd\"\r\nConnection:\tX-Third\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\n\
         TE: gzip, deflate\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\nTrailer: X-T\r\nX-Nominated: 1\r\nX-NOMINATED-2: 2\r\nx-third: 3\r\nX-Kept: 4\r\n",
    );
    for name in [
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "upgrade",
        "http2-settings",
        "trailer",
        "transfer-encoding",
        "x-nominated",
        "x-nominated-2",
        "x-third",
    ] {
        assert!(found.values(name).is_empty(), "{name} passed: {}", found.head);
    }
    assert_eq!(found.values("x-kept"), ["4"]);
}

#[test]
fn d2_row22_a_client_cannot_nominate_away_what_others_rely_on() {
    let policy = "\
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: policy, namespace: default}
spec:
  parentRefs: [{name: eg}]
  rules:
    - matches: [{path: {type: PathPrefix, value: /policy}}]
      filters:
        - type: RequestHeaderModifier
          requestHeaderModifier:
            set: [{name: X-Policy, value: ours}]
            add: [{name: X-Added, value: ours}]
            remove: [X-Removed]
      backendRefs: [{name: backend, port: 3000}]
";
    let backend = Scripted::polite();
    let gateway = site_with(&[backend.port()], policy, &[]);
    for name in [
        "Host",
        "Content-Length",
        "Authorization",
        "Cookie",
        "X-Forwarded-For",
        "X-Forwarded-Proto",
        "X-Request-Id",
        "Content-Type",
        "X-Policy",
        "X-Added",
        "Cache-Control",
        "Proxy-Authorization",
    ] {
        let found = received(
            &backend,
            &gateway,
            "/policy",
            &format!(
                "Connection: {name}\r\nAuthorization: secret\r\nCookie: a=b\r\nContent-Type: a/b\r\nCache-Control: no-store\r\nProxy-Authorization: c\r\n\
                 X-Policy: theirs\r\nX-Added: theirs\r\nX-Removed: theirs\r\nContent-Length: 0\r\n"
            ),
        );
        for (kept, value) in [
            ("host", "www.example.com"),
            ("content-length", "0"),
            ("authorization", "secret"),
            ("cookie", "a=b"),
            ("x-forwarded-for", "127.0.0.1"),
            ("x-forwarded-proto", "http"),
            ("content-type", "a/b"),
            ("x-policy", "ours"),
            ("cache-control", "no-store"),
            ("proxy-authorization", "c"),
        ] {
            assert_eq!(
                found.values(kept),
                [value],
                "Connection: {name} changed {kept}: {}",
                found.head
            );
        }
        assert_eq!(
            found.values("x-request-id").len(),
            1,
            "Connection: {name}: {}",
            found.head
        );
        assert!(
            found.values("x-added").concat().ends_with("ours"),
            "Connection: {name}: {}",
            found.head
        );
        assert!(
            found.values("x-removed").is_empty(),
            "Connection: {name}: {}",
            found.head
        );
    }
    // As many as there may be, and one more.
    for (count, status) in [(32, 200), (33, 400), (5000, 400)] {
        let names = vec!["x"; count].join(",");
        let (text, _) = once(
            gateway.address,
            format!("GET / HTTP/1.1\r\nHost: h\r\nConnection: close,{names}\r\n\r\n"),
        );
        assert_eq!(statuses(&text), [status], "{count}: {text}");
    }
}

#[test]
fn d1_row21_row23_nobody_is_who_a_client_says_it_is() {
    let backend = Scripted::polite();
    let gateway = site(&[backend.port()]);
    let forged = "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Port: 666\r\nForwarded: for=6.6.6.6\r\n\
                  X-Real-IP: 6.6.6.6\r\nX-Request-Id: mine\r\nX-Envoy-Internal: true\r\nX-Envoy-External-Address: 6.6.6.6\r\n";
    let found = received(&backend, &gateway, "/", forged);
    // Envoy Gateway's rule: the list is kept and extended, and what stands before the last address is hearsay.
    let list = found.values("x-forwarded-for").join(",").replace(' ', "");
    assert_eq!(list, "6.6.6.6,127.0.0.1", "{}", found.head);
    assert_eq!(found.values("x-forwarded-proto"), ["http"], "{}", found.head);
    for name in ["x-forwarded-host", "x-forwarded-port", "forwarded", "x-real-ip"] {
        assert!(found.values(name).is_empty(), "{name} passed: {}", found.head);
    }
    assert_eq!(found.values("x-request-id").len(), 1);
    assert!(!found.values("x-request-id").contains(&"mine"), "{}", found.head);
    assert_eq!(
        found.values("x-envoy-internal").len() + found.values("x-envoy-external-address").len(),
        1,
        "{}",
        found.head
    );
    assert!(
        !found.values("x-envoy-external-address").contains(&"6.6.6.6"),
        "{}",
        found.head
    );
    // Twins of those names that some servers read as the same.
    let found = received(
        &backend,
        &gateway,
        "/",
        "X_Forwarded_For: 6.6.6.6\r\nX-Forwarded_For: 6.6.6.6\r\nContent_Length: 5\r\nX_Real_Ip: 6.6.6.6\r\nRemote_User: root\r\n_: a\r\nA_: b\r\n",
    );
    assert!(!found.head.contains('_'), "{}", found.head);
}

#[test]
fn d1_row21_trust_has_the_depth_that_is_configured() {
    // Rule; list that the client sends; whose request it is.
    for (rule, cases) in [
        (
            "numTrustedHops: 1",
            &[
                ("1.1.1.1", "1.1.1.1"),
                ("6.6.6.6, 1.1.1.1", "1.1.1.1"),
                ("6.6.6.6, evil, 1.1.1.1", "1.1.1.1"),
                ("6.6.6.6, evil", "127.0.0.1"),
                ("6.6.6.6,", "127.0.0.1"),
                ("", "127.0.0.1"),
                ("6.6.6.6\r\nX-Forwarded-For: 1.1.1.1", "1.1.1.1"),
                ("6.6.6.6, [2001:db8::1]:99", "2001:db8::1"),
                ("6.6.6.6, ::ffff:1.2.3.4", "1.2.3.4"),
                ("1.1.1.1.1", "127.0.0.1"),
                ("01.1.1.1", "127.0.0.1"),
            ][..],
        ),
        (
            "numTrustedHops: 2",
            &[
                ("1.1.1.1", "127.0.0.1"),
                ("6.6.6.6, 2.2.2.2, 1.1.1.1", "2.2.2.2"),
                ("2.2.2.2, evil", "2.2.2.2"),
            ],
        ),
        (
            "trustedCIDRs: [127.0.0.0/8, 10.0.0.0/8]",
            &[
                ("6.6.6.6, 1.1.1.1", "1.1.1.1"),
                ("6.6.6.6, 1.1.1.1, 10.0.0.1", "1.1.1.1"),
                ("6.6.6.6, evil, 10.0.0.1", "10.0.0.1"),
                ("10.0.0.2, 10.0.0.1", "10.0.0.2"),
                ("", "127.0.0.1"),
            ],
        ),
        (
            "trustedCIDRs: [10.0.0.0/8]",
            &[("6.6.6.6", "127.0.0.1"), ("6.6.6.6, 10.0.0.1", "127.0.0.1")],
        ),
    ] {
        let policy = format!(
            "\
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: ClientTrafficPolicy
metadata: {{name: client, namespace: default}}
spec:
  targetRefs: [{{group: gateway.networking.k8s.io, kind: Gateway, name: eg}}]
  clientIPDetection: {{xForwardedFor: {{{rule}}}}}
"
        );
        let backend = Scripted::polite();
        let gateway = site_with(&[backend.port()], &policy, &[]);
        for (list, client) in cases {
            let lines = if list.is_empty() {
                String::new()
            } else {
                format!("X-Forwarded-For: {list}\r\n")
            };
            let found = received(&backend, &gateway, "/", &lines);
            if lines.is_empty() {
                continue;
            }
            assert_eq!(
                found.values("x-envoy-external-address"),
                [*client],
                "{rule}, {list}: {}",
                found.head
            );
            let appended = found.values("x-forwarded-for").join(",");
            assert!(appended.ends_with("127.0.0.1"), "{rule}, {list}: {}", found.head);
        }
    }
}

#[test]
fn d6_row25_nothing_that_a_client_sends_splits_what_weir_writes() {
    let redirect = "\
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: redirect, namespace: default}
spec:
  parentRefs: [{name: eg}]
  rules:
    - matches: [{path: {type: PathPrefix, value: /redirect}}]
      filters:
        - type: RequestRedirect
          requestRedirect: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /new}}
    - matches: [{path: {type: PathPrefix, value: /rewrite}}]
      filters:
        - type: URLRewrite
          urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}
      backendRefs: [{name: backend, port: 3000}]
";
    let backend = Scripted::polite();
    let gateway = site_with(&[backend.port()], redirect, &[]);
    let ask = |target: &str| {
        once(
            gateway.address,
            format!("GET {target} HTTP/1.1\r\nHost: www.example.com\r\nConnection: close\r\n\r\n"),
        )
        .0
    };
    let location = |text: &str| {
        let line = text
            .split("\r\n")
            .find(|line| line.to_ascii_lowercase().starts_with("location:"));
        line.map(|line| line["location:".len()..].trim().to_owned())
            .unwrap_or_default()
    };
    for (target, place) in [
        ("/redirect/a", "/new/a"),
        (
            "/redirect/%0d%0aSet-Cookie:%20a=b",
            "/new/%0D%0ASet-Cookie:%20a=b",
        ),
        ("/redirect/%E5%98%8A", "/new/%E5%98%8A"),
        ("/redirect?x=%0d%0aSet-Cookie:a", "/new?x=%0d%0aSet-Cookie:a"),
        ("/redirect//evil.example/", "/new/evil.example/"),
        ("/redirect/..;/x", ""),
        ("/redirect/\\evil", ""),
    ] {
        let text = ask(target);
        let found = location(&text);
        // Gateway API: a redirect without scheme and port goes to the listener's port.
        let whole = format!("http://www.example.com:{}{place}", gateway.address.port());
        assert!(
            found == if place.is_empty() { place } else { &whole },
            "{target}: {text}"
        );
        let head = text.split("\r\n\r\n").next().expect("a head");
        assert!(
            !head.to_ascii_lowercase().contains("\r\nset-cookie"),
            "{target}: {text}"
        );
    }
    // A rewrite to the root does not make a path that begins with two slashes: to some servers that is a host.
    for target in [
        "/rewrite/evil.example/x",
        "/rewrite//evil.example/x",
        "/rewrite/./evil.example/x",
        "/rewrite",
    ] {
        let text = ask(target);
        assert_eq!(statuses(&text), [200], "{target}: {text}");
        let found = backend.received().pop().expect("a request");
        assert!(
            found.target().starts_with('/') && !found.target().starts_with("//"),
            "{target}: {}",
            found.head
        );
    }
}

#[test]
fn d6_row25_the_log_has_one_line_per_request_whatever_clients_send() {
    let backend = Scripted::polite();
    let gateway = site_with(&[backend.port()], "", &["--access-log", "stdout"]);
    let odd = [
        "GET /%0d%0a%7b%7d HTTP/1.1\r\nHost: h\r\nUser-Agent: \"}\\\r\nReferer: {\"a\":\"\r\n",
        "GET /x\"},{\"y HTTP/1.1\r\nHost: h\r\n",
        "GET /\\u000a HTTP/1.1\r\nHost: h\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nUser-Agent: \u{1b}[31mred\r\n",
        "GET / HTTP/1.1\r\nHost: a b\"\r\n",
        "G\"T / HTTP/1.1\r\nHost: h\r\n",
    ];
    for request in odd {
        once(gateway.address, format!("{request}Connection: close\r\n\r\n"));
    }
    once(
        gateway.address,
        "GET /last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    );
    // Each worker writes its own lines; at the end all are there.
    gateway.process.signal("TERM");
    let text = gateway.process.stdout.wait_end();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), odd.len() + 1, "{text}");
    for line in lines {
        let record: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(record.is_object(), "{line}");
        assert!(!line.bytes().any(|byte| byte < b' '), "{line:?}");
    }
}
