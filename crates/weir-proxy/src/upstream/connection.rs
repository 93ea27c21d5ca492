//! One open connection to an endpoint: how long it may be used, for whom it is, and its places under the limits.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use weir_balance::{Counted, Counters, Overflow, Permit};
use weir_model::ConnectionSpec;
use weir_net::Stream;

use crate::queue::Queue;
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
    pub(super) places: Box<Places>,
}

/// Places of a connection at its backend and its endpoint, and whose requests it may carry.
#[derive(Debug)]
pub(crate) struct Places {
    backend: Permit<Arc<Counters>>,
    endpoint: Permit<Arc<Counters>>,
    /// Whose requests alone it carries, where the endpoint was told so; `None`: anybody's.
    pub(super) on_behalf: Option<OnBehalf>,
    /// Last, so that the places are free when their lines are called.
    pub(super) lines: Lines,
}

/// For whom a connection was opened: the client's address, and the one that the client reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OnBehalf {
    pub(crate) source: SocketAddr,
    pub(crate) destination: SocketAddr,
}

/// One limit on connections: how many there are, how many there may be, and who waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit<'a> {
    pub(crate) counters: &'a Arc<Counters>,
    pub(crate) connections_max: u32,
    pub(crate) queue: &'a Arc<Queue>,
}

/// Who waits for the places of a connection. Called when it closes.
#[derive(Debug)]
pub(super) struct Lines {
    pub(super) backend: Arc<Queue>,
    pub(super) endpoint: Arc<Queue>,
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.backend.call();
        self.endpoint.call();
    }
}

impl Places {
    /// A place under both limits.
    pub(crate) fn take(
        backend: Limit<'_>,
        endpoint: Limit<'_>,
        on_behalf: Option<OnBehalf>,
    ) -> Result<Self, Overflow> {
        let take = |limit: Limit<'_>| {
            Permit::take(
                Arc::clone(limit.counters),
                Counted::Connections,
                limit.connections_max,
            )
        };
        Ok(Self {
            backend: take(backend)?,
            endpoint: take(endpoint)?,
            on_behalf,
            lines: Lines {
                backend: Arc::clone(backend.queue),
                endpoint: Arc::clone(endpoint.queue),
            },
        })
    }

    /// Whether somebody waits for them.
    #[inline]
    pub(super) fn are_wanted(&self) -> bool {
        !self.lines.backend.is_empty() || !self.lines.endpoint.is_empty()
    }
}

impl UpstreamConnection {
    /// A connection that has just been opened and is about to be given its first request.
    pub(crate) fn new(stream: Stream, spec: &ConnectionSpec, places: Places, now_ms: u64) -> Self {
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
            places: Box::new(places),
        }
    }

    /// The same, kept for a request that is yet to come.
    pub(crate) fn unused(stream: Stream, spec: &ConnectionSpec, places: Places, now_ms: u64) -> Self {
        Self {
            requests_left: spec.requests_max.map_or(u32::MAX, NonZeroU32::get),
            ..Self::new(stream, spec, places, now_ms)
        }
    }

    /// Until when it may wait for another request; the past when it may not have one at all.
    pub(super) fn unused_until_ms(&self, now_ms: u64) -> u64 {
        if self.requests_left == 0 {
            return 0;
        }
        now_ms.saturating_add(self.idle_ms).min(self.ends_ms)
    }

    /// Whether it takes a place under the limit of these counters.
    pub(super) fn is_counted_by(&self, counters: &Counters) -> bool {
        let Places {
            backend, endpoint, ..
        } = &*self.places;
        std::ptr::eq(backend.counters(), counters) || std::ptr::eq(endpoint.counters(), counters)
    }

    /// Counts another request.
    pub(super) fn begin_request(&mut self) {
        // No number of requests lasts that long without a limit.
        self.requests_left -= u32::from(self.requests_left < u32::MAX);
    }
}
