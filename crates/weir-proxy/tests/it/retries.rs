//! Retries and their budget (feature rows LB28, LB29, RL03).

use std::collections::HashMap;
use std::io::{BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::harness::{Backend, Plan, Rig, eventually, read_request, respond};
use weir_model::{
    Algorithm, Backoff, BalanceSpec, Breakers, Period, Retry, RetryCondition, RetryConditions, RetryLimit,
    StatusSet, UpstreamSpec,
};

const RULE: &str = "httproute/default/route/rule/0";

/// Retries on `conditions` and the statuses 500 to 504, almost without waiting, as many as there may be.
fn retry(conditions: &[RetryCondition]) -> Retry {
    Retry {
        conditions: RetryConditions::of(conditions),
        statuses: StatusSet::of([500..=504]).unwrap(),
        backoff: Backoff {
            base: Duration::from_millis(1),
            max: Duration::from_millis(1),
            is_minimum: false,
        },
        ..Retry::default()
    }
}

fn on_everything() -> Retry {
    retry(&[
        RetryCondition::ConnectFailure,
        RetryCondition::Reset,
        RetryCondition::TryTimeout,
        RetryCondition::Status,
    ])
}

fn unlimited() -> Breakers {
    Breakers {
        retries: RetryLimit::Parallel(u32::MAX),
        ..Breakers::default()
    }
}

fn plan(backends: &[SocketAddr], retry: Retry, breakers: Breakers) -> Plan {
    Plan::to(backends).forward(|forward| {
        forward.retry = Some(Arc::new(retry));
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

/// Answers by number of the request, from 0.
fn by_turns(answer: impl Fn(usize) -> Vec<u8> + Send + Sync + 'static) -> Backend {
    let turn = AtomicUsize::new(0);
    Backend::answering(move |_| answer(turn.fetch_add(1, Ordering::SeqCst)))
}

/// Reads requests and never answers; counts them.
fn silent() -> (Backend, Arc<AtomicUsize>) {
    counting(|_| {
        std::thread::sleep(Duration::from_secs(30));
    })
}

/// Reads a request, counts it and then does as told.
fn counting(then: impl Fn(&mut BufReader<TcpStream>) + Send + Sync + 'static) -> (Backend, Arc<AtomicUsize>) {
    let arrived = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&arrived);
    let backend = Backend::scripted(move |_, stream| {
        if read_request(stream).is_some() {
            counter.fetch_add(1, Ordering::SeqCst);
            then(stream);
        }
    });
    (backend, arrived)
}

#[test]
fn lb28_who_does_not_answer_is_replaced_and_nobody_is_tried_twice() {
    for dead in [1, 4] {
        let broken: Vec<_> = (0..dead).map(|_| counting(|_| {})).collect();
        let alive = Backend::answering(|_| respond(200, "", b"ok"));
        let mut all: Vec<_> = broken.iter().map(|(backend, _)| backend.address).collect();
        all.push(alive.address);
        let policy = Retry {
            attempts: dead,
            ..on_everything()
        };
        // By chance: turns would pass over whoever was tried last by themselves.
        let plan = plan(&all, policy, unlimited()).balance(BalanceSpec {
            algorithm: Algorithm::Random,
            ..BalanceSpec::default()
        });
        let rig = Rig::new(&plan);
        let mut client = rig.client();
        for _ in 0..40 {
            assert_eq!(client.get("/").status, 200);
        }
        // As many tries as there are endpoints at most: whoever was tried twice would have left another out.
        for (_, arrived) in &broken {
            assert!((1..=40).contains(&arrived.load(Ordering::SeqCst)));
        }
        assert_eq!(alive.requests(), 40);
        let tries = || rig.gateway.stats().rules[RULE].retries;
        let failed = || {
            broken
                .iter()
                .map(|(_, arrived)| arrived.load(Ordering::SeqCst))
                .sum::<usize>()
        };
        eventually("retries are counted", || tries() == failed() as u64);
    }
}

#[test]
fn lb28_listed_statuses_are_tried_again_and_the_last_answer_is_the_clients() {
    // Failures before the first success, and what the client gets of two retries.
    for (failures, status, expected) in [
        (0, 500, 200),
        (2, 500, 200),
        (3, 500, 500),
        (1, 504, 200),
        (1, 505, 505),
        (1, 404, 404),
    ] {
        let backend = by_turns(move |turn| {
            if turn < failures {
                respond(status, "", format!("answer {turn}").as_bytes())
            } else {
                respond(200, "", b"fine")
            }
        });
        let rig = Rig::new(&plan(&[backend.address], on_everything(), unlimited()));
        let response = rig.get("/");
        assert_eq!(response.status, expected, "{failures} times {status}");
        if failures == 3 {
            assert_eq!(response.text(), "answer 2");
        }
    }
}

#[test]
fn lb28_the_connection_of_an_answer_that_nobody_gets_is_used_again_or_closed() {
    // (the answer that is not passed on, connections that the next try needs)
    let whole = respond(503, "", b"sorry");
    let chunked = b"HTTP/1.1 503 X\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n".to_vec();
    let cut = b"HTTP/1.1 503 X\r\ncontent-length: 100\r\n\r\nbeginning".to_vec();
    let last = respond(503, "connection: close\r\n", b"bye");
    for (answer, connections) in [(whole, 1), (chunked, 1), (cut, 2), (last, 2)] {
        let text = String::from_utf8(answer.clone()).unwrap();
        let backend = by_turns(move |turn| match turn {
            0 => answer.clone(),
            _ => respond(200, "", b"fine"),
        });
        let rig = Rig::new(&plan(&[backend.address], on_everything(), unlimited()));
        let mut client = rig.client();
        for _ in 0..3 {
            assert_eq!(client.get("/").text(), "fine");
        }
        assert_eq!(backend.connections(), connections, "{text}");
        assert_eq!(backend.requests(), 4);
    }
}

#[test]
fn lb28_a_body_that_is_still_there_is_sent_again_whole() {
    for (length, is_chunked) in [
        (0, false),
        (5, true),
        (3_000, false),
        (40_000, false),
        (40_000, true),
    ] {
        let backend = by_turns(|turn| respond(if turn == 0 { 503 } else { 200 }, "", b""));
        let rig = Rig::new(&plan(&[backend.address], on_everything(), unlimited()));
        let body: Vec<u8> = (0..length).map(|index| b'a' + (index % 23) as u8).collect();
        let mut client = rig.client();
        if is_chunked {
            client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
            for part in body.chunks(7_000) {
                client.send(&format!("{:x}\r\n", part.len()));
                client.send_bytes(part);
                client.send("\r\n");
            }
            client.send("0\r\n\r\n");
        } else {
            client.send(&format!(
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"
            ));
            client.send_bytes(&body);
        }
        assert_eq!(client.response().status, 200, "{length} {is_chunked}");
        let seen = backend.seen();
        assert_eq!(seen.len(), 2);
        assert!(seen.iter().all(|seen| seen.body == body), "{length} {is_chunked}");
        assert_eq!(client.get("/").status, 200, "the client's connection is in order");
    }
}

#[test]
fn lb28_a_body_that_is_gone_is_delivered_once() {
    let backend = by_turns(|_| respond(503, "", b"no"));
    let rig = Rig::new(&plan(&[backend.address], on_everything(), unlimited()));
    let mut client = rig.client();
    client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n");
    client.send_bytes(&vec![b'x'; 300_000]);
    let response = client.response();
    assert_eq!((response.status, response.text()), (503, "no"));
    assert_eq!(backend.requests(), 1);
}

#[test]
fn lb28_what_may_have_been_received_and_counts_twice_is_not_repeated() {
    let (broken, arrived) = counting(|_| {});
    let rig = Rig::new(&plan(&[broken.address], on_everything(), unlimited()));
    let mut client = rig.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
    let response = client.response();
    assert_eq!((response.status, response.reason()), (502, "upstream_closed"));
    assert_eq!(arrived.load(Ordering::SeqCst), 1);
}

#[test]
fn lb28_the_time_for_one_try_moves_on_to_another_endpoint() {
    let (mute, arrived) = silent();
    let alive = Backend::answering(|_| respond(200, "", b"ok"));
    let policy = Retry {
        try_timeout: Period::new(Duration::from_millis(80)),
        ..on_everything()
    };
    let rig = Rig::new(&plan(&[mute.address, alive.address], policy, unlimited()));
    let mut client = rig.client();
    let start = Instant::now();
    for _ in 0..6 {
        assert_eq!(client.get("/").status, 200);
    }
    let met = arrived.load(Ordering::SeqCst);
    assert!((3..=6).contains(&met), "{met}");
    // The workers' clock counts whole milliseconds: of each try less than one may be missing.
    assert!(start.elapsed() > Duration::from_millis(79) * met as u32);
    // A POST may have been received: whoever meets the mute one is told so.
    let statuses: Vec<u16> = (0..4)
        .map(|_| {
            client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
            client.response().status
        })
        .collect();
    assert!(
        statuses.iter().all(|status| [200, 504].contains(status)),
        "{statuses:?}"
    );
    let late = statuses.iter().filter(|status| **status == 504).count();
    assert!(late > 0);
    assert_eq!(arrived.load(Ordering::SeqCst), met + late);
}

#[test]
fn lb28_the_time_for_the_exchange_bounds_all_tries() {
    let (mute, arrived) = silent();
    let policy = Retry {
        attempts: 30,
        try_timeout: Period::new(Duration::from_millis(50)),
        ..on_everything()
    };
    let mut plan = plan(&[mute.address], policy, unlimited());
    plan.rules[0].timeouts.request = Some(Duration::from_millis(300));
    let rig = Rig::new(&plan);
    let start = Instant::now();
    let response = rig.get("/");
    assert_eq!(response.status, 504);
    assert!(
        start.elapsed() < Duration::from_millis(1_300),
        "{:?}",
        start.elapsed()
    );
    assert!((2..=6).contains(&arrived.load(Ordering::SeqCst)));
}

#[test]
fn lb29_tries_stay_within_the_budget_when_a_hundred_clients_are_answered_with_failures() {
    let backend = by_turns(|_| respond(503, "", b"no"));
    let policy = on_everything();
    let rig = Rig::new(&plan(&[backend.address], policy, Breakers::default()));
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..100 {
            scope.spawn(|| {
                let mut client = rig.client();
                for _ in 0..10 {
                    let response = client.get("/");
                    assert_eq!((response.status, response.text()), (503, "no"));
                }
            });
        }
    });
    let free = 4 + 3 * (start.elapsed().as_secs() as usize + 1);
    let tries = backend.requests();
    assert!(
        (1_190..=1_200 + free).contains(&tries),
        "{tries} tries of 1000 requests"
    );
    let stats = rig.gateway.stats();
    let refused = |failure: &&weir_proxy::FailureReport| failure.reason == "backend_retries_full";
    assert!(
        stats
            .failures
            .iter()
            .find(refused)
            .is_some_and(|failure| failure.count > 500)
    );
}

/// Three backends of which the first can be killed or stopped; counts what arrives by path.
struct Town {
    addresses: Vec<SocketAddr>,
    arrived: Arc<Mutex<HashMap<String, usize>>>,
    is_killed: Arc<AtomicBool>,
    is_stopped: Arc<AtomicBool>,
    victims: Arc<Mutex<Vec<TcpStream>>>,
}

impl Town {
    fn new() -> Self {
        let mut town = Self {
            addresses: Vec::new(),
            arrived: Arc::default(),
            is_killed: Arc::default(),
            is_stopped: Arc::default(),
            victims: Arc::default(),
        };
        for number in 0..3 {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            town.addresses.push(listener.local_addr().unwrap());
            let is_victim = number == 0;
            let (arrived, victims) = (Arc::clone(&town.arrived), Arc::clone(&town.victims));
            let (is_killed, is_stopped) = (Arc::clone(&town.is_killed), Arc::clone(&town.is_stopped));
            std::thread::spawn(move || {
                for stream in listener.incoming().map_while(Result::ok) {
                    if is_victim && is_killed.load(Ordering::SeqCst) {
                        return;
                    }
                    stream.set_nodelay(true).unwrap();
                    if is_victim {
                        victims.lock().unwrap().push(stream.try_clone().unwrap());
                    }
                    let (arrived, is_stopped) = (Arc::clone(&arrived), Arc::clone(&is_stopped));
                    std::thread::spawn(move || {
                        let mut stream = BufReader::new(stream);
                        while let Some(seen) = read_request(&mut stream) {
                            while is_victim && is_stopped.load(Ordering::SeqCst) {
                                std::thread::sleep(Duration::from_millis(5));
                            }
                            *arrived.lock().unwrap().entry(seen.line).or_default() += 1;
                            if stream.get_mut().write_all(&respond(200, "", b"ok")).is_err() {
                                return;
                            }
                        }
                    });
                }
            });
        }
        town
    }

    /// What the system does to the sockets of a process that is killed.
    fn kill(&self) {
        self.is_killed.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.addresses[0]));
        for victim in self.victims.lock().unwrap().drain(..) {
            let _ = victim.shutdown(Shutdown::Both);
        }
    }
}

/// Runs `clients` that ask one after the other while `strike` happens; the statuses of GETs and of POSTs.
fn load(rig: &Rig, strike: impl FnOnce()) -> (Vec<u16>, Vec<u16>) {
    let statuses: Mutex<(Vec<u16>, Vec<u16>)> = Mutex::default();
    let done = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for number in 0..8 {
            let (statuses, done) = (&statuses, &done);
            scope.spawn(move || {
                let mut client = rig.client();
                for turn in 0..100 {
                    let is_post = turn % 4 == 3;
                    let method = if is_post { "POST" } else { "GET" };
                    client.send(&format!(
                        "{method} /{number}/{turn} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
                    ));
                    let status = client.response().status;
                    let mut statuses = statuses.lock().unwrap();
                    if is_post { &mut statuses.1 } else { &mut statuses.0 }.push(status);
                    done.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        eventually("the load is under way", || done.load(Ordering::SeqCst) > 200);
        strike();
    });
    statuses.into_inner().unwrap()
}

#[test]
fn rl03_a_backend_killed_under_load_loses_no_get_and_doubles_no_post() {
    let town = Town::new();
    let rig = Rig::new(&plan(&town.addresses, on_everything(), Breakers::default()));
    let (gets, posts) = load(&rig, || town.kill());
    assert!(gets.iter().all(|status| *status == 200), "{gets:?}");
    let lost = posts.iter().filter(|status| **status != 200).count();
    assert!(
        lost <= 8,
        "{lost} of {}: at most what was on its way",
        posts.len()
    );
    let arrived = town.arrived.lock().unwrap();
    let doubled: Vec<_> = arrived
        .iter()
        .filter(|(line, times)| line.starts_with("POST") && **times > 1)
        .collect();
    assert!(doubled.is_empty(), "{doubled:?}");
}

#[test]
fn rl03_a_backend_stopped_under_load_loses_no_get_with_a_time_for_each_try() {
    let town = Town::new();
    let policy = Retry {
        try_timeout: Period::new(Duration::from_millis(250)),
        ..on_everything()
    };
    let rig = Rig::new(&plan(&town.addresses, policy, unlimited()));
    let (gets, _) = load(&rig, || {
        town.is_stopped.store(true, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(700));
        town.is_stopped.store(false, Ordering::SeqCst);
    });
    assert!(gets.iter().all(|status| *status == 200), "{gets:?}");
    assert!(rig.gateway.stats().rules[RULE].retries > 0);
}

#[test]
fn lb29_an_outage_costs_little_more_than_what_was_offered_and_ends_when_it_ends() {
    let is_down = Arc::new(AtomicBool::new(false));
    let backends: Vec<_> = (0..3)
        .map(|_| {
            let is_down = Arc::clone(&is_down);
            Backend::answering(move |_| {
                respond(if is_down.load(Ordering::SeqCst) { 503 } else { 200 }, "", b"")
            })
        })
        .collect();
    let addresses: Vec<_> = backends.iter().map(|backend| backend.address).collect();
    let policy = Retry {
        attempts: 10,
        ..on_everything()
    };
    let rig = Rig::new(&plan(&addresses, policy, Breakers::default()));
    let mut client = rig.client();
    let start = Instant::now();
    let mut ask = |times: usize| (0..times).filter(|_| client.get("/").status == 200).count();
    assert_eq!(ask(500), 500);
    is_down.store(true, Ordering::SeqCst);
    assert_eq!(ask(1_000), 0);
    is_down.store(false, Ordering::SeqCst);
    assert_eq!(ask(500), 500, "nothing is left of the outage");
    let tries: usize = backends.iter().map(Backend::requests).sum();
    let free = 4 + 3 * (start.elapsed().as_secs() as usize + 1);
    assert!(tries <= 2_400 + free, "{tries} tries of 2000 requests");
    assert!(tries >= 2_200, "{tries}: the budget is there to be used");
}

#[test]
fn lb29_knocking_at_closed_doors_stays_within_the_budget() {
    let listeners: Vec<_> = (0..3)
        .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
        .collect();
    let dead: Vec<_> = listeners.iter().map(|one| one.local_addr().unwrap()).collect();
    drop(listeners);
    for policy in [None, Some(Arc::new(on_everything()))] {
        let plan = Plan::to(&dead).forward(|forward| forward.retry.clone_from(&policy));
        let rig = Rig::new(&plan);
        let start = Instant::now();
        let mut client = rig.client();
        for _ in 0..300 {
            assert_eq!(client.get("/").status, 502);
        }
        let free = 6 + 3 * (start.elapsed().as_secs() + 1);
        let retries = rig.gateway.stats().rules[RULE].retries;
        assert!(
            (30..=60 + free).contains(&retries),
            "{retries} retries of 300 requests: {policy:?}"
        );
    }
}

#[test]
fn bx01_lb08_balancers_learn_from_how_tries_end() {
    // One client after the other: nothing is ever in flight, so only what was learned can tell endpoints apart.
    for algorithm in [Algorithm::Adaptive, Algorithm::PeakEwma] {
        let slow = Backend::answering(|_| {
            std::thread::sleep(Duration::from_millis(30));
            respond(200, "", b"")
        });
        let fast = [Backend::named("a"), Backend::named("b")];
        let addresses = [slow.address, fast[0].address, fast[1].address];
        let plan = Plan::to(&addresses).balance(BalanceSpec {
            algorithm: algorithm.clone(),
            ..BalanceSpec::default()
        });
        let rig = Rig::new(&plan);
        let mut client = rig.client();
        for _ in 0..120 {
            assert_eq!(client.get("/").status, 200);
        }
        // A third, when nothing is learned.
        assert!(slow.requests() < 25, "{algorithm:?}: {}", slow.requests());
    }
    let failing = by_turns(|_| respond(503, "", b""));
    let good = [Backend::named("a"), Backend::named("b")];
    let addresses = [failing.address, good[0].address, good[1].address];
    let rig = Rig::new(&Plan::to(&addresses).balance(BalanceSpec {
        algorithm: Algorithm::Adaptive,
        ..BalanceSpec::default()
    }));
    let mut client = rig.client();
    (0..200).for_each(|_| drop(client.get("/")));
    assert!(failing.requests() < 45, "{}", failing.requests());
}
