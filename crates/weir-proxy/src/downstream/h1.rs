//! Stop 3: one client connection of HTTP/1, from its first byte to its last.
//!
//! A connection that waits for a request owns a socket and a timer. Only when bytes are there does it borrow a scratch
//! from its worker, and it gives it back as soon as nothing is left to do.

use std::future::poll_fn;
use std::io::ErrorKind;
use std::rc::Rc;
use std::task::{Context, Poll};

use weir_model::limits;
use weir_net::prefetch;
use weir_wire::Progress;

use super::accept::Admission;
use crate::exchange::{Client, Failure, Next, handle};
use crate::time::Expired;
use crate::transit::RequestScratch;
use crate::worker::Worker;

/// What came of waiting for a head.
enum Arrival {
    /// A head, or why it is none.
    Head(Result<(), Failure>),
    /// Nothing: the socket only looked readable.
    Nothing,
    /// The client has ended the connection between two requests.
    Ended,
}

/// Serves a connection until it ends.
pub(crate) async fn serve(admission: Admission, mut client: Client) {
    let worker = Rc::clone(admission.worker());
    poll_fn(|task| {
        client.timer.register(task.waker());
        Poll::Ready(())
    })
    .await;
    let mut deadline_ms = worker.clock.refresh_ms() + worker.shared.bounds.head_ms;
    loop {
        let rouses = worker.rouses();
        if !poll_fn(|task| poll_readable(&worker, &client, deadline_ms, rouses, task)).await {
            return;
        }
        let mut scratch = worker.requests.take();
        // Needed behind the read.
        prefetch(&*scratch);
        let next = serve_requests(&worker, &mut client, &mut scratch, deadline_ms).await;
        if next == Some(Next::Close) {
            // Boxed, like every wait that is rare: a connection does not carry the room for it all its life.
            Box::pin(linger(&worker, &mut client, &mut scratch)).await;
        }
        worker.requests.give(scratch);
        match next {
            None => {}
            Some(Next::KeepAlive) => deadline_ms = worker.clock.read_ms() + worker.shared.bounds.idle_ms,
            Some(Next::End | Next::Close | Next::Cut) => return,
        }
    }
}

/// Waits for bytes; ready with `false` when the connection is to end instead.
fn poll_readable(
    worker: &Worker,
    client: &Client,
    deadline_ms: u64,
    rouses: u64,
    task: &mut Context<'_>,
) -> Poll<bool> {
    if let Poll::Ready(ready) = client.stream.poll_read_ready(task) {
        return Poll::Ready(ready.is_ok());
    }
    let alarm = worker.alarm(&client.timer);
    alarm.wheel.set(alarm.timer, deadline_ms);
    let is_to_end = worker.rouses() != rouses && is_to_end(worker, client.open.listener());
    if is_to_end || alarm.has_passed(deadline_ms) {
        Poll::Ready(false)
    } else {
        Poll::Pending
    }
}

/// Serves requests as long as some are there; `None` when none was.
async fn serve_requests(
    worker: &Rc<Worker>,
    client: &mut Client,
    scratch: &mut RequestScratch,
    first_deadline_ms: u64,
) -> Option<Next> {
    // The clock was read when the loop looked at the sockets.
    let mut deadline_ms = first_deadline_ms.min(worker.clock.read_ms() + worker.shared.bounds.head_ms);
    loop {
        let arrival = match try_head(client, scratch) {
            Some(arrival) => arrival,
            None => Box::pin(read_head(worker, client, scratch, deadline_ms)).await,
        };
        let head = match arrival {
            Arrival::Head(head) => head,
            Arrival::Nothing => return None,
            Arrival::Ended => return Some(Next::End),
        };
        let next = handle(worker, client, scratch, head).await;
        if next != Next::KeepAlive || scratch.input.is_empty() {
            return Some(next);
        }
        scratch.begin();
        deadline_ms = worker.clock.read_ms() + worker.shared.bounds.head_ms;
    }
}

/// Reads and parses what is there already, mostly all of a head; `None` when a head has begun and goes on.
fn try_head(client: &Client, scratch: &mut RequestScratch) -> Option<Arrival> {
    loop {
        if let Some(head) = parse(scratch) {
            return Some(Arrival::Head(head));
        }
        match scratch.input.try_fill(&client.stream, limits::BUFFER_BYTES) {
            Ok(1..) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                return scratch.input.is_empty().then_some(Arrival::Nothing);
            }
            Ok(0) | Err(_) => return Some(Arrival::Ended),
        }
    }
}

/// Waits for the rest of a head.
async fn read_head(
    worker: &Rc<Worker>,
    client: &mut Client,
    scratch: &mut RequestScratch,
    deadline_ms: u64,
) -> Arrival {
    let alarm = worker.alarm(&client.timer);
    let stream = &mut client.stream;
    let arrival = alarm.until(deadline_ms, |task| {
        loop {
            match scratch.input.poll_fill(stream, task, limits::BUFFER_BYTES) {
                Poll::Ready(Ok(1..)) => {}
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Arrival::Ended),
                Poll::Pending => return Poll::Pending,
            }
            if let Some(head) = parse(scratch) {
                return Poll::Ready(Arrival::Head(head));
            }
        }
    });
    match arrival.await {
        Ok(arrival) => arrival,
        Err(Expired) => Arrival::Head(Err(Failure::refused(408, "head_timeout"))),
    }
}

/// The head that stands at the front of the unread bytes, pinned, or why it is none; `None` when there is more to come.
fn parse(scratch: &mut RequestScratch) -> Option<Result<(), Failure>> {
    if scratch.input.is_empty() {
        return None;
    }
    match scratch.head.parse(scratch.input.unread()) {
        Ok(Progress::Partial) => None,
        Ok(Progress::Complete) => {
            scratch.input.pin(scratch.head.length);
            Some(Ok(()))
        }
        Err(error) => Some(Err(error.into())),
    }
}

/// Reads for a moment what the client still sends: closing a socket with unread bytes resets the connection, and the
/// reset can overtake the answer (RFC 9112 9.6).
async fn linger(worker: &Rc<Worker>, client: &mut Client, scratch: &mut RequestScratch) {
    let alarm = worker.alarm(&client.timer);
    let deadline_ms = worker.clock.refresh_ms() + limits::DRAIN_BODY_TIME.as_millis() as u64;
    let stream = &mut client.stream;
    stream.shutdown_write();
    scratch.input.reset();
    let mut left = limits::DRAIN_BODY_BYTES;
    // However it ends, the connection does.
    let _ = alarm
        .until(deadline_ms, |task| {
            loop {
                match scratch.input.poll_fill(stream, task, limits::BUFFER_BYTES) {
                    Poll::Ready(Ok(length @ 1..)) if length <= left => left -= length,
                    Poll::Ready(_) => return Poll::Ready(()),
                    Poll::Pending => return Poll::Pending,
                }
                scratch.input.reset();
            }
        })
        .await;
}

/// Whether an idle connection should end: weir stops, or its listener is gone.
fn is_to_end(worker: &Worker, listener: weir_model::ListenerKey) -> bool {
    worker.is_ending_connections() || worker.view().listener_index(listener).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size<A, B, F: Future>(_: impl Fn(A, B) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn an_idle_connection_is_small() {
        // The whole state of a connection, also of one that waits for an endpoint (issue: at most 4 KiB with all else).
        let bytes = size(serve);
        assert!(bytes <= 1536, "{bytes} bytes");
    }
}
