//! What says how long a body is (rows 1 to 3; RFC 9112 6).

use super::message::{case, check, framed};
use crate::hostile::stage::{End, HIDDEN, Scripted, once, site, statuses};

#[test]
fn rl05_row1_length_and_encoding_both_or_odd() {
    const LAST: &str = "0\r\n\r\n";
    let long = "Transfer-Encoding: chunked\r\n".repeat(30) + "Content-Length: 5";
    let mut cases = vec![
        framed("CL.TE", "Content-Length: 5\r\nTransfer-Encoding: chunked", LAST),
        framed("TE.CL", "Transfer-Encoding: chunked\r\nContent-Length: 5", LAST),
        framed(
            "CL 0 and TE",
            "Content-Length: 0\r\nTransfer-Encoding: chunked",
            LAST,
        ),
        framed(
            "CL, TE, CL",
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\nContent-Length: 5",
            LAST,
        ),
        framed(
            "CL and identity",
            "Content-Length: 5\r\nTransfer-Encoding: identity",
            LAST,
        ),
        framed(
            "TE twice",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            LAST,
        ),
        framed(
            "TE twice, one odd",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
            LAST,
        ),
        framed(
            "TE twice, one empty",
            "Transfer-Encoding:\r\nTransfer-Encoding: chunked",
            LAST,
        ),
        framed("folded TE", "Transfer-Encoding:\r\n chunked", LAST),
        framed("many TE and CL", &long, LAST),
        framed(
            "CL nominated away",
            "Connection: content-length\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
            LAST,
        ),
        framed(
            "TE nominated away",
            "Connection: transfer-encoding\r\nTransfer-Encoding: chunked\r\nContent-Length: 5",
            LAST,
        ),
        framed("space before colon", "Transfer-Encoding : chunked", LAST),
        framed("tab before colon", "Transfer-Encoding\t: chunked", LAST),
        framed("space before name", " Transfer-Encoding: chunked", LAST),
        framed("CR for the hyphen", "Transfer\rEncoding: chunked", LAST),
        framed(
            "CR for the hyphen, and a length",
            "Transfer\rEncoding: chunked\r\nContent-Length: 5",
            LAST,
        ),
        framed("NUL in name", "Transfer-Encoding\0: chunked", LAST),
        framed("bare LF in front", "X: 1\nTransfer-Encoding: chunked", LAST),
        framed("bare CR in front", "X: 1\rTransfer-Encoding: chunked", LAST),
    ];
    for coding in [
        "xchunked",
        "chunkedx",
        "chunked, chunked",
        "gzip, chunked",
        "chunked, gzip",
        ",chunked",
        "chunked,",
        "chunked;x",
        "chunked;q=1",
        "chunked ;",
        "identity",
        "identity, chunked",
        "",
        ",",
        "\"chunked\"",
        "'chunked'",
        "\u{b}chunked",
        "chunked\u{b}",
        "\u{c}chunked",
        "\0chunked",
        "chun\tked",
        "chun ked",
        "cow",
        "deflate",
        "\u{a0}chunked",
        "chunked\r",
        "chunKed\u{212a}",
        "[chunked]",
        "chunked/1",
    ] {
        cases.push(framed(
            "one odd TE",
            &format!("Transfer-Encoding: {coding}"),
            LAST,
        ));
    }
    check(&cases, false);
}

#[test]
fn rl05_row2_odd_lengths() {
    let mut cases = vec![
        framed("two equal", "Content-Length: 5\r\nContent-Length: 5", "hello"),
        framed(
            "two equal, spelled differently",
            "Content-Length: 5\r\ncontent-length: 5",
            "hello",
        ),
        framed("two different", "Content-Length: 5\r\nContent-Length: 0", "hello"),
        framed("one empty", "Content-Length:\r\nContent-Length: 5", "hello"),
        framed("folded", "Content-Length:\r\n 5", "hello"),
        framed("space before colon", "Content-Length : 5", "hello"),
        framed("CR for the hyphen", "Content\rLength: 5", "hello"),
    ];
    for length in [
        "",
        "+5",
        "-5",
        "-0",
        "0x5",
        "5,5",
        "5, 5",
        "5,",
        ",5",
        "05",
        "00",
        "5 5",
        "5.0",
        "5e0",
        "5h",
        "\u{665}",
        "5\0",
        "\u{b}5",
        "5\u{b}",
        "5;",
        "\"5\"",
        "99999999999999999999",
        "18446744073709551616",
        "18446744073709551621",
        "1_0",
        "NaN",
        "5\r",
    ] {
        cases.push(framed(
            "one odd length",
            &format!("Content-Length: {length}"),
            "hello",
        ));
    }
    check(&cases, false);
}

#[test]
fn rl05_row3_http10_has_no_chunks_and_no_bodies_without_length() {
    let ten = |lines: &str, body: &str| format!("POST /refused HTTP/1.0\r\nHost: h\r\n{lines}\r\n{body}");
    check(
        &[
            case(
                "1.0 chunked",
                ten("Transfer-Encoding: chunked\r\n", "0\r\n\r\n") + HIDDEN,
                400,
            ),
            case(
                "1.0 chunked, kept alive",
                ten(
                    "Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n",
                    "0\r\n\r\n",
                ) + HIDDEN,
                400,
            ),
            case(
                "1.0 both",
                ten("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n") + HIDDEN,
                400,
            ),
        ],
        false,
    );
    // A body until the end of the connection is no body: what follows is never a part of the request, and since the
    // connection does not live on, no request either.
    let backend = Scripted::polite();
    let gateway = site(&[backend.port()]);
    let (text, end) = once(gateway.address, ten("", HIDDEN));
    assert_eq!((statuses(&text), end), (vec![200], End::Closed), "{text}");
    let received = backend.received();
    assert_eq!(received.len(), 1, "{received:?}");
    assert!(received[0].body.is_empty());
}
