//! What many probes cost, in a process of their own: how often endpoints are asked, and what is left behind.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "it/harness/mod.rs"]
#[allow(dead_code, reason = "the other tests use the rest")]
mod harness;

use std::collections::HashMap;
use std::io::{BufReader, Write};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use weir_model::{Action, ActiveCheck, EndpointAddress, HealthSpec, Percent, Period, UpstreamSpec};

use crate::harness::{Plan, Rig, eventually, forward_to, prefix_rule, read_head, respond};

/// One listening socket behind many addresses, which counts what each of them is asked.
struct Many {
    addresses: Vec<SocketAddr>,
    asked: Arc<Mutex<HashMap<IpAddr, Vec<Instant>>>>,
}

impl Many {
    fn new(count: u8) -> Self {
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked: Arc<Mutex<HashMap<IpAddr, Vec<Instant>>>> = Arc::default();
        let log = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let Ok(own) = stream.local_addr() else {
                    continue;
                };
                log.lock()
                    .unwrap()
                    .entry(own.ip())
                    .or_default()
                    .push(Instant::now());
                stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
                let mut stream = BufReader::new(stream);
                if read_head(&mut stream).is_some() {
                    let _gone = stream
                        .get_mut()
                        .write_all(&respond(200, "connection: close\r\n", b"well"));
                }
            }
        });
        let addresses = (1..=count).map(|host| SocketAddr::new([127, 0, 1, host].into(), port));
        Self {
            addresses: addresses.collect(),
            asked,
        }
    }

    /// How often each has been asked.
    fn asked(&self) -> HashMap<IpAddr, usize> {
        let asked = self.asked.lock().unwrap();
        asked
            .iter()
            .map(|(address, times)| (*address, times.len()))
            .collect()
    }

    /// When each was asked for the `turn`th time, from 0; sorted.
    fn turn(&self, turn: usize) -> Vec<Instant> {
        let asked = self.asked.lock().unwrap();
        let mut times: Vec<Instant> = asked
            .values()
            .filter_map(|times| times.get(turn).copied())
            .collect();
        times.sort_unstable();
        times
    }

    fn total(&self) -> usize {
        self.asked().values().sum()
    }
}

/// `routes` rules, each with a backend of its own that lists all endpoints.
fn plan(many: &Many, routes: usize, interval: Duration) -> Plan {
    let check = ActiveCheck {
        interval: Period::clamped(interval),
        timeout: Period::clamped(Duration::from_secs(10)),
        unhealthy_threshold: NonZeroU32::MIN,
        ..ActiveCheck::default()
    };
    checked(many, routes, check)
}

/// The same with any check.
fn checked(many: &Many, routes: usize, check: ActiveCheck) -> Plan {
    let mut plan = Plan::new();
    let upstream = Arc::new(UpstreamSpec {
        health: HealthSpec {
            active: Some(Arc::new(check)),
            ..HealthSpec::default()
        },
        ..UpstreamSpec::default()
    });
    for route in 0..routes {
        let backend = plan.backend(&format!("b{route:04}"), &many.addresses);
        let mut action = forward_to(&[backend.0]);
        if let Action::Forward(forward) = &mut action {
            forward.upstream = Arc::clone(&upstream);
        }
        plan.rules.push(prefix_rule(&format!("/{route}"), action));
    }
    plan
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// One after the other: the last counts the files of the whole process.
#[test]
fn hc04_hc08_hc19_probes_are_spread_follow_endpoints_not_routes_and_leave_nothing_open() {
    hc04_a_hundred_endpoints_are_not_asked_in_a_burst();
    hc19_two_hundred_endpoints_of_five_hundred_routes();
    hc08_ten_thousand_probes();
}

/// A burst would be: most of them within a tenth of the time over which they are to be spread. A machine that stops for half
/// that time makes half of them late and passes.
fn expect_spread(times: &[Instant], over: Duration) {
    assert_eq!(times.len(), 100);
    let span = times[99] - times[0];
    assert!(span > over / 2 && span < over * 3, "{span:?} of {over:?}");
    let within = |from: &Instant| {
        let later = times.iter().filter(|time| *time >= from);
        later.filter(|time| **time - *from < over / 10).count()
    };
    let most = times.iter().map(within).max();
    assert!(most < Some(75), "{most:?} of 100 at once");
}

fn hc04_a_hundred_endpoints_are_not_asked_in_a_burst() {
    // The spread that every check has, a tenth of the timeout, is far too little for either bound.
    let check = |initial_jitter_s, percent| ActiveCheck {
        interval: Period::clamped(Duration::from_secs(2)),
        interval_jitter: Percent::new(percent).unwrap(),
        initial_jitter: Duration::from_secs(initial_jitter_s),
        timeout: Period::clamped(Duration::from_secs(1)),
        ..ActiveCheck::default()
    };
    let [initial, interval] = [(); 2].map(|()| Many::new(100));
    let _rigs = [
        Rig::new(&checked(&initial, 1, check(2, 0))),
        Rig::new(&checked(&interval, 1, check(0, 50))),
    ];
    // The second turn of the one keeps what the first had; of the other, the interval strays by one second to either side.
    eventually("all have been asked twice", || {
        initial.turn(1).len() == 100 && interval.turn(1).len() == 100
    });
    expect_spread(&initial.turn(0), Duration::from_secs(2));
    expect_spread(&initial.turn(1), Duration::from_secs(2));
    expect_spread(&interval.turn(1), Duration::from_secs(2));
}

fn hc19_two_hundred_endpoints_of_five_hundred_routes() {
    let many = Many::new(200);
    let interval = Duration::from_millis(500);
    let rig = Rig::new(&plan(&many, 500, interval));
    eventually("all have been asked", || many.asked().len() == 200);
    let (begun, before) = (Instant::now(), many.total());
    std::thread::sleep(interval * 5);
    let (elapsed, asked) = (begun.elapsed(), many.total() - before);
    let expected = 200.0 * elapsed.as_secs_f64() / interval.as_secs_f64();
    let part = asked as f64 / expected;
    assert!(
        (0.85..1.15).contains(&part),
        "{asked} probes, {expected:.0} expected"
    );
    let counts = many.asked();
    let (least, most) = (counts.values().min().unwrap(), counts.values().max().unwrap());
    assert!(most - least <= 6, "{least} to {most}");
    let report = rig.gateway.health();
    assert_eq!(report.probes.len(), 200);
    assert!(report.probes.iter().all(|probe| probe.failed == 0), "{report:?}");
    let EndpointAddress::Tcp(first) = &report.probes[0].endpoint else {
        panic!("TCP endpoints");
    };
    assert_eq!(*first, many.addresses[0]);
}

fn hc08_ten_thousand_probes() {
    let many = Many::new(200);
    let rig = Rig::new(&plan(&many, 1, Duration::from_millis(1)));
    eventually("all have been asked", || many.asked().len() == 200);
    let before = open_files();
    let begun = Instant::now();
    while many.total() < 10_000 {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "{} probes",
            many.total()
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    // Probes are under way all the time: as many as endpoints at most, one file at each end.
    let most = before + 2 * many.addresses.len();
    assert!(open_files() <= most, "{before} before, {} after", open_files());
    rig.gateway.stop();
    eventually("nothing is left open", || open_files() < before);
}
