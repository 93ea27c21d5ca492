//! Health of endpoints: probes, ejections, what of them reaches traffic (rows HC01 to HC13, HC19).

mod ejections;
mod failover;
mod signals;

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use weir_model::{
    Action, ActiveCheck, Endpoint, EndpointProbe, EndpointSource, EndpointTraits, HealthSpec, HealthStart,
    HttpProbe, PassiveCheck, Payload, Percent, Period, Port, Probe, StatusSet, TcpProbe, UpstreamSpec,
};
use weir_proxy::{Event, Options};

use crate::harness::{Backend, Plan, Rig, endpoint, eventually, forward_to, prefix_rule, read_head, respond};

const INTERVAL: Duration = Duration::from_millis(20);

/// `GET /healthz` every 20 ms; one probe decides either way.
fn check() -> ActiveCheck {
    ActiveCheck {
        probe: Probe::Http(probe()),
        interval: Period::clamped(INTERVAL),
        timeout: Period::clamped(Duration::from_millis(500)),
        unhealthy_threshold: NonZeroU32::MIN,
        ..ActiveCheck::default()
    }
}

fn probe() -> HttpProbe {
    HttpProbe {
        path: "/healthz".into(),
        ..HttpProbe::default()
    }
}

fn checked(check: ActiveCheck) -> UpstreamSpec {
    UpstreamSpec {
        health: HealthSpec {
            active: Some(Arc::new(check)),
            panic_threshold: Percent::ZERO,
            ..HealthSpec::default()
        },
        ..UpstreamSpec::default()
    }
}

fn judged(check: PassiveCheck) -> UpstreamSpec {
    UpstreamSpec {
        health: HealthSpec {
            passive: Some(Arc::new(check)),
            panic_threshold: Percent::ZERO,
            ..HealthSpec::default()
        },
        ..UpstreamSpec::default()
    }
}

/// Treats the endpoints of all rules so.
fn treat(mut plan: Plan, spec: UpstreamSpec) -> Plan {
    let spec = Arc::new(spec);
    for rule in &mut plan.rules {
        if let Action::Forward(forward) = &mut rule.action {
            forward.upstream = Arc::clone(&spec);
        }
    }
    plan
}

/// A gateway that remembers what it says of endpoints.
struct Watched {
    rig: Rig,
    said: Arc<Mutex<Vec<String>>>,
}

impl Watched {
    fn new(plan: &Plan) -> Self {
        let said: Arc<Mutex<Vec<String>>> = Arc::default();
        let log = Arc::clone(&said);
        let events = move |event: Event| {
            if let Event::EndpointChanged { endpoint, change, .. } = event {
                log.lock().unwrap().push(format!("{endpoint} {change}"));
            }
        };
        let options = Options {
            workers: 2,
            reason_header: true,
            seed: Some(7),
            events: Some(Arc::new(events)),
            ..Options::default()
        };
        Self {
            rig: Rig::with(plan, options),
            said,
        }
    }

    fn said(&self) -> Vec<String> {
        self.said.lock().unwrap().clone()
    }

    fn wait_for(&self, text: &str) {
        eventually(text, || self.said().iter().any(|line| line.contains(text)));
    }
}

/// Answers everything with a status that can be changed, and counts probes.
struct Patient {
    backend: Backend,
    status: Arc<AtomicU16>,
    probes: Arc<AtomicUsize>,
}

impl Patient {
    fn new(name: &'static str, status: u16) -> Self {
        let (status, probes) = (Arc::new(AtomicU16::new(status)), Arc::new(AtomicUsize::new(0)));
        let (current, counter) = (Arc::clone(&status), Arc::clone(&probes));
        let backend = Backend::answering(move |request| {
            if request.line.contains("/healthz") {
                counter.fetch_add(1, Ordering::SeqCst);
            }
            respond(current.load(Ordering::SeqCst), "", name.as_bytes())
        });
        Self {
            backend,
            status,
            probes,
        }
    }

    fn set(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    fn probes(&self) -> usize {
        self.probes.load(Ordering::SeqCst)
    }

    /// Lets a number of further probes begin.
    fn wait_probes(&self, more: usize) {
        let end = self.probes() + more;
        eventually("further probes", || self.probes() >= end);
    }
}

/// Who answers `requests` requests.
fn answers(rig: &Rig, requests: usize) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    let mut client = rig.client();
    for _ in 0..requests {
        let response = client.get("/");
        let key = match response.status {
            200 => response.text().to_owned(),
            status => status.to_string(),
        };
        *counts.entry(key).or_default() += 1;
    }
    counts
}

#[test]
fn hc01_hc13_traffic_leaves_an_endpoint_that_fails_its_probes_and_returns() {
    let (a, b) = (Patient::new("a", 200), Patient::new("b", 200));
    let plan = treat(
        Plan::to(&[a.backend.address, b.backend.address]),
        checked(check()),
    );
    let watched = Watched::new(&plan);
    eventually("both are known", || watched.said().len() == 2);
    let both = answers(&watched.rig, 40);
    assert_eq!(both.values().sum::<usize>(), 40);
    assert!(both["a"] > 5 && both["b"] > 5, "{both:?}");
    let probe = a
        .backend
        .seen()
        .into_iter()
        .find(|request| request.line == "GET /healthz HTTP/1.1")
        .unwrap();
    assert_eq!(probe.field("host"), Some(&*a.backend.address.to_string()));
    b.set(500);
    watched.wait_for("is unhealthy");
    assert_eq!(answers(&watched.rig, 40), BTreeMap::from([("a".to_owned(), 40)]));
    b.set(200);
    eventually("traffic returns", || answers(&watched.rig, 4).contains_key("b"));
    let address = b.backend.address;
    let mut said = watched.said();
    said.retain(|line| line.starts_with(&address.to_string()));
    assert_eq!(
        said,
        [
            format!("{address} is healthy: a probe was good"),
            format!("{address} is unhealthy: a probe was answered 500"),
            format!("{address} is healthy: a probe was good"),
        ],
        "exactly one line per change (HC09)"
    );
}

#[test]
fn hc01_a_killed_backend_is_left_and_a_restarted_one_found() {
    let alive = Backend::named("alive");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mortal = listener.local_addr().unwrap();
    let plan = treat(Plan::to(&[alive.address, mortal]), checked(check()));
    drop(listener);
    let watched = Watched::new(&plan);
    watched.wait_for("its first probe failed with a refused connection");
    assert_eq!(
        answers(&watched.rig, 20),
        BTreeMap::from([("alive".to_owned(), 20)])
    );
    let listener = TcpListener::bind(mortal).unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut reader = std::io::BufReader::new(stream.try_clone().unwrap());
            while read_head(&mut reader).is_some() {
                if stream.write_all(&respond(200, "", b"mortal")).is_err() {
                    break;
                }
            }
        }
    });
    let begun = Instant::now();
    eventually("traffic returns", || {
        answers(&watched.rig, 4).contains_key("mortal")
    });
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[test]
fn hc02_no_request_reaches_an_endpoint_that_was_dead_from_the_start() {
    let (a, b) = (Patient::new("a", 200), Patient::new("b", 200));
    // Accepts, reads, never answers: only the probe's timeout tells.
    let hole = Backend::scripted(|_, stream| {
        let _head = read_head(stream);
        std::thread::sleep(Duration::from_secs(60));
    });
    let addresses = [hole.address, a.backend.address, b.backend.address];
    let plan = treat(Plan::to(&addresses), checked(check()));
    let watched = Watched::new(&plan);
    // At once: the first of them wait for the first probes.
    let counts = answers(&watched.rig, 60);
    let served: usize = ["a", "b"].iter().filter_map(|name| counts.get(*name)).sum();
    assert_eq!(served, 60, "{counts:?}");
    watched.wait_for("its first probe failed without an answer in time");
}

#[test]
fn hc02_starting_healthy_is_an_option() {
    let slow = Backend::answering(|request| {
        if request.line.contains("/healthz") {
            std::thread::sleep(Duration::from_millis(200));
        }
        respond(200, "", b"slow")
    });
    let healthy = ActiveCheck {
        start: HealthStart::Healthy,
        ..check()
    };
    let rig = Rig::new(&treat(Plan::to(&[slow.address]), checked(healthy)));
    let begun = Instant::now();
    assert_eq!(rig.get("/").status, 200);
    assert!(begun.elapsed() < Duration::from_millis(150));
}

#[test]
fn hc03_a_flapping_endpoint_changes_only_at_its_thresholds() {
    let a = Patient::new("a", 200);
    let flapping = ActiveCheck {
        probe: Probe::Http(HttpProbe {
            retriable: StatusSet::all(),
            ..probe()
        }),
        healthy_threshold: NonZeroU32::new(2).unwrap(),
        unhealthy_threshold: NonZeroU32::new(3).unwrap(),
        ..check()
    };
    // Two bad, one good, again and again: never three bad in a row.
    let (turn, status) = (AtomicUsize::new(0), Arc::clone(&a.status));
    let flap = Backend::answering(move |_| {
        let turn = turn.fetch_add(1, Ordering::SeqCst);
        let forced = status.load(Ordering::SeqCst);
        let status = if forced != 200 || turn % 3 != 0 { 500 } else { 200 };
        respond(status, "", b"flap")
    });
    let watched = Watched::new(&treat(Plan::to(&[flap.address]), checked(flapping)));
    eventually("a dozen probes", || flap.requests() > 12);
    assert_eq!(watched.said().len(), 1, "{:?}", watched.said());
    a.set(500);
    watched.wait_for("3 probes in a row failed, the last with status 500");
    assert_eq!(watched.said().len(), 2);
    assert_eq!(watched.rig.get("/").status, 503);
}

#[test]
fn hc06_tcp_probes_connect_or_exchange_payloads() {
    let pong = Backend::scripted(|_, stream| {
        let mut word = [0; 4];
        while std::io::Read::read_exact(stream, &mut word).is_ok() {
            let answer: &[u8] = if &word == b"PING" {
                b"+PONG\r\n"
            } else {
                b"-ERR\r\n"
            };
            if stream.get_mut().write_all(answer).is_err() {
                return;
            }
        }
    });
    let tcp = |send: &[u8], receive: &[u8]| ActiveCheck {
        probe: Probe::Tcp(TcpProbe {
            send: Payload::new(send),
            receive: Payload::new(receive),
        }),
        ..check()
    };
    for (send, receive, expected) in [
        (&b""[..], &b""[..], "is healthy"),
        (b"PING", b"PONG", "is healthy"),
        (b"PING", b"", "is healthy"),
        (
            b"WHAT",
            b"PONG",
            "its first probe failed without an answer in time",
        ),
    ] {
        let watched = Watched::new(&treat(Plan::to(&[pong.address]), checked(tcp(send, receive))));
        watched.wait_for(expected);
        assert_eq!(watched.said().len(), 1, "{:?}", watched.said());
    }
}

#[test]
fn hc05_hc07_endpoints_and_checks_say_what_is_probed_and_where() {
    let (front, side) = (Patient::new("front", 500), Patient::new("side", 200));
    let elsewhere = ActiveCheck {
        port: Port::new(u64::from(side.backend.address.port())),
        probe: Probe::Http(HttpProbe {
            method: "POST".into(),
            host: Some("app.example".into()),
            body: Payload::new(&b"are you there?"[..]),
            ..probe()
        }),
        ..check()
    };
    let watched = Watched::new(&treat(Plan::to(&[front.backend.address]), checked(elsewhere)));
    watched.wait_for("is healthy");
    let probe = side.backend.seen().remove(0);
    assert_eq!(probe.line, "POST /healthz HTTP/1.1");
    assert_eq!(probe.field("host"), Some("app.example"));
    assert_eq!(probe.body, b"are you there?");
    assert_eq!(front.probes(), 0);

    let own = |probe, backend: &Patient| Endpoint {
        traits: Some(Arc::new(EndpointTraits {
            host: Some("own.example".into()),
            probe,
            ..EndpointTraits::default()
        })),
        ..endpoint(backend.backend.address)
    };
    let backends = [(); 4].map(|()| Patient::new("one", 200));
    backends[2].set(500);
    backends[3].set(500);
    let endpoints = [
        own(EndpointProbe::AsBackend, &backends[0]),
        own(EndpointProbe::Path("/ready".into()), &backends[1]),
        own(EndpointProbe::Connect, &backends[2]),
        own(EndpointProbe::Off, &backends[3]),
    ];
    let mut plan = Plan::to(&[]);
    plan.backends[0].1 = EndpointSource::Static(endpoints.into());
    let watched = Watched::new(&treat(plan, checked(check())));
    eventually("three are probed", || watched.said().len() == 3);
    assert!(watched.said().iter().all(|line| line.contains("is healthy")));
    let lines: Vec<String> = backends[..2]
        .iter()
        .map(|one| {
            let probe = one.backend.seen().remove(0);
            format!("{} {}", probe.line, probe.field("host").unwrap())
        })
        .collect();
    assert_eq!(
        lines,
        [
            "GET /healthz HTTP/1.1 own.example",
            "GET /ready HTTP/1.1 own.example"
        ]
    );
    assert_eq!(backends[2].backend.requests(), 0);
    assert_eq!(backends[3].backend.connections(), 0);
}

#[test]
fn hc01_whatever_an_endpoint_answers_is_a_failure_with_its_cause() {
    type Script = Box<dyn Fn(&mut std::net::TcpStream) + Send + Sync>;
    let bytes = |bytes: Vec<u8>| -> Script {
        Box::new(move |stream| {
            let _gone = stream.write_all(&bytes);
        })
    };
    let with_body = HttpProbe {
        expected_body: Payload::new(&b"fine"[..]),
        ..probe()
    };
    let huge_head = [&b"HTTP/1.1 200 OK\r\nx: "[..], &vec![b'a'; 1 << 20]].concat();
    let huge_body = [&b"HTTP/1.1 200 OK\r\n\r\n"[..], &vec![b'a'; 1 << 20]].concat();
    let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nfi\r\n2\r\nne\r\n0\r\n\r\n";
    let cases: Vec<(&str, HttpProbe, Script, &str)> = vec![
        (
            "garbage",
            probe(),
            bytes(b"\x16\x03\x01 what\r\n\r\n".to_vec()),
            "with an answer that is not HTTP",
        ),
        (
            "two lengths",
            probe(),
            bytes(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n".to_vec()),
            "with an answer that is not HTTP",
        ),
        (
            "a switch",
            probe(),
            bytes(b"HTTP/1.1 101 X\r\n\r\n".to_vec()),
            "with an answer that is not HTTP",
        ),
        (
            "nothing",
            probe(),
            bytes(Vec::new()),
            "with a connection closed early",
        ),
        (
            "half a head",
            probe(),
            bytes(b"HTTP/1.1 200 OK\r\nx".to_vec()),
            "with a connection closed early",
        ),
        (
            "endless head",
            probe(),
            bytes(huge_head),
            "with an answer that is not HTTP",
        ),
        (
            "a status",
            probe(),
            bytes(respond(204, "", b"")),
            "was answered 204",
        ),
        (
            "silence",
            probe(),
            Box::new(|_| std::thread::sleep(Duration::from_secs(30))),
            "without an answer in time",
        ),
        (
            "a trickle",
            probe(),
            Box::new(|stream| {
                for _ in 0..300 {
                    let _gone = stream.write_all(b"x");
                    std::thread::sleep(Duration::from_millis(50));
                }
            }),
            "with an answer that is not HTTP",
        ),
        (
            "a head in drops",
            probe(),
            Box::new(|stream| {
                for byte in b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n" {
                    let _gone = stream.write_all(&[*byte]);
                    std::thread::sleep(Duration::from_millis(20));
                }
            }),
            "without an answer in time",
        ),
        (
            "interim",
            probe(),
            bytes([&b"HTTP/1.1 103 X\r\n\r\n"[..], &respond(200, "", b"")].concat()),
            "a probe was good",
        ),
        (
            "another body",
            with_body.clone(),
            bytes(respond(200, "", b"not well")),
            "with unexpected content",
        ),
        (
            "the body",
            with_body.clone(),
            bytes(respond(200, "", b"all is fine")),
            "a probe was good",
        ),
        (
            "chunks",
            with_body.clone(),
            bytes(chunked.to_vec()),
            "a probe was good",
        ),
        (
            "huge body",
            with_body.clone(),
            bytes(huge_body.clone()),
            "with unexpected content",
        ),
        ("huge body unasked", probe(), bytes(huge_body), "a probe was good"),
        (
            "a cut body",
            with_body,
            bytes(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nfi".to_vec()),
            "with a connection closed early",
        ),
    ];
    for (name, probe, script, expected) in cases {
        let backend = Backend::scripted(move |_, stream| {
            if read_head(stream).is_some() {
                script(stream.get_mut());
            }
        });
        let check = ActiveCheck {
            probe: Probe::Http(probe),
            timeout: Period::clamped(Duration::from_millis(300)),
            ..check()
        };
        let watched = Watched::new(&treat(Plan::to(&[backend.address]), checked(check)));
        eventually(name, || !watched.said().is_empty());
        assert!(
            watched.said()[0].contains(expected),
            "{name}: {:?}",
            watched.said()
        );
        let report = watched.rig.gateway.health();
        assert_eq!(report.probes.len(), 1);
        assert_eq!(&*report.probes[0].check, "GET /healthz");
    }
}

#[test]
fn hc10_all_dead_is_503_or_all_never_the_first() {
    let dead: Vec<Patient> = ["a", "b", "c"].map(|name| Patient::new(name, 500)).into();
    let addresses: Vec<SocketAddr> = dead.iter().map(|one| one.backend.address).collect();
    let mut spec = checked(check());
    let watched = Watched::new(&treat(Plan::to(&addresses), spec.clone()));
    eventually("all are known", || watched.said().len() == 3);
    let response = watched.rig.get("/");
    assert_eq!(response.status, 503);
    assert_eq!(response.field("x-weir-reason"), Some("no_endpoint_available"));

    // A little panic spreads over all instead.
    spec.health.panic_threshold = Percent::new(50).unwrap();
    let watched = Watched::new(&treat(Plan::to(&addresses), spec));
    eventually("all are known", || watched.said().len() == 3);
    let before: Vec<usize> = dead
        .iter()
        .map(|one| one.backend.requests() - one.probes())
        .collect();
    for _ in 0..30 {
        assert_eq!(watched.rig.get("/").status, 500);
    }
    for (one, before) in dead.iter().zip(before) {
        assert!(one.backend.requests() - one.probes() - before >= 5);
    }
}

#[test]
fn hc19_one_probe_per_endpoint_whatever_uses_it_and_reloads_keep_it() {
    let a = Patient::new("a", 200);
    let slow = ActiveCheck {
        interval: Period::clamped(Duration::from_secs(60)),
        ..check()
    };
    let many = |rules: usize, check: &ActiveCheck| {
        let mut plan = Plan::new();
        for index in 0..rules {
            let backend = plan.backend(&format!("b{index:03}"), &[a.backend.address]);
            plan.rules
                .push(prefix_rule(&format!("/{index}"), forward_to(&[backend.0])));
        }
        // Equal specifications, but not the same ones.
        for rule in &mut plan.rules {
            if let Action::Forward(forward) = &mut rule.action {
                forward.upstream = Arc::new(checked(check.clone()));
            }
        }
        plan
    };
    let watched = Watched::new(&many(100, &slow));
    watched.wait_for("is healthy");
    for rules in [50, 1, 80] {
        watched.rig.gateway.publish(Arc::new(many(rules, &slow).config()));
    }
    assert_eq!(watched.rig.get("/0").status, 200);
    assert_eq!((a.probes(), watched.rig.gateway.health().probes.len()), (1, 1));

    // An edited check begins anew, without taking a healthy endpoint out.
    watched.rig.gateway.publish(Arc::new(many(10, &check()).config()));
    assert_eq!(watched.rig.get("/0").status, 200);
    a.wait_probes(3);
    assert_eq!(watched.said().len(), 1, "{:?}", watched.said());

    // A removed one stops.
    watched.rig.gateway.publish(Arc::new(
        treat(many(10, &check()), UpstreamSpec::default()).config(),
    ));
    eventually("no probe is left", || {
        watched.rig.gateway.health().probes.is_empty()
    });
    std::thread::sleep(INTERVAL);
    let before = a.probes();
    std::thread::sleep(INTERVAL * 5);
    assert_eq!(a.probes(), before);
}

#[test]
fn hc02_an_edited_check_does_not_forget_that_an_endpoint_is_dead() {
    let (a, b) = (Patient::new("a", 200), Patient::new("b", 500));
    let plan = |check| treat(Plan::to(&[a.backend.address, b.backend.address]), checked(check));
    let watched = Watched::new(&plan(check()));
    watched.wait_for("is unhealthy");
    let edited = ActiveCheck {
        interval: Period::clamped(INTERVAL * 2),
        unhealthy_threshold: NonZeroU32::new(10).unwrap(),
        ..check()
    };
    watched.rig.gateway.publish(Arc::new(plan(edited).config()));
    assert_eq!(answers(&watched.rig, 20), BTreeMap::from([("a".to_owned(), 20)]));
}
