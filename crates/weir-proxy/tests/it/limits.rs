//! Bounds on what clients may take (reliability rows 18 and 30).

use std::io::Read;
use std::time::{Duration, Instant};

use crate::harness::{Backend, Plan, Rig, eventually, read_request, respond};
use weir_proxy::{Limits, Options};

const SHORT: Duration = Duration::from_millis(200);
/// The workers' clock counts whole milliseconds, so a deadline may come by less than one early.
const CLOCK_STEP: Duration = Duration::from_millis(1);
/// Where a client has to act in time: a busy machine may be late.
const LONG: Duration = Duration::from_secs(1);

fn rig(backend: &Backend, limits: Limits) -> Rig {
    let options = Options {
        workers: 1,
        reason_header: true,
        limits,
        ..Options::default()
    };
    Rig::with(&Plan::to(&[backend.address]), options)
}

#[test]
fn row18_a_head_must_come_in_time() {
    let backend = Backend::named("a");
    let rig = rig(
        &backend,
        Limits {
            head_timeout: SHORT,
            ..Limits::default()
        },
    );
    let start = Instant::now();
    let mut client = rig.client();
    client.send("GET / HTTP/1.1\r\n");
    // Line after line, each well in time: the whole head counts.
    client.stream.set_read_timeout(Some(SHORT / 4)).unwrap();
    while client.stream.peek(&mut [0]).is_err() {
        assert!(start.elapsed() < SHORT * 20, "every line bought more time");
        client.send("x: y\r\n");
    }
    client
        .stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let response = client.response();
    assert_eq!((response.status, response.reason()), (408, "head_timeout"));
    assert!(client.is_closed());
    let elapsed = start.elapsed();
    assert!(elapsed + CLOCK_STEP >= SHORT, "{elapsed:?}");

    let mut client = rig.client();
    assert!(client.is_closed(), "a client that never says anything is let go");
    let mut client = rig.client();
    assert_eq!(client.get("/").status, 200);
    client.send("GET");
    assert_eq!(client.response().status, 408);
}

#[test]
fn row18_an_idle_connection_ends() {
    let backend = Backend::named("a");
    let rig = rig(
        &backend,
        Limits {
            idle_timeout: LONG,
            ..Limits::default()
        },
    );
    let mut client = rig.client();
    for _ in 0..3 {
        assert_eq!(client.get("/").status, 200);
        // Longer than the bound in all: each request begins it anew.
        std::thread::sleep(LONG / 2);
    }
    let start = Instant::now();
    assert!(client.is_closed());
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    eventually("the connection is forgotten", || {
        rig.gateway.stats().connections_open == 0
    });
}

#[test]
fn row18_a_body_must_come_at_a_rate() {
    let backend = Backend::answering(|request| respond(200, "", &request.body));
    let limits = Limits {
        body_grace: LONG,
        body_rate_min: 100,
        ..Limits::default()
    };
    let rig = rig(&backend, limits);
    let mut client = rig.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n0123456789");
    let start = Instant::now();
    let response = client.response();
    assert_eq!((response.status, response.reason()), (408, "body_timeout"));
    // 10 bytes buy 100 ms more.
    let elapsed = start.elapsed();
    let least = LONG + Duration::from_millis(95);
    assert!(elapsed >= least && elapsed < LONG * 8, "{elapsed:?}");

    let mut client = rig.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 250\r\n\r\n");
    // Longer than the grace in all, and at twice the rate.
    for _ in 0..10 {
        std::thread::sleep(LONG / 8);
        client.send("0123456789012345678901234");
    }
    assert_eq!(client.response().body.len(), 250);
}

#[test]
fn row18_a_client_must_take_its_response() {
    let backend = Backend::answering(|_| respond(200, "", &vec![0; 16 * 1024 * 1024]));
    let rig = rig(
        &backend,
        Limits {
            write_timeout: SHORT,
            ..Limits::default()
        },
    );
    let mut client = rig.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("weir lets go of it", || {
        let stats = rig.gateway.stats();
        stats.connections_open == 0 && stats.rules.values().any(|rule| rule.requests == 1)
    });
    assert!(client.response_to("GET").is_err());
}

#[test]
fn an_endpoint_that_stalls_a_response_is_given_up() {
    let backend = Backend::scripted(|_, stream| {
        use std::io::Write;
        read_request(stream).unwrap();
        write!(
            stream.get_mut(),
            "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"
        )
        .unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
    });
    let mut plan = Plan::to(&[backend.address]);
    plan.rules[0].timeouts.stream_idle = Some(SHORT);
    let rig = Rig::new(&plan);
    let mut client = rig.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(client.response_to("GET").is_err());
}

#[test]
fn row30_connections_beyond_the_bound_wait() {
    let backend = Backend::named("a");
    let rig = rig(
        &backend,
        Limits {
            connections: Some(2),
            ..Limits::default()
        },
    );
    let mut first = rig.client();
    assert_eq!(first.get("/").status, 200);
    let second = rig.client();
    eventually("both are open", || rig.gateway.stats().connections_open == 2);
    let mut third = rig.client();
    third.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    third
        .stream
        .set_read_timeout(Some(Duration::from_millis(150)))
        .unwrap();
    assert!(third.stream.peek(&mut [0]).is_err(), "not served yet");
    third
        .stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    // Under pressure a connection ends after its answer, which makes room.
    assert_eq!(first.get("/").field("connection"), Some("close"));
    drop(first);
    assert_eq!(third.response().status, 200);
    drop(second);
}

#[test]
fn idle_connections_share_one_to_the_backend_and_end_without_a_trace() {
    let backend = Backend::named("a");
    let rig = rig(&backend, Limits::default());
    let mut clients: Vec<_> = (0..200).map(|_| rig.client()).collect();
    for client in &mut clients {
        assert_eq!(client.get("/").status, 200);
    }
    assert_eq!(rig.gateway.stats().connections_open, 200);
    assert_eq!(backend.connections(), 1);
    drop(clients);
    eventually("all are forgotten", || rig.gateway.stats().connections_open == 0);
}
