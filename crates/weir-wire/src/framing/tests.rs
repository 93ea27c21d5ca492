//! Tests of framing: the smuggling rows of the attack catalogue (RFC 9112 6.1, 6.3, 11.2).

use proptest::prelude::*;

use super::FramingError::*;
use super::*;
use crate::head::tests::{request, response};

fn request_length(version: &str, lines: &str) -> Result<BodyLength, FramingError> {
    let text = format!("POST / HTTP/{version}\r\nHost: a\r\n{lines}\r\n");
    let head = request(text.as_bytes()).unwrap();
    request_body(&head, text.as_bytes())
}

fn response_length(
    method: Method,
    version: &str,
    status: u16,
    lines: &str,
) -> Result<BodyLength, FramingError> {
    let text = format!("HTTP/{version} {status} x\r\n{lines}\r\n");
    let head = response(text.as_bytes()).unwrap();
    response_body(&head, text.as_bytes(), &method)
}

#[test]
fn good_requests() {
    for (version, lines, expected) in [
        ("1.1", "", BodyLength::Empty),
        ("1.0", "", BodyLength::Empty),
        ("1.1", "Content-Length: 0\r\n", BodyLength::Length(0)),
        ("1.0", "content-length: 10\r\n", BodyLength::Length(10)),
        ("1.1", "CONTENT-LENGTH:\t7 \r\n", BodyLength::Length(7)),
        (
            "1.1",
            "Content-Length: 9999999999999999999\r\n",
            BodyLength::Length(9_999_999_999_999_999_999),
        ),
        ("1.1", "Transfer-Encoding: chunked\r\n", BodyLength::Chunked),
        ("1.1", "transfer-encoding:Chunked\r\n", BodyLength::Chunked),
        ("1.1", "Content_Length: 5\r\n", BodyLength::Empty),
    ] {
        assert_eq!(request_length(version, lines), Ok(expected), "{version} {lines}");
    }
}

#[test]
fn row01_encodings_that_are_refused() {
    for (lines, expected) in [
        (
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            LengthAndEncoding,
        ),
        (
            "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
            LengthAndEncoding,
        ),
        (
            "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
            LengthAndEncoding,
        ),
        (
            "Transfer-Encoding: identity\r\nContent-Length: 5\r\n",
            LengthAndEncoding,
        ),
        ("Transfer-Encoding:\r\nContent-Length: 5\r\n", LengthAndEncoding),
        (
            "Transfer-Encoding: chunked\r\nX: y\r\nTransfer-Encoding: chunked\r\n",
            EncodingRepeated,
        ),
        (
            "Transfer-Encoding: chunked\r\ntransfer-encoding: identity\r\n",
            EncodingRepeated,
        ),
        (
            "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
            EncodingRepeated,
        ),
        ("Transfer-Encoding: gzip, chunked\r\n", EncodingUnknown),
        ("Transfer-Encoding: chunked, chunked\r\n", EncodingUnknown),
        ("Transfer-Encoding: chunked, identity\r\n", EncodingUnknown),
        ("Transfer-Encoding: ,chunked\r\n", EncodingUnknown),
        ("Transfer-Encoding: chunked,\r\n", EncodingUnknown),
        ("Transfer-Encoding: chunked;x\r\n", EncodingUnknown),
        ("Transfer-Encoding: chunked;q=1\r\n", EncodingUnknown),
        ("Transfer-Encoding: \"chunked\"\r\n", EncodingUnknown),
        ("Transfer-Encoding: 'chunked'\r\n", EncodingUnknown),
        ("Transfer-Encoding: xchunked\r\n", EncodingUnknown),
        ("Transfer-Encoding: chunkedx\r\n", EncodingUnknown),
        ("Transfer-Encoding: chun ked\r\n", EncodingUnknown),
        ("Transfer-Encoding: x\tchunked\r\n", EncodingUnknown),
        ("Transfer-Encoding: identity\r\n", EncodingUnknown),
        ("Transfer-Encoding: gzip\r\n", EncodingUnknown),
        ("Transfer-Encoding:\r\n", EncodingUnknown),
        ("Transfer-Encoding: chunked\u{a0}\r\n", EncodingUnknown),
    ] {
        assert_eq!(request_length("1.1", lines), Err(expected), "{lines}");
        assert_eq!(
            response_length(Method::Get, "1.1", 200, lines),
            Err(expected),
            "{lines}"
        );
        // Refused also where the answer has no body: the fields would be passed on.
        assert_eq!(
            response_length(Method::Head, "1.1", 200, lines),
            Err(expected),
            "{lines}"
        );
        assert_eq!(expected.status(), 400);
    }
}

#[test]
fn row02_lengths_that_are_refused() {
    for value in [
        "",
        "+5",
        "-5",
        "-0",
        "0x5",
        "05",
        "00",
        "5,5",
        "5, 5",
        "5 5",
        "5.0",
        "5e1",
        "5;",
        "\"5\"",
        "five",
        "5_0",
        "\u{665}",
        "5\u{a0}",
        "10000000000000000000",
        "18446744073709551616",
        "99999999999999999999999",
    ] {
        let lines = format!("Content-Length: {value}\r\n");
        assert_eq!(request_length("1.1", &lines), Err(LengthInvalid), "{value}");
        assert_eq!(request_length("1.0", &lines), Err(LengthInvalid), "{value}");
        assert_eq!(
            response_length(Method::Get, "1.1", 304, &lines),
            Err(LengthInvalid),
            "{value}"
        );
    }
    for lines in [
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5\r\nX: y\r\ncontent-LENGTH: 5\r\n",
        "Content-Length: \r\nContent-Length: 5\r\n",
    ] {
        assert_eq!(request_length("1.1", lines), Err(LengthRepeated), "{lines}");
        assert_eq!(
            response_length(Method::Get, "1.1", 200, lines),
            Err(LengthRepeated),
            "{lines}"
        );
    }
}

/// CVE-2026-2835: a request is never delimited by the end of its connection.
#[test]
fn row03_encoding_in_http10_and_requests_until_close() {
    let chunked = "Transfer-Encoding: chunked\r\n";
    assert_eq!(request_length("1.0", chunked), Err(EncodingInHttp10));
    assert_eq!(
        request_length("1.0", "Transfer-Encoding: identity\r\n"),
        Err(EncodingInHttp10)
    );
    assert_eq!(
        response_length(Method::Get, "1.0", 200, chunked),
        Err(EncodingInHttp10)
    );
    assert_eq!(
        request_length("1.0", "Connection: close\r\n"),
        Ok(BodyLength::Empty)
    );
}

/// RFC 9112 6.3 in its order.
#[test]
fn row12_bodies_of_responses() {
    let (length, chunked) = ("Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n");
    for (method, status, lines, expected) in [
        (Method::Get, 200, "", BodyLength::UntilClose),
        (Method::Get, 200, length, BodyLength::Length(5)),
        (Method::Get, 200, chunked, BodyLength::Chunked),
        (Method::Get, 404, "Content-Length: 0\r\n", BodyLength::Length(0)),
        (Method::Get, 205, length, BodyLength::Length(5)),
        (Method::Head, 200, "", BodyLength::Empty),
        (Method::Head, 200, length, BodyLength::Empty),
        (Method::Head, 200, chunked, BodyLength::Empty),
        (Method::Head, 404, length, BodyLength::Empty),
        (Method::Get, 100, "", BodyLength::Empty),
        (Method::Get, 101, length, BodyLength::Empty),
        (Method::Get, 103, chunked, BodyLength::Empty),
        (Method::Get, 204, length, BodyLength::Empty),
        (Method::Get, 304, length, BodyLength::Empty),
        (Method::Get, 304, chunked, BodyLength::Empty),
        (Method::Connect, 200, length, BodyLength::Empty),
        (Method::Connect, 299, "", BodyLength::Empty),
        (Method::Connect, 403, length, BodyLength::Length(5)),
        (Method::Connect, 403, "", BodyLength::UntilClose),
    ] {
        assert_eq!(
            response_length(method, "1.1", status, lines),
            Ok(expected),
            "{method:?} {status} {lines}"
        );
    }
    assert_eq!(
        response_length(Method::Get, "1.0", 200, ""),
        Ok(BodyLength::UntilClose)
    );
}

proptest! {
    /// A length is taken if and only if writing the number again gives the same text.
    #[test]
    fn lengths_have_one_spelling(value in "[0-9+x, ]{0,22}") {
        let expected = value.parse::<u64>().ok().filter(|number| number.to_string() == value && value.len() <= 19);
        prop_assert_eq!(content_length(value.as_bytes()).ok(), expected);
    }
}
