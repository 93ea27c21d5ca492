//! What an echo backend has seen.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Totals since the backend was bound. Shared with whoever watches it.
#[derive(Debug, Default)]
pub struct Counters {
    requests: AtomicU64,
    body_bytes: AtomicU64,
    connections: AtomicU64,
    open_connections: AtomicU64,
    refused: AtomicU64,
}

impl Counters {
    /// Requests received completely, head and body.
    pub fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
    }

    /// Bytes of request bodies, without chunk framing.
    pub fn body_bytes(&self) -> u64 {
        self.body_bytes.load(Relaxed)
    }

    /// Connections accepted.
    pub fn connections(&self) -> u64 {
        self.connections.load(Relaxed)
    }

    /// Connections open now.
    pub fn open_connections(&self) -> u64 {
        self.open_connections.load(Relaxed)
    }

    /// Requests that were not valid HTTP/1.1.
    pub fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    /// Counts a request and returns its number, from 0.
    pub(crate) fn count_request(&self, body_bytes: u64) -> u64 {
        self.body_bytes.fetch_add(body_bytes, Relaxed);
        self.requests.fetch_add(1, Relaxed)
    }

    pub(crate) fn count_refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    pub(crate) fn count_connection(&self) {
        self.connections.fetch_add(1, Relaxed);
        self.open_connections.fetch_add(1, Relaxed);
    }

    pub(crate) fn count_closed(&self) {
        self.open_connections.fetch_sub(1, Relaxed);
    }
}
