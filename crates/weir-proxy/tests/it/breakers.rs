//! What breakers refuse, and how long connections to endpoints are used (feature row LB30).

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::harness::{Backend, Client, Plan, Rig, endpoint, eventually, respond};
use weir_model::{
    Algorithm, BalanceSpec, Breakers, ConnectionSpec, EndpointSource, EndpointTraits, UpstreamSpec,
};
use weir_proxy::Options;

/// Backends in turn, under these limits and this way of connecting.
pub(crate) fn plan(backends: &[SocketAddr], breakers: Breakers, connection: ConnectionSpec) -> Plan {
    Plan::to(backends).forward(|forward| {
        forward.upstream = Arc::new(UpstreamSpec {
            breakers,
            connection,
            ..UpstreamSpec::default()
        });
        forward.balance = Arc::new(BalanceSpec {
            algorithm: Algorithm::RoundRobin,
            ..BalanceSpec::default()
        });
    })
}

/// Answers when the gate is open.
pub(crate) fn gated(is_open: &Arc<AtomicBool>) -> Backend {
    let gate = Arc::clone(is_open);
    Backend::answering(move |_| {
        while !gate.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
        }
        respond(200, "", b"ok")
    })
}

/// A client that has asked and waits.
pub(crate) fn asking(rig: &Rig) -> Client {
    let mut client = rig.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client
}

#[test]
fn lb30_requests_over_the_limit_are_refused_at_once() {
    for (breakers, word) in [
        (
            Breakers {
                parallel_requests: 5,
                ..Breakers::default()
            },
            "backend_requests_full",
        ),
        (
            Breakers {
                endpoint_requests: 5,
                ..Breakers::default()
            },
            "endpoint_requests_full",
        ),
    ] {
        let is_open = Arc::new(AtomicBool::new(false));
        let backend = gated(&is_open);
        let rig = Rig::with(
            &plan(&[backend.address], breakers, ConnectionSpec::default()),
            Options {
                workers: 2,
                reason_header: true,
                ..Options::default()
            },
        );
        let mut held: Vec<_> = (0..5).map(|_| asking(&rig)).collect();
        eventually("five are held", || backend.requests() == 5);
        let mut others: Vec<_> = (0..15).map(|_| rig.client()).collect();
        let times: Vec<Duration> = others
            .iter_mut()
            .map(|client| {
                let start = Instant::now();
                let response = client.get("/");
                assert_eq!((response.status, response.reason()), (503, word));
                start.elapsed()
            })
            .collect();
        let within = times
            .iter()
            .filter(|time| **time < Duration::from_millis(10))
            .count();
        assert!(within >= 12, "{times:?}");
        is_open.store(true, Ordering::SeqCst);
        for client in &mut held {
            assert_eq!(client.response().status, 200);
        }
        eventually("places are given back", || rig.get("/").status == 200);
        assert!(others[0].get("/").status == 200);
    }
}

#[test]
fn lb30_connections_over_the_limit_are_waited_for_and_unused_ones_serve_on() {
    let is_open = Arc::new(AtomicBool::new(false));
    let backend = gated(&is_open);
    let breakers = Breakers {
        connections: 2,
        pending_requests: 1,
        ..Breakers::default()
    };
    let rig = Rig::new(&plan(&[backend.address], breakers, ConnectionSpec::default()));
    let mut held = Vec::new();
    for count in 1..=2 {
        held.push(asking(&rig));
        eventually("it is held", || backend.requests() == count);
    }
    // One may wait, and none besides it.
    held.push(asking(&rig));
    eventually("another one is refused", || {
        let mut client = asking(&rig);
        client
            .stream
            .set_read_timeout(Some(Duration::from_secs(1)))
            .unwrap();
        let response = client.response();
        (response.status, response.reason()) == (503, "backend_pending_requests_full")
    });
    is_open.store(true, Ordering::SeqCst);
    held.iter_mut()
        .for_each(|client| assert_eq!(client.response().status, 200));
    (0..5).for_each(|_| assert_eq!(rig.get("/").status, 200));
    assert_eq!(backend.connections(), 2);
}

#[test]
fn lb30_an_unused_connection_makes_room_for_one_to_another_endpoint() {
    let backends = [Backend::named("a"), Backend::named("b"), Backend::named("c")];
    let addresses: Vec<_> = backends.iter().map(|backend| backend.address).collect();
    let breakers = Breakers {
        connections: 2,
        ..Breakers::default()
    };
    let rig = Rig::new(&plan(&addresses, breakers, ConnectionSpec::default()));
    let mut client = rig.client();
    (0..9).for_each(|_| assert_eq!(client.get("/").status, 200));
    assert!(backends.iter().all(|backend| backend.requests() == 3));
}

#[test]
fn lb30_a_full_endpoint_leaves_requests_to_the_others() {
    let is_open = Arc::new(AtomicBool::new(false));
    let backends = [gated(&is_open), gated(&is_open)];
    let addresses: Vec<_> = backends.iter().map(|backend| backend.address).collect();
    let breakers = Breakers {
        endpoint_connections: 1,
        ..Breakers::default()
    };
    let mut plan = plan(&addresses, breakers, ConnectionSpec::default());
    // The second may have two connections: its own bound counts.
    let mut second = endpoint(addresses[1]);
    second.traits = Some(Arc::new(EndpointTraits {
        connections_max: Some(2),
        ..EndpointTraits::default()
    }));
    plan.backends[0].1 = EndpointSource::Static([endpoint(addresses[0]), second].into());
    let rig = Rig::new(&plan);
    let mut held = Vec::new();
    for count in 1..=3 {
        held.push(asking(&rig));
        let arrived = || backends.iter().map(Backend::requests).sum::<usize>();
        eventually("it is held", || arrived() == count);
    }
    assert_eq!((backends[0].requests(), backends[1].requests()), (1, 2));
    // All are full: one more waits.
    held.push(asking(&rig));
    is_open.store(true, Ordering::SeqCst);
    held.iter_mut()
        .for_each(|client| assert_eq!(client.response().status, 200));
}

#[test]
fn lb30_limits_of_zero_let_nothing_through() {
    let backend = Backend::named("a");
    for (breakers, word) in [
        (
            Breakers {
                pending_requests: 0,
                ..Breakers::default()
            },
            "backend_pending_requests_full",
        ),
        (
            Breakers {
                connections: 0,
                ..Breakers::default()
            },
            "backend_connections_full",
        ),
        (
            Breakers {
                parallel_requests: 0,
                ..Breakers::default()
            },
            "backend_requests_full",
        ),
    ] {
        let rig = Rig::new(&plan(&[backend.address], breakers, ConnectionSpec::default()));
        let mut client = rig.client();
        for _ in 0..2 {
            let response = client.get("/");
            assert_eq!((response.status, response.reason()), (503, word));
        }
        let failures = rig.gateway.stats().failures;
        assert!(
            failures
                .iter()
                .any(|failure| failure.reason == word && failure.count == 2)
        );
    }
    assert_eq!(backend.connections(), 0);
}

#[test]
fn lb30_a_connection_serves_as_many_requests_and_lives_as_long_as_it_may() {
    let pause = Duration::from_millis(60);
    // (what connections are like, connections that six requests with a pause in the middle take)
    for (connection, connections) in [
        (ConnectionSpec::default(), 1),
        (
            ConnectionSpec {
                requests_max: NonZeroU32::new(2),
                ..ConnectionSpec::default()
            },
            3,
        ),
        (
            ConnectionSpec {
                requests_max: NonZeroU32::new(1),
                ..ConnectionSpec::default()
            },
            6,
        ),
        (
            ConnectionSpec {
                idle_timeout: Some(pause / 2),
                ..ConnectionSpec::default()
            },
            2,
        ),
        (
            ConnectionSpec {
                idle_timeout: None,
                duration_max: Some(pause / 2),
                ..ConnectionSpec::default()
            },
            2,
        ),
    ] {
        let backend = Backend::named("a");
        let rig = Rig::new(&plan(&[backend.address], Breakers::default(), connection));
        let mut client = rig.client();
        for turn in 0..6 {
            if turn == 3 {
                std::thread::sleep(pause);
            }
            assert_eq!(client.get("/").status, 200);
        }
        let found = backend.connections();
        // A busy machine may pause where the test does not.
        let is_timed = connection.idle_timeout != ConnectionSpec::default().idle_timeout;
        assert!(
            found == connections || (is_timed && found > connections),
            "{found}, not {connections}: {connection:?}"
        );
    }
}
