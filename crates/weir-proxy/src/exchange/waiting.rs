//! Within stop 8: waiting until a connection may be opened or another's is handed over (Envoy Gateway
//! `circuitBreaker.maxPendingRequests`).
//!
//! Who waits holds its pick, so balancers see it, and a place among the backend's pending requests. It waits as long as
//! its exchange, its try or its stream may last, and not at all when another endpoint can be tried instead.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use weir_balance::{Counted, Counters, Overflow, Scope};

use super::pick::Chosen;
use super::route::Way;
use super::{Exchange, Failure, retry};
use crate::command::Command;
use crate::queue::{Queue, Ticket};
use crate::upstream::{EndpointPool, OnBehalf, Places, Pools, UpstreamConnection};

/// What came of waiting.
pub(super) enum Granted {
    /// Places for a new connection.
    Places(Places),
    /// A connection that is about to be given its next request.
    Connection(UpstreamConnection),
}

/// One that stands in line; leaves it when dropped, and gives on what was handed to it.
struct Waiter<'a> {
    pools: &'a Pools,
    pool: &'a EndpointPool,
    queue: &'a Queue,
    ticket: Ticket,
    now_ms: u64,
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.queue.leave(self.ticket);
        if let Some(connection) = self.pools.handed.take(self.ticket) {
            self.pool.give(connection, self.now_ms);
        }
    }
}

/// Waits after `overflow`, which says what there is too much of.
pub(super) async fn wait(
    exchange: &mut Exchange<'_>,
    way: &Way<'_>,
    chosen: &Chosen<'_>,
    (mut overflow, on_behalf): (Overflow, Option<OnBehalf>),
    try_deadline_ms: u64,
) -> Result<Granted, Failure> {
    let worker = exchange.worker;
    let since_ms = worker.clock.refresh_ms();
    let deadline_ms = exchange
        .deadline_ms
        .min(try_deadline_ms)
        .min(since_ms.saturating_add(exchange.stream_idle_ms));
    loop {
        if !is_worth_waiting(exchange, way, chosen, overflow) {
            return Err(overflow.into());
        }
        let (queue, counters) = line(chosen, overflow.scope);
        let ticket = worker.pools.handed.ticket();
        let waker = poll_fn(|task| Poll::Ready(task.waker().clone())).await;
        let endpoint = chosen.held.0.endpoint.id;
        queue.join(ticket, endpoint, since_ms, on_behalf.is_none(), waker);
        let waiter = Waiter {
            pools: &worker.pools,
            pool: &chosen.held.0,
            queue,
            ticket,
            now_ms: since_ms,
        };
        if !worker.pools.make_room(counters) {
            let tell = || Command::MakeRoom(Arc::clone(counters));
            worker.shared.tell_others(worker.index, tell);
        }
        match wait_in_line(exchange, chosen, &waiter, (overflow, on_behalf), deadline_ms).await? {
            Ok(granted) => return Ok(granted),
            // The other limit is reached now: its line is another one.
            Err(other) => overflow = other,
        }
    }
}

/// Whether waiting can come to something, and is better than another endpoint.
fn is_worth_waiting(exchange: &Exchange<'_>, way: &Way<'_>, chosen: &Chosen<'_>, overflow: Overflow) -> bool {
    let (backend_max, endpoint_max) = chosen.connections_max();
    if overflow.counted != Counted::Connections {
        return false;
    }
    match overflow.scope {
        Scope::Backend => backend_max > 0,
        Scope::Endpoint => endpoint_max > 0 && !retry::leaves_full(exchange, way, chosen),
    }
}

fn line<'c>(chosen: &'c Chosen<'_>, scope: Scope) -> (&'c Queue, &'c Arc<Counters>) {
    let endpoint = &chosen.held.0.endpoint;
    match scope {
        Scope::Backend => (&chosen.upstream.queue, &chosen.upstream.counters),
        Scope::Endpoint => (&endpoint.queue, &endpoint.counters),
    }
}

async fn wait_in_line(
    exchange: &mut Exchange<'_>,
    chosen: &Chosen<'_>,
    waiter: &Waiter<'_>,
    (overflow, on_behalf): (Overflow, Option<OnBehalf>),
    deadline_ms: u64,
) -> Result<Result<Granted, Overflow>, Failure> {
    let mut watches_client = true;
    poll_fn(|task| {
        exchange.poll_client_gone(&mut watches_client, task)?;
        if let Some(connection) = waiter.pools.handed.take(waiter.ticket) {
            return Poll::Ready(Ok(Ok(Granted::Connection(connection))));
        }
        if waiter.queue.is_front(waiter.ticket, task.waker()) {
            match chosen.take_free_places(on_behalf) {
                Ok(places) => return Poll::Ready(Ok(Ok(Granted::Places(places)))),
                Err(other) if other.scope != overflow.scope => return Poll::Ready(Ok(Err(other))),
                Err(_) => {}
            }
        }
        if exchange.is_late(deadline_ms) {
            // Nothing was sent, and no endpoint is to blame.
            return Poll::Ready(Err(Failure::answered(504, "pending_timeout")));
        }
        Poll::Pending
    })
    .await
}
