//! Bodies that break off, and what follows a response (rows 8 and 12).

use std::sync::mpsc::channel;
use std::time::Duration;

use super::case::{Case, POISON, Sees, await_sent, check, see, sends};
use crate::hostile::stage::{
    End, HIDDEN, Raw, SOON, Scripted, Then, all, get, ok, once, site, site_with, statuses,
};

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
    let (sent, all_sent) = channel();
    let backend = Scripted::start(
        move |request, line| match request.target().strip_prefix("/large/") {
            Some(length) => {
                let length: usize = length.parse().expect("a length");
                line.send(ok(&large[..length]) + POISON);
                // The test may be over.
                let _heard = sent.send(length);
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
        await_sent(&all_sent, length);
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
fn rl05_row27_bodies_that_break_off_are_visibly_cut() {
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
fn rl05_row27_a_cut_shows_even_where_only_the_end_of_the_connection_ends_a_body() {
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
