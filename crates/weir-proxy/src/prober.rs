//! The thread that probes endpoints and sweeps ejections, beside the workers.
//!
//! A thread of its own, with an event loop like a worker's: however busy the workers are, the system gives it its turn,
//! and however many endpoints are probed, no request waits for one. One task per [`Probed`]; what it finds is seen by all
//! workers at once, since they share the endpoint's state.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use weir_balance::{Change, ProbeOutcome, Rng, Unavailable, Verdict};
use weir_net::{Clock, EventLoop, TaskId, wall};

use crate::compile::{CheckChanges, CheckedUpstream, Passive, Probed};
use crate::contain::contain;
use crate::health::ProbeRecord;
use crate::lock::lock;
use crate::shared::Shared;
use crate::time::{NEVER, Timer, Wheel};
use crate::upstream::ProbePlan;
use crate::{Event, Judge};

/// The loop looks around at least this often.
const PATIENCE: Duration = Duration::from_secs(60);

/// Time until sweeps go on after one that met a defect, milliseconds.
const SWEEP_RETRY_MS: u64 = 1_000;

/// The way to the thread.
#[derive(Debug)]
pub(crate) struct Prober {
    outbox: UnboundedSender<Command>,
    thread: Mutex<Option<JoinHandle<io::Result<()>>>>,
}

#[derive(Debug)]
enum Command {
    Change(CheckChanges),
    Stop,
}

impl Prober {
    /// Starts the thread. Fails when the system gives none.
    pub(crate) fn start(shared: Arc<Shared>, rng: Rng) -> io::Result<Self> {
        let (outbox, inbox) = unbounded_channel();
        let thread = std::thread::Builder::new()
            .name("weir-prober".into())
            .spawn(move || run(shared, rng, inbox))?;
        Ok(Self {
            outbox,
            thread: Some(thread).into(),
        })
    }

    /// A prober without a thread: its loop is to be stepped by somebody else.
    #[cfg(feature = "simulation")]
    pub(crate) fn stepped(shared: Arc<Shared>, rng: Rng) -> io::Result<(Self, weir_net::Stepped)> {
        let (outbox, inbox) = unbounded_channel();
        let work = Work::new(shared, rng)?;
        let main = obey(Rc::clone(&work), inbox);
        let stepped = weir_net::Stepped::new(&work.event_loop, main, Box::new(Clockwork(Rc::clone(&work))));
        let thread = None.into();
        Ok((Self { outbox, thread }, stepped))
    }

    /// Hands over what a publication has changed.
    pub(crate) fn change(&self, changes: CheckChanges) {
        if !changes.is_empty() {
            // A thread that is gone was reported when it went.
            let _ = self.outbox.send(Command::Change(changes));
        }
    }

    /// Ends the thread; probes under way are cut. Says whether it had gone on till now.
    pub(crate) fn stop(&self) -> bool {
        let _ = self.outbox.send(Command::Stop);
        let thread = lock(&self.thread).take();
        thread.is_none_or(|thread| matches!(thread.join(), Ok(Ok(()))))
    }
}

/// What the thread owns.
struct Work {
    shared: Arc<Shared>,
    event_loop: EventLoop,
    clock: Clock,
    wheel: Wheel,
    rng: RefCell<Rng>,
    passive: RefCell<Passives>,
}

/// Passive checks that are swept.
#[derive(Default)]
struct Passives {
    all: Vec<Arc<Passive>>,
    /// By [`Probed::id`]: whose ejection a good probe ends, and which member it is there.
    by_probed: HashMap<u32, Vec<(Arc<Passive>, u32)>>,
}

struct Clockwork(Rc<Work>);

impl weir_net::Clockwork for Clockwork {
    fn turn(&mut self) {
        let now_ms = self.0.clock.refresh_ms();
        self.0.wheel.turn(now_ms);
    }

    fn patience(&self) -> Duration {
        let wait_ms = self.0.wheel.next_ms().saturating_sub(self.0.clock.read_ms());
        Duration::from_millis(wait_ms).min(PATIENCE)
    }
}

impl Passives {
    fn of(upstreams: &[Arc<CheckedUpstream>]) -> Self {
        let mut passives = Self::default();
        for upstream in upstreams {
            let Some(passive) = &upstream.passive else {
                continue;
            };
            if !passives.all.iter().any(|known| Arc::ptr_eq(known, passive)) {
                passives.all.push(Arc::clone(passive));
            }
            for (index, probed) in (0u32..).zip(&upstream.probed) {
                if let Some(probed) = probed {
                    let entry = passives.by_probed.entry(probed.id).or_default();
                    entry.push((Arc::clone(passive), index));
                }
            }
        }
        passives
    }
}

fn run(shared: Arc<Shared>, rng: Rng, inbox: UnboundedReceiver<Command>) -> io::Result<()> {
    let work = Work::new(shared, rng)?;
    let event_loop = work.event_loop.clone();
    event_loop.run(obey(Rc::clone(&work), inbox), &mut Clockwork(work))
}

async fn obey(work: Rc<Work>, mut inbox: UnboundedReceiver<Command>) {
    let mut tasks: BTreeMap<u32, TaskId> = BTreeMap::new();
    let mut sweeper = None;
    while let Some(Command::Change(changes)) = inbox.recv().await {
        for task in changes.end.iter().filter_map(|id| tasks.remove(id)) {
            work.event_loop.abort(task);
        }
        for probed in changes.begin {
            let id = probed.id;
            tasks.insert(id, work.event_loop.spawn(keep_watching(Rc::clone(&work), probed)));
        }
        if let Some(upstreams) = changes.passive {
            work.passive.replace(Passives::of(&upstreams));
            if let Some(task) = sweeper.take() {
                work.event_loop.abort(task);
            }
            sweeper = Some(work.event_loop.spawn(keep_sweeping(Rc::clone(&work))));
        }
    }
}

/// Probes one endpoint as long as it is configured. A defect costs a probe, not all that follow.
async fn keep_watching(work: Rc<Work>, probed: Arc<Probed>) {
    let timer = Timer::of_task().await;
    loop {
        // It ends in no other way.
        let _panicked = contain(watch(Rc::clone(&work), Arc::clone(&probed))).await;
        lock(&probed.health).give_up();
        let endpoint = probed.endpoint.address.clone();
        // Perhaps it is whoever hears of events that panics.
        let _told = contain(async { work.shared.tell(Event::ProbePanicked { endpoint }) }).await;
        let interval_ms = probed.check.interval.milliseconds();
        let again_ms = work.clock.refresh_ms().saturating_add(interval_ms);
        work.wait(&timer, again_ms).await;
    }
}

/// The same for sweeps.
async fn keep_sweeping(work: Rc<Work>) {
    let timer = Timer::of_task().await;
    while contain(sweep(Rc::clone(&work))).await.is_none() {
        let again_ms = work.clock.refresh_ms().saturating_add(SWEEP_RETRY_MS);
        work.wait(&timer, again_ms).await;
    }
}

/// Probes one endpoint, again and again.
async fn watch(work: Rc<Work>, probed: Arc<Probed>) {
    let timer = Timer::of_task().await;
    let plan = ProbePlan::new(&probed);
    let timeout_ms = probed.check.timeout.milliseconds();
    loop {
        let due_ms = lock(&probed.health).due_ms().unwrap_or(0);
        work.wait(&timer, due_ms).await;
        if probed.endpoint.state.holds(Unavailable::Disabled) {
            let interval_ms = probed.check.interval.milliseconds();
            let again_ms = work.clock.read_ms().saturating_add(interval_ms);
            work.wait(&timer, again_ms).await;
            continue;
        }
        let begun_us = work.clock.refresh_us();
        lock(&probed.health).begin(begun_us / 1000, &mut work.rng.borrow_mut());
        let span_ms = (begun_us / 1000, timeout_ms);
        let restart = |now_ms| lock(&probed.health).restart(now_ms);
        let outcome = plan
            .run(&work.event_loop, work.alarm(&timer), span_ms, restart)
            .await;
        let ended_us = work.clock.refresh_us();
        match outcome {
            Some(outcome) => work.judge(&probed, &plan, outcome, ended_us - begun_us),
            None => lock(&probed.health).give_up(),
        }
    }
}

/// Sweeps whatever is due.
async fn sweep(work: Rc<Work>) {
    let timer = Timer::of_task().await;
    let all = work.passive.borrow().all.clone();
    let mut changes = Vec::new();
    while let Some(due_ms) = all.iter().map(|passive| passive.ejector.sweep_due_ms()).min() {
        work.wait(&timer, due_ms).await;
        let now_ms = work.clock.refresh_ms();
        for passive in all.iter().filter(|one| one.ejector.sweep_due_ms() <= now_ms) {
            passive.ejector.sweep(now_ms, &mut changes);
            for (index, change) in changes.drain(..) {
                passive.tell(&work.shared, index, change);
            }
        }
    }
}

impl Work {
    fn new(shared: Arc<Shared>, rng: Rng) -> io::Result<Rc<Self>> {
        let clock = Clock::new(shared.epoch);
        Ok(Rc::new(Self {
            shared,
            event_loop: EventLoop::new()?,
            wheel: Wheel::new(clock.read_ms()),
            clock,
            rng: RefCell::new(rng),
            passive: RefCell::default(),
        }))
    }

    fn alarm<'a>(&'a self, timer: &'a Rc<Timer>) -> crate::time::Alarm<'a> {
        crate::time::Alarm {
            clock: &self.clock,
            wheel: &self.wheel,
            timer,
        }
    }

    async fn wait(&self, timer: &Rc<Timer>, until_ms: u64) {
        if self.clock.refresh_ms() < until_ms {
            // It only ever expires.
            let _ = self
                .alarm(timer)
                .until(until_ms.min(NEVER - 1), |_| Poll::<()>::Pending)
                .await;
        }
    }

    fn judge(&self, probed: &Probed, plan: &ProbePlan, outcome: ProbeOutcome, duration_us: u64) {
        let now_ms = self.clock.read_ms();
        let (change, verdict) = {
            let mut health = lock(&probed.health);
            (health.end(outcome, now_ms), health.verdict())
        };
        let record = ProbeRecord {
            unix_ms: wall::unix_ms(),
            duration_us,
            outcome,
        };
        probed.history.note(record, change.is_some());
        if let Some(change) = change {
            let judge = Judge::Probe(Arc::clone(&plan.text));
            probed.endpoint.note(judge.clone(), change.clone());
            self.shared.tell(Event::EndpointChanged {
                endpoint: probed.endpoint.address.clone(),
                judge,
                change,
            });
        }
        if outcome == ProbeOutcome::Good && verdict == Verdict::Healthy {
            self.end_ejections(probed.id, now_ms);
        }
    }

    /// A good probe ends what requests began (row HC12).
    fn end_ejections(&self, probed: u32, now_ms: u64) {
        let passive = self.passive.borrow();
        for (passive, index) in passive.by_probed.get(&probed).into_iter().flatten() {
            if let Some(change) = passive.ejector.probe_good(*index, now_ms) {
                passive.tell(&self.shared, *index, change);
            }
        }
    }
}

impl Passive {
    /// Tells of a change at the endpoint of `index`.
    pub(crate) fn tell(&self, shared: &Shared, index: u32, change: Change) {
        let Some(endpoint) = self.endpoints.get(index as usize) else {
            return;
        };
        if let Change::Ejected(ejection) = &change {
            endpoint.count_ejection(ejection.cause);
        }
        let judge = Judge::Backend(Arc::clone(&self.backend));
        endpoint.note(judge.clone(), change.clone());
        shared.tell(Event::EndpointChanged {
            endpoint: endpoint.address.clone(),
            judge,
            change,
        });
    }
}
