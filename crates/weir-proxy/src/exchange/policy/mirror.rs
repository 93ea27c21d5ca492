//! Copies of requests (Gateway API `HTTPRequestMirrorFilter`): sent by tasks of their own, never waited for, their
//! responses read and forgotten.

use std::rc::Rc;

use weir_balance::{Lease, Pick};
use weir_model::{ConnectionSpec, limits};
use weir_net::Stream;
use weir_wire::connection::Connection;
use weir_wire::h1::chunked::{LAST_CHUNK, write_chunk};
use weir_wire::{BodyLength, Method, Progress, framing};

use super::super::route::Way;
use super::super::{Exchange, outbound};
use crate::compile::{MirrorTarget, Snapshot};
use crate::time::{Alarm, Timer};
use crate::transit::{Framing, ResponseScratch, TeeEnd, tee};
use crate::upstream::{Held, UpstreamConnection, connect};
use crate::worker::Worker;

/// A copy on its way.
struct Copy {
    worker: Rc<Worker>,
    lease: Lease<Held>,
    held: Held,
    method: Method,
    /// The head as the endpoint of the original gets it.
    head: Vec<u8>,
    body: Option<TeeEnd>,
    framing: Framing,
}

/// Why a copy did not arrive; nobody asks.
struct Lost;

/// Sends copies of the request, whose head stands in `upstream_out`.
pub(in crate::exchange) fn mirror(exchange: &mut Exchange<'_>, snapshot: &Snapshot, way: &Way<'_>) {
    for target in &way.destination.policy.mirrors {
        let drawn = exchange.worker.rng.borrow_mut().next_u64();
        if target.fraction.contains(drawn) {
            start(exchange, snapshot, target);
        }
    }
}

fn start(exchange: &mut Exchange<'_>, snapshot: &Snapshot, target: &MirrorTarget) {
    let worker = exchange.worker;
    let Some(held) = pick(worker, snapshot, target) else {
        return worker.recorder.failures.count("mirror_without_endpoint");
    };
    if !worker.begin_copy() {
        return worker.recorder.failures.count("mirrors_full");
    }
    let body = (!exchange.scratch.upload.is_received()).then(|| {
        let (start, end) = tee();
        exchange.scratch.upload.add_tee(start);
        end
    });
    let copy = Copy {
        worker: Rc::clone(worker),
        lease: Lease::new(held.clone()),
        held,
        method: exchange.scratch.head.method,
        head: exchange.scratch.output.pending().to_vec(),
        body,
        framing: outbound::framing(exchange.request.body),
    };
    worker.event_loop.spawn(deliver(copy));
}

fn pick(worker: &Worker, snapshot: &Snapshot, target: &MirrorTarget) -> Option<Held> {
    let balancer = snapshot.balancer(target.slot)?;
    let picked = balancer.balancer.pick(&mut Pick {
        key: None,
        key_source: 0,
        cursor: &target.cursor,
        rng: &mut worker.rng.borrow_mut(),
        now_ms: worker.clock.read_ms(),
        override_hosts: None,
        tried: &[],
    });
    let endpoint = balancer.endpoints.get(picked.ok()?.index as usize)?;
    Some(Held(worker.pools.of(endpoint)))
}

async fn deliver(copy: Copy) {
    let worker = Rc::clone(&copy.worker);
    let timer = Timer::of_task().await;
    let mut scratch = worker.responses.take();
    let deadline_ms = worker.clock.refresh_ms() + limits::REQUEST_TIMEOUT.as_millis() as u64;
    if exchange_copy(copy, &mut scratch, worker.alarm(&timer), deadline_ms)
        .await
        .is_err()
    {
        worker.recorder.failures.count("mirror_lost");
    }
    worker.responses.give(scratch);
    worker.end_copy();
}

async fn exchange_copy(
    copy: Copy,
    scratch: &mut ResponseScratch,
    alarm: Alarm<'_>,
    deadline_ms: u64,
) -> Result<(), Lost> {
    let mut connection = match copy.held.0.take(copy.worker.clock.read_ms()) {
        Some(connection) => connection,
        None => {
            let stream = connect(
                &copy.worker.event_loop,
                &copy.held.0.endpoint.address,
                &copy.worker.pools,
                alarm,
                deadline_ms,
            )
            .await
            .map_err(|_| Lost)?;
            UpstreamConnection::new(
                stream,
                &ConnectionSpec::default(),
                None,
                copy.worker.clock.read_ms(),
            )
        }
    };
    let stream = &mut connection.stream;
    send(&copy, stream, scratch, alarm, deadline_ms).await?;
    let is_reusable = forget_response(copy.method, stream, scratch, alarm, deadline_ms).await?;
    drop(copy.lease);
    if is_reusable {
        copy.held.0.give(connection, copy.worker.clock.read_ms());
    }
    Ok(())
}

async fn send(
    copy: &Copy,
    stream: &mut Stream,
    scratch: &mut ResponseScratch,
    alarm: Alarm<'_>,
    deadline_ms: u64,
) -> Result<(), Lost> {
    let out = &mut scratch.output;
    out.bytes.extend_from_slice(&copy.head);
    let mut has_more = copy.body.is_some();
    let mut data = Vec::new();
    loop {
        alarm
            .until(deadline_ms, |task| out.poll_flush(stream, task))
            .await
            .map_err(|_| Lost)?
            .map_err(|_| Lost)?;
        out.clear();
        let (true, Some(body)) = (has_more, &copy.body) else {
            return Ok(());
        };
        data.clear();
        let taken = alarm
            .until(deadline_ms, |task| body.poll_take(task, &mut data))
            .await
            .map_err(|_| Lost)?;
        has_more = taken.ok_or(Lost)?;
        match copy.framing {
            Framing::Plain => out.bytes.extend_from_slice(&data),
            Framing::Chunked => write_chunk(&mut out.bytes, &data),
        }
        if !has_more && copy.framing == Framing::Chunked {
            out.bytes.extend_from_slice(LAST_CHUNK);
        }
    }
}

/// Reads a response and says whether another one may follow on its connection.
async fn forget_response(
    method: Method,
    stream: &mut Stream,
    scratch: &mut ResponseScratch,
    alarm: Alarm<'_>,
    deadline_ms: u64,
) -> Result<bool, Lost> {
    loop {
        match scratch.head.parse(scratch.input.unread()).map_err(|_| Lost)? {
            Progress::Complete if scratch.head.status >= 200 => break,
            Progress::Complete => {
                scratch.input.consume(scratch.head.length);
                continue;
            }
            Progress::Partial => {}
        }
        let input = &mut scratch.input;
        let filled = alarm
            .until(deadline_ms, |task| {
                input.poll_fill(stream, task, limits::BUFFER_BYTES)
            })
            .await;
        if !matches!(filled, Ok(Ok(1..))) {
            return Err(Lost);
        }
    }
    let (head, bytes) = (&scratch.head, scratch.input.unread());
    let body = framing::response_body(head, bytes, &method).map_err(|_| Lost)?;
    let connection = Connection::of(&head.fields, bytes).map_err(|_| Lost)?;
    let is_reusable = connection.is_persistent(head.version) && body != BodyLength::UntilClose;
    scratch.input.consume(head.length);
    scratch.download.begin(body, Framing::Plain, false, 0);
    let (input, download) = (&mut scratch.input, &mut scratch.download);
    let read = alarm
        .until(deadline_ms, |task| {
            download.poll_discard(task, stream, input, u64::MAX)
        })
        .await;
    Ok(is_reusable && matches!(read, Ok(Ok(()))) && scratch.input.is_empty())
}
