//! Tests of writing heads.

use proptest::prelude::*;

use super::*;
use crate::head::tests::{request, response};
use crate::{Known, Method};

fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn lines() {
    assert_eq!(
        written(|out| request_line(out, b"GET", b"/a?b")),
        "GET /a?b HTTP/1.1\r\n"
    );
    assert_eq!(written(|out| status_line(out, 200)), "HTTP/1.1 200 OK\r\n");
    assert_eq!(
        written(|out| status_line(out, 503)),
        "HTTP/1.1 503 Service Unavailable\r\n"
    );
    assert_eq!(written(|out| status_line(out, 299)), "HTTP/1.1 299 \r\n");
    assert_eq!(written(|out| field(out, b"a", b"")), "a: \r\n");
    assert_eq!(
        written(|out| field_number(out, b"content-length", 0)),
        "content-length: 0\r\n"
    );
    assert_eq!(
        written(|out| field_number(out, b"n", u64::MAX)),
        "n: 18446744073709551615\r\n"
    );
}

#[test]
fn every_status_line_is_read_back() {
    for status in 100..=599 {
        let text = written(|out| {
            status_line(out, status);
            end(out);
        });
        assert_eq!(response(text.as_bytes()).unwrap().status, status);
    }
}

/// RFC 9112 11.1; RUSTSEC-2017-0002.
#[test]
fn row25_what_could_split_a_message_is_never_written() {
    let mut out = b"before".to_vec();
    for (name, value, expected) in [
        (&b"a"[..], &b"b\r\nc: d"[..], EncodeError::Value),
        (b"a", b"b\nc", EncodeError::Value),
        (b"a", b"b\rc", EncodeError::Value),
        (b"a", b"b\0c", EncodeError::Value),
        (b"a", b"b\x7fc", EncodeError::Value),
        (b"a", b"\x0b", EncodeError::Value),
        (b"a", b" b", EncodeError::Value),
        (b"a", b"b\t", EncodeError::Value),
        (b"", b"b", EncodeError::Name),
        (b"a b", b"b", EncodeError::Name),
        (b"a:", b"b", EncodeError::Name),
        (b"a\r\nb", b"b", EncodeError::Name),
        (b"a\xe9", b"b", EncodeError::Name),
    ] {
        assert_eq!(
            field_checked(&mut out, name, value),
            Err(expected),
            "{}",
            value.escape_ascii()
        );
    }
    for (method, target, expected) in [
        (&b"GET"[..], &b""[..], EncodeError::Target),
        (b"GET", b"/a b", EncodeError::Target),
        (b"GET", b"/\r\nHost: x", EncodeError::Target),
        (b"GET", b"/#a", EncodeError::Target),
        (b"GET", b"/\xc3\xa9", EncodeError::Target),
        (b"GET", b"/\0", EncodeError::Target),
        (b"", b"/", EncodeError::Method),
        (b"G T", b"/", EncodeError::Method),
        (b"GET\r\n", b"/", EncodeError::Method),
    ] {
        assert_eq!(
            request_line_checked(&mut out, method, target),
            Err(expected),
            "{}",
            target.escape_ascii()
        );
    }
    assert_eq!(out, b"before", "nothing is written on an error");
    assert_eq!(field_checked(&mut out, b"a", b""), Ok(()));
    assert_eq!(request_line_checked(&mut out, b"GET", b"*"), Ok(()));
    assert_eq!(out, b"beforea: \r\nGET * HTTP/1.1\r\n");
}

#[test]
fn parsed_fields_are_copied_without_those_that_are_dropped() {
    let text = b"GET / HTTP/1.1\r\nHost: a\r\nB: 1\r\nc:2\r\nTE: x\r\nD: 3 \r\nE:\r\nF: 4\r\nG: 5\r\n\r\n";
    let head = request(text).unwrap();
    let all = written(|out| fields(out, text, &head.fields, |_| true));
    assert_eq!(
        all,
        "Host: a\r\nB: 1\r\nc: 2\r\nTE: x\r\nD: 3\r\nE: \r\nF: 4\r\nG: 5\r\n"
    );
    assert_eq!(written(|out| all_fields(out, text, &head.fields)), all);
    let some = written(|out| fields(out, text, &head.fields, |field| field.known == Known::Other));
    assert_eq!(some, "B: 1\r\nc: 2\r\nD: 3\r\nE: \r\nF: 4\r\nG: 5\r\n");
    assert_eq!(written(|out| fields(out, text, &head.fields, |_| false)), "");
}

#[test]
fn own_answers() {
    for (status, body, is_close, is_head, expected) in [
        (
            404,
            "no route\n",
            false,
            false,
            "HTTP/1.1 404 Not Found\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 9\r\n\r\nno route\n",
        ),
        (
            400,
            "",
            true,
            false,
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        ),
        (
            503,
            "x",
            true,
            true,
            "HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 1\r\n\
             connection: close\r\n\r\n",
        ),
        (204, "", false, false, "HTTP/1.1 204 No Content\r\n\r\n"),
    ] {
        let text = written(|out| answer(out, status, body, is_close, is_head));
        assert_eq!(text, expected);
        assert_eq!(response(text.as_bytes()).unwrap().status, status);
    }
    assert_eq!(response(CONTINUE).unwrap().status, 100);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// What is written reads back as what was meant, whatever is dropped.
    #[test]
    fn written_heads_read_back(
        lines in proptest::collection::vec(("[a-zA-Z_-]{1,12}", "([!-~]([ -~\t]{0,10}[!-~])?)?", 0usize..3, any::<bool>()), 0..12),
    ) {
        let pads = ["", " ", "\t "];
        let mut text = "GET /x HTTP/1.1\r\n".to_owned();
        for (name, value, pad, _) in &lines {
            text += &format!("{name}:{}{value}{}\r\n", pads[*pad], pads[(*pad + 1) % 2]);
        }
        text += "\r\n";
        let head = request(text.as_bytes()).unwrap();
        let mut keep = lines.iter().map(|line| line.3);
        let mut out = Vec::new();
        request_line(&mut out, b"GET", b"/x");
        fields(&mut out, text.as_bytes(), &head.fields, |_| keep.next().unwrap());
        end(&mut out);
        let again = request(&out).unwrap();
        prop_assert_eq!(again.method, Method::Get);
        let seen: Vec<_> = again.fields.iter().map(|one| (one.name.of(&out).to_vec(), one.value.of(&out).to_vec())).collect();
        let expected: Vec<_> = lines
            .iter()
            .filter(|line| line.3)
            .map(|(name, value, ..)| (name.clone().into_bytes(), value.clone().into_bytes()))
            .collect();
        prop_assert_eq!(seen, expected);
        let is_canonical = again.fields.iter().all(|one| one.is_canonical);
        prop_assert!(is_canonical && again.fields.are_canonical());
        for (head, bytes) in [(&head, text.as_bytes()), (&again, &out[..])] {
            let (mut one_by_one, mut at_once) = (Vec::new(), Vec::new());
            fields(&mut one_by_one, bytes, &head.fields, |_| true);
            all_fields(&mut at_once, bytes, &head.fields);
            prop_assert_eq!(one_by_one, at_once);
        }
    }

    /// The checked writer takes exactly what the parser would read back.
    #[test]
    fn row25_checked_values_read_back(value in proptest::collection::vec(any::<u8>(), 0..20)) {
        let mut out = b"GET / HTTP/1.1\r\n".to_vec();
        if field_checked(&mut out, b"a", &value).is_ok() {
            end(&mut out);
            let head = request(&out).unwrap();
            prop_assert_eq!(head.fields.len(), 1);
            prop_assert_eq!(head.fields.as_slice()[0].value.of(&out), value.as_slice());
        }
    }
}
