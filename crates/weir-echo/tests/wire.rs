//! What an echo backend says on the wire, byte for byte where it matters.
#![cfg(test)]

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use weir_echo::{Echo, Identity, Options};

const GRACE: Duration = Duration::from_secs(10);

async fn echo(options: Options) -> Echo {
    Echo::bind("127.0.0.1:0".parse().expect("an address"), options)
        .await
        .expect("a backend")
}

/// Sends `input` on one connection, ends it, and returns everything that comes back, without the Date lines.
async fn exchange(echo: &Echo, input: &str) -> String {
    let mut stream = TcpStream::connect(echo.address()).await.expect("a connection");
    stream
        .write_all(input.as_bytes())
        .await
        .expect("the backend reads");
    stream.shutdown().await.expect("the backend reads");
    let mut output = String::new();
    stream
        .read_to_string(&mut output)
        .await
        .expect("the backend ends in order");
    output
        .split_inclusive("\r\n")
        .filter(|line| !line.starts_with("Date: "))
        .collect()
}

fn statuses(output: &str) -> Vec<&str> {
    output
        .match_indices("HTTP/1.1 ")
        .map(|(at, _)| &output[at + 9..at + 12])
        .collect()
}

#[tokio::test(flavor = "current_thread")]
async fn lt01_answers_say_what_was_asked_and_who_answers() {
    let identity = Identity {
        namespace: "ns".into(),
        ingress: "in".into(),
        service: "svc".into(),
        pod: "p".into(),
    };
    let echo = echo(Options {
        identity,
        ..Options::default()
    })
    .await;
    let output = exchange(
        &echo,
        "GET /a?b=c HTTP/1.1\r\nHost: h.example\r\nx-y: 1\r\nX-Y: 2\r\n\r\n",
    )
    .await;
    let (head, body) = output.split_once("\r\n\r\n").expect("a head");
    assert_eq!(
        head,
        format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Content-Type-Options: nosniff\r\n\
             X-Echo-Body-Bytes: 0\r\nContent-Length: {}",
            body.len()
        )
    );
    let json: serde_json::Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(
        json,
        serde_json::json!({
            "path": "/a?b=c", "host": "h.example", "method": "GET", "proto": "HTTP/1.1",
            "headers": {"X-Y": ["1", "2"]},
            "namespace": "ns", "ingress": "in", "service": "svc", "pod": "p"
        })
    );
}

#[tokio::test(flavor = "current_thread")]
async fn lt01_the_pod_is_named_after_the_port_by_default() {
    let echo = echo(Options::default()).await;
    assert_eq!(echo.identity().pod, format!("echo-{}", echo.address().port()));
}

/// Requests on one connection, and the statuses, the body bytes and the refusals that they lead to.
#[tokio::test(flavor = "current_thread")]
async fn requests_follow_rfc_9112() {
    let host = "Host: h\r\n";
    for (input, expected, body_bytes, refused) in [
        // Pipelined, RFC 9112 9.3.2.
        (
            format!("GET / HTTP/1.1\r\n{host}\r\nGET /?r=404 HTTP/1.1\r\n{host}\r\n"),
            vec!["200", "404"],
            0,
            0,
        ),
        (
            format!("POST / HTTP/1.1\r\n{host}Content-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\n{host}\r\n"),
            vec!["200", "200"],
            3,
            0,
        ),
        (
            format!(
                "POST / HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\n\
                 Trailer-Field: 1\r\n\r\nGET / HTTP/1.1\r\n{host}\r\n"
            ),
            vec!["200", "200"],
            19,
            0,
        ),
        // RFC 9110 10.1.1: the body is already here, so no 100.
        (
            format!("POST / HTTP/1.1\r\n{host}Content-Length: 1\r\nExpect: 100-continue\r\n\r\na"),
            vec!["200"],
            1,
            0,
        ),
        (
            format!("GET / HTTP/1.1\r\n{host}Connection: close\r\n\r\nGET / HTTP/1.1\r\n{host}\r\n"),
            vec!["200"],
            0,
            0,
        ),
        // RFC 9112 9.3: HTTP/1.0 closes unless asked not to.
        (
            format!("GET / HTTP/1.0\r\n\r\nGET / HTTP/1.1\r\n{host}\r\n"),
            vec!["200"],
            0,
            0,
        ),
        (
            format!("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.1\r\n{host}\r\n"),
            vec!["200", "200"],
            0,
            0,
        ),
        // RFC 9112 6.3: two lengths; RFC 9112 3.2: no Host, two Hosts.
        (
            format!("POST / HTTP/1.1\r\n{host}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\na"),
            vec!["400"],
            0,
            1,
        ),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), vec!["400"], 0, 1),
        (format!("GET / HTTP/1.1\r\n{host}{host}\r\n"), vec!["400"], 0, 1),
        (
            format!("GET / HTTP/1.1\r\n{host}Expect: tea\r\n\r\n"),
            vec!["417"],
            0,
            1,
        ),
        (
            format!("POST / HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
            vec!["400"],
            0,
            1,
        ),
        ("garbage\r\n\r\n".to_owned(), vec!["400"], 0, 1),
        ("GET / HTTP/2.0\r\n\r\n".to_owned(), vec!["505"], 0, 1),
        (format!("GET /?size=x HTTP/1.1\r\n{host}\r\n"), vec!["400"], 0, 0),
        (String::new(), vec![], 0, 0),
    ] {
        let echo = echo(Options::default()).await;
        let output = exchange(&echo, &input).await;
        assert_eq!(statuses(&output), expected, "{input:?} {output:?}");
        assert_eq!(echo.counters().body_bytes(), body_bytes, "{input:?}");
        assert_eq!(echo.counters().refused(), refused, "{input:?}");
        assert_eq!(
            echo.counters().requests() + refused,
            expected.len() as u64,
            "{input:?}"
        );
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_client_that_waits_for_100_gets_it_once() {
    let echo = echo(Options::default()).await;
    let mut stream = TcpStream::connect(echo.address()).await.expect("a connection");
    let head = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n";
    stream
        .write_all(head.as_bytes())
        .await
        .expect("the backend reads");
    let mut interim = [0; 25];
    stream
        .read_exact(&mut interim)
        .await
        .expect("an interim response");
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    for byte in [b"a", b"b"] {
        stream.write_all(byte).await.expect("the backend reads");
        tokio::task::yield_now().await;
    }
    let mut output = String::new();
    stream
        .read_to_string(&mut output)
        .await
        .expect("the backend ends in order");
    assert_eq!(statuses(&output), ["200"]);
    assert!(output.contains("\r\nX-Echo-Body-Bytes: 2\r\n"), "{output}");
}

#[tokio::test(flavor = "current_thread")]
async fn lt01_knobs_change_size_status_and_framing() {
    let echo = echo(Options::default()).await;
    for (method, target, head_part, body_length) in [
        ("GET", "/?size=100000", "Content-Length: 100000\r\n", 100_000),
        ("GET", "/?size=0", "Content-Length: 0\r\n", 0),
        (
            "GET",
            "/?size=10&chunk=4",
            "Transfer-Encoding: chunked\r\n",
            "4\r\n0123\r\n4\r\n4567\r\n2\r\n89\r\n0\r\n\r\n".len(),
        ),
        ("HEAD", "/?size=77", "Content-Length: 77\r\n", 0),
        ("GET", "/?r=204&size=5", "HTTP/1.1 204 No Content\r\n", 0),
        ("GET", "/?r=304&size=5", "HTTP/1.1 304 Not Modified\r\n", 0),
        ("GET", "/?r=503&size=5", "HTTP/1.1 503 Service Unavailable\r\n", 5),
    ] {
        let output = exchange(&echo, &format!("{method} {target} HTTP/1.1\r\nHost: h\r\n\r\n")).await;
        let (head, body) = output.split_once("\r\n\r\n").expect("a head");
        assert!(format!("{head}\r\n").contains(head_part), "{target} {head}");
        assert_eq!(body.len(), body_length, "{target}");
        assert!(
            !(head.contains(" 204 ") && head.contains("Content-Length")),
            "{head}"
        );
    }
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn lt01_delays_are_kept_and_a_request_may_ask_for_another() {
    let echo = echo(Options {
        delay: Duration::from_millis(300),
        ..Options::default()
    })
    .await;
    for (target, millis) in [("/", 300), ("/?t=2s", 2000), ("/?t=0", 0)] {
        let start = tokio::time::Instant::now();
        exchange(&echo, &format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n")).await;
        assert_eq!(start.elapsed().as_millis(), millis, "{target}");
    }
}

#[tokio::test(flavor = "current_thread")]
async fn lt01_errors_are_answered_with_500_and_say_who_failed() {
    let echo = echo(Options {
        error_rate_percent: 100.0,
        ..Options::default()
    })
    .await;
    let output = exchange(&echo, "GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert!(
        output.starts_with("HTTP/1.1 500 ") && output.contains("\"pod\": \"echo-"),
        "{output}"
    );
}

#[tokio::test(flavor = "current_thread")]
async fn stopping_answers_what_is_in_progress_and_closes_what_is_idle() {
    let echo = echo(Options::default()).await;
    let (address, counters) = (echo.address(), echo.counters());
    let mut idle = TcpStream::connect(address).await.expect("a connection");
    let mut busy = TcpStream::connect(address).await.expect("a connection");
    busy.write_all(b"GET /?t=100ms HTTP/1.1\r\nHost: h\r\n\r\n")
        .await
        .expect("the backend reads");
    while counters.requests() < 1 || counters.open_connections() < 2 {
        tokio::task::yield_now().await;
    }
    assert!(echo.stop(GRACE).await);
    let mut output = String::new();
    busy.read_to_string(&mut output).await.expect("an answer");
    assert!(
        output.starts_with("HTTP/1.1 200 OK") && output.contains("\r\nConnection: close\r\n"),
        "{output}"
    );
    assert_eq!(idle.read(&mut [0; 8]).await.expect("an end"), 0);
    assert_eq!((counters.connections(), counters.open_connections()), (2, 0));
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test(flavor = "current_thread")]
async fn a_backend_that_may_not_wait_cuts_its_connections() {
    let echo = echo(Options::default()).await;
    let mut busy = TcpStream::connect(echo.address()).await.expect("a connection");
    busy.write_all(b"GET /?t=600s HTTP/1.1\r\nHost: h\r\n\r\n")
        .await
        .expect("the backend reads");
    let counters = echo.counters();
    while counters.requests() < 1 {
        tokio::task::yield_now().await;
    }
    assert!(!echo.stop(Duration::ZERO).await);
    let mut output = Vec::new();
    let _reset = busy.read_to_end(&mut output).await;
    assert!(output.is_empty());
}
