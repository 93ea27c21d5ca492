//! Copies of requests (Gateway API `HTTPRequestMirrorFilter`): sent by tasks of their own, never waited for, their
//! responses read and forgotten.

use std::rc::Rc;
use std::sync::Arc;

use weir_balance::{Counted, Counters, Lease, Overflow, Permit, Pick};
use weir_model::limits;
use weir_net::Stream;
use weir_wire::connection::Connection;
use weir_wire::h1::chunked::{LAST_CHUNK, write_chunk};
use weir_wire::{BodyLength, Method, Progress, framing};

use super::super::route::Way;
use super::super::{Exchange, outbound};
use crate::compile::{LiveUpstream, MirrorTarget, Snapshot};
use crate::time::{Alarm, Timer};
use crate::transit::{Framing, ResponseScratch, TeeEnd, tee};
use crate::upstream::{Dial, Held, Limit, OnBehalf, Places, UpstreamConnection, connect, preface};
use crate::worker::Worker;

/// A copy on its way.
struct Copy {
    worker: Rc<Worker>,
    upstream: Arc<LiveUpstream>,
    /// Its place among the requests to the backend.
    _place: Permit<Arc<Counters>>,
    /// For whom its connection is, where the endpoint is to know.
    on_behalf: Option<OnBehalf>,
    /// Connections that there may be to the endpoint.
    connections_max: u32,
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
    let Some((held, connections_max)) = pick(worker, snapshot, target) else {
        return worker.recorder.failures.count("mirror_without_endpoint");
    };
    let (upstream, spec) = (&target.upstream, &target.upstream.spec);
    let counters = Arc::clone(&upstream.counters);
    let place = match Permit::take_at(
        counters,
        Counted::ParallelRequests,
        worker.index as u16,
        spec.breakers.parallel_requests,
    ) {
        Ok(place) => place,
        Err(overflow) => return worker.recorder.failures.count(overflow.word()),
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
        upstream: Arc::clone(upstream),
        _place: place,
        on_behalf: spec.connection.proxy_protocol.map(|_| exchange.on_behalf()),
        connections_max,
        lease: Lease::new(held.clone()),
        held,
        method: exchange.scratch.head.method,
        head: exchange.scratch.output.pending().to_vec(),
        body,
        framing: outbound::framing(exchange.request.body),
    };
    worker.event_loop.spawn(deliver(copy));
}

/// An endpoint and how many connections there may be to it.
fn pick(worker: &Worker, snapshot: &Snapshot, target: &MirrorTarget) -> Option<(Held, u32)> {
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
    let index = picked.ok()?.index;
    let endpoint = balancer.endpoints.get(index as usize)?;
    let own_max = balancer.own_connections_max(index);
    let breakers = &target.upstream.spec.breakers;
    let connections_max = own_max.unwrap_or(breakers.endpoint_connections);
    Some((Held(worker.pools.of(endpoint)), connections_max))
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
    let now_ms = copy.worker.clock.read_ms();
    let pool = &copy.held.0;
    let unused = match copy.on_behalf {
        None => pool.take(now_ms),
        Some(whom) => pool.take_reserved(whom, now_ms),
    };
    let mut connection = match unused {
        Some(connection) => connection,
        None => open(&copy, alarm, deadline_ms).await?,
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

/// Opens a connection, if the limits allow it at once.
async fn open(copy: &Copy, alarm: Alarm<'_>, deadline_ms: u64) -> Result<UpstreamConnection, Lost> {
    let (worker, upstream, endpoint) = (&copy.worker, &copy.upstream, &copy.held.0.endpoint);
    let refused = |overflow: Overflow| worker.recorder.failures.count(overflow.word());
    let places = Places::take(
        Limit {
            counters: &upstream.counters,
            connections_max: upstream.spec.breakers.connections,
            queue: &upstream.queue,
        },
        Limit {
            counters: &endpoint.counters,
            connections_max: copy.connections_max,
            queue: &endpoint.queue,
        },
        copy.on_behalf,
    );
    let places = places.map_err(|overflow| {
        refused(overflow);
        Lost
    })?;
    let spec = &upstream.spec.connection;
    let preface = spec
        .proxy_protocol
        .map_or_else(Vec::new, |version| preface(version, copy.on_behalf));
    let dial = Dial {
        address: &endpoint.address,
        buffer_bytes: spec.socket_buffer_bytes,
        preface: &preface,
        deadline_ms,
    };
    let stream = connect(&worker.event_loop, Some(&worker.pools), alarm, dial).await;
    let now_ms = worker.clock.read_ms();
    Ok(UpstreamConnection::new(
        stream.map_err(|_| Lost)?,
        spec,
        places,
        now_ms,
    ))
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
