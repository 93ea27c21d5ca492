//! Tests of heads: tables per row of the attack catalogue, limits at their edges, and properties.

use proptest::prelude::*;

use super::*;
use crate::h1::encode;
use crate::{Known, token};

pub(crate) const LIMITS: HeadLimits = HeadLimits {
    head_bytes: 32 * 1024,
    fields: 100,
    field_bytes: 16 * 1024,
    target_bytes: 8 * 1024,
};

/// Parses a whole request head.
pub(crate) fn request(bytes: &[u8]) -> Result<RequestHead, HeadError> {
    let mut head = RequestHead::new(LIMITS);
    assert_eq!(head.parse(bytes)?, Progress::Complete, "{}", bytes.escape_ascii());
    Ok(head)
}

/// Parses a whole response head.
pub(crate) fn response(bytes: &[u8]) -> Result<ResponseHead, HeadError> {
    let mut head = ResponseHead::new(LIMITS);
    assert_eq!(head.parse(bytes)?, Progress::Complete, "{}", bytes.escape_ascii());
    Ok(head)
}

/// The same head byte by byte must be refused too, though the word may differ when it breaks several rules.
fn check_request_refused(text: &[u8], expected: HeadError) {
    assert_eq!(
        request(text).map(|head| head.length),
        Err(expected),
        "{}",
        text.escape_ascii()
    );
    let mut head = RequestHead::new(LIMITS);
    let slow = (0..=text.len())
        .map(|end| head.parse(&text[..end]))
        .find(|outcome| *outcome != Ok(Progress::Partial));
    assert!(
        matches!(slow, Some(Err(_))),
        "{} byte by byte: {slow:?}",
        text.escape_ascii()
    );
}

#[test]
fn a_plain_request_is_taken_apart() {
    let text = b"GET /a?b=c HTTP/1.1\r\nHost: x\r\nX-Empty:\r\nx-odd:\t v \t\r\nCookie: a=1\r\ncookie: b=2\r\n\r\nbody";
    let head = request(text).unwrap();
    assert_eq!(head.method, Method::Get);
    assert_eq!(head.target.of(text), b"/a?b=c");
    assert_eq!(head.form, Target::Origin { path: head.target });
    assert_eq!(head.version, Version::Http11);
    assert_eq!(&text[head.length..], b"body");
    let lines: Vec<_> = head
        .fields
        .iter()
        .map(|one| (one.name.of(text), one.value.of(text)))
        .collect();
    let expected: [(&[u8], &[u8]); 5] = [
        (b"Host", b"x"),
        (b"X-Empty", b""),
        (b"x-odd", b"v"),
        (b"Cookie", b"a=1"),
        (b"cookie", b"b=2"),
    ];
    assert_eq!(lines, expected);
    let canonical: Vec<_> = head.fields.iter().map(|one| one.is_canonical).collect();
    assert_eq!(canonical, [true, false, false, true, true]);
    assert!(head.fields.is_repeated(Known::Cookie) && !head.fields.is_repeated(Known::Host));
    assert_eq!(head.fields.value(Known::Host, text), Some(&b"x"[..]));
    assert_eq!(head.fields.value(Known::Te, text), None);
    assert_eq!(head.fields.values(Known::Cookie, text).rev().count(), 2);
    assert_eq!(head.fields.values_named("X-ODD", text).next(), Some(&b"v"[..]));
}

/// A line is canonical when copying it whole is the same as writing its name and value anew; an empty value is no
/// exception.
#[test]
fn canonical_lines_are_those_that_weir_writes() {
    for line in [
        "a: b", "a:b", "a:", "a: ", "a:  ", "a:\t", "a: \t", "a: b ", "a: b\t", "a:  b", "a:\tb", "a: b c",
    ] {
        let text = format!("GET / HTTP/1.1\r\n{line}\r\n\r\n").into_bytes();
        let head = request(&text).unwrap();
        let one = head.fields.as_slice()[0];
        let mut written = Vec::new();
        encode::field_line(&mut written, &text, &one);
        assert_eq!(
            one.is_canonical,
            written == format!("{line}\r\n").into_bytes(),
            "{line:?}"
        );
        let mut copied = Vec::new();
        encode::fields(&mut copied, &text, &head.fields, |_| true);
        assert_eq!(copied, written, "{line:?}");
    }
}

#[test]
fn methods_and_forms() {
    for (line, method, path) in [
        ("GET / HTTP/1.1", Method::Get, "/"),
        ("HEAD /x HTTP/1.0", Method::Head, "/x"),
        ("POST /?q HTTP/1.1", Method::Post, "/?q"),
        ("PUT / HTTP/1.1", Method::Put, "/"),
        ("DELETE / HTTP/1.1", Method::Delete, "/"),
        ("TRACE / HTTP/1.1", Method::Trace, "/"),
        ("PATCH / HTTP/1.1", Method::Patch, "/"),
        ("OPTIONS * HTTP/1.1", Method::Options, ""),
        ("OPTIONS / HTTP/1.1", Method::Options, "/"),
        ("CONNECT a.example:443 HTTP/1.1", Method::Connect, ""),
        ("GET http://a.example HTTP/1.1", Method::Get, ""),
        ("GET http://a.example/b?c HTTP/1.1", Method::Get, "/b?c"),
        ("GET HTTPS://a.example:1?c HTTP/1.1", Method::Get, "?c"),
        ("get / HTTP/1.1", Method::Other(Span { start: 0, len: 3 }), "/"),
        (
            "M-SEARCH / HTTP/1.1",
            Method::Other(Span { start: 0, len: 8 }),
            "/",
        ),
    ] {
        let text = format!("{line}\r\nHost: a\r\n\r\n");
        let head = request(text.as_bytes()).unwrap();
        assert_eq!(head.method, method, "{line}");
        assert_eq!(head.form.path().of(text.as_bytes()), path.as_bytes(), "{line}");
        assert_eq!(head.method.name(text.as_bytes()), line.split(' ').next().unwrap());
    }
}

/// RFC 9112 2.2, 3, 3.2, 2.3.
#[test]
fn row06_request_lines() {
    use HeadError::{LineEnding, RequestLine, Target, Version, VersionUnsupported};
    for (line, expected) in [
        ("GET  / HTTP/1.1", RequestLine),
        ("GET /  HTTP/1.1", RequestLine),
        (" GET / HTTP/1.1", RequestLine),
        ("GET / HTTP/1.1 ", LineEnding),
        ("GET\t/ HTTP/1.1", RequestLine),
        ("GET /a b HTTP/1.1", RequestLine),
        ("GET", RequestLine),
        ("GET /", RequestLine),
        ("G(T / HTTP/1.1", RequestLine),
        ("\u{e9} / HTTP/1.1", RequestLine),
        ("GET / http/1.1", Version),
        ("GET / HTTP/1.1x", LineEnding),
        ("GET / HTTP/11", Version),
        ("GET / HTTP/1.01", LineEnding),
        ("GET / HTP/1.1", Version),
        ("GET / HTTPS/1.1", Version),
        ("GET / HTTP/0.9", VersionUnsupported),
        ("GET / HTTP/1.2", VersionUnsupported),
        ("GET / HTTP/2.0", VersionUnsupported),
        ("GET / HTTP/9.9", VersionUnsupported),
        ("PRI * HTTP/2.0", VersionUnsupported),
        ("GET /#a HTTP/1.1", Target),
        ("GET /a?b#c HTTP/1.1", Target),
        ("GET http://a.example#@b.example/ HTTP/1.1", Target),
        ("GET /\u{e9} HTTP/1.1", Target),
        ("GET * HTTP/1.1", Target),
        ("GET a.example HTTP/1.1", Target),
        ("GET a HTTP/1.1", Target),
        ("GET ftp://a/ HTTP/1.1", Target),
        ("GET http:/a HTTP/1.1", Target),
        ("GET http:///a HTTP/1.1", Target),
        ("GET http:// HTTP/1.1", Target),
        ("GET ?a HTTP/1.1", Target),
        ("OPTIONS ** HTTP/1.1", Target),
        ("CONNECT /a HTTP/1.1", Target),
        ("CONNECT * HTTP/1.1", Target),
        ("GET /\r HTTP/1.1", LineEnding),
        ("\rGET / HTTP/1.1", LineEnding),
        ("\nGET / HTTP/1.1", LineEnding),
        ("\n\r\nGET / HTTP/1.1", LineEnding),
        ("\r\n\r\nGET / HTTP/1.1", LineEnding),
        ("\r\n\nGET / HTTP/1.1", LineEnding),
        ("GET / HTTP/1.1\r", LineEnding),
        ("GET / HTTP/1.1\n", LineEnding),
    ] {
        check_request_refused(format!("{line}\r\nHost: a\r\n\r\n").as_bytes(), expected);
    }
    for byte in (0..=0x1f)
        .chain(0x7f..=0xff)
        .filter(|byte| !b"\r\n".contains(byte))
    {
        let mut text = b"GET /a".to_vec();
        text.push(byte);
        text.extend_from_slice(b"b HTTP/1.1\r\nHost: a\r\n\r\n");
        check_request_refused(&text, Target);
    }
    let long = format!("{} / HTTP/1.1\r\n\r\n", "M".repeat(METHOD_BYTES + 1));
    check_request_refused(long.as_bytes(), RequestLine);
}

/// RFC 9112 2.2: one empty line before a request is ignored.
#[test]
fn one_empty_line_in_front_is_ignored() {
    let text = b"\r\nGET /a HTTP/1.1\r\nHost: x\r\n\r\n";
    let head = request(text).unwrap();
    assert_eq!(head.target.of(text), b"/a");
    assert_eq!(head.fields.value(Known::Host, text), Some(&b"x"[..]));
    assert_eq!(head.length, text.len());
    assert_eq!(
        response(b"\r\nHTTP/1.1 200 OK\r\n\r\n").map(|head| head.status),
        Err(HeadError::StatusLine)
    );
}

/// RFC 9112 2.2, 5.1, 5.2; RFC 9110 5.5. Requests and responses alike.
#[test]
fn row05_field_lines() {
    use HeadError::{FieldName, FieldValue, LineEnding};
    for (line, expected) in [
        ("a: b\nc: d", LineEnding),
        ("a: b\n", LineEnding),
        ("\na: b", LineEnding),
        ("a: b\r\r", FieldValue),
        ("a: b\rc: d", FieldValue),
        ("a: b\r c: d", FieldValue),
        ("a: b\r", FieldValue),
        ("a\r: b", FieldName),
        // CR in the place of the hyphen: not the field that it looks like, and no field at all.
        ("Content\rLength: 5", FieldName),
        ("Transfer\rEncoding: chunked", FieldName),
        ("http\x122-settings: b", FieldName),
        ("a:\rb", FieldValue),
        ("a: b\n\r\nGET /x HTTP/1.1\r\nHost: y", LineEnding),
        ("a: b\r\n c", FieldName),
        ("a: b\r\n\tc", FieldName),
        (" a: b", FieldName),
        ("a : b", FieldName),
        ("a\t: b", FieldName),
        ("a b: c", FieldName),
        ("a", FieldName),
        ("a\r\nb: c", FieldName),
        (": b", FieldName),
        ("a(: b", FieldName),
        ("a\u{e9}: b", FieldName),
        ("a\0: b", FieldName),
        ("a: b\0", FieldValue),
        ("a: \0", FieldValue),
        ("a: b\u{7f}c", FieldValue),
        ("a: \u{1}", FieldValue),
        ("a: \u{b}b", FieldValue),
    ] {
        check_request_refused(
            format!("GET / HTTP/1.1\r\nHost: a\r\n{line}\r\n\r\n").as_bytes(),
            expected,
        );
        check_request_refused(
            format!("GET / HTTP/1.1\r\n{line}\r\nHost: a\r\n\r\n").as_bytes(),
            expected,
        );
        let text = format!("HTTP/1.1 200 OK\r\n{line}\r\n\r\n");
        assert_eq!(
            response(text.as_bytes()).map(|head| head.length),
            Err(expected),
            "{text:?}"
        );
    }
    for byte in 0..=255u8 {
        // Long values take another way through the parser than short ones.
        for padding in [0, 7, 15, 40, 70] {
            let mut text = b"GET / HTTP/1.1\r\na: x".to_vec();
            text.extend(std::iter::repeat_n(b'y', padding));
            text.push(byte);
            text.extend_from_slice(b"zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz\r\n\r\n");
            assert_eq!(
                request(&text).is_ok(),
                token::is_value_byte(byte),
                "{byte:#x} behind {padding}"
            );
            let mut text = b"GET / HTTP/1.1\r\n".to_vec();
            text.extend(std::iter::repeat_n(b'y', padding + 1));
            text.push(byte);
            text.extend_from_slice(b"zzzz: v\r\n\r\n");
            let is_good = token::is_token_byte(byte) || byte == b':';
            assert_eq!(
                request(&text).is_ok(),
                is_good,
                "{byte:#x} in a name behind {padding}"
            );
        }
    }
}

/// RFC 9112 4, RFC 9110 15.
#[test]
fn row05_status_lines() {
    use HeadError::{LineEnding, StatusLine, Version, VersionUnsupported};
    for (line, expected) in [
        ("HTTP/1.1 200 OK", Ok((200, "OK"))),
        ("HTTP/1.0 599 ", Ok((599, ""))),
        ("HTTP/1.1 204", Ok((204, ""))),
        ("HTTP/1.1 404 Not \tFound", Ok((404, "Not \tFound"))),
        ("HTTP/1.1 404 \u{e9}", Ok((404, ""))),
        ("HTTP/1.1 099 x", Err(StatusLine)),
        ("HTTP/1.1 600 x", Err(StatusLine)),
        ("HTTP/1.1 20 x", Err(StatusLine)),
        ("HTTP/1.1 2000 x", Err(StatusLine)),
        ("HTTP/1.1 +20 x", Err(StatusLine)),
        ("HTTP/1.1 2x0 x", Err(StatusLine)),
        ("HTTP/1.1", Err(StatusLine)),
        ("HTTP/1.1 ", Err(StatusLine)),
        ("HTTP/1.1\t200 OK", Err(StatusLine)),
        ("HTTP/1.1  200 OK", Err(StatusLine)),
        ("HTTP/1.1 200 O\0K", Err(StatusLine)),
        (" HTTP/1.1 200 OK", Err(StatusLine)),
        ("ICY 200 OK", Err(StatusLine)),
        ("http/1.1 200 OK", Err(StatusLine)),
        ("HTTP/1.2 200 OK", Err(VersionUnsupported)),
        ("HTTP/2.0 200 OK", Err(VersionUnsupported)),
        ("HTTP/x.0 200 OK", Err(Version)),
        ("HTTP/1.1 200 OK\n", Err(LineEnding)),
        ("HTTP/1.1 200 O\rK", Err(StatusLine)),
        ("HTTP/1.1 200\n", Err(LineEnding)),
    ] {
        let text = format!("{line}\r\nServer: a\r\n\r\n");
        let outcome = response(text.as_bytes());
        let seen = outcome
            .as_ref()
            .map(|head| (head.status, head.reason.of(text.as_bytes())));
        assert_eq!(
            seen,
            expected
                .as_ref()
                .map(|(status, reason)| (*status, reason.as_bytes())),
            "{line:?}"
        );
    }
}

#[test]
fn row19_limits_hold_exactly() {
    let limits = HeadLimits {
        head_bytes: 400,
        fields: 5,
        field_bytes: 50,
        target_bytes: 40,
    };
    let outcome = |text: &str| {
        let mut head = RequestHead::new(limits);
        let whole = head.parse(text.as_bytes());
        let ends = 0..=text.len();
        let slow = ends
            .map(|end| head.parse(&text.as_bytes()[..end]))
            .find(|one| *one != Ok(Progress::Partial));
        assert_eq!(slow, Some(whole), "{text}");
        whole
    };
    let target = |bytes: usize| format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(bytes - 1));
    assert_eq!(outcome(&target(40)), Ok(Progress::Complete));
    assert_eq!(outcome(&target(41)), Err(HeadError::TargetTooLong));
    assert_eq!(outcome(&target(4000)), Err(HeadError::TargetTooLong));
    let fields = |count: usize| format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(count));
    assert_eq!(outcome(&fields(5)), Ok(Progress::Complete));
    assert_eq!(outcome(&fields(6)), Err(HeadError::TooManyFields));
    let field = |bytes: usize| format!("GET / HTTP/1.1\r\na: {}\r\n\r\n", "b".repeat(bytes - 1));
    assert_eq!(outcome(&field(50)), Ok(Progress::Complete));
    assert_eq!(outcome(&field(51)), Err(HeadError::FieldTooLarge));
    // OWS counts for the head alone.
    let head = |bytes: usize| {
        let line = "GET / HTTP/1.1\r\na:b\r\n\r\n".len();
        format!("GET / HTTP/1.1\r\na:{}b\r\n\r\n", " ".repeat(bytes - line))
    };
    assert_eq!(outcome(&head(400)), Ok(Progress::Complete));
    assert_eq!(outcome(&head(401)), Err(HeadError::HeadTooLarge));
    assert_eq!(outcome(&head(5000)), Err(HeadError::HeadTooLarge));
    let mut open = RequestHead::new(limits);
    assert_eq!(open.parse(&head(5000).as_bytes()[..399]), Ok(Progress::Partial));
    assert_eq!(
        open.parse(&head(5000).as_bytes()[..400]),
        Err(HeadError::HeadTooLarge)
    );
    assert_eq!(
        open.parse(&target(4000).as_bytes()[..45]),
        Err(HeadError::TargetTooLong)
    );
    assert_eq!(
        open.parse("M".repeat(100).as_bytes()),
        Err(HeadError::RequestLine)
    );
    let mut answer = ResponseHead::new(limits);
    assert_eq!(
        answer.parse(format!("HTTP/1.1 200 {}", "x".repeat(400)).as_bytes()),
        Err(HeadError::HeadTooLarge)
    );
    assert_eq!(
        answer.parse(fields(6).replace("GET / HTTP/1.1", "HTTP/1.1 200 OK").as_bytes()),
        Err(HeadError::TooManyFields)
    );
}

#[test]
fn garbage_is_refused_at_its_first_bytes() {
    for garbage in [
        &b"\x16\x03\x01\x02"[..],
        b"\0",
        b" ",
        b"\r\r",
        b"\n",
        b"\x80",
        b"\r\n\r",
        b"{\"a\":1}",
    ] {
        assert!(
            RequestHead::new(LIMITS).parse(garbage).is_err(),
            "{}",
            garbage.escape_ascii()
        );
    }
    assert_eq!(
        ResponseHead::new(LIMITS).parse(b"SSH-2.0-x"),
        Err(HeadError::StatusLine)
    );
    // Bare LF never ends a head, so it must not wait for more either.
    assert_eq!(
        RequestHead::new(LIMITS).parse(b"GET / HTTP/1.1\nHost: a\n\n"),
        Err(HeadError::LineEnding)
    );
    // The same when it comes in pieces: refused with the line that it ends.
    let text = b"GET / HTTP/1.1\r\nHost: a\nB: c";
    let mut head = RequestHead::new(LIMITS);
    let line_feed = text.iter().rposition(|byte| *byte == b'\n').unwrap();
    for end in 1..=line_feed {
        assert_eq!(head.parse(&text[..end]), Ok(Progress::Partial));
    }
    assert_eq!(head.parse(&text[..=line_feed]), Err(HeadError::LineEnding));
}

#[test]
fn statuses_of_errors() {
    use HeadError::*;
    for (error, status) in [
        (LineEnding, 400),
        (RequestLine, 400),
        (StatusLine, 400),
        (Target, 400),
        (TargetTooLong, 414),
        (Version, 400),
        (VersionUnsupported, 505),
        (FieldName, 400),
        (FieldValue, 400),
        (FieldTooLarge, 431),
        (TooManyFields, 431),
        (HeadTooLarge, 431),
    ] {
        assert_eq!(error.status(), status, "{error}");
    }
}

#[test]
fn a_head_object_is_reused_without_a_trace_of_the_last_head() {
    let mut head = RequestHead::new(LIMITS);
    let long = b"POST http://a/x HTTP/1.0\r\nHost: a\r\nHost: b\r\nTE: trailers\r\n\r\n";
    let short = b"GET / HTTP/1.1\r\n\r\n";
    for _ in 0..3 {
        assert_eq!(head.parse(long), Ok(Progress::Complete));
        assert_eq!(head.parse(short), Ok(Progress::Complete));
        assert_eq!(
            (head.method, head.version, head.length),
            (Method::Get, Version::Http11, short.len())
        );
        assert!(head.fields.is_empty() && head.fields.present().is_empty());
        assert!(!head.fields.is_repeated(Known::Host));
        assert_eq!(head.parse(&long[..30]), Ok(Progress::Partial));
        head.clear();
        assert_eq!(head.parse(short), Ok(Progress::Complete));
        assert_eq!(head.parse(b"\n"), Err(HeadError::LineEnding));
    }
}

/// A head that comes byte by byte costs linear time: the parser runs on it twice, not once per byte.
#[test]
fn row18_a_slow_head_is_not_quadratic() {
    let text = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(100));
    let mut head = RequestHead::new(LIMITS);
    for end in 1..text.len() {
        assert_eq!(head.parse(&text.as_bytes()[..end]), Ok(Progress::Partial));
        assert!(head.fields.is_empty());
        assert_eq!(head.scan.scanned(), end, "each call scans only what is new");
    }
    assert_eq!(head.parse(text.as_bytes()), Ok(Progress::Complete));
    assert_eq!(head.fields.len(), 100);
}

/// Bytes that are almost a head.
fn nearly_a_head() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => Just(&b"GET / HTTP/1.1\r\n"[..]),
        2 => Just(&b"HTTP/1.1 200 OK\r\n"[..]),
        6 => Just(&b"Host: a\r\n"[..]),
        4 => Just(&b"x-a:\t b c \r\n"[..]),
        4 => Just(&b"Content-Length: 5\r\n"[..]),
        4 => Just(&b"\r\n"[..]),
        1 => Just(&b"\n"[..]),
        1 => Just(&b"\r"[..]),
        1 => Just(&b" "[..]),
        1 => Just(&b":"[..]),
        1 => Just(&b"\0"[..]),
        1 => Just(&b"\xff"[..]),
        1 => Just(&b"name"[..]),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Any split of the input gives the same verdict and, if good, the same head.
    #[test]
    fn splits_do_not_matter(bytes in nearly_a_head(), cuts in proptest::collection::vec(0usize..200, 0..6)) {
        let mut whole = RequestHead::new(LIMITS);
        let expected = whole.parse(&bytes);
        let mut ends: Vec<usize> = cuts.into_iter().filter(|cut| *cut < bytes.len()).collect();
        ends.push(bytes.len());
        ends.sort_unstable();
        let mut head = RequestHead::new(LIMITS);
        let seen = ends
            .into_iter()
            .map(|end| head.parse(&bytes[..end]))
            .find(|outcome| *outcome != Ok(Progress::Partial))
            .unwrap_or(Ok(Progress::Partial));
        if expected == Ok(Progress::Complete) {
            prop_assert_eq!(seen, expected);
            prop_assert_eq!(head.fields.as_slice(), whole.fields.as_slice());
            prop_assert_eq!((head.length, head.target), (whole.length, whole.target));
        } else {
            prop_assert!(seen != Ok(Progress::Complete));
        }
    }

    /// A head that is taken, written again by hand, reads the same.
    #[test]
    fn taken_heads_have_no_second_reading(bytes in nearly_a_head()) {
        let mut head = RequestHead::new(LIMITS);
        if head.parse(&bytes) == Ok(Progress::Complete) {
            let text = &bytes[..head.length];
            let text = text.strip_prefix(b"\r\n").unwrap_or(text);
            let text = str::from_utf8(text).unwrap_or_default();
            if !text.is_empty() {
                let lines: Vec<&str> = text.split("\r\n").collect();
                prop_assert_eq!(lines.len(), head.fields.len() + 3);
                prop_assert!(lines.iter().all(|line| !line.contains(['\r', '\n', '\0'])));
                for (line, field) in lines[1..].iter().zip(&head.fields) {
                    let (name, value) = line.split_once(':').unwrap();
                    prop_assert_eq!(name.as_bytes(), field.name.of(&bytes));
                    prop_assert_eq!(value.trim_matches([' ', '\t']).as_bytes(), field.value.of(&bytes));
                }
            }
        }
    }

    /// Whatever is taken, another parser takes too, with the same parts.
    #[test]
    fn another_parser_agrees(bytes in nearly_a_head()) {
        let mut storage = [httparse::EMPTY_HEADER; 100];
        let mut head = RequestHead::new(LIMITS);
        if head.parse(&bytes) == Ok(Progress::Complete) {
            let mut other = httparse::Request::new(&mut storage);
            let start = if bytes.starts_with(b"\r\n") { 2 } else { 0 };
            prop_assert_eq!(other.parse(&bytes[start..]), Ok(httparse::Status::Complete(head.length - start)));
            prop_assert_eq!(other.method, Some(head.method.name(&bytes)));
            prop_assert_eq!(other.path.map(str::as_bytes), Some(head.target.of(&bytes)));
            prop_assert_eq!(other.headers.len(), head.fields.len());
            for (header, field) in other.headers.iter().zip(&head.fields) {
                prop_assert_eq!(header.name.as_bytes(), field.name.of(&bytes));
                prop_assert_eq!(header.value, field.value.of(&bytes));
            }
        }
        let mut head = ResponseHead::new(LIMITS);
        if head.parse(&bytes) == Ok(Progress::Complete) {
            let mut other = httparse::Response::new(&mut storage);
            prop_assert_eq!(other.parse(&bytes), Ok(httparse::Status::Complete(head.length)));
            prop_assert_eq!(other.code, Some(head.status));
            prop_assert_eq!(other.headers.len(), head.fields.len());
        }
    }
}
