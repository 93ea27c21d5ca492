//! Within stop 8: a connection for the request, a pooled one or a new one under the limits.

use std::net::SocketAddr;

use super::failure::TryEnd;
use super::pick::Chosen;
use super::route::Way;
use super::waiting::{self, Granted};
use super::{Exchange, Failure, preconnect};
use crate::compile::RuleTimeouts;
use crate::upstream::{ConnectFailure, Dial, OnBehalf, UpstreamConnection, connect, preface};

/// An unused connection that may carry the request, if there is one.
#[inline]
pub(super) fn pooled(
    exchange: &Exchange<'_>,
    chosen: &Chosen<'_>,
    now_ms: u64,
) -> Option<UpstreamConnection> {
    match chosen.upstream.spec.connection.proxy_protocol {
        None => chosen.held.0.take(now_ms),
        Some(_) => chosen.held.0.take_reserved(exchange.on_behalf(), now_ms),
    }
}

/// Opens a connection, once the limits allow it. What comes of waiting may be one that others have used; `true` then.
pub(super) async fn open(
    exchange: &mut Exchange<'_>,
    way: &Way<'_>,
    chosen: &Chosen<'_>,
    timeouts: &RuleTimeouts,
    try_deadline_ms: u64,
) -> Result<(UpstreamConnection, bool), Failure> {
    let spec = &chosen.upstream.spec.connection;
    let on_behalf = spec.proxy_protocol.map(|_| exchange.on_behalf());
    let pending = chosen.take_pending()?;
    let places = match chosen.take_places(on_behalf) {
        Ok(places) => places,
        Err(overflow) => {
            let waited = waiting::wait(exchange, way, chosen, (overflow, on_behalf), try_deadline_ms);
            match Box::pin(waited).await? {
                Granted::Places(places) => places,
                Granted::Connection(connection) => return Ok((connection, true)),
            }
        }
    };
    let worker = exchange.worker;
    let now_ms = worker.clock.refresh_ms();
    let whole_ms = exchange.deadline_ms.min(try_deadline_ms);
    let deadline_ms = whole_ms.min(now_ms.saturating_add(timeouts.connect_ms));
    let preface = spec
        .proxy_protocol
        .map_or_else(Vec::new, |version| preface(version, on_behalf));
    let dial = Dial {
        address: &chosen.held.0.endpoint.address,
        buffer_bytes: spec.socket_buffer_bytes,
        preface: &preface,
        deadline_ms,
    };
    let pools = Some(&worker.pools);
    let connected = connect(&worker.event_loop, pools, exchange.alarm(), dial).await;
    drop(pending);
    if connected.as_ref().err() != Some(&ConnectFailure::Exhausted) {
        chosen.held.0.endpoint.note_unreached(connected.is_err());
    }
    match connected {
        Ok(stream) => {
            if let Some(preconnect) = spec.preconnect {
                preconnect::start(worker, chosen, preconnect, timeouts.connect_ms);
            }
            let now_ms = worker.clock.read_ms();
            Ok((UpstreamConnection::new(stream, spec, places, now_ms), false))
        }
        Err(ConnectFailure::Refused) => Err(Failure::of_endpoint(TryEnd::Unreached, 502, "connect_failed")),
        Err(ConnectFailure::Exhausted) => Err(Failure::answered(503, "no_files")),
        Err(ConnectFailure::TimedOut) if deadline_ms == whole_ms => Err(exchange.timed_out()),
        Err(ConnectFailure::TimedOut) => Err(Failure::of_endpoint(TryEnd::Unreached, 504, "connect_timeout")),
    }
}

impl Exchange<'_> {
    /// For whom a connection would be opened. A client that another one spoke for has no port that is known.
    pub(super) fn on_behalf(&self) -> OnBehalf {
        let (client_ip, peer) = (self.request.client_ip, self.client.peer);
        let is_peer = peer.ip().to_canonical() == client_ip.to_canonical();
        let listener = self.client.open.listener().address;
        OnBehalf {
            source: SocketAddr::new(client_ip, if is_peer { peer.port() } else { 0 }),
            destination: self.client.stream.local_address().unwrap_or(listener),
        }
    }
}
