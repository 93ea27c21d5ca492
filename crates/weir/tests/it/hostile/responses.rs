//! Backends that mean ill (reliability rows 1 to 5, 8, 11 and 12 from the other side; row KT18). What they send reaches
//! the client whole, or as weir's own 502, or visibly cut; and never as the answer to somebody else's request.

use std::time::Duration;

use super::stage::{
    End, HIDDEN, Raw, SOON, Scripted, Site, Then, all, get, ok, once, route, site, site_with, statuses,
};
use crate::harness::Gateway;

/// What an attacker's backend would like somebody else to get.
const POISON: &str = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";

/// What the client is to see of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sees {
    /// weir's 502.
    BadGateway,
    /// The beginning, and that it is not the whole; or weir's 502.
    Cut,
    /// A whole response.
    Whole(u16, &'static str),
}

struct Case {
    name: String,
    method: &'static str,
    /// What the backend sends, in parts, with a moment between them.
    parts: Vec<Vec<u8>>,
    then: Then,
    sees: Sees,
}

fn sends(name: impl Into<String>, bytes: impl AsRef<[u8]>, sees: Sees) -> Case {
    Case {
        name: name.into(),
        method: "GET",
        parts: vec![bytes.as_ref().to_vec()],
        then: Then::Next,
        sees,
    }
}

/// Serves every case under a target of its own; a request between two cases must get its own answer.
fn check(cases: Vec<Case>) {
    let script: Vec<_> = cases.iter().map(|case| (case.parts.clone(), case.then)).collect();
    let backend = Scripted::start(move |request, line| {
        let number = request
            .target()
            .strip_prefix("/case/")
            .and_then(|text| text.parse::<usize>().ok());
        let Some((parts, then)) = number.and_then(|number| script.get(number)) else {
            return line.ok(request.target());
        };
        for (index, part) in parts.iter().enumerate() {
            if index > 0 {
                std::thread::sleep(Duration::from_millis(15));
            }
            if !line.send(part) {
                return Then::Close;
            }
        }
        *then
    });
    // One worker has one pool, so that a poisoned connection meets the next request.
    let gateway = site_with(&[backend.port()], "", &["--threads", "1"]);
    let mut failures = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        let seen = see(&gateway, case.method, &format!("/case/{number}"));
        let is_right = match case.sees {
            Sees::BadGateway => seen.is_whole && seen.status == 502,
            Sees::Cut => !seen.is_whole || seen.status == 502,
            Sees::Whole(status, body) => seen.is_whole && seen.status == status && seen.body == body,
        };
        if !is_right {
            failures.push(format!("{}: {:?} was seen as {seen:?}", case.name, case.sees));
        }
        if case.parts.len() > 1 {
            std::thread::sleep(Duration::from_millis(40));
        }
        let after = format!("/after/{number}");
        let seen = see(&gateway, "GET", &after);
        if !(seen.is_whole && seen.status == 200 && seen.body == after) {
            failures.push(format!("{}: the next request got {seen:?}", case.name));
        }
    }
    backend.received();
    assert!(
        failures.is_empty(),
        "{} of {}:\n{}",
        failures.len(),
        cases.len(),
        failures.join("\n")
    );
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    status: u16,
    head: String,
    body: String,
    /// Framed and complete.
    is_whole: bool,
    end: End,
}

/// One request on a connection of its own, which is to be closed behind the response.
fn see(gateway: &Site, method: &str, target: &str) -> Seen {
    let request = format!("{method} {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    let (text, end) = once(gateway.address, request);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = statuses(&text).last().copied().unwrap_or(0);
    let header = |name: &str| {
        head.split("\r\n").find_map(|line| {
            let (other, value) = line.split_once(':')?;
            other.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    };
    let is_bodiless = method == "HEAD" || matches!(status, 204 | 304);
    let (body, is_whole) = match (header("content-length"), header("transfer-encoding")) {
        _ if is_bodiless => (body.to_owned(), body.is_empty()),
        (Some(length), None) => (body.to_owned(), length.parse() == Ok(body.len())),
        (None, Some(_)) => unchunked(body),
        _ => (body.to_owned(), false),
    };
    Seen {
        status,
        head: head.to_owned(),
        body,
        is_whole: is_whole && end == End::Closed && text.contains("\r\n\r\n"),
        end,
    }
}

fn unchunked(mut rest: &str) -> (String, bool) {
    let mut body = String::new();
    while let Some((line, after)) = rest.split_once("\r\n") {
        let Ok(size) = usize::from_str_radix(line, 16) else {
            break;
        };
        if size == 0 {
            return (body, after == "\r\n");
        }
        let (Some(data), Some(next)) = (after.get(..size), after.get(size + 2..)) else {
            break;
        };
        body += data;
        rest = next;
    }
    (body, false)
}

#[test]
fn rl05_responses_with_ambiguous_ends_are_never_relayed() {
    let mut cases = Vec::new();
    for lines in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: 0\r\nTransfer-Encoding: chunked",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5, 5",
        "Content-Length: +5",
        "Content-Length: -1",
        "Content-Length: 0x5",
        "Content-Length:",
        "Content-Length: 05",
        "Content-Length: 99999999999999999999",
        "Content-Length: 5\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding:",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding:\r\n chunked",
        "Content-Length\r\n: 5",
        "Connection: content-length\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
    ] {
        let bytes = format!("HTTP/1.1 200 OK\r\n{lines}\r\n\r\n5\r\nhello\r\n0\r\n\r\n{POISON}");
        cases.push(sends(lines, bytes, Sees::BadGateway));
    }
    let old = format!("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{POISON}");
    cases.push(sends("1.0 chunked", old, Sees::BadGateway));
    check(cases);
}

#[test]
fn rl05_response_heads_that_are_none() {
    let mut cases = Vec::new();
    for line in [
        "HTTP/1.1 2000 OK",
        "HTTP/1.1 20 OK",
        "HTTP/1.1  200 OK",
        "HTTP/2 200 OK",
        "HTTP/2.0 200 OK",
        "HTTP/1.2 200 OK",
        "HTTP/0.9 200 OK",
        "http/1.1 200 OK",
        "ICY 200 OK",
        "HTTP/1.1 abc OK",
        "HTTP/1.1 099 OK",
        "HTTP/1.1 000 OK",
        "HTTP/1.1 600 OK",
        "HTTP/1.1 999 OK",
        "HTTP/1.1 -20 OK",
        "HTTP/1.1 2e2 OK",
        "HTTP/1.1 200OK",
        "HTTP/1.1",
        "HTTP/1.1 ",
        " HTTP/1.1 200 OK",
        "garbage",
        "",
        "\r\nHTTP/1.1 200 OK",
        "HTTP/1.1\t200 OK",
        "HTTP/1.1 200\tOK",
        "XHTTP/1.1 200 OK",
        "HTTP/1.1 200 O\0K",
        "HTTP/1.1 200 O\rK",
        "HTTP/1.1 200 OK\nX: y",
        "HTTP/1.1 \u{662}00 OK",
        "220 mail ESMTP",
        "SSH-2.0-OpenSSH_9",
    ] {
        let bytes = format!("{line}\r\nContent-Length: 0\r\n\r\n{POISON}");
        cases.push(sends(format!("{line:?}"), bytes, Sees::BadGateway));
    }
    for line in [
        "X: a\nY: b",
        "X: a\rY: b",
        "X: a\0b",
        "X: a\x07b",
        "X : a",
        "X\t: a",
        "X",
        ": a",
        "X: a\r\n b",
        "X: a\r\n\tb",
        " X: a",
        "X(: a",
        "X\u{e9}: a",
        "X: a\r\n\nSet-Cookie: b=c",
        "X: a\n\nHTTP/1.1 200 OK",
        "X: a\r",
    ] {
        let bytes = format!("HTTP/1.1 200 OK\r\n{line}\r\nContent-Length: 0\r\n\r\n{POISON}");
        cases.push(sends(format!("{line:?}"), bytes, Sees::BadGateway));
    }
    let nominations = format!("Connection: {}", vec!["x"; 33].join(", "));
    let fields = "X: y\r\n".repeat(100);
    for (name, lines) in [
        (
            "head over its limit",
            format!(
                "X: {}\r\nY: {}\r\nZ: {}",
                "x".repeat(12_000),
                "y".repeat(12_000),
                "z".repeat(12_000)
            ),
        ),
        ("field over its limit", format!("X: {}", "x".repeat(17_000))),
        ("fields over their limit", fields.trim_end().to_owned()),
        ("nominations over their limit", nominations),
    ] {
        let bytes = format!("HTTP/1.1 200 OK\r\n{lines}\r\nContent-Length: 0\r\n\r\n{POISON}");
        cases.push(sends(name, bytes, Sees::BadGateway));
    }
    cases.push(sends(
        "TLS alert",
        b"\x15\x03\x01\0\x02\x02\x50",
        Sees::BadGateway,
    ));
    cases.push(sends(
        "HTTP/2 settings",
        b"\0\0\0\x04\0\0\0\0\0",
        Sees::BadGateway,
    ));
    for (name, bytes) in [
        ("nothing", ""),
        ("a part of a line", "HTTP/1."),
        ("a part of a head", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"),
        (
            "a head without its last byte",
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r",
        ),
        ("100 alone", "HTTP/1.1 100 Continue\r\n\r\n"),
    ] {
        for then in [Then::Close, Then::Reset] {
            cases.push(Case {
                then,
                ..sends(format!("{name}, {then:?}"), bytes, Sees::BadGateway)
            });
        }
    }
    check(cases);
}

#[test]
fn rl05_row11_interim_responses() {
    let early = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n";
    let go_on = "HTTP/1.1 100 Continue\r\n\r\n";
    let switch = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let cases = vec![
        sends("16 interim", go_on.repeat(16) + &ok("x"), Sees::Whole(200, "x")),
        sends("17 interim", go_on.repeat(17) + &ok("x"), Sees::BadGateway),
        sends(
            "17 in parts",
            go_on.repeat(9) + &early.repeat(8) + &ok("x"),
            Sees::Cut,
        ),
        sends("1000 interim", go_on.repeat(1000) + &ok("x"), Sees::BadGateway),
        sends("unasked switch", switch.to_owned() + POISON, Sees::BadGateway),
        sends(
            "interim, then switch",
            go_on.to_owned() + switch + POISON,
            Sees::BadGateway,
        ),
        sends(
            "interim with a length",
            "HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\n".to_owned() + &ok("x"),
            Sees::Whole(200, "x"),
        ),
        sends(
            "unknown interim",
            "HTTP/1.1 150 What\r\n\r\n".to_owned() + &ok("x"),
            Sees::Whole(200, "x"),
        ),
        sends(
            "interim with bare LF",
            "HTTP/1.1 100 Continue\n\n".to_owned() + &ok("x"),
            Sees::BadGateway,
        ),
        Case {
            parts: vec![go_on.into(), go_on.into(), ok("x").into()],
            ..sends("interim in parts", "", Sees::Whole(200, "x"))
        },
    ];
    check(cases);
    // Early hints reach clients of HTTP/1.1 without what belongs to the connection, and no others.
    let backend = Scripted::start(move |_, line| {
        line.send("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\nConnection: x\r\nContent-Length: 7\r\nTransfer-Encoding: chunked\r\n\r\n");
        line.ok("end")
    });
    let gateway = site(&[backend.port()]);
    let (text, _) = once(
        gateway.address,
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    );
    assert_eq!(statuses(&text), [103, 200], "{text}");
    let hints = text
        .split("\r\n\r\n")
        .next()
        .expect("a head")
        .to_ascii_lowercase();
    assert_eq!(hints, "http/1.1 103 early hints\r\nlink: </x>");
    let (text, _) = once(gateway.address, "GET / HTTP/1.0\r\nHost: h\r\n\r\n");
    assert_eq!(statuses(&text), [200], "{text}");
}

#[test]
fn rl05_row12_what_follows_a_response_poisons_nothing() {
    let mut cases = Vec::new();
    let with = |name: &str, method: &'static str, parts: &[String], sees| Case {
        name: name.to_owned(),
        method,
        parts: parts.iter().map(|part| part.clone().into_bytes()).collect(),
        then: Then::Next,
        sees,
    };
    let large = "x".repeat(40_000);
    for (name, method, response, status, body) in [
        (
            "HEAD with a body",
            "HEAD",
            "HTTP/1.1 200 OK\r\nContent-Length: 65\r\n\r\n".to_owned(),
            200,
            "",
        ),
        (
            "HEAD with chunks",
            "HEAD",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
            200,
            "",
        ),
        (
            "HEAD without framing",
            "HEAD",
            "HTTP/1.1 200 OK\r\n\r\n".to_owned(),
            200,
            "",
        ),
        (
            "204 with a body",
            "GET",
            "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
            204,
            "",
        ),
        (
            "204 with a length",
            "GET",
            "HTTP/1.1 204 No Content\r\nContent-Length: 65\r\n\r\n".to_owned(),
            204,
            "",
        ),
        (
            "204 with chunks",
            "GET",
            "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
            204,
            "",
        ),
        (
            "304 with a body",
            "GET",
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 65\r\n\r\n".to_owned(),
            304,
            "",
        ),
        ("two responses", "GET", ok("mine"), 200, "mine"),
        ("two responses, the first empty", "GET", ok(""), 200, ""),
        (
            "chunks and more",
            "GET",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nmine\r\n0\r\n\r\n".to_owned(),
            200,
            "mine",
        ),
        (
            "an error and more",
            "GET",
            "HTTP/1.1 500 No\r\nContent-Length: 4\r\n\r\nmine".to_owned(),
            500,
            "mine",
        ),
    ] {
        cases.push(with(
            name,
            method,
            &[response.clone() + POISON],
            Sees::Whole(status, body),
        ));
        cases.push(with(
            &format!("{name}, a moment later"),
            method,
            &[response.clone(), POISON.to_owned()],
            Sees::Whole(status, body),
        ));
        cases.push(with(
            &format!("{name}, one byte of it"),
            method,
            &[response.clone() + "H"],
            Sees::Whole(status, body),
        ));
        cases.push(with(
            &format!("{name}, an empty line"),
            method,
            &[response + "\r\n"],
            Sees::Whole(status, body),
        ));
    }
    check(cases);
    // Around the size of the buffers.
    let backend = Scripted::start(
        move |request, line| match request.target().strip_prefix("/large/") {
            Some(length) => {
                let length: usize = length.parse().expect("a length");
                line.send(ok(&large[..length]) + POISON);
                Then::Next
            }
            None => line.ok(request.target()),
        },
    );
    let gateway = site_with(&[backend.port()], "", &["--threads", "1"]);
    for length in [
        16_300, 16_320, 16_326, 16_327, 16_328, 16_342, 16_343, 16_344, 16_345, 16_346, 16_384, 32_700,
        32_726, 32_727, 32_728, 40_000,
    ] {
        let seen = see(&gateway, "GET", &format!("/large/{length}"));
        assert_eq!(
            (seen.status, seen.body.len(), seen.is_whole),
            (200, length, true),
            "{length}"
        );
        let seen = see(&gateway, "GET", "/after");
        assert_eq!((seen.status, seen.body.as_str()), (200, "/after"), "{length}");
    }
}

#[test]
fn rl05_row12_pipelined_requests_never_get_what_the_backend_sends_too_much() {
    let backend = Scripted::start(|request, line| {
        line.send(ok(request.target()) + POISON);
        Then::Next
    });
    let gateway = site_with(&[backend.port()], "", &["--threads", "1"]);
    let clients: Vec<usize> = (0..8).collect();
    all(&clients, |number| {
        let sent: String = (0..20).map(|index| get(&format!("/{number}-{index}"))).collect();
        let (text, end) = once(
            gateway.address,
            sent + "GET /last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
        );
        let in_order =
            (0..20).all(|index| text.contains(&format!("\r\n\r\n/{number}-{index}HTTP/1.1 200 OK")));
        if in_order && text.ends_with("/last") && !text.contains("poison") && end == End::Closed {
            Ok(())
        } else {
            Err(format!("{number}: {end:?} {text}"))
        }
    });
}

#[test]
fn rl05_bodies_that_break_off_are_visibly_cut() {
    let length = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello";
    let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    let open = "HTTP/1.1 200 OK\r\n\r\nhello";
    let mut cases = Vec::new();
    for (name, head) in [("length", length), ("chunks", chunks)] {
        for then in [Then::Close, Then::Reset] {
            cases.push(Case {
                then,
                ..sends(format!("{name}, {then:?}"), head, Sees::Cut)
            });
            cases.push(Case {
                then,
                parts: vec![head.into(), "".into(), "".into()],
                ..sends(format!("{name}, {then:?} later"), "", Sees::Cut)
            });
        }
    }
    // A body until the end of the connection is whole when it ends in order, and cut when it breaks.
    cases.push(Case {
        then: Then::Close,
        ..sends("open, closed", open, Sees::Whole(200, "hello"))
    });
    cases.push(Case {
        then: Then::Reset,
        parts: vec![open.into(), "".into(), "".into()],
        ..sends("open, reset", "", Sees::Cut)
    });
    let extension = format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(300));
    let trailers = format!("0\r\n{}\r\n", "X: y\r\n".repeat(101));
    for body in [
        "0\n\r\n",
        "0\r\n\n",
        "0\r\n: x\r\n\r\n",
        "0\r\nX: y\nZ: a\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "\r\n0\r\n\r\n",
        "5\r\nhelloX0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "ffffffffffffffff\r\nx",
        "10000000000000000\r\n",
        "-1\r\n",
        "g\r\n\r\n",
        "5;\nhello\r\n0\r\n\r\n",
        "5\r\nhell\r\n0\r\n\r\n",
        POISON,
        &extension,
        &trailers,
    ] {
        let bytes = chunks.to_owned() + body + POISON;
        cases.push(sends(format!("chunks: {body:?}"), &bytes, Sees::Cut));
        cases.push(Case {
            parts: vec![chunks.into(), format!("{body}{POISON}").into()],
            ..sends(format!("chunks, later: {body:?}"), "", Sees::Cut)
        });
    }
    check(cases);
}

#[test]
fn rl05_a_cut_shows_even_where_only_the_end_of_the_connection_ends_a_body() {
    // To HTTP/1.0 chunks go out without framing: a clean end of the connection would say that the body is whole.
    let backend = Scripted::start(|request, line| {
        line.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
        std::thread::sleep(Duration::from_millis(50));
        match request.target() {
            "/closed" => Then::Close,
            "/reset" => Then::Reset,
            "/garbage" => {
                line.send("what\r\n");
                Then::Next
            }
            _ => {
                line.send("0\r\n\r\n");
                Then::Next
            }
        }
    });
    let gateway = site(&[backend.port()]);
    for (target, end) in [
        ("/whole", End::Closed),
        ("/closed", End::Reset),
        ("/reset", End::Reset),
        ("/garbage", End::Reset),
    ] {
        let seen = once(
            gateway.address,
            format!("GET {target} HTTP/1.0\r\nHost: h\r\n\r\n"),
        );
        assert_eq!(seen.1, end, "{target}: {seen:?}");
        assert!(seen.0.starts_with("HTTP/1.1 200 OK\r\n"), "{target}: {seen:?}");
    }
}

#[test]
fn rl05_a_head_without_end_is_bounded() {
    let backend = Scripted::start(|request, line| {
        if request.target() == "/after" {
            return line.ok("/after");
        }
        line.send("HTTP/1.1 200 OK\r\n");
        // 64 MiB, unless somebody stops it.
        let block = "X-Flood: abcdefghijklmnopqrstuvwxyz\r\n".repeat(1000);
        let taken = (0..1800).take_while(|_| line.send(&block)).count();
        assert!(taken < 400, "the gateway took {taken} blocks of a head");
        Then::Close
    });
    let gateway = site_with(&[backend.port()], "", &["--threads", "1"]);
    let seen = see(&gateway, "GET", "/flood");
    assert_eq!((seen.status, seen.is_whole), (502, true), "{seen:?}");
    assert_eq!(see(&gateway, "GET", "/after").body, "/after");
    backend.received();
}

#[test]
fn rl05_d6_nothing_of_a_backend_splits_a_response() {
    let backend = Scripted::start(|_, line| {
        line.send(
            "HTTP/1.1 200 Fine \u{e9}\r\nX-High: \u{e9}\r\nX-Tab: a\tb\r\nX-Empty:\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\
             Connection: close, X-Private, Content-Length, Set-Cookie\r\nX-Private: 1\r\nKeep-Alive: timeout=5\r\n\
             Proxy-Connection: keep-alive\r\nUpgrade: h2c\r\nTE: trailers\r\nTrailer: X-T\r\nX_Under: 1\r\nContent-Length: 2\r\n\r\nok",
        );
        Then::Next
    });
    let gateway = site(&[backend.port()]);
    let mut client = Raw::connect(gateway.address);
    client.send(get("/"));
    let (text, _) = client.read_until(SOON, |bytes| bytes.ends_with(b"\r\n\r\nok"));
    let head = text
        .split("\r\n\r\n")
        .next()
        .expect("a head")
        .to_ascii_lowercase();
    for kept in [
        "x-high: ",
        "x-tab: a\tb",
        "x-empty:",
        "set-cookie: a=1",
        "set-cookie: b=2",
        "content-length: 2",
    ] {
        assert!(head.contains(&format!("\r\n{kept}")), "{kept} is missing: {head}");
    }
    for dropped in [
        "x-private",
        "keep-alive",
        "proxy-connection",
        "upgrade",
        "te:",
        "trailer",
        "connection",
    ] {
        assert!(
            !head.contains(&format!("\r\n{dropped}")),
            "{dropped} got through: {head}"
        );
    }
    assert!(
        head.starts_with("http/1.1 200 ok"),
        "weir writes its own status line: {head}"
    );
    // The backend's wish to close is not the client's: the connection serves on.
    client.send(get("/"));
    client.expect("\r\n\r\nok");
}

#[test]
fn rl05_row8_an_early_answer_leaves_no_desynchronised_connection() {
    // The backend answers without reading the body; later requests show which connection they came on.
    let backend = Scripted::start_early(|request, line| {
        line.send(ok(&format!("{} on {}", request.target(), request.connection)));
        Then::Next
    });
    let gateway = site_with(&[backend.port()], "", &["--threads", "1"]);
    let late = format!("{HIDDEN}{}", "x".repeat(1000 - HIDDEN.len()));
    let chunks = format!("3e8\r\n{late}\r\n0\r\n\r\n");
    for (round, (framing, body)) in [
        ("Content-Length: 1000", &late),
        ("Transfer-Encoding: chunked", &chunks),
    ]
    .into_iter()
    .enumerate()
    {
        // The body comes after the answer: it is drained, or the connection ends; it is never a request.
        let mut client = Raw::connect(gateway.address);
        client.send(format!("POST /early HTTP/1.1\r\nHost: h\r\n{framing}\r\n\r\n"));
        let answer = client.expect(&format!("/early on {}", 2 * round));
        assert_eq!(statuses(&answer), [200], "{answer}");
        client.send(body);
        client.send(get("/next"));
        let (text, _) = client.read_until(SOON, |bytes| String::from_utf8_lossy(bytes).contains("/next on "));
        assert!(
            text.is_empty() || text.ends_with(&format!("/next on {}", 2 * round + 1)),
            "{text}"
        );
        assert!(!text.is_empty(), "a body of 1000 bytes is drained");
        // Leave no reusable connection behind for the next round.
        let mut client = Raw::connect(gateway.address);
        client.send(get("/check"));
        client.expect(&format!("/check on {}", 2 * round + 1));
        drop(client);
        let mut client = Raw::connect(gateway.address);
        client.send("POST /spoil HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n");
        client.expect(&format!("/spoil on {}", 2 * round + 1));
    }
    assert!(!backend.targets().contains(&"/hidden".to_owned()));
    // A body that never comes ends the connection within the second that draining may take.
    let mut client = Raw::connect(gateway.address);
    client.send("POST /never HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n");
    client.expect("/never on ");
    let (text, end) = client.read_for(Duration::from_secs(3));
    assert_eq!((text.as_str(), end), ("", End::Closed));
}

#[test]
fn kt18_weirs_own_answers_say_why() {
    let mute = Scripted::start(|_, _| Then::Close);
    let port = crate::harness::free_port();
    let config = crate::harness::gateway_and_service(port, &[mute.port()]) + &route("some", "/some");
    let gateway = Site::from(Gateway::start_with(port, &config, &["--reason-header"]));
    for (target, status, reason) in [
        ("/some", 502, "upstream_closed"),
        ("/other", 404, "no_route"),
        ("/%00", 400, "path_escape_forbidden"),
    ] {
        let seen = see(&gateway, "GET", target);
        assert_eq!(seen.status, status, "{seen:?}");
        assert!(
            seen.head.contains(&format!("x-weir-reason: {reason}")),
            "{seen:?}"
        );
    }
}
