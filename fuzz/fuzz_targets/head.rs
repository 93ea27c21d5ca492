//! Heads of requests and responses: no panic, one reading, the same in any pieces, and what is written reads back.
#![no_main]

use std::fmt::Debug;

use libfuzzer_sys::fuzz_target;
use weir_wire::connection::Connection;
use weir_wire::h1::encode;
use weir_wire::{
    BodyLength, Fields, HeadLimits, Known, Method, Progress, RequestHead, ResponseHead, cookie, expect,
    forwarded, framing, host, path, query, trailer, upgrade,
};

/// Small, so that inputs of a fuzzer reach them.
const LIMITS: HeadLimits = HeadLimits {
    head_bytes: 1024,
    fields: 16,
    field_bytes: 128,
    target_bytes: 64,
};

fuzz_target!(|input: &[u8]| {
    let [piece, bytes @ ..] = input else { return };
    let piece = usize::from(*piece).max(1);
    check_request(bytes, piece);
    check_response(bytes, piece);
});

fn check_request(bytes: &[u8], piece: usize) {
    let mut head = RequestHead::new(LIMITS);
    let whole = head.parse(bytes);
    let mut slow = RequestHead::new(LIMITS);
    let outcome = in_pieces(bytes.len(), piece, |end| slow.parse(&bytes[..end]));
    if !is_complete(&whole, &outcome) {
        return;
    }
    assert_eq!(
        (head.length, head.target, head.form),
        (slow.length, slow.target, slow.form)
    );
    assert_eq!(head.fields.as_slice(), slow.fields.as_slice());
    assert!(head.target.len as usize <= LIMITS.target_bytes);
    let text = &bytes[..head.length];
    let text = text.strip_prefix(b"\r\n").unwrap_or(text);
    let first = check_lines(text, &head.fields, bytes);
    let method = head.method.name(bytes);
    let minor = if head.version == weir_wire::Version::Http10 {
        0
    } else {
        1
    };
    let target = head.target.of(bytes);
    let expected = [
        method.as_bytes(),
        b" ",
        target,
        format!(" HTTP/1.{minor}").as_bytes(),
    ]
    .concat();
    assert_eq!(first, expected, "the request line has one reading");
    assert!(target.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'#'));
    if let Ok(length) = framing::request_body(&head, bytes) {
        check_framing(length, text);
        assert_ne!(length, BodyLength::UntilClose, "a request has an end");
    }
    read_all(&head, bytes);
    let mut out = Vec::new();
    encode::request_line_checked(&mut out, method.as_bytes(), target).expect("a parsed line is good");
    encode::fields(&mut out, bytes, &head.fields, |_| true);
    encode::end(&mut out);
    let mut again = RequestHead::new(wide());
    assert_eq!(again.parse(&out), Ok(Progress::Complete));
    assert_eq!(pairs(&again.fields, &out), pairs(&head.fields, bytes));
    assert_eq!((again.length, again.target.of(&out)), (out.len(), target));
}

fn check_response(bytes: &[u8], piece: usize) {
    let mut head = ResponseHead::new(LIMITS);
    let whole = head.parse(bytes);
    let mut slow = ResponseHead::new(LIMITS);
    let outcome = in_pieces(bytes.len(), piece, |end| slow.parse(&bytes[..end]));
    if !is_complete(&whole, &outcome) {
        return;
    }
    assert_eq!(
        (head.length, head.status, head.reason),
        (slow.length, slow.status, slow.reason)
    );
    assert_eq!(head.fields.as_slice(), slow.fields.as_slice());
    let text = &bytes[..head.length];
    let first = check_lines(text, &head.fields, bytes);
    assert!(first.starts_with(b"HTTP/1.") && first.get(9..12) == Some(head.status.to_string().as_bytes()));
    for method in [Method::Get, Method::Head, Method::Connect] {
        if let Ok(length) = framing::response_body(&head, bytes, &method) {
            let is_bodiless = method == Method::Head
                || matches!(head.status, 100..=199 | 204 | 304)
                || (method == Method::Connect && head.status < 300);
            match length {
                BodyLength::Empty => assert!(is_bodiless),
                BodyLength::UntilClose => {
                    assert!(count(text, "content-length") + count(text, "transfer-encoding") == 0)
                }
                other => check_framing(other, text),
            }
        }
    }
    let _ = Connection::of(&head.fields, bytes);
    let mut out = Vec::new();
    encode::status_line(&mut out, head.status);
    encode::fields(&mut out, bytes, &head.fields, |_| true);
    encode::end(&mut out);
    let mut again = ResponseHead::new(wide());
    assert_eq!(again.parse(&out), Ok(Progress::Complete));
    assert_eq!(
        (again.status, pairs(&again.fields, &out)),
        (head.status, pairs(&head.fields, bytes))
    );
}

/// Whether the head was taken: the same in one piece and in several, though what is wrong may be told differently.
fn is_complete<E: Debug + PartialEq>(whole: &Result<Progress, E>, pieces: &Result<Progress, E>) -> bool {
    let is_whole = *whole == Ok(Progress::Complete);
    assert_eq!(
        is_whole,
        *pieces == Ok(Progress::Complete),
        "{whole:?} {pieces:?}"
    );
    is_whole
}

/// For a head that weir wrote: it may be longer than the one that it was made from.
fn wide() -> HeadLimits {
    HeadLimits {
        head_bytes: 2 * LIMITS.head_bytes,
        ..LIMITS
    }
}

/// The first outcome that is not `Partial`.
fn in_pieces<E>(
    length: usize,
    piece: usize,
    mut parse: impl FnMut(usize) -> Result<Progress, E>,
) -> Result<Progress, E> {
    let mut end = 0;
    loop {
        match parse(end) {
            Ok(Progress::Partial) if end < length => end = (end + piece).min(length),
            outcome => return outcome,
        }
    }
}

/// Reads the head a second time, the simple way, and compares. Returns the first line.
fn check_lines<'t>(text: &'t [u8], fields: &Fields, bytes: &[u8]) -> &'t [u8] {
    let text = text
        .strip_suffix(b"\r\n\r\n")
        .expect("a head ends in an empty line");
    let mut lines: Vec<&[u8]> = Vec::new();
    let mut rest = text;
    while let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") {
        lines.push(&rest[..end]);
        rest = &rest[end + 2..];
    }
    lines.push(rest);
    for line in &lines {
        assert!(
            !line.iter().any(|byte| b"\r\n\0".contains(byte)),
            "{}",
            line.escape_ascii()
        );
    }
    assert_eq!(lines.len(), fields.len() + 1);
    assert!(fields.len() <= LIMITS.fields);
    for (line, field) in lines[1..].iter().zip(fields) {
        let colon = line
            .iter()
            .position(|byte| *byte == b':')
            .expect("a field has a colon");
        let (name, value) = (field.name.of(bytes), field.value.of(bytes));
        assert_eq!(&line[..colon], name);
        assert_eq!(weir_wire::token::trim(&line[colon + 1..]), value);
        assert!(weir_wire::token::is_token(name) && encode::is_value(value));
        assert_eq!(field.is_canonical, **line == [name, b": ", value].concat());
        match field.known {
            Known::Other => assert!(!name.contains(&b'_')),
            Known::Underscore => assert!(name.contains(&b'_')),
            known => assert!(name.eq_ignore_ascii_case(known.name().as_bytes())),
        }
        assert!(fields.has(field.known));
        assert!(name.len() + value.len() <= LIMITS.field_bytes);
    }
    lines[0]
}

fn values<'t>(text: &'t [u8], name: &str) -> Vec<&'t [u8]> {
    text.split(|byte| *byte == b'\n')
        .skip(1)
        .filter_map(|line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            line[..colon]
                .eq_ignore_ascii_case(name.as_bytes())
                .then(|| line[colon + 1..].trim_ascii())
        })
        .collect()
}

fn count(text: &[u8], name: &str) -> usize {
    values(text, name).len()
}

/// The length of a body against a plain reading of the lines.
fn check_framing(length: BodyLength, text: &[u8]) {
    let (lengths, codings) = (values(text, "content-length"), values(text, "transfer-encoding"));
    match length {
        BodyLength::Empty | BodyLength::UntilClose => assert!(lengths.is_empty() && codings.is_empty()),
        BodyLength::Length(number) => {
            assert!(codings.is_empty());
            assert_eq!(lengths, [number.to_string().as_bytes()]);
        }
        BodyLength::Chunked => {
            assert!(lengths.is_empty() && codings.len() == 1);
            assert!(codings[0].eq_ignore_ascii_case(b"chunked"));
        }
    }
}

/// Nothing that looks at a head may panic, and what it returns must be well formed.
fn read_all(head: &RequestHead, bytes: &[u8]) {
    if let Ok(host) = host::request_host(head, bytes) {
        assert!(
            !host
                .name
                .bytes()
                .any(|byte| byte.is_ascii_uppercase() || !byte.is_ascii_graphic())
        );
        if !host.name.is_empty() {
            let again = host::parse(host.name.as_bytes()).expect("a normal host is a host");
            assert_eq!((&again.name, again.port), (&host.name, None));
        }
    }
    if let Ok(normal) = path::normalise(head.form.path().of(bytes)) {
        query::pairs(normal.query.unwrap_or_default()).for_each(drop);
    }
    if let Ok(connection) = Connection::of(&head.fields, bytes) {
        let _ = upgrade::is_requested(head, &connection, bytes);
        for field in &head.fields {
            let _ = connection.nominates(field, &head.fields, bytes);
            let _ = trailer::is_forbidden(field, bytes);
        }
    }
    let _ = expect::expectation(head, bytes);
    let _ = trailer::accepts_trailers(&head.fields, bytes);
    let _ = cookie::value(head.fields.values(Known::Cookie, bytes), b"a");
    let peer = std::net::IpAddr::from([127, 0, 0, 1]);
    for rule in [
        forwarded::ClientRule::Hops(1),
        forwarded::ClientRule::Trusted(&|_| true),
    ] {
        let _ = forwarded::client_address(peer, head.fields.values(Known::XForwardedFor, bytes), rule);
    }
    let mut out = Vec::new();
    forwarded::append(&mut out, head.fields.values(Known::XForwardedFor, bytes), peer);
    let value = &out["x-forwarded-for: ".len()..out.len() - 2];
    assert!(encode::is_value(value), "{}", out.escape_ascii());
}

fn pairs(fields: &Fields, bytes: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    fields
        .iter()
        .map(|field| (field.name.of(bytes).to_vec(), field.value.of(bytes).to_vec()))
        .collect()
}
