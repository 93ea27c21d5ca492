//! A worker's thread: its runtime, its inbox, its clockwork.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::net::TcpListener as StdListener;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, LocalOptions};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};
use weir_balance::Rng;
use weir_model::ListenerKey;

use crate::command::{Command, Inbox};
use crate::downstream;
use crate::shared::Shared;
use crate::time::NEVER;
use crate::worker::Worker;

/// The clockwork looks around at least this often.
const ROUND_MS: u64 = 1000;
/// Between two looks at what is unused, in rounds.
const SWEEP_ROUNDS: u64 = 4;
/// How many ready tasks run between two looks at the sockets. Tokio's default is 61; more makes batches larger.
const EVENT_INTERVAL: u32 = 127;

/// Runs a worker until it is told to stop.
pub(crate) fn run(index: usize, shared: Arc<Shared>, rng: Rng, inbox: Inbox) -> io::Result<()> {
    let runtime = Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .event_interval(EVENT_INTERVAL)
        .build_local(LocalOptions::default())?;
    runtime.block_on(async {
        let worker = Rc::new(Worker::new(index, shared, rng));
        tokio::task::spawn_local(keep_time(Rc::clone(&worker)));
        obey(&worker, inbox).await;
    });
    Ok(())
}

/// One listening socket and the task that accepts on it.
struct Accepting {
    listener: Rc<TcpListener>,
    task: AbortHandle,
}

async fn obey(worker: &Rc<Worker>, mut inbox: Inbox) {
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
            Command::Adopt { key, stream, peer } => match TcpStream::from_std(stream) {
                Ok(stream) => downstream::serve(worker, key, stream, peer),
                Err(_) => {
                    worker.shared.loads.leave(worker.index);
                    worker.shared.sources.leave(peer.ip());
                }
            },
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

fn open(worker: &Rc<Worker>, key: ListenerKey, socket: StdListener) -> Option<Accepting> {
    // Fails only when the poller has no room; the other workers' sockets then take the connections.
    let listener = Rc::new(TcpListener::from_std(socket).ok()?);
    let task = downstream::accept(Rc::clone(worker), key, Rc::clone(&listener));
    let task = tokio::task::spawn_local(task).abort_handle();
    Some(Accepting { listener, task })
}

/// Stops accepting. Connections that the system has completed already are served: closing the socket would reset them.
fn close(worker: &Rc<Worker>, key: ListenerKey, closed: &Accepting) {
    closed.task.abort();
    let mut nobody = Context::from_waker(Waker::noop());
    while let Poll::Ready(Ok((stream, peer))) = closed.listener.poll_accept(&mut nobody) {
        downstream::admit(worker, key, stream, peer);
    }
}

/// Turns the wheel when it has something to do, and looks around once a second.
async fn keep_time(worker: Rc<Worker>) {
    let started = Instant::now();
    let started_ms = worker.clock.refresh_ms();
    let mut sleeping = pin!(sleep(Duration::ZERO));
    let mut round_ms = started_ms;
    let mut rounds = 0_u64;
    poll_fn(move |task| {
        loop {
            let now_ms = worker.clock.refresh_ms();
            worker.wheel.turn(now_ms);
            if now_ms >= round_ms {
                round_ms = now_ms + ROUND_MS;
                rounds += 1;
                look_around(&worker, rounds);
            }
            let next_ms = worker.wheel.plan(task.waker()).min(round_ms);
            debug_assert_ne!(next_ms, NEVER);
            sleeping
                .as_mut()
                .reset(started + Duration::from_millis(next_ms - started_ms));
            if sleeping.as_mut().poll(task).is_pending() {
                return Poll::<()>::Pending;
            }
        }
    })
    .await;
}

fn look_around(worker: &Worker, rounds: u64) {
    if let Some(log) = &worker.log {
        log.flush();
    }
    if rounds.is_multiple_of(SWEEP_ROUNDS) {
        worker.sweep();
    }
}
