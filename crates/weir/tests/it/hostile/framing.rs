//! Where does a request end (reliability rows 1 to 9; RFC 9112)? Every refused message is followed by a hidden
//! request, which no backend may ever see.

use super::stage::{End, HIDDEN, Raw, Scripted, all, get, once, site, statuses};

/// A message and the status that it must get; the connection must end behind it. 200: it is served.
struct Case {
    name: &'static str,
    bytes: Vec<u8>,
    status: u16,
}

fn case(name: &'static str, bytes: impl AsRef<[u8]>, status: u16) -> Case {
    Case {
        name,
        bytes: bytes.as_ref().to_vec(),
        status,
    }
}

/// A POST with these framing lines, then `body`, then the hidden request.
fn framed(name: &'static str, lines: &str, body: &str) -> Case {
    let text = format!("POST /refused HTTP/1.1\r\nHost: www.example.com\r\n{lines}\r\n\r\n{body}{HIDDEN}");
    case(name, text, 400)
}

/// A GET with one odd line among its fields.
fn line(name: &'static str, line: impl AsRef<[u8]>) -> Case {
    let mut bytes = b"GET /refused HTTP/1.1\r\nHost: www.example.com\r\n".to_vec();
    bytes.extend_from_slice(line.as_ref());
    bytes.extend_from_slice(b"\r\nX-Last: 1\r\n\r\n");
    bytes.extend_from_slice(HIDDEN.as_bytes());
    case(name, bytes, 400)
}

/// Every message gets its status, once, and the end of its connection; nothing hidden arrives, nothing refused either
/// unless its head was sound.
fn check(cases: &[Case], may_forward_head: bool) {
    let backend = Scripted::polite();
    let gateway = site(&[backend.port()]);
    all(cases, |case| {
        let (text, end) = once(gateway.address, &case.bytes);
        let found = statuses(&text);
        let is_closing = text.to_ascii_lowercase().contains("connection: close");
        if found == [case.status] && end == End::Closed && is_closing {
            return Ok(());
        }
        Err(format!(
            "{}: {:?} gave {end:?} {text:?}",
            case.name,
            String::from_utf8_lossy(&case.bytes)
        ))
    });
    let (text, _) = {
        let mut client = Raw::connect(gateway.address);
        client.send(get("/after"));
        client.read_until(super::stage::SOON, |bytes| bytes.ends_with(b"/after"))
    };
    assert_eq!(statuses(&text), [200]);
    let targets = backend.targets();
    assert!(!targets.iter().any(|target| target == "/hidden"), "{targets:?}");
    assert!(may_forward_head || targets == ["/after"], "{targets:?}");
}

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

#[test]
fn rl05_row4_odd_chunks() {
    let long_extension = format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(257));
    let many_extensions = format!("1;{}\r\nx\r\n", "y".repeat(200)).repeat(100) + "0\r\n\r\n";
    let long_trailer = format!("0\r\nx: {}\r\n\r\n", "y".repeat(33 * 1024));
    let many_trailers = format!("0\r\n{}\r\n", "x: y\r\n".repeat(101));
    let bodies = [
        "+5\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "5_\r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "5\t\r\nhello\r\n0\r\n\r\n",
        "\r\n5\r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
        ";x\r\nhello\r\n0\r\n\r\n",
        "g\r\nhello\r\n0\r\n\r\n",
        "5g\r\nhello\r\n0\r\n\r\n",
        "5h\r\nhello\r\n0\r\n\r\n",
        "00000000000000005\r\nhello\r\n0\r\n\r\n",
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
        "ffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "8000000000000000\r\nhello\r\n0\r\n\r\n",
        "fffffffffffffffb\r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
        "5\r\rhello\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello\r0\r\n\r\n",
        "5\r\nhelloX\r\n0\r\n\r\n",
        "5\r\nhell\r\n0\r\n\r\n",
        "5\r\nhello\r\n\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\n\r\n",
        "5\r\nhello\r\n0\r\n\n",
        "5\r\nhello\r\n0\r\nX\r\n\r\n",
        "5\r\nhello\r\n0\r\n X: y\r\n\r\n",
        "5\r\nhello\r\n0\r\nX : y\r\n\r\n",
        "5\r\nhello\r\n0\r\nX: y\n\r\n",
        "5\r\nhello\r\n0\r\nX: y\r\n z\r\n\r\n",
        "5\r\nhello\r\n0\r\nX: \0\r\n\r\n",
        "5\r\nhello\r\n0\r\n: y\r\n\r\n",
        "5;\nhello\r\n0\r\n\r\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "5;a\rb\r\nhello\r\n0\r\n\r\n",
        "5;\0\r\nhello\r\n0\r\n\r\n",
        "0;\n\r\n\r\n",
        "5,5\r\nhello\r\n0\r\n\r\n",
        "\u{ff15}\r\nhello\r\n0\r\n\r\n",
        &long_extension,
        &many_extensions,
    ];
    let mut cases: Vec<_> = bodies
        .iter()
        .map(|body| framed("an odd chunk", "Transfer-Encoding: chunked", body))
        .collect();
    for trailer in [&long_trailer, &many_trailers] {
        cases.push(Case {
            status: 431,
            ..framed("trailers over a limit", "Transfer-Encoding: chunked", trailer)
        });
    }
    check(&cases, true);
}

#[test]
fn rl05_row4_every_split_of_an_odd_chunk_is_refused() {
    let backend = Scripted::polite();
    let gateway = site(&[backend.port()]);
    let body = "5;a=b\r\nhello\r\n3\nabc\r\n0\r\n\r\n";
    let splits: Vec<usize> = (0..=body.len()).collect();
    all(&splits, |split| {
        let mut client = Raw::connect(gateway.address);
        client.send(format!(
            "POST /split HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{}",
            &body[..*split]
        ));
        std::thread::sleep(std::time::Duration::from_millis(5));
        client.send(body[*split..].to_owned() + HIDDEN);
        match client.read_all() {
            (text, End::Closed) if statuses(&text) == [400] => Ok(()),
            other => Err(format!("{split}: {other:?}")),
        }
    });
    assert!(!backend.targets().contains(&"/hidden".to_owned()));
}

#[test]
fn rl05_row4_good_chunks_arrive_without_extensions() {
    let backend = Scripted::polite();
    let gateway = site(&[backend.port()]);
    for (index, body) in [
        "5\r\nhello\r\n0\r\n\r\n",
        "005\r\nhello\r\n00\r\n\r\n",
        "5;a=b;c=\"d\"\r\nhello\r\n0;e\r\n\r\n",
        "1\r\nh\r\n4\r\nello\r\n0\r\nX-Trailer: 1\r\nContent-Length: 99\r\nTransfer-Encoding: gzip\r\nHost: evil\r\n\r\n",
    ]
    .iter()
    .enumerate()
    {
        let mut client = Raw::connect(gateway.address);
        client.send(format!(
            "POST /{index} HTTP/1.1\r\nHost: h\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n{body}{}",
            get("/next")
        ));
        client.expect("GET /next");
        let received = backend.wait_for(&format!("/{index}"));
        assert_eq!((&received.body[..], received.is_whole), (&b"hello"[..], true), "{received:?}");
        assert!(
            received.trailers.iter().all(|line| line.to_ascii_lowercase().starts_with("x-trailer")),
            "row 13: {received:?}"
        );
    }
    backend.received();
}

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

#[test]
fn rl05_row8_a_request_in_a_body_stays_in_the_body() {
    let backend = Scripted::polite();
    let gateway = site(&[backend.port()]);
    let chunk = format!("{:x}\r\n{HIDDEN}\r\n0\r\n\r\n", HIDDEN.len());
    for (index, (method, lines, body)) in [
        (
            "GET",
            format!("Content-Length: {}\r\n", HIDDEN.len()),
            HIDDEN.to_owned(),
        ),
        (
            "HEAD",
            format!("Content-Length: {}\r\n", HIDDEN.len()),
            HIDDEN.to_owned(),
        ),
        (
            "DELETE",
            format!("content-LENGTH:{}\r\n", HIDDEN.len()),
            HIDDEN.to_owned(),
        ),
        (
            "OPTIONS",
            format!("Content-Length: {}\r\n", HIDDEN.len()),
            HIDDEN.to_owned(),
        ),
        (
            "POST",
            format!(
                "Content-Length: {}\r\nContent-Type: message/http\r\n",
                HIDDEN.len()
            ),
            HIDDEN.to_owned(),
        ),
        ("GET", "Transfer-Encoding: chunked\r\n".to_owned(), chunk.clone()),
        ("POST", "Transfer-Encoding: Chunked\r\n".to_owned(), chunk.clone()),
        ("POST", "transfer-encoding:\tchunked \r\n".to_owned(), chunk),
        (
            "POST",
            format!(
                "Connection: Content-Length\r\nContent-Length: {}\r\n",
                HIDDEN.len()
            ),
            HIDDEN.to_owned(),
        ),
        (
            "POST",
            format!(
                "Content_Length: 0\r\nContent-Length: {}\r\nTransfer_Encoding: chunked\r\n",
                HIDDEN.len()
            ),
            HIDDEN.to_owned(),
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let target = format!("/{index}");
        let mut client = Raw::connect(gateway.address);
        client.send(format!(
            "{method} {target} HTTP/1.1\r\nHost: h\r\n{lines}\r\n{body}{}",
            get("/next")
        ));
        let text = client.expect("GET /next");
        assert_eq!(statuses(&text), [200, 200], "{method} {lines:?}: {text}");
        let received = backend.wait_for(&target);
        assert_eq!(
            String::from_utf8_lossy(&received.body),
            HIDDEN,
            "{method} {lines:?}"
        );
    }
    assert!(!backend.targets().contains(&"/hidden".to_owned()));
}

#[test]
fn rl05_row8_a_body_that_is_shorter_than_announced_is_no_request() {
    let backend = Scripted::polite();
    let gateway = site(&[backend.port()]);
    for announced in [
        "Content-Length: 100\r\n\r\nGET /hidden HTTP/1.1\r\nHost: h\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n64\r\nGET /hidden HTTP/1.1\r\nHost: h\r\n\r\n",
    ] {
        let mut client = Raw::connect(gateway.address);
        client.send(format!("POST /short HTTP/1.1\r\nHost: h\r\n{announced}"));
        client.half_close();
        let (text, _) = client.read_all();
        assert!(!text.contains("200"), "{text}");
    }
    assert!(!backend.targets().contains(&"/hidden".to_owned()));
    assert!(backend.received().iter().all(|received| !received.is_whole));
}

#[test]
fn rl05_row8_pipelined_requests_are_answered_in_order_and_each_once() {
    let backend = Scripted::polite();
    let gateway = site(&[backend.port()]);
    let clients: Vec<usize> = (0..16).collect();
    all(&clients, |number| {
        let mut client = Raw::connect(gateway.address);
        let mut sent = String::new();
        let mut expected = String::new();
        for index in 0..50 {
            let target = format!("/{number}/{index}");
            sent += &match index % 4 {
                0 => get(&target),
                1 => format!("POST {target} HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nGET /"),
                2 => format!(
                    "POST {target} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nGET /\r\n0\r\n\r\n"
                ),
                _ => format!("PUT {target} HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"),
            };
            let method = ["GET", "POST", "POST", "PUT"][index % 4];
            expected += &format!("{method} {target};");
        }
        client.send(sent + "GET /last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        let (text, end) = client.read_all();
        let bodies: String = text
            .split("HTTP/1.1 200 OK\r\n")
            .skip(1)
            .filter_map(|response| response.split_once("\r\n\r\n"))
            .map(|(_, body)| format!("{body};"))
            .collect();
        if end == End::Closed && bodies == expected + "GET /last;" {
            Ok(())
        } else {
            Err(format!("{number}: {end:?}, {bodies}"))
        }
    });
    assert_eq!(backend.received().len(), 16 * 51);
}

#[test]
fn rl05_row9_expectations() {
    let backend = Scripted::polite();
    let gateway = site(&[backend.port()]);
    let post = |expect: &str, version: &str| {
        format!(
            "POST /expect HTTP/{version}\r\nHost: h\r\nExpect: {expect}\r\nContent-Length: 5\r\nConnection: close\r\n\r\n"
        )
    };
    // The token alone, in any case, asks for 100.
    for expect in ["100-continue", "100-Continue"] {
        let mut client = Raw::connect(gateway.address);
        client.send(post(expect, "1.1"));
        let (text, _) = client.read_until(super::stage::SOON, |bytes| bytes.ends_with(b"\r\n\r\n"));
        assert_eq!(statuses(&text), [100], "{expect}: {text}");
        client.send("hello");
        let (text, _) = client.read_all();
        assert_eq!(statuses(&text), [200], "{expect}: {text}");
    }
    assert!(
        backend
            .received()
            .iter()
            .all(|received| received.values("expect").is_empty())
    );
    let before = backend.received().len();
    for expect in [
        "100-continue, 100-continue",
        "100-continue;x",
        "100-continuex",
        "x",
        "",
        "101-continue",
        "100-continue\r\nExpect: 100-continue",
        "y 100-continue",
    ] {
        let mut client = Raw::connect(gateway.address);
        client.send(post(expect, "1.1") + HIDDEN);
        let (text, end) = client.read_all();
        let found = statuses(&text);
        assert!(found == [417] && end == End::Closed, "{expect:?}: {text}");
    }
    assert_eq!(backend.received().len(), before);
    // RFC 9110 10.1.1: an expectation of HTTP/1.0 is ignored.
    let mut client = Raw::connect(gateway.address);
    client.send(post("100-continue", "1.0") + "hello");
    let (text, _) = client.read_all();
    assert_eq!(statuses(&text), [200], "{text}");
    // Nobody waits when the body is there already.
    let mut client = Raw::connect(gateway.address);
    client.send(post("100-continue", "1.1") + "hello");
    let (text, _) = client.read_all();
    assert!(statuses(&text).ends_with(&[200]), "{text}");
    // Refused before the body was asked for: what follows is not taken for a request.
    let mut client = Raw::connect(gateway.address);
    client.send("POST /%00 HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 200\r\n\r\n");
    std::thread::sleep(std::time::Duration::from_millis(100));
    client.send(HIDDEN);
    let (text, end) = client.read_all();
    assert_eq!((statuses(&text), end), (vec![400], End::Closed), "{text}");
    assert!(!backend.targets().contains(&"/hidden".to_owned()));
}

#[test]
fn rl05_row10_no_upgrade_and_no_h2c() {
    let backend = Scripted::polite();
    let gateway = site(&[backend.port()]);
    for (index, lines) in [
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n",
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n",
        "Connection: HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n",
        "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n",
        "Connection: close, upgrade\r\nUpgrade: h2c, websocket\r\n",
    ]
    .iter()
    .enumerate()
    {
        let target = format!("/{index}");
        let mut client = Raw::connect(gateway.address);
        client.send(format!("GET {target} HTTP/1.1\r\nHost: h\r\n{lines}\r\n"));
        let text = client.expect(&format!("GET {target}"));
        assert_eq!(statuses(&text), [200], "{lines:?}: {text}");
        let received = backend.wait_for(&target);
        for name in ["upgrade", "http2-settings", "connection"] {
            assert!(received.values(name).is_empty(), "{name} reached the backend: {received:?}");
        }
    }
}
