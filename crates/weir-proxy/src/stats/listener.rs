//! What is counted of a listener, besides what its rules count.

use std::sync::Arc;

use weir_model::ListenerKey;
use weir_route::Miss;

use super::counter::Counter;

/// What one worker counted; readable from any thread.
#[derive(Debug)]
pub(crate) struct ListenerCounters {
    pub(crate) key: ListenerKey,
    /// Client connections open now.
    pub(crate) open: Counter,
    /// Requests for a host that no section serves.
    pub(crate) no_host: Counter,
    /// Requests that no rule of their host matches.
    pub(crate) no_route: Counter,
}

/// An open client connection, as long as it lives. For the worker that serves it.
#[derive(Debug)]
pub(crate) struct OpenConnection {
    counters: Arc<ListenerCounters>,
}

impl ListenerCounters {
    pub(super) fn new(key: ListenerKey) -> Self {
        Self {
            key,
            open: Counter::default(),
            no_host: Counter::default(),
            no_route: Counter::default(),
        }
    }
}

impl OpenConnection {
    pub(super) fn new(counters: Arc<ListenerCounters>) -> Self {
        counters.open.increment();
        Self { counters }
    }

    /// Which listener.
    #[inline]
    pub(crate) fn listener(&self) -> ListenerKey {
        self.counters.key
    }

    /// Counts a request that nothing serves.
    #[cold]
    pub(crate) fn missed(&self, miss: Miss) {
        match miss {
            Miss::NoHost => self.counters.no_host.increment(),
            Miss::NoRoute => self.counters.no_route.increment(),
        }
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.counters.open.decrement();
    }
}
