//! Request lines, hosts and field lines (rows 5 to 7; RFC 9112 2, 3 and 5).

use super::message::{case, check, line};
use crate::hostile::stage::{HIDDEN, Scripted, Site, once, site, site_with, statuses};

#[test]
fn rl05_row5_odd_lines() {
    let mut cases = vec![
        line("bare LF", "X: 1\nY: 2"),
        line("bare CR in a value", "X: 1\rY: 2"),
        line("CR CR LF", "X: 1\r"),
        line("LF CR LF", "X: 1\n"),
        line("NUL", "X: a\0b"),
        line("DEL", "X: a\x7fb"),
        line("BEL", "X: a\x07b"),
        line("folded by space", "X: 1\r\n Y: 2"),
        line("folded by tab", "X: 1\r\n\tY: 2"),
        line("space before the first name", " X: 1"),
        line("space before colon", "X : 1"),
        line("tab before colon", "X\t: 1"),
        line("no colon", "X"),
        line("no colon but text", "GET /hidden HTTP/1.1"),
        line("empty name", ": 1"),
        line("only a colon", ":"),
        line("high byte in a name", "X\u{e9}: 1"),
        line("NUL in a name", "X\0: 1"),
        line("CR in a name", "X\rY: 1"),
        case(
            "bare LF everywhere",
            format!("GET /refused HTTP/1.1\nHost: h\n\n{HIDDEN}"),
            400,
        ),
        case(
            "bare LF ends the head",
            format!("GET /refused HTTP/1.1\r\nHost: h\r\n\n{HIDDEN}"),
            400,
        ),
        case(
            "LF CR LF ends the head",
            format!("GET /refused HTTP/1.1\r\nHost: h\n\r\n{HIDDEN}"),
            400,
        ),
        case(
            "CR CR LF ends the head",
            format!("GET /refused HTTP/1.1\r\nHost: h\r\n\r\r\n{HIDDEN}"),
            400,
        ),
        case(
            "bare LF ends the request line",
            format!("GET /refused HTTP/1.1\nHost: h\r\n\r\n{HIDDEN}"),
            400,
        ),
        case(
            "CR in the request line",
            format!("GET /refused\r HTTP/1.1\r\nHost: h\r\n\r\n{HIDDEN}"),
            400,
        ),
        case(
            "NUL in the request line",
            format!("GET /ref\0used HTTP/1.1\r\nHost: h\r\n\r\n{HIDDEN}"),
            400,
        ),
        case(
            "two empty lines in front",
            format!("\r\n\r\nGET /refused HTTP/1.1\r\nHost: h\r\n\r\n{HIDDEN}"),
            400,
        ),
        case(
            "bare LF in front",
            format!("\nGET /refused HTTP/1.1\r\nHost: h\r\n\r\n{HIDDEN}"),
            400,
        ),
        case(
            "bare CR in front",
            format!("\rGET /refused HTTP/1.1\r\nHost: h\r\n\r\n{HIDDEN}"),
            400,
        ),
        case(
            "space in front",
            format!(" GET /refused HTTP/1.1\r\nHost: h\r\n\r\n{HIDDEN}"),
            400,
        ),
        case(
            "NUL in front",
            format!("\0GET /refused HTTP/1.1\r\nHost: h\r\n\r\n{HIDDEN}"),
            400,
        ),
        case(
            "TLS hello",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
            400,
        ),
        case("h2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        case(
            "PROXY v1",
            format!("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n{HIDDEN}"),
            400,
        ),
        case(
            "PROXY v2",
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\x01\x02\x03\x04\x7f\0\0\x01\0\x01\0\x02",
            400,
        ),
    ];
    for name in [
        "(", ")", ",", "/", ";", "<", "=", ">", "?", "@", "[", "\\", "]", "{", "}", "\"", " a b",
    ] {
        cases.push(line("a byte that no name has", format!("X{name}: 1")));
    }
    check(&cases, false);
}

#[test]
fn rl05_row6_request_lines() {
    let of = |line: &str| format!("{line}\r\nHost: www.example.com\r\n\r\n{HIDDEN}");
    let mut cases = vec![
        case("0.9", format!("GET /refused\r\n\r\n{HIDDEN}"), 400),
        case("high bytes in the target", of("GET /refus\u{e9}d HTTP/1.1"), 400),
        case(
            "CONNECT",
            format!("CONNECT www.example.com:443 HTTP/1.1\r\nHost: www.example.com:443\r\n\r\n{HIDDEN}"),
            501,
        ),
        case("TRACE", of("TRACE /refused HTTP/1.1"), 501),
        case("long method", of(&format!("{} / HTTP/1.1", "M".repeat(65))), 400),
    ];
    for (line, status) in [
        ("GET  /refused HTTP/1.1", 400),
        ("GET /refused  HTTP/1.1", 400),
        ("GET /refused HTTP/1.1 ", 400),
        ("GET\t/refused HTTP/1.1", 400),
        ("GET /refused\tHTTP/1.1", 400),
        ("GET /ref used HTTP/1.1", 400),
        ("GET /refused HTTP/1.1x", 400),
        ("GET /refused", 400),
        ("GET", 400),
        ("GET HTTP/1.1", 400),
        ("/refused HTTP/1.1", 400),
        ("GET /refused HTTP/1.2", 505),
        ("GET /refused HTTP/2.0", 505),
        ("GET /refused HTTP/0.9", 505),
        ("GET /refused HTTP/3.0", 505),
        ("GET /refused http/1.1", 400),
        ("GET /refused Http/1.1", 400),
        ("GET /refused HTTP/1.10", 400),
        ("GET /refused HTTP/01.1", 400),
        ("GET /refused HTTP/1", 400),
        ("GET /refused HTTP/1,1", 400),
        ("GET /refused HTTP/+1.1", 400),
        ("GET /refused HTTP /1.1", 400),
        ("GET /refused ICAP/1.0", 400),
        ("GET /refused RTSP/1.1", 400),
        ("GET /refused#fragment HTTP/1.1", 400),
        ("GET # HTTP/1.1", 400),
        ("GET http://www.example.com/#x HTTP/1.1", 400),
        ("GET * HTTP/1.1", 400),
        ("POST * HTTP/1.1", 400),
        ("OPTIONS ** HTTP/1.1", 400),
        ("GET refused HTTP/1.1", 400),
        ("GET ?refused HTTP/1.1", 400),
        ("GET \\refused HTTP/1.1", 400),
        ("GET www.example.com:80 HTTP/1.1", 400),
        ("CONNECT /refused HTTP/1.1", 400),
        ("CONNECT * HTTP/1.1", 400),
        ("GET ftp://www.example.com/ HTTP/1.1", 400),
        ("GET file:///etc/passwd HTTP/1.1", 400),
        ("GET http:/refused HTTP/1.1", 400),
        ("GET http:///refused HTTP/1.1", 400),
        ("GET http://?x HTTP/1.1", 400),
        ("GET http:\\\\www.example.com\\x HTTP/1.1", 400),
        ("GET http://user@www.example.com/ HTTP/1.1", 400),
        ("GET http://user:pass@www.example.com/ HTTP/1.1", 400),
        ("GET http://www.example.com:99999/ HTTP/1.1", 400),
        ("GET http://www.example.com:x/ HTTP/1.1", 400),
        ("GET http://evil.example/ HTTP/1.1", 400),
        ("GET http://www.example.com:81/ HTTP/1.1", 400),
        ("GET http://www.example.com@evil.example/ HTTP/1.1", 400),
        ("G@T /refused HTTP/1.1", 400),
        ("G(T /refused HTTP/1.1", 400),
        ("\"GET\" /refused HTTP/1.1", 400),
    ] {
        cases.push(case("a request line", of(line), status));
    }
    check(&cases, false);
}

#[test]
fn rl05_row6_row7_unusual_but_sound_requests_are_served() {
    let backend = Scripted::polite();
    let gateway = site(&[backend.port()]);
    // Request; target and host at the backend.
    for (request, target, host) in [
        (
            "GET http://www.example.com/a HTTP/1.1\r\nHost: www.example.com\r\n",
            "/a",
            "www.example.com",
        ),
        (
            "GET HTTP://WWW.example.com/b HTTP/1.1\r\nHost: www.example.com\r\n",
            "/b",
            "WWW.example.com",
        ),
        (
            "GET http://www.example.com HTTP/1.1\r\nHost: www.example.com\r\n",
            "/",
            "www.example.com",
        ),
        (
            "GET http://www.example.com?c HTTP/1.1\r\nHost: www.example.com\r\n",
            "/?c",
            "www.example.com",
        ),
        (
            "GET http://www.example.com:80/d HTTP/1.1\r\nHost: www.example.com\r\n",
            "/d",
            "www.example.com:80",
        ),
        ("OPTIONS * HTTP/1.1\r\nHost: h\r\n", "*", "h"),
        ("OPTIONS http://h HTTP/1.1\r\nHost: h\r\n", "*", "h"),
        ("\r\nGET /e HTTP/1.1\r\nHost: h\r\n", "/e", "h"),
        ("M-SEARCH /f HTTP/1.1\r\nHost: h\r\n", "/f", "h"),
        ("get /g HTTP/1.1\r\nHost: h\r\n", "/g", "h"),
        ("GET /h HTTP/1.1\r\nHost:h\t \r\n", "/h", "h"),
        ("GET /i HTTP/1.1\r\nHost: [::1]:8080\r\n", "/i", "[::1]:8080"),
    ] {
        let (text, _) = once(gateway.address, format!("{request}Connection: close\r\n\r\n"));
        assert_eq!(statuses(&text), [200], "{request:?}: {text}");
        let received = backend.received().pop().expect("a request");
        assert_eq!(
            (received.target(), received.values("host")),
            (target, vec![host]),
            "{request:?}"
        );
    }
}

// RFC 9110 7.4: a resource of https is not asked for in the clear, unless by a proxy that is trusted to have checked.
#[test]
fn rl05_row7_an_https_target_in_the_clear_is_misdirected() {
    let backend = Scripted::polite();
    let ask = |gateway: &Site, target: &str| {
        let request = format!("GET {target} HTTP/1.1\r\nHost: www.example.com\r\nConnection: close\r\n\r\n");
        statuses(&once(gateway.address, request).0)
    };
    let gateway = site(&[backend.port()]);
    assert_eq!(ask(&gateway, "https://www.example.com/a"), [421]);
    assert_eq!(ask(&gateway, "HTTPS://www.example.com/b"), [421]);
    assert_eq!(ask(&gateway, "http://www.example.com/c"), [200]);
    assert_eq!(backend.targets(), ["/c"]);
    let trusting = "\
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: ClientTrafficPolicy
metadata: {name: client, namespace: default}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: eg}]
  clientIPDetection: {xForwardedFor: {trustedCIDRs: [127.0.0.0/8]}}
";
    let gateway = site_with(&[backend.port()], trusting, &[]);
    assert_eq!(ask(&gateway, "https://www.example.com/d"), [200]);
}

#[test]
fn rl05_row7_odd_hosts() {
    let with = |lines: &str| format!("GET /refused HTTP/1.1\r\n{lines}\r\n{HIDDEN}");
    let mut cases = vec![
        case("no host", with(""), 400),
        case("two hosts", with("Host: a\r\nHost: b\r\n"), 400),
        case("two equal hosts", with("Host: a\r\nHost: a\r\n"), 400),
        case("two hosts, one empty", with("Host:\r\nHost: a\r\n"), 400),
        case("host with a space before its colon", with("Host : a\r\n"), 400),
        case("host with an underscore instead", with("Ho_st: a\r\n"), 400),
        case("host folded", with("Host: a\r\n b\r\n"), 400),
    ];
    for host in [
        "",
        "a b",
        "a,b",
        "a/b",
        "a\\b",
        "a?b",
        "a#b",
        "a@b",
        "user:pass@a",
        "a:b",
        "a:99999",
        "a:65536",
        "a:-1",
        "a:+80",
        "a:80:80",
        "a: 80",
        "a:80a",
        "[::1",
        "::1",
        "[::1]x",
        "[]",
        "[::g]",
        "[::1%25eth0]",
        "..",
        ".",
        "a..b",
        ".a",
        "%61",
        "a%00",
        "a\0b",
        "a;b",
        "a|b",
        "<a>",
        "\"a\"",
        "a\u{e9}",
        "http://a",
        "*",
        "a:8 0",
        "[::1]:99999",
    ] {
        cases.push(case("an odd host", with(&format!("Host: {host}\r\n")), 400));
    }
    check(&cases, false);
}
