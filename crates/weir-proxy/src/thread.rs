//! A worker's thread: its event loop, its inbox, its clockwork.

use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use weir_balance::Rng;
use weir_model::ListenerKey;
use weir_net::{Bound, EventLoop, Listener, TaskId};

use crate::command::{Command, Inbox};
use crate::downstream;
use crate::shared::Shared;
use crate::worker::Worker;

/// The clockwork looks around at least this often.
const ROUND_MS: u64 = 1000;
/// Between two looks at what is unused, in rounds.
const SWEEP_ROUNDS: u64 = 4;

/// Runs a worker until it is told to stop.
pub(crate) fn run(index: usize, shared: Arc<Shared>, rng: Rng, inbox: Inbox) -> io::Result<()> {
    let event_loop = EventLoop::new()?;
    let worker = Rc::new(Worker::new(index, shared, event_loop.clone(), rng));
    let mut clockwork = Clockwork::new(&worker);
    event_loop.run(obey(worker, inbox), &mut clockwork)
}

/// The same, to be stepped by somebody else.
#[cfg(feature = "simulation")]
pub(crate) fn stepped(worker: &Rc<Worker>, inbox: Inbox) -> weir_net::Stepped {
    let main = obey(Rc::clone(worker), inbox);
    weir_net::Stepped::new(&worker.event_loop, main, Box::new(Clockwork::new(worker)))
}

/// One listening socket and the task that accepts on it.
struct Accepting {
    listener: Rc<Listener>,
    task: TaskId,
}

/// Turns the wheel when it has something to do, and looks around once a second.
struct Clockwork {
    worker: Rc<Worker>,
    /// When to look around next.
    round_ms: u64,
    rounds: u64,
    /// How many of the loop's have been counted.
    panics: u64,
}

impl weir_net::Clockwork for Clockwork {
    fn turn(&mut self) {
        let worker = &self.worker;
        let now_ms = worker.clock.refresh_ms();
        let is_round = now_ms >= self.round_ms;
        // Each round even when nothing is due: the wheel reckons from when it was turned last.
        if is_round || now_ms >= worker.wheel.next_ms() {
            worker.wheel.turn(now_ms);
        }
        if is_round {
            self.round_ms = now_ms + ROUND_MS;
            self.rounds += 1;
            self.look_around();
        }
    }

    fn patience(&self) -> Duration {
        let next_ms = self.worker.wheel.next_ms().min(self.round_ms);
        Duration::from_millis(next_ms.saturating_sub(self.worker.clock.read_ms()))
    }
}

impl Clockwork {
    fn new(worker: &Rc<Worker>) -> Self {
        Self {
            worker: Rc::clone(worker),
            round_ms: 0,
            rounds: 0,
            panics: 0,
        }
    }

    fn look_around(&mut self) {
        let worker = &self.worker;
        if let Some(log) = &worker.log {
            log.flush();
        }
        if self.rounds.is_multiple_of(SWEEP_ROUNDS) {
            worker.sweep();
        }
        while self.panics < worker.event_loop.panics() {
            self.panics += 1;
            worker.recorder.failures.count("connection_panicked");
        }
    }
}

async fn obey(worker: Rc<Worker>, mut inbox: Inbox) {
    let worker = &worker;
    let mut accepting: BTreeMap<ListenerKey, Accepting> = BTreeMap::new();
    while let Some(command) = inbox.recv().await {
        match command {
            Command::Open { key, socket } => {
                if let Some(opened) = open(worker, key, socket) {
                    accepting.insert(key, opened);
                }
            }
            Command::Close(key) => {
                if let Some(closed) = accepting.remove(&key) {
                    close(worker, key, &closed);
                }
                worker.rouse();
            }
            Command::Adopt { key, stream, peer } => downstream::serve(worker, key, stream, peer),
            Command::MakeRoom(counters) => {
                // There may be none here.
                let _ = worker.pools.make_room(&counters);
            }
            Command::Refresh => worker.refresh(),
            Command::Drain => {
                for (key, closed) in std::mem::take(&mut accepting) {
                    close(worker, key, &closed);
                }
                worker.rouse();
            }
            Command::Stop => break,
        }
    }
    if let Some(log) = &worker.log {
        log.flush();
    }
}

fn open(worker: &Rc<Worker>, key: ListenerKey, socket: Bound) -> Option<Accepting> {
    // Fails only when the poller has no room; the other workers' sockets then take the connections.
    let listener = Rc::new(Listener::new(&worker.event_loop, socket).ok()?);
    let accept = downstream::accept(Rc::clone(worker), key, Rc::clone(&listener));
    let task = worker.event_loop.spawn(accept);
    Some(Accepting { listener, task })
}

/// Stops accepting. Connections that the system has completed already are served: closing the socket would reset them.
fn close(worker: &Rc<Worker>, key: ListenerKey, closed: &Accepting) {
    worker.event_loop.abort(closed.task);
    while let Ok((stream, peer)) = closed.listener.try_accept() {
        downstream::admit(worker, key, stream, peer);
    }
}
