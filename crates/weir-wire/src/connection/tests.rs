//! Tests of `Connection` (RFC 9110 7.6.1, RFC 9112 9.3).

use super::*;
use crate::head::tests::request;
use crate::{RequestHead, h1::encode};

fn head_with(version: &str, lines: &str) -> (String, RequestHead) {
    let text = format!("GET / HTTP/{version}\r\nHost: a\r\n{lines}\r\n");
    let head = request(text.as_bytes()).unwrap();
    (text, head)
}

#[test]
fn persistence() {
    for (version, lines, expected) in [
        ("1.1", "", true),
        ("1.0", "", false),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "Connection: CLOSE\r\n", false),
        ("1.1", "Connection: keep-alive\r\n", true),
        ("1.0", "Connection: keep-alive\r\n", true),
        ("1.0", "Connection: Keep-Alive\r\n", true),
        ("1.0", "Connection: keep-alive, close\r\n", false),
        ("1.1", "Connection: x ,, close\r\n", false),
        ("1.1", "Connection: x\r\nConnection: close\r\n", false),
        ("1.1", "Connection: closed\r\n", true),
        ("1.1", "Connection:\r\n", true),
        ("1.0", "Proxy-Connection: keep-alive\r\n", false),
        ("1.0", "Keep-Alive: timeout=5\r\n", false),
    ] {
        let (text, head) = head_with(version, lines);
        let connection = Connection::of(&head.fields, text.as_bytes()).unwrap();
        assert_eq!(
            connection.is_persistent(head.version),
            expected,
            "{version} {lines}"
        );
    }
}

/// Writes what is passed on.
fn passed_on(lines: &str) -> String {
    let (text, head) = head_with("1.1", lines);
    let connection = Connection::of(&head.fields, text.as_bytes()).unwrap();
    let mut out = Vec::new();
    encode::fields(&mut out, text.as_bytes(), &head.fields, |field| {
        !connection.dropped().contains(field.known)
            && !connection.nominates(field, &head.fields, text.as_bytes())
    });
    String::from_utf8(out)
        .unwrap()
        .replace("Host: a\r\n", "")
        .replace("\r\n", "|")
}

#[test]
fn row22_hop_by_hop_and_nominated_fields_stay_here() {
    for (lines, expected) in [
        ("A: 1\r\n", "A: 1|"),
        ("Connection: keep-alive\r\nKeep-Alive: 5\r\nA: 1\r\n", "A: 1|"),
        (
            "Proxy-Connection: x\r\nTE: trailers\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\nA: 1\r\n",
            "A: 1|",
        ),
        ("HTTP2-Settings: AAMAAABk\r\nA: 1\r\n", "A: 1|"),
        ("Connection: a\r\nA: 1\r\nB: 2\r\nA: 3\r\n", "B: 2|"),
        ("Connection: close, b, x-b\r\nA: 1\r\nB: 2\r\nX-B: 4\r\n", "A: 1|"),
        ("B: 2\r\nConnection: close\r\nConnection: b\r\nA: 1\r\n", "A: 1|"),
        ("Connection: referer\r\nReferer: x\r\nA: 1\r\n", "A: 1|"),
        ("Connection: x_y\r\nX_Y: 1\r\nA: 1\r\n", "A: 1|"),
        ("Connection: \"a\", a b\r\nA: 1\r\n", "A: 1|"),
    ] {
        assert_eq!(passed_on(lines), expected, "{lines}");
    }
}

#[test]
fn row22_fields_that_guard_something_cannot_be_nominated_away() {
    for name in [
        "Authorization",
        "Cookie",
        "Content-Length",
        "Content-Type",
        "Forwarded",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Port",
        "X-Forwarded-Proto",
        "X-Real-IP",
        "X-Request-Id",
        "Via",
        "Origin",
        "Traceparent",
        "Cache-Control",
        "Expect",
        "Range",
        "Proxy-Authorization",
    ] {
        let lines = format!("Connection: {name}, close\r\n{name}: 1\r\n");
        assert_eq!(passed_on(&lines), format!("{name}: 1|"), "{name}");
    }
    let (text, head) = head_with("1.1", "Connection: host\r\n");
    let connection = Connection::of(&head.fields, text.as_bytes()).unwrap();
    assert!(!connection.dropped().contains(Known::Host));
}

#[test]
fn row32_nominations_are_bounded() {
    let names = |count: usize| format!("Connection: {}\r\n", vec!["x"; count].join(","));
    let (text, head) = head_with("1.1", &names(NOMINATIONS_MAX));
    assert!(Connection::of(&head.fields, text.as_bytes()).is_ok());
    let (text, head) = head_with("1.1", &names(NOMINATIONS_MAX + 1));
    assert_eq!(
        Connection::of(&head.fields, text.as_bytes()),
        Err(TooManyNominations)
    );
}
