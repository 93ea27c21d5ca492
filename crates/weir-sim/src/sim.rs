//! One seed's world and what drives it: the agenda, the loops of the data plane, the time.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use weir_net::simulation::{SocketId, World};
use weir_proxy::simulation::{EndpointLoad, Plane};
use weir_proxy::{Event, Options};

use crate::agenda::Agenda;
use crate::backend::{Backend, Mode};
use crate::client::{Act, Client};
use crate::dice::Dice;
use crate::homes::{Owners, TierWatch};
use crate::ledger::Ledger;
use crate::phase::Phase;
use crate::plan::{Listed, Plan};
use crate::trace::Trace;
use crate::wire::Wire;

/// Steps of one seed at most: a world that does not come to rest is a defect.
const STEPS_MAX: u64 = 3_000_000;

/// What comes to pass at its time.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Happening {
    /// Something arrives at weir.
    ToWeir(SocketId),
    /// Something arrives at a scripted peer.
    ToPeer(SocketId),
    /// A backend answers a connection attempt.
    Opens(SocketId),
    /// A backend answers a request.
    Answers(SocketId, u64),
    /// A backend closes an idle connection.
    Quits(SocketId, u64),
    /// A client acts.
    Client(usize, Act),
    /// Whoever runs weir, or fate, acts.
    Operator,
    /// Another phase begins.
    Phase(Phase),
}

/// One world.
pub(crate) struct Sim {
    // Before the world, so that what lives in it goes first.
    pub(crate) plane: Plane,
    pub(crate) world: World,
    pub(crate) plan: Plan,
    pub(crate) dice: Dice,
    agenda: Agenda<Happening>,
    trace: Trace,
    pub(crate) wires: BTreeMap<SocketId, Wire>,
    pub(crate) clients: Vec<Client>,
    pub(crate) backends: BTreeMap<SocketAddr, Backend>,
    pub(crate) ledger: Ledger,
    pub(crate) phase: Phase,
    pub(crate) is_draining: bool,
    pub(crate) drain_us: u64,
    /// The number of the configuration that runs.
    pub(crate) stamp: u64,
    pub(crate) listed: Listed,
    /// When [`Self::listed`] changed last.
    pub(crate) listed_us: u64,
    /// When an endpoint was taken out of the configuration.
    pub(crate) unlisted: BTreeMap<SocketAddr, u64>,
    /// How often something happened that may move sessions.
    pub(crate) shakes: u64,
    /// Where keys and tokens went last: the endpoint, and [`Self::shakes`] then.
    pub(crate) sessions: BTreeMap<String, (SocketAddr, u64)>,
    pub(crate) owners: Owners,
    pub(crate) tiers: TierWatch,
    /// Connections of workers to each backend, attempts included.
    pub(crate) dials: BTreeMap<SocketAddr, u32>,
    pub(crate) pooled: BTreeSet<SocketId>,
    pub(crate) loads: Vec<EndpointLoad>,
    pub(crate) generation: u64,
    events: Arc<Mutex<Vec<Event>>>,
    loops: Vec<Loop>,
    pub(crate) violations: Vec<String>,
    steps: u64,
}

/// How one loop of the data plane stands.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Loop {
    /// Tasks that it polls before it looks at its sockets again.
    polls_left: u64,
    /// When it looks at its clock though nothing happens.
    wakes_us: u64,
    /// The system does not let it run before.
    pub(crate) stalled_until_us: u64,
}

/// What came of one seed.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Which.
    pub seed: u64,
    /// Hash over the whole trace: equal seeds have equal ones.
    pub hash: u64,
    /// What was violated; nothing when all is well.
    pub violations: Vec<String>,
    /// The trace as text, when it was asked for.
    pub trace: String,
    /// Steps of the data plane's loops.
    pub steps: u64,
    /// Requests that clients sent.
    pub requests: u64,
    /// Lines of the trace.
    pub lines: u64,
    /// How long it took in virtual time, microseconds.
    pub time_us: u64,
}

/// Runs one seed. Fails when the data plane could not be built.
pub fn run(seed: u64, keeps_trace: bool) -> std::io::Result<Outcome> {
    let mut sim = Sim::new(seed, keeps_trace)?;
    sim.begin();
    while sim.violations.is_empty() && sim.phase != Phase::Over {
        sim.step();
        if sim.steps > STEPS_MAX {
            sim.violated("I7: it does not come to rest".into());
        }
    }
    Ok(Outcome {
        seed,
        hash: sim.trace.hash(),
        steps: sim.steps,
        requests: sim.ledger.entries.len() as u64,
        lines: sim.trace.count(),
        time_us: sim.world.now_us(),
        violations: sim.violations,
        trace: sim.trace.into_lines(),
    })
}

impl Sim {
    fn new(seed: u64, keeps_trace: bool) -> std::io::Result<Self> {
        let mut dice = Dice::new(seed);
        let plan = Plan::draw(&mut dice);
        let world = World::enter(dice.any());
        let events: Arc<Mutex<Vec<Event>>> = Arc::default();
        let heard = Arc::clone(&events);
        let plane = Plane::start(Options {
            workers: plan.workers,
            seed: Some(dice.any()),
            reason_header: true,
            events: Some(Arc::new(move |event| {
                heard.lock().unwrap_or_else(PoisonError::into_inner).push(event);
            })),
            ..Options::default()
        })?;
        let all = plan.endpoints.iter().flatten();
        Ok(Self {
            loops: vec![Loop::default(); plane.loops()],
            plane,
            world,
            backends: all.map(|address| (*address, Backend::new(Mode::Good))).collect(),
            listed: plan.endpoints.clone(),
            plan,
            dice,
            agenda: Agenda::new(),
            trace: Trace::new(keeps_trace),
            wires: BTreeMap::new(),
            clients: Vec::new(),
            ledger: Ledger::default(),
            phase: Phase::Storm,
            is_draining: false,
            drain_us: 0,
            stamp: 0,
            listed_us: 0,
            unlisted: BTreeMap::new(),
            shakes: 0,
            sessions: BTreeMap::new(),
            owners: Owners::default(),
            tiers: TierWatch::default(),
            dials: BTreeMap::new(),
            pooled: BTreeSet::new(),
            loads: Vec::new(),
            generation: 0,
            events,
            violations: Vec::new(),
            steps: 0,
        })
    }

    /// Puts something down for a time.
    pub(crate) fn put(&mut self, at_us: u64, happening: Happening) {
        let tie_break = self.dice.any();
        self.agenda.put(at_us, tie_break, happening);
    }

    /// Adds a line to the trace.
    pub(crate) fn trace(&mut self, text: fmt::Arguments<'_>) {
        let now_us = self.world.now_us();
        self.trace.line(now_us, text);
    }

    /// Something is wrong.
    pub(crate) fn violated(&mut self, what: String) {
        let now_us = self.world.now_us();
        self.trace(format_args!("VIOLATED {what}"));
        self.violations.push(format!("at {now_us} us: {what}"));
    }

    /// The peers behave and nothing is changed.
    pub(crate) fn is_calm(&self) -> bool {
        self.phase != Phase::Storm
    }

    /// One loop of the data plane, by its index.
    pub(crate) fn loop_at(&mut self, index: usize) -> Option<&mut Loop> {
        self.loops.get_mut(index)
    }

    /// One thing happens, or time passes until one does.
    fn step(&mut self) {
        let now_us = self.world.now_us();
        let is_due = self.agenda.next_us().is_some_and(|at_us| at_us <= now_us);
        let ready: Vec<usize> = (0..self.loops.len())
            .filter(|index| self.is_ready(*index, now_us))
            .collect();
        let is_run = !ready.is_empty() && (!is_due || self.dice.chance(50));
        if is_run {
            let index = self.dice.one_of(&ready);
            if self.run_loop(index) {
                self.check_step();
            }
        } else if let Some(happening) = self.agenda.take_due(now_us) {
            self.happens(happening);
            self.take_in(false);
        } else {
            self.pass_time(now_us);
        }
    }

    fn is_ready(&self, index: usize, now_us: u64) -> bool {
        let one = self.loops[index];
        one.stalled_until_us <= now_us && (one.wakes_us <= now_us || self.plane.is_ready(index))
    }

    fn pass_time(&mut self, now_us: u64) {
        let wakes = self.loops.iter().enumerate().map(|(index, one)| {
            let wakes_us = if self.plane.is_ready(index) {
                0
            } else {
                one.wakes_us
            };
            wakes_us.max(one.stalled_until_us)
        });
        let next_us = wakes.chain(self.agenda.next_us()).min().unwrap_or(now_us);
        self.world.advance_to(next_us.max(now_us + 1));
    }

    /// Lets one loop look or poll a task; says whether it polled one.
    fn run_loop(&mut self, index: usize) -> bool {
        self.steps += 1;
        let mut is_polled = false;
        if self.loops[index].polls_left == 0 {
            self.plane.look(index);
            let few = self.dice.chance(50);
            self.loops[index].polls_left = if few { self.dice.between(1, 3) } else { 127 };
        } else if self.plane.poll_next(index) {
            is_polled = true;
            self.loops[index].polls_left -= 1;
        } else {
            self.loops[index].polls_left = 0;
        }
        let patience_us = self.plane.patience(index).as_micros() as u64;
        self.loops[index].wakes_us = if self.plane.is_ready(index) {
            0
        } else {
            self.world.now_us() + patience_us
        };
        let is_prober = index + 1 == self.loops.len();
        self.take_in(is_prober);
        let passed_us = self.dice.between(1, 20);
        self.world.advance_to(self.world.now_us() + passed_us);
        is_polled
    }

    /// Takes in what the data plane did and told.
    fn take_in(&mut self, is_prober: bool) {
        for notice in self.world.take_notices() {
            self.notice(notice, is_prober);
        }
        let events = std::mem::take(&mut *self.events.lock().unwrap_or_else(PoisonError::into_inner));
        for event in events {
            self.trace(format_args!("{event:?}"));
            self.shakes += 1;
            self.check_event(&event);
        }
    }

    fn happens(&mut self, happening: Happening) {
        match happening {
            Happening::ToWeir(socket) => self.arrive_at_weir(socket),
            Happening::ToPeer(socket) => self.arrive_at_peer(socket),
            Happening::Opens(socket) => self.opens(socket),
            Happening::Answers(socket, turn) => self.answers(socket, turn),
            Happening::Quits(socket, turn) => self.quits(socket, turn),
            Happening::Client(index, act) => self.client_acts(index, act),
            Happening::Operator => self.operate(),
            Happening::Phase(phase) => self.enter(phase),
        }
    }
}
