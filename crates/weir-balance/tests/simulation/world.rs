//! Gateways and backends in virtual time: open-loop arrivals, queues, everything from one seed.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use weir_balance::{Answer, Balancer, EndpointState, Lease, Member, Pick, Rng};
use weir_model::{Algorithm, BalanceSpec, Endpoint, EndpointAddress, Weight};

/// How long a request takes at a backend that does nothing else, 10 ms on average.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Service {
    Fixed,
    Exponential,
    /// One request of twenty takes 16 times as long as the others.
    Mixed,
}

/// What a backend does from some second on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Mood {
    /// Answers, that many times as slowly as usual.
    Serves(f64),
    /// Answers 503 in 100 microseconds.
    Refuses,
    /// Answers with that probability, and 503 otherwise, in the usual time.
    Flaky(f64),
    /// Never answers.
    Hangs,
}

#[derive(Clone, Debug)]
pub(crate) struct Scene {
    /// One per backend: `(second, mood)`, by time; serves as usual before.
    pub(crate) moods: Vec<Vec<(f64, Mood)>>,
    pub(crate) service: Service,
    /// Requests that a backend works on at once; more wait. 0: no bound.
    pub(crate) servers: usize,
    pub(crate) rate: f64,
    pub(crate) seconds: f64,
    /// Requests that begin before are not measured.
    pub(crate) warm_up: f64,
    pub(crate) retries: usize,
    pub(crate) weights: Vec<u64>,
    /// Gateways that know nothing of each other.
    pub(crate) gateways: usize,
}

#[derive(Default, Debug)]
pub(crate) struct Outcome {
    pub(crate) latencies_ms: Vec<f64>,
    pub(crate) errors: u32,
    pub(crate) picks: Vec<u32>,
    /// Second of each try, by backend.
    pub(crate) tries: Vec<Vec<f64>>,
}

impl Outcome {
    /// Latency that this part of the good answers does not exceed, milliseconds.
    pub(crate) fn percentile(&self, part: f64) -> f64 {
        let mut sorted = self.latencies_ms.clone();
        sorted.sort_by(f64::total_cmp);
        sorted[((sorted.len() as f64 * part) as usize).min(sorted.len() - 1)]
    }

    /// Part of all tries that went to a backend.
    pub(crate) fn share(&self, backend: usize) -> f64 {
        f64::from(self.picks[backend]) / f64::from(self.picks.iter().sum::<u32>())
    }
}

struct At(f64, u64, Event);

#[derive(Clone, Copy)]
enum Event {
    Arrival,
    Done {
        request: usize,
        backend: usize,
        fine: bool,
        queued: bool,
    },
    GivenUp {
        request: usize,
    },
}

impl PartialEq for At {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for At {}

impl PartialOrd for At {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for At {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0).then(self.1.cmp(&other.1))
    }
}

struct Request {
    begun: f64,
    try_begun: f64,
    tried: Vec<u32>,
    lease: Option<Lease<Arc<EndpointState>>>,
    tries: usize,
}

/// Time after which the gateway gives a try up.
const TIMEOUT: f64 = 1.0;

struct Sim<'a> {
    scene: &'a Scene,
    balancers: Vec<Balancer>,
    rng: Rng,
    pick_rng: Rng,
    cursor: AtomicU64,
    events: BinaryHeap<Reverse<At>>,
    number: u64,
    now: f64,
    requests: Vec<Request>,
    busy: Vec<usize>,
    queues: Vec<VecDeque<usize>>,
    outcome: Outcome,
}

/// What becomes of the scene under `algorithm`.
pub(crate) fn run(algorithm: &Algorithm, scene: &Scene, seed: u64) -> Outcome {
    let count = scene.moods.len();
    let members = || {
        (0..count)
            .map(|number| {
                let endpoint = Endpoint {
                    weight: Weight::new(scene.weights.get(number).copied().unwrap_or(1))
                        .unwrap_or(Weight::ONE),
                    ..Endpoint::new(EndpointAddress::Tcp(([10, 0, 0, number as u8], 80).into()))
                };
                Member::new(endpoint, Arc::new(EndpointState::new(0)))
            })
            .collect()
    };
    let spec = BalanceSpec {
        algorithm: algorithm.clone(),
        ..BalanceSpec::default()
    };
    let mut sim = Sim {
        scene,
        balancers: (0..scene.gateways)
            .map(|_| Balancer::new(&spec, members()))
            .collect(),
        rng: Rng::from_seed(seed),
        pick_rng: Rng::from_seed(seed ^ 0x5555),
        cursor: AtomicU64::new(0),
        events: BinaryHeap::new(),
        number: 0,
        now: 0.0,
        requests: Vec::new(),
        busy: vec![0; count],
        queues: vec![VecDeque::new(); count],
        outcome: Outcome {
            picks: vec![0; count],
            tries: vec![Vec::new(); count],
            ..Outcome::default()
        },
    };
    sim.schedule(0.0, Event::Arrival);
    while let Some(Reverse(At(time, _, event))) = sim.events.pop() {
        sim.now = time;
        sim.step(event);
    }
    sim.outcome
}

impl Sim<'_> {
    fn schedule(&mut self, after: f64, event: Event) {
        self.number += 1;
        self.events
            .push(Reverse(At(self.now + after, self.number, event)));
    }

    fn exponential(&mut self) -> f64 {
        -(1.0 - self.rng.unit()).ln()
    }

    fn service_time(&mut self) -> f64 {
        0.010
            * match self.scene.service {
                Service::Fixed => 0.9 + 0.2 * self.rng.unit(),
                Service::Exponential => self.exponential(),
                Service::Mixed if self.rng.below(20) == 0 => 16.0 / 1.75,
                Service::Mixed => 1.0 / 1.75,
            }
    }

    fn mood(&self, backend: usize) -> Mood {
        let moods = &self.scene.moods[backend];
        let mood = moods.iter().rev().find(|(from, _)| *from <= self.now);
        mood.map_or(Mood::Serves(1.0), |(_, mood)| *mood)
    }

    /// Milliseconds of a clock that did not begin today.
    fn now_ms(&self) -> u64 {
        5_000_000_000 + (self.now * 1e3) as u64
    }

    fn step(&mut self, event: Event) {
        match event {
            Event::Arrival => {
                if self.now < self.scene.seconds {
                    let gap = self.exponential() / self.scene.rate;
                    self.schedule(gap, Event::Arrival);
                    self.requests.push(Request {
                        begun: self.now,
                        try_begun: self.now,
                        tried: Vec::new(),
                        lease: None,
                        tries: 0,
                    });
                    self.send(self.requests.len() - 1);
                }
            }
            Event::Done {
                request,
                backend,
                fine,
                queued,
            } => {
                if queued {
                    self.busy[backend] -= 1;
                    if let Some(next) = self.queues[backend].pop_front() {
                        self.serve(next, backend);
                    }
                }
                let answer = if fine { Answer::Success } else { Answer::Failure };
                self.answered(request, answer, fine);
            }
            Event::GivenUp { request } => self.answered(request, Answer::Failure, false),
        }
    }

    fn send(&mut self, request: usize) {
        let mut pick = Pick {
            key: None,
            key_source: 0,
            cursor: &self.cursor,
            rng: &mut self.pick_rng,
            now_ms: 5_000_000_000 + (self.now * 1e3) as u64,
            override_hosts: None,
            tried: &self.requests[request].tried,
        };
        let balancer = &self.balancers[request % self.balancers.len()];
        let Ok(picked) = balancer.pick(&mut pick) else {
            self.finish(request, false);
            return;
        };
        let backend = picked.index as usize;
        let state = Arc::clone(&balancer.members()[backend].state);
        let lease = if balancer.learns() {
            Lease::watched(state, self.now_ms())
        } else {
            Lease::new(state)
        };
        let now = self.now;
        let one = &mut self.requests[request];
        one.lease = Some(lease);
        one.tried.push(picked.index);
        one.try_begun = now;
        one.tries += 1;
        self.outcome.tries[backend].push(now);
        if one.begun >= self.scene.warm_up {
            self.outcome.picks[backend] += 1;
        }
        match self.mood(backend) {
            Mood::Refuses => self.schedule(
                0.000_1,
                Event::Done {
                    request,
                    backend,
                    fine: false,
                    queued: false,
                },
            ),
            Mood::Hangs => self.schedule(TIMEOUT, Event::GivenUp { request }),
            Mood::Serves(_) | Mood::Flaky(_) => {
                if self.scene.servers > 0 && self.busy[backend] >= self.scene.servers {
                    self.queues[backend].push_back(request);
                } else {
                    self.serve(request, backend);
                }
            }
        }
    }

    fn serve(&mut self, request: usize, backend: usize) {
        self.busy[backend] += 1;
        let mut time = self.service_time();
        let mut fine = true;
        match self.mood(backend) {
            Mood::Serves(factor) => time *= factor,
            Mood::Flaky(part) => fine = self.rng.unit() < part,
            Mood::Refuses | Mood::Hangs => fine = false,
        }
        self.schedule(
            time,
            Event::Done {
                request,
                backend,
                fine,
                queued: true,
            },
        );
    }

    fn answered(&mut self, request: usize, answer: Answer, fine: bool) {
        let now_ms = self.now_ms();
        let latency = Duration::from_secs_f64(self.now - self.requests[request].try_begun);
        if let Some(mut lease) = self.requests[request].lease.take() {
            lease.answered(now_ms, latency, answer);
        }
        if !fine && self.requests[request].tries <= self.scene.retries {
            self.send(request);
        } else {
            self.finish(request, fine);
        }
    }

    fn finish(&mut self, request: usize, fine: bool) {
        let begun = self.requests[request].begun;
        if begun < self.scene.warm_up {
            return;
        }
        if fine {
            self.outcome.latencies_ms.push((self.now - begun) * 1e3);
        } else {
            self.outcome.errors += 1;
        }
    }
}
