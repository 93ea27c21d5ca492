//! One open connection to an endpoint: how long it may be used, and its places under the limits.

use std::sync::Arc;

use weir_balance::{Counted, Counters, Overflow, Permit};
use weir_model::ConnectionSpec;
use weir_net::Stream;

use crate::time::NEVER;

/// An open connection. What its opener's specification says of connections holds for its whole life, whoever uses it.
#[derive(Debug)]
pub(crate) struct UpstreamConnection {
    pub(crate) stream: Stream,
    /// When it takes no further request, milliseconds.
    ends_ms: u64,
    /// How long it may stay unused, milliseconds.
    idle_ms: u64,
    /// Requests that it may still be given.
    requests_left: u32,
    /// Given back when it closes. Boxed: exchanges carry connections about.
    places: Option<Box<Places>>,
}

/// Places of a connection at its backend and its endpoint.
#[derive(Debug)]
pub(crate) struct Places {
    backend: Permit<Arc<Counters>>,
    _endpoint: Permit<Arc<Counters>>,
}

impl Places {
    /// A place at both, when fewer than `limits` are taken.
    pub(crate) fn take(
        (backend, backend_max): (&Arc<Counters>, u32),
        (endpoint, endpoint_max): (&Arc<Counters>, u32),
    ) -> Result<Self, Overflow> {
        Ok(Self {
            backend: Permit::take(Arc::clone(backend), Counted::Connections, backend_max)?,
            _endpoint: Permit::take(Arc::clone(endpoint), Counted::Connections, endpoint_max)?,
        })
    }
}

impl UpstreamConnection {
    /// A connection that has just been opened and is about to be given its first request.
    pub(crate) fn new(stream: Stream, spec: &ConnectionSpec, places: Option<Places>, now_ms: u64) -> Self {
        let milliseconds =
            |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX / 2);
        if let Some(keepalive) = spec.keepalive {
            stream.keep_alive(
                keepalive.idle.duration(),
                keepalive.interval.duration(),
                keepalive.probes.get(),
            );
        }
        Self {
            stream,
            ends_ms: spec
                .duration_max
                .map_or(NEVER, |time| now_ms.saturating_add(milliseconds(time))),
            idle_ms: spec.idle_timeout.map_or(NEVER, milliseconds),
            requests_left: spec.requests_max.map_or(u32::MAX, |requests| requests.get() - 1),
            places: places.map(Box::new),
        }
    }

    /// Until when it may wait for another request; the past when it may not have one at all.
    pub(super) fn unused_until_ms(&self, now_ms: u64) -> u64 {
        if self.requests_left == 0 {
            return 0;
        }
        now_ms.saturating_add(self.idle_ms).min(self.ends_ms)
    }

    /// Whether it takes a place at the backend of these counters.
    pub(super) fn is_counted_by(&self, backend: &Counters) -> bool {
        self.places
            .as_ref()
            .is_some_and(|places| std::ptr::eq(places.backend.counters(), backend))
    }

    /// Counts another request.
    pub(super) fn begin_request(&mut self) {
        // No number of requests lasts that long without a limit.
        self.requests_left -= u32::from(self.requests_left < u32::MAX);
    }
}
