//! Requests that wait for a connection (feature row LB30, Envoy Gateway `maxPendingRequests`).

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use weir_model::{Algorithm, BalanceSpec, Breakers, Filter, Fraction, Mirror, PathMatch, UpstreamSpec};
use weir_proxy::Options;

use crate::harness::{Backend, Client, Plan, Rig, eventually, respond};

fn plan(backends: &[SocketAddr], breakers: Breakers) -> Plan {
    Plan::to(backends).forward(|forward| {
        forward.upstream = Arc::new(UpstreamSpec {
            breakers,
            ..UpstreamSpec::default()
        });
        forward.balance = Arc::new(BalanceSpec {
            algorithm: Algorithm::RoundRobin,
            ..BalanceSpec::default()
        });
    })
}

/// Answers one request each time that a turn is given, and everything once the gate is open.
#[derive(Clone, Default)]
struct Gate {
    is_open: Arc<AtomicBool>,
    turns: Arc<AtomicUsize>,
}

impl Gate {
    fn backend(&self) -> Backend {
        let gate = self.clone();
        Backend::answering(move |seen| {
            while !gate.is_open.load(Ordering::SeqCst) && !gate.takes_turn() {
                std::thread::sleep(Duration::from_millis(1));
            }
            respond(200, "", seen.line.as_bytes())
        })
    }

    fn takes_turn(&self) -> bool {
        let take = |turns: usize| turns.checked_sub(1);
        self.turns
            .try_update(Ordering::SeqCst, Ordering::SeqCst, take)
            .is_ok()
    }

    fn give_turn(&self) {
        self.turns.fetch_add(1, Ordering::SeqCst);
    }

    fn open(&self) {
        self.is_open.store(true, Ordering::SeqCst);
    }
}

fn asking(rig: &Rig, path: &str) -> Client {
    let mut client = rig.client();
    client.send(&format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
    client
}

const ONE: Breakers = Breakers {
    connections: 1,
    pending_requests: 3,
    ..Breakers::OPEN
};

#[test]
fn lb30_requests_wait_for_the_connection_in_the_order_they_came() {
    let gate = Gate::default();
    let backend = gate.backend();
    let rig = Rig::new(&plan(&[backend.address], ONE));
    let mut first = asking(&rig, "/0");
    eventually("it is held", || backend.requests() == 1);
    let mut others: Vec<Client> = (1..=3)
        .map(|index| {
            let client = asking(&rig, &format!("/{index}"));
            // Each is in line before the next one comes.
            std::thread::sleep(Duration::from_millis(30));
            client
        })
        .collect();
    let start = Instant::now();
    let response = rig.get("/over");
    assert_eq!(
        (response.status, response.reason()),
        (503, "backend_pending_requests_full")
    );
    assert!(start.elapsed() < Duration::from_secs(1));
    for (index, client) in std::iter::once(&mut first).chain(&mut others).enumerate() {
        gate.give_turn();
        assert_eq!(client.response().text(), format!("GET /{index} HTTP/1.1"));
    }
    assert_eq!(backend.connections(), 1, "all of them over one connection");
    gate.open();
    assert_eq!(rig.get("/again").status, 200);
}

#[test]
fn lb30_waiting_ends_with_the_time_for_the_request() {
    let gate = Gate::default();
    let backend = gate.backend();
    let mut plan = plan(&[backend.address], ONE);
    let mut hasty = plan.rules[0].clone();
    hasty.matches[0].path = PathMatch::Prefix("/hasty".into());
    hasty.timeouts.request = Some(Duration::from_millis(300));
    plan.rules.push(hasty);
    let rig = Rig::new(&plan);
    let mut first = asking(&rig, "/");
    eventually("it is held", || backend.requests() == 1);
    let response = rig.get("/hasty");
    assert_eq!((response.status, response.reason()), (504, "pending_timeout"));
    gate.open();
    assert_eq!(first.response().status, 200);
    assert_eq!(rig.get("/hasty").status, 200);
}

#[test]
fn lb30_a_client_that_goes_away_leaves_the_line() {
    let gate = Gate::default();
    let backend = gate.backend();
    let rig = Rig::new(&plan(&[backend.address], ONE));
    let mut first = asking(&rig, "/first");
    eventually("it is held", || backend.requests() == 1);
    let gone: Vec<Client> = (0..2).map(|_| asking(&rig, "/gone")).collect();
    std::thread::sleep(Duration::from_millis(30));
    let mut last = asking(&rig, "/last");
    std::thread::sleep(Duration::from_millis(30));
    for client in gone {
        // Not a half-closed connection, which still wants its answer: a reset.
        socket2::SockRef::from(&client.stream)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
    }
    std::thread::sleep(Duration::from_millis(30));
    gate.open();
    assert_eq!(first.response().status, 200);
    assert_eq!(last.response().status, 200);
    let lines: Vec<String> = backend.seen().iter().map(|seen| seen.line.clone()).collect();
    assert_eq!(lines, ["GET /first HTTP/1.1", "GET /last HTTP/1.1"]);
}

#[test]
fn lb30_a_connection_that_ends_makes_room_for_a_new_one() {
    let backend = Backend::answering(|_| respond(200, "connection: close\r\n", b"x"));
    // Who connects is pending, too.
    let breakers = Breakers {
        pending_requests: 4,
        ..ONE
    };
    let rig = Rig::new(&plan(&[backend.address], breakers));
    let mut clients: Vec<Client> = (0..4).map(|_| asking(&rig, "/")).collect();
    for client in &mut clients {
        assert_eq!(client.response().status, 200);
    }
    assert_eq!(backend.connections(), 4);
}

#[test]
fn lb30_a_full_endpoint_is_waited_for_when_there_is_no_other() {
    let gate = Gate::default();
    let backend = gate.backend();
    let breakers = Breakers {
        endpoint_connections: 1,
        ..Breakers::OPEN
    };
    let rig = Rig::new(&plan(&[backend.address], breakers));
    let mut clients: Vec<Client> = (0..5).map(|_| asking(&rig, "/")).collect();
    eventually("one is held", || backend.requests() == 1);
    gate.open();
    for client in &mut clients {
        assert_eq!(client.response().status, 200);
    }
    assert_eq!(backend.connections(), 1);
}

#[test]
fn lb30_nobody_is_forgotten_whatever_worker_and_endpoint() {
    let backends: Vec<Backend> = (0..3).map(|_| Backend::named("x")).collect();
    let addresses: Vec<SocketAddr> = backends.iter().map(|backend| backend.address).collect();
    for (connections, endpoint_connections) in [(1, u32::MAX), (2, u32::MAX), (4, 1), (u32::MAX, 1)] {
        {
            let breakers = Breakers {
                connections,
                endpoint_connections,
                ..Breakers::OPEN
            };
            let options = Options {
                workers: 3,
                reason_header: true,
                ..Options::default()
            };
            let rig = Rig::with(&plan(&addresses, breakers), options);
            std::thread::scope(|scope| {
                for _ in 0..24 {
                    scope.spawn(|| {
                        let mut client = rig.client();
                        for _ in 0..40 {
                            let response = client.get("/");
                            assert_eq!((response.status, response.reason()), (200, ""));
                        }
                    });
                }
            });
        }
    }
}

#[test]
fn lb30_a_worker_gives_up_what_it_does_not_use() {
    let backend = Backend::named("x");
    let options = Options {
        workers: 4,
        reason_header: true,
        ..Options::default()
    };
    let rig = Rig::with(&plan(&[backend.address], ONE), options);
    // Eight clients are not all at one worker; the only connection goes where it is needed, at once.
    let mut clients: Vec<Client> = (0..8).map(|_| rig.client()).collect();
    let start = Instant::now();
    for _ in 0..5 {
        for client in &mut clients {
            assert_eq!(client.get("/").status, 200);
        }
    }
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

#[test]
fn lb30_copies_count_like_requests() {
    let gate = Gate::default();
    let (backend, shadow) = (Backend::named("x"), gate.backend());
    let breakers = Breakers {
        parallel_requests: 2,
        ..Breakers::OPEN
    };
    let mut plan = plan(&[backend.address], breakers);
    let mirror = plan.backend("shadow", &[shadow.address]);
    plan.rules[0].filters.push(Filter::Mirror(Mirror {
        backend: mirror,
        fraction: Fraction::ALL,
    }));
    let rig = Rig::new(&plan);
    let mut client = rig.client();
    for _ in 0..5 {
        assert_eq!(client.get("/").status, 200);
    }
    let refused = || {
        let failures = rig.gateway.stats().failures;
        let found = failures
            .iter()
            .find(|failure| failure.reason == "backend_requests_full");
        found.map_or(0, |failure| failure.count)
    };
    eventually("three copies were too many", || refused() == 3);
    eventually("two copies came", || shadow.requests() == 2);
    gate.open();
}
