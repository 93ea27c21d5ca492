//! A prober that the system does not run for a while, in a simulated world.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use weir_balance::Verdict;
use weir_model::{
    Action, ActiveCheck, Backend, BackendId, Config, Destination, DnsSpec, Endpoint, EndpointAddress,
    EndpointSource, Failover, Forward, HealthSpec, HttpProbe, Match, ObjectName, Origin, PathMatch, Period,
    Probe, Route, Rule, Target, Tier, Timeouts, UpstreamSpec, Weight,
};
use weir_net::simulation::{Notice, SocketId, World};
use weir_proxy::Options;
use weir_proxy::simulation::Plane;

const ENDPOINTS: u8 = 3;
const TIMEOUT_MS: u64 = 100;
/// An endpoint answers after this long.
const ROUND_MS: u64 = 30;
/// By then all first probes have begun.
const BEGUN_MS: u64 = 20;

/// What becomes of each endpoint's first probe.
#[derive(Clone, Copy)]
enum Step {
    /// The endpoints take the connections that were asked for.
    Open,
    /// They answer.
    Answer,
    /// The prober is run at once.
    Run,
    /// It is run after this long, milliseconds.
    RunAfter(u64),
}

/// One prober and what it asked of its endpoints.
struct Bench {
    // Before the world, so that what lives in it goes first.
    plane: Plane,
    world: World,
    sockets: Vec<SocketId>,
}

impl Bench {
    fn new() -> Self {
        let world = World::enter(1);
        let options = Options {
            workers: 1,
            seed: Some(1),
            ..Options::default()
        };
        let mut plane = Plane::start(options).unwrap();
        plane.publish(Arc::new(config()));
        Self {
            plane,
            world,
            sockets: Vec::new(),
        }
    }

    fn run(&mut self) {
        let prober = self.plane.loops() - 1;
        self.plane.look(prober);
        while self.plane.poll_next(prober) {}
        for notice in self.world.take_notices() {
            if let Notice::Dialled { socket, .. } = notice {
                self.sockets.push(socket);
            }
        }
    }

    fn step(&mut self, step: Step) {
        for socket in &self.sockets {
            match step {
                Step::Open => self.world.open(*socket, 10_000),
                Step::Answer => {
                    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
                    assert!(self.world.arrive(*socket, answer), "the probe has ended");
                }
                Step::Run | Step::RunAfter(_) => {}
            }
        }
        if let Step::RunAfter(wait_ms) = step {
            self.world.advance_to(self.world.now_us() + wait_ms * 1_000);
        }
        if matches!(step, Step::Run | Step::RunAfter(_)) {
            self.run();
        }
    }

    fn verdicts(&mut self) -> Vec<Verdict> {
        let probes = self.plane.health().probes;
        probes.iter().map(|probe| probe.verdict).collect()
    }
}

fn config() -> Config {
    let check = ActiveCheck {
        probe: Probe::Http(HttpProbe::default()),
        interval: Period::clamped(Duration::from_secs(60)),
        timeout: Period::clamped(Duration::from_millis(TIMEOUT_MS)),
        unhealthy_threshold: NonZeroU32::MIN,
        ..ActiveCheck::default()
    };
    let forward = Forward {
        destinations: vec![Destination {
            weight: Weight::ONE,
            tier: Tier::FIRST,
            target: Target::Backend(BackendId(0)),
            filters: Vec::new(),
        }],
        balance: Arc::default(),
        upstream: Arc::new(UpstreamSpec {
            health: HealthSpec {
                active: Some(Arc::new(check)),
                ..HealthSpec::default()
            },
            ..UpstreamSpec::default()
        }),
        failover: Failover::default(),
        retry: None,
        persistence: None,
        policy: None,
    };
    let rule = Rule {
        key: "rule/0".into(),
        name: None,
        matches: vec![Match {
            path: PathMatch::Prefix("/".into()),
            method: None,
            headers: Vec::new(),
            query: Vec::new(),
        }],
        filters: Vec::new(),
        action: Action::Forward(forward),
        timeouts: Timeouts::default(),
        traffic: None,
        origin: Origin::default(),
    };
    let route = Route {
        object: ObjectName::new("HTTPRoute", "sim", "route"),
        created: None,
        rules: vec![rule],
        origin: Origin::default(),
    };
    let address = |host| EndpointAddress::Tcp(SocketAddr::from(([10, 1, 0, host], 8080)));
    let backend = Backend {
        key: "service/sim/a/80".into(),
        object: ObjectName::new("Service", "sim", "a"),
        endpoints: EndpointSource::Static((1..=ENDPOINTS).map(address).map(Endpoint::new).collect()),
        dns: DnsSpec::default(),
        origin: Origin::default(),
    };
    Config {
        listeners: Vec::new(),
        routes: vec![Arc::new(route)],
        backends: vec![Arc::new(backend)],
    }
}

#[test]
fn hc04_a_prober_that_was_held_up_blames_nobody_and_silence_is_found_out_all_the_same() {
    // Longer than the timeout; and so long that by itself a timeout would not count any more.
    for held_up_ms in [150, 500, 5_000] {
        check(held_up_ms);
    }
}

fn check(held_up_ms: u64) {
    use Step::{Answer, Open, Run, RunAfter};
    for (name, steps, verdict) in [
        ("in time", &[Open, Run, Answer, Run][..], Verdict::Healthy),
        (
            "held up before it could ask",
            &[Open, RunAfter(held_up_ms), RunAfter(ROUND_MS), Answer, Run],
            Verdict::Healthy,
        ),
        (
            "held up before it could read",
            &[Open, Run, Answer, RunAfter(held_up_ms)],
            Verdict::Healthy,
        ),
        (
            "held up both times",
            &[
                Open,
                RunAfter(held_up_ms),
                RunAfter(ROUND_MS),
                Answer,
                RunAfter(held_up_ms),
            ],
            Verdict::Healthy,
        ),
        (
            "not connected",
            &[RunAfter(TIMEOUT_MS + 10), RunAfter(20)],
            Verdict::Unhealthy,
        ),
        (
            "silent",
            &[Open, Run, RunAfter(TIMEOUT_MS + 10), RunAfter(20)],
            Verdict::Unhealthy,
        ),
        (
            "silent and held up",
            &[
                Open,
                RunAfter(held_up_ms),
                RunAfter(TIMEOUT_MS + 10),
                RunAfter(10),
            ],
            Verdict::Unhealthy,
        ),
    ] {
        let mut bench = Bench::new();
        bench.run();
        bench.step(RunAfter(BEGUN_MS));
        assert_eq!(bench.sockets.len(), usize::from(ENDPOINTS), "{name}");
        for step in steps {
            bench.step(*step);
        }
        let verdicts = bench.verdicts();
        assert_eq!(verdicts, [verdict; ENDPOINTS as usize], "{name}, {held_up_ms} ms");
    }
}
