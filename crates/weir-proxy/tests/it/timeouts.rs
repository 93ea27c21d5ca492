//! Time bounds of a rule: which status, and how exact.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use crate::harness::{Backend, Plan, Response, Rig, read_request, respond};
use weir_model::Timeouts;

const SHORT: Duration = Duration::from_millis(150);

/// Runs `act`, which must take as long as `expected`; a busy machine may be late.
fn takes<T>(expected: Duration, act: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let outcome = act();
    let elapsed = start.elapsed();
    let bounds = expected.saturating_sub(Duration::from_millis(2))..expected + Duration::from_secs(2);
    assert!(bounds.contains(&elapsed), "{elapsed:?}, not {expected:?}");
    (outcome, elapsed)
}

fn silent() -> Backend {
    Backend::scripted(|_, stream| {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
    })
}

fn plan(backend: &Backend, timeouts: Timeouts) -> Plan {
    let mut plan = Plan::to(&[backend.address]);
    plan.rules[0].timeouts = timeouts;
    plan
}

fn short_requests() -> Timeouts {
    Timeouts {
        request: Some(SHORT),
        ..Timeouts::default()
    }
}

#[test]
fn an_endpoint_that_does_not_answer_is_a_504() {
    let backend = silent();
    for (timeouts, reason) in [
        (short_requests(), "request_timeout"),
        (
            Timeouts {
                backend_request: Some(SHORT),
                ..Timeouts::default()
            },
            "backend_request_timeout",
        ),
        (
            Timeouts {
                request: Some(SHORT),
                backend_request: Some(SHORT * 2),
                ..Timeouts::default()
            },
            "request_timeout",
        ),
        (
            Timeouts {
                request: None,
                stream_idle: Some(SHORT),
                ..Timeouts::default()
            },
            "stream_idle_timeout",
        ),
        (
            Timeouts {
                stream: Some(SHORT),
                ..Timeouts::default()
            },
            "stream_timeout",
        ),
    ] {
        let rig = Rig::new(&plan(&backend, timeouts));
        let (response, _) = takes(SHORT, || rig.get("/"));
        assert_eq!((response.status, response.reason()), (504, reason));
    }
}

#[test]
fn the_connection_goes_on_after_a_504_and_many_timeouts_are_exact() {
    let backend = silent();
    let rig = Rig::new(&plan(&backend, short_requests()));
    let mut client = rig.client();
    let late = |(response, took): (Response, Duration)| {
        assert_eq!(response.status, 504);
        took.saturating_sub(SHORT)
    };
    let mut lateness: Vec<Duration> = (0..4).map(|_| late(takes(SHORT, || client.get("/")))).collect();
    std::thread::scope(|scope| {
        let others: Vec<_> = (0..30)
            .map(|_| scope.spawn(|| late(takes(SHORT, || rig.get("/")))))
            .collect();
        lateness.extend(others.into_iter().map(|other| other.join().unwrap()));
    });
    // Not all of them meet a moment in which the machine is busy.
    let least = lateness.iter().min();
    assert!(least < Some(&Duration::from_millis(20)), "{lateness:?}");
}

#[test]
fn the_request_timeout_begins_when_the_request_has_been_received() {
    let backend = Backend::answering(|_| respond(200, "", b"ok"));
    let rig = Rig::new(&plan(&backend, short_requests()));
    let mut client = rig.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n");
    for part in ["a", "b", "c", "d"] {
        std::thread::sleep(SHORT);
        client.send(part);
    }
    assert_eq!(client.response().status, 200);
}

#[test]
fn a_response_that_takes_too_long_is_cut() {
    let backend = Backend::scripted(|_, stream| {
        read_request(stream).unwrap();
        write!(
            stream.get_mut(),
            "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
        )
        .unwrap();
        while stream.get_mut().write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(10));
        }
    });
    let stream = Timeouts {
        request: None,
        stream: Some(SHORT),
        ..Timeouts::default()
    };
    for timeouts in [short_requests(), stream] {
        let rig = Rig::new(&plan(&backend, timeouts));
        let mut client = rig.client();
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let (outcome, _) = takes(SHORT, || client.response_to("GET"));
        assert!(outcome.is_err(), "{outcome:?}");
    }
}

#[test]
fn no_timeout_means_none() {
    let backend = Backend::answering(|_| {
        std::thread::sleep(SHORT * 4);
        respond(200, "", b"ok")
    });
    let timeouts = Timeouts {
        request: None,
        backend_request: None,
        ..Timeouts::default()
    };
    let rig = Rig::new(&plan(&backend, timeouts));
    assert_eq!(rig.get("/").status, 200);
}

#[test]
fn an_endpoint_that_cannot_be_reached() {
    // TEST-NET-1 answers nothing; where the network refuses at once the failure is the other one.
    let mut plan = Plan::to(&["192.0.2.1:9".parse().unwrap()]);
    plan.rules[0].timeouts = Timeouts {
        connect: SHORT,
        ..Timeouts::default()
    };
    let rig = Rig::new(&plan);
    let response = rig.get("/");
    assert!(
        matches!(
            (response.status, response.reason()),
            (504, "connect_timeout") | (502, "connect_failed")
        ),
        "{}",
        response.head
    );

    let refused = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let response = Rig::new(&Plan::to(&[refused])).get("/");
    assert_eq!((response.status, response.reason()), (502, "connect_failed"));
}
