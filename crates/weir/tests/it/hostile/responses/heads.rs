//! Heads: where they end, what stands in them, and those that come before the final one (rows 1 to 5 and 11).

use super::case::{Case, POISON, Sees, check, see, sends};
use crate::harness::Gateway;
use crate::hostile::stage::{
    Raw, SOON, Scripted, Site, Then, get, ok, once, route, site, site_with, statuses,
};

#[test]
fn rl05_row1_row2_responses_with_ambiguous_ends_are_never_relayed() {
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
        "Content\rLength: 5",
        "Transfer\rEncoding: chunked",
    ] {
        let bytes = format!("HTTP/1.1 200 OK\r\n{lines}\r\n\r\n5\r\nhello\r\n0\r\n\r\n{POISON}");
        cases.push(sends(lines, bytes, Sees::BadGateway));
    }
    let old = format!("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{POISON}");
    cases.push(sends("1.0 chunked", old, Sees::BadGateway));
    check(cases);
}

#[test]
fn rl05_row5_response_heads_that_are_none() {
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
fn rl05_row19_a_head_without_end_is_bounded() {
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
fn rl05_row25_nothing_of_a_backend_splits_a_response() {
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
