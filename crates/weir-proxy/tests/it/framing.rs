//! Messages that could be read in two ways are refused, and nobody reads the rest (reliability rows 1 to 9).

use std::io::Write;

use crate::harness::{Backend, Plan, Rig, respond};

fn check_refused(requests: &[(&str, u16)]) {
    let backend = Backend::named("a");
    let rig = Rig::new(&Plan::to(&[backend.address]));
    for (request, status) in requests {
        let mut client = rig.client();
        client.send(request);
        client.send("GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
        let response = client.response();
        assert_eq!(response.status, *status, "{request:?}: {}", response.head);
        assert_eq!(response.field("connection"), Some("close"), "{request:?}");
        assert!(client.is_closed(), "{request:?}");
    }
    let reached = backend.seen();
    assert!(
        reached.iter().all(|seen| seen.line.starts_with("POST /ok")),
        "{reached:?}"
    );
}

#[test]
fn rows_1_to_3_lengths_and_codings() {
    check_refused(&[
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
            400,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            400,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: ,chunked\r\n\r\n",
            400,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked;x\r\n\r\n",
            400,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            400,
        ),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5,5\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 05\r\n\r\n", 400),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
            400,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
            400,
        ),
        (
            "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
            400,
        ),
    ]);
}

#[test]
fn row4_chunks() {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let bodies = [
        "+5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "5_\r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhelloXX0\r\n\r\n",
        "5\r\nhello\r\n\r\n0\r\n\r\n",
        "00000000000000005\r\nhello\r\n0\r\n\r\n",
        "ffffffffffffffff\r\nhello",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "5;a\rb\r\nhello\r\n0\r\n\r\n",
    ];
    let requests: Vec<String> = bodies.iter().map(|body| format!("{head}{body}")).collect();
    let long = format!("{head}5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(300));
    let cases: Vec<(&str, u16)> = requests
        .iter()
        .chain([&long])
        .map(|request| (&**request, 400))
        .collect();
    // The endpoint may have seen the head: that connection is not used again, and nothing behind it is a request.
    let backend = Backend::named("a");
    let rig = Rig::new(&Plan::to(&[backend.address]));
    for (request, status) in cases {
        let mut client = rig.client();
        client.send(request);
        let response = client.response();
        assert_eq!(
            (response.status, response.field("connection")),
            (status, Some("close")),
            "{request:?}"
        );
        assert!(client.is_closed(), "{request:?}");
    }
    assert!(backend.seen().is_empty(), "{:?}", backend.seen());
    assert_eq!(rig.get("/").status, 200);
}

#[test]
fn rows_5_to_7_lines_and_hosts() {
    check_refused(&[
        ("GET / HTTP/1.1\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: b\rc\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: b\0c\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n folded\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\n: empty\r\n\r\n", 400),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /\r\n\r\n", 400),
        ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        ("GET / http/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /#x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: user@a\r\n\r\n", 400),
        ("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ]);
}

#[test]
fn row9_expectations_other_than_the_one() {
    check_refused(&[
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: 100-continue, x\r\n\r\n",
            417,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: gold\r\n\r\n",
            417,
        ),
    ]);
}

#[test]
fn row19_limits_have_exact_edges() {
    let backend = Backend::named("a");
    let rig = Rig::new(&Plan::to(&[backend.address]));
    let fields = |count: usize| {
        (0..count)
            .map(|index| format!("x-{index}: y\r\n"))
            .collect::<String>()
    };
    let get = |target: &str, rest: &str| format!("GET {target} HTTP/1.1\r\nHost: a\r\n{rest}\r\n");
    let path = |length: usize| format!("/{}", "p".repeat(length - 1));
    let head = |length: usize| {
        let filler = length - get("/", "a: \r\nb: \r\nc: \r\n").len();
        let part = filler / 3;
        let values = [part, part, filler - 2 * part].map(|length| "v".repeat(length));
        get(
            "/",
            &format!("a: {}\r\nb: {}\r\nc: {}\r\n", values[0], values[1], values[2]),
        )
    };
    let field = |length: usize| get("/", &format!("a: {}\r\n", "v".repeat(length - 1)));
    for (request, status) in [
        (get("/", &fields(98)), 200),
        (get("/", &fields(99)), 200),
        (get("/", &fields(100)), 431),
        (get(&path(8191), ""), 200),
        (get(&path(8192), ""), 200),
        (get(&path(8193), ""), 414),
        (get(&path(40_000), ""), 414),
        (field(16 * 1024), 200),
        (field(16 * 1024 + 1), 431),
        (head(32 * 1024 - 1), 200),
        (head(32 * 1024), 200),
        (head(32 * 1024 + 1), 431),
        (head(200 * 1024), 431),
    ] {
        let mut client = rig.client();
        // The refusal may come, and the connection end, before all of it is written.
        let _ = client.stream.write_all(request.as_bytes());
        let response = client.response();
        let start: String = request.chars().take(40).collect();
        assert_eq!(
            response.status,
            status,
            "{} bytes: {start:?} {}",
            request.len(),
            response.reason()
        );
    }
}

#[test]
fn a_hostile_response_becomes_a_502_and_its_connection_is_not_used_again() {
    let answers: &[&str] = &[
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok",
        "HTTP/1.1 99 OK\r\n\r\n",
        "HTTP/1.1 600 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/3.1 200 OK\r\n\r\n",
        "SSH-2.0-x\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
        "HTTP/1.1 200 OK\r\nBad Name: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Le",
    ];
    for answer in answers {
        let answer = *answer;
        let backend = Backend::scripted(move |number, stream| {
            while crate::harness::read_request(stream).is_some() {
                let good = respond(200, "", b"good");
                let bytes = if number == 0 { answer.as_bytes() } else { &good };
                stream.get_mut().write_all(bytes).unwrap();
                if number == 0 {
                    return;
                }
            }
        });
        let rig = Rig::new(&Plan::to(&[backend.address]));
        let mut client = rig.client();
        assert_eq!(client.get("/").status, 502, "{answer:?}");
        assert_eq!(client.get("/").text(), "good", "{answer:?}");
        assert_eq!(backend.connections(), 2, "{answer:?}");
    }
}

#[test]
fn row11_interim_responses_are_capped() {
    for (count, status) in [(16, 200), (17, 502), (1000, 502)] {
        let backend = Backend::answering(move |_| {
            let mut bytes = b"HTTP/1.1 102 Processing\r\n\r\n".repeat(count);
            bytes.extend(respond(200, "", b"end"));
            bytes
        });
        let rig = Rig::new(&Plan::to(&[backend.address]));
        assert_eq!(rig.get("/").status, status, "{count}");
    }
}
