//! Stop 1: a socket, under the connection bounds, on the less loaded worker.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use weir_model::ListenerKey;
use weir_net::{Accepted, Listener, Stream};

use super::h1;
use crate::Event;
use crate::command::Command;
use crate::exchange::{Client, PeerText};
use crate::time::Timer;
use crate::worker::Worker;

/// Pause before the next try when the system or a bound does not allow another connection, milliseconds.
const PAUSE_MS: u64 = 50;

/// A connection's place under the bounds; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Admission {
    worker: Rc<Worker>,
    source: IpAddr,
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.worker.shared.loads.leave(self.worker.index);
        self.worker.shared.sources.leave(self.source);
    }
}

/// Accepts for ever.
pub(crate) async fn accept(worker: Rc<Worker>, key: ListenerKey, listener: Rc<Listener>) {
    let timer = Timer::of_task().await;
    loop {
        wait_for_room(&worker, &timer).await;
        match poll_fn(|task| listener.poll_accept(task)).await {
            Ok((stream, peer)) => admit(&worker, key, stream, peer),
            Err(error) if is_of_one_connection(&error) => {}
            Err(_) => {
                // No descriptors or no memory: unused connections go first, and trying again at once would spin.
                worker.shared.tell(Event::ConnectionsShed { bound: "files" });
                worker.pools.close_unused();
                pause(&worker, &timer).await;
            }
        }
    }
}

/// Serves an accepted connection here or has the least loaded worker serve it.
pub(crate) fn admit(worker: &Rc<Worker>, key: ListenerKey, stream: Accepted, peer: SocketAddr) {
    let shared = &worker.shared;
    if !shared.sources.enter(peer.ip()) {
        shared.tell(Event::ConnectionsShed { bound: "source" });
        return;
    }
    stream.send_at_once();
    let place = shared.loads.place(worker.index);
    shared.loads.enter(place);
    if place == worker.index {
        return serve(worker, key, stream, peer);
    }
    let handed_over = shared
        .inboxes
        .get(place)
        .is_some_and(|inbox| inbox.send(Command::Adopt { key, stream, peer }).is_ok());
    if !handed_over {
        shared.loads.leave(place);
        shared.sources.leave(peer.ip());
    }
}

/// Serves a connection that is admitted already.
pub(crate) fn serve(worker: &Rc<Worker>, key: ListenerKey, stream: Accepted, peer: SocketAddr) {
    let admission = Admission {
        worker: Rc::clone(worker),
        source: peer.ip(),
    };
    // Fails only when the poller has no room.
    let Ok(stream) = Stream::adopt(&worker.event_loop, stream) else {
        return;
    };
    let client = Client {
        stream,
        timer: Timer::new(),
        peer,
        peer_text: PeerText::new(peer.ip()),
        open: worker.recorder.open_connection(key),
    };
    worker.event_loop.spawn(h1::serve(admission, client));
}

impl Admission {
    pub(super) fn worker(&self) -> &Rc<Worker> {
        &self.worker
    }
}

async fn wait_for_room(worker: &Worker, timer: &Rc<Timer>) {
    let shared = &worker.shared;
    if !shared.loads.are_full() {
        return;
    }
    shared.tell(Event::ConnectionsShed { bound: "connections" });
    while shared.loads.are_full() {
        shared.is_full.store(true, Ordering::Relaxed);
        pause(worker, timer).await;
    }
    shared.is_full.store(false, Ordering::Relaxed);
}

async fn pause(worker: &Worker, timer: &Rc<Timer>) {
    let deadline_ms = worker.clock.refresh_ms() + PAUSE_MS;
    // It ends by the deadline alone.
    let _ = worker
        .alarm(timer)
        .until(deadline_ms, |_| Poll::<()>::Pending)
        .await;
}

/// Whether an error of `accept` says something about one connection only (accept(2): "treat them like EAGAIN").
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, TimedOut};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | Interrupted | TimedOut
    )
}
