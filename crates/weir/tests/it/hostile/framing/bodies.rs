//! What comes behind a head: bodies, pipelined requests, expectations and no upgrades (rows 8 to 10).

use std::time::Duration;

use crate::hostile::stage::{End, HIDDEN, Raw, SOON, Scripted, all, get, site, statuses};

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
        let (text, _) = client.read_until(SOON, |bytes| bytes.ends_with(b"\r\n\r\n"));
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
    std::thread::sleep(Duration::from_millis(100));
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
