//! Chunks and trailers of requests (row 4; RFC 9112 7.1).

use std::time::Duration;

use super::message::{Case, check, framed};
use crate::hostile::stage::{End, HIDDEN, Raw, Scripted, all, get, site, statuses};

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
        std::thread::sleep(Duration::from_millis(5));
        client.send(body[*split..].to_owned() + HIDDEN);
        match client.read_all() {
            (text, End::Closed) if statuses(&text) == [400] => Ok(()),
            other => Err(format!("{split}: {other:?}")),
        }
    });
    assert!(!backend.targets().contains(&"/hidden".to_owned()));
}

#[test]
fn rl05_row4_row13_good_chunks_arrive_without_extensions() {
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
