//! Tests of hosts (RFC 9112 3.2, RFC 3986 3.2.2).

use proptest::prelude::*;

use super::HostError::*;
use super::*;
use crate::head::tests::request;

#[test]
fn row07_good_hosts() {
    for (text, name, port, is_borrowed) in [
        ("a", "a", None, true),
        ("a.example", "a.example", None, true),
        ("a.example:80", "a.example", Some(80), true),
        ("a.example:", "a.example", None, true),
        ("a.example:65535", "a.example", Some(65535), true),
        ("a.example:0", "a.example", Some(0), true),
        ("a.example:00080", "a.example", Some(80), true),
        ("a.example.", "a.example", None, true),
        ("a.example.:8080", "a.example", Some(8080), true),
        ("A.Example", "a.example", None, false),
        ("127.0.0.1:9000", "127.0.0.1", Some(9000), true),
        ("my_host-1", "my_host-1", None, true),
        ("xn--bcher-kva.example", "xn--bcher-kva.example", None, true),
        ("[::1]", "[::1]", None, true),
        ("[::1]:80", "[::1]", Some(80), true),
        ("[2001:DB8::A]:80", "[2001:db8::a]", Some(80), false),
        ("[0:0:0:0:0:0:0:1]", "[::1]", None, false),
    ] {
        let host = parse(text.as_bytes()).unwrap();
        assert_eq!((&*host.name, host.port), (name, port), "{text}");
        assert_eq!(matches!(host.name, Cow::Borrowed(_)), is_borrowed, "{text}");
    }
    assert!(parse("a".repeat(HOST_BYTES).as_bytes()).is_ok());
}

#[test]
fn row07_bad_hosts() {
    for (text, expected) in [
        ("", Name),
        (".", Name),
        ("..", Name),
        (".a", Name),
        ("a..b", Name),
        ("a..", Name),
        (":80", Name),
        ("a b", Name),
        ("a,b", Name),
        ("a/b", Name),
        ("a\\b", Name),
        ("a?b", Name),
        ("a#b", Name),
        ("a%41", Name),
        ("a\0", Name),
        ("\u{e9}", Name),
        ("*", Name),
        ("*.example", Name),
        ("a\"", Name),
        ("http://a", Port),
        ("[::1", Name),
        ("::1", Name),
        ("[::1]x", Name),
        ("[::1]]", Name),
        ("[]", Name),
        ("[a]", Name),
        ("[1.2.3.4]", Name),
        ("[fe80::1%eth0]", Name),
        ("[v1.x]", Name),
        ("[::1].", Name),
        ("a:65536", Port),
        ("a:99999", Port),
        ("a:100000", Port),
        ("a:000080", Port),
        ("a:4294967376", Port),
        ("a:+80", Port),
        ("a:-1", Port),
        ("a:x", Port),
        ("a: 80", Port),
        ("a:80:80", Port),
        ("a::80", Port),
        ("[::1]:65536", Port),
        ("user@a", UserInformation),
        ("user:pass@a:80", UserInformation),
        ("a@", UserInformation),
        ("[::1]@b", UserInformation),
    ] {
        assert_eq!(parse(text.as_bytes()), Err(expected), "{text:?}");
        assert_eq!(expected.status(), 400);
    }
    assert_eq!(parse("a".repeat(HOST_BYTES + 1).as_bytes()), Err(Name));
}

#[test]
fn row07_host_field_and_target_must_agree() {
    for (line, fields, expected) in [
        (
            "GET / HTTP/1.1",
            "Host: A.example:80\r\n",
            Ok(("a.example", Some(80))),
        ),
        ("GET / HTTP/1.1", "", Err(Missing)),
        ("GET / HTTP/1.1", "Host:\r\n", Err(Name)),
        ("GET / HTTP/1.0", "", Ok(("", None))),
        ("GET / HTTP/1.0", "Host: a\r\n", Ok(("a", None))),
        ("GET / HTTP/1.0", "Host: a b\r\n", Err(Name)),
        ("GET / HTTP/1.1", "Host: a\r\nHost: a\r\n", Err(Repeated)),
        ("GET / HTTP/1.1", "Host: a\r\nX: y\r\nhost: b\r\n", Err(Repeated)),
        ("GET / HTTP/1.0", "Host: a\r\nHost: b\r\n", Err(Repeated)),
        ("OPTIONS * HTTP/1.1", "Host: a\r\n", Ok(("a", None))),
        ("GET http://a/ HTTP/1.1", "Host: a\r\n", Ok(("a", None))),
        ("GET http://a/ HTTP/1.1", "", Err(Missing)),
        ("GET http://a/ HTTP/1.0", "", Ok(("a", None))),
        ("GET http://A./ HTTP/1.1", "Host: a\r\n", Ok(("a", None))),
        ("GET http://a:80/ HTTP/1.1", "Host: a\r\n", Ok(("a", Some(80)))),
        ("GET http://a/ HTTP/1.1", "Host: a:80\r\n", Ok(("a", None))),
        ("GET https://a/ HTTP/1.1", "Host: a:443\r\n", Ok(("a", None))),
        ("GET https://a/ HTTP/1.1", "Host: a:80\r\n", Err(Mismatch)),
        ("GET http://a/ HTTP/1.1", "Host: b\r\n", Err(Mismatch)),
        ("GET http://a/ HTTP/1.0", "Host: b\r\n", Err(Mismatch)),
        ("GET http://a:81/ HTTP/1.1", "Host: a\r\n", Err(Mismatch)),
        ("GET http://a:81/ HTTP/1.1", "Host: a:82\r\n", Err(Mismatch)),
        ("GET http://u@a/ HTTP/1.1", "Host: a\r\n", Err(UserInformation)),
        (
            "GET http://u:p@a/ HTTP/1.1",
            "Host: u:p@a\r\n",
            Err(UserInformation),
        ),
        ("GET http://a:99999/ HTTP/1.1", "Host: a\r\n", Err(Port)),
        ("GET http://:80/ HTTP/1.1", "Host: a\r\n", Err(Name)),
        (
            "GET http://[::1]/ HTTP/1.1",
            "Host: [0::1]\r\n",
            Ok(("[::1]", None)),
        ),
        ("CONNECT a:443 HTTP/1.1", "Host: a:443\r\n", Ok(("a", Some(443)))),
        ("CONNECT a:443 HTTP/1.1", "Host: a\r\n", Err(Mismatch)),
        ("CONNECT a:443 HTTP/1.1", "Host: b:443\r\n", Err(Mismatch)),
    ] {
        let text = format!("{line}\r\n{fields}\r\n");
        let head = request(text.as_bytes()).unwrap();
        let host = request_host(&head, text.as_bytes());
        let seen = host.as_ref().map(|host| (&*host.name, host.port));
        assert_eq!(
            seen,
            expected.as_ref().map(|(name, port)| (*name, *port)),
            "{line} {fields}"
        );
    }
}

proptest! {
    /// A normalised host is a host, and stays as it is.
    #[test]
    fn normalising_twice_changes_nothing_more(text in "[a-zA-Z0-9.:_\\[\\]@-]{0,20}") {
        if let Ok(host) = parse(text.as_bytes()) {
            let again = parse(host.name.as_bytes()).unwrap();
            prop_assert_eq!((&again.name, again.port), (&host.name, None));
            prop_assert!(matches!(again.name, Cow::Borrowed(_)));
        }
    }
}
