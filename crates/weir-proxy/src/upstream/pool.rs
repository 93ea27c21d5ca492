//! Unused connections, by endpoint, one pool per worker.
//!
//! Nobody watches a pooled connection. What the system already knows of it (closed, or bytes that nobody asked for) is
//! looked at when it is taken, without a system call; a connection that dies later is found out by using it.

use std::cell::{Cell, RefCell};
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;

use weir_balance::EndpointState;
use weir_model::limits;
use weir_net::Stream;

use crate::compile::LiveEndpoint;
use crate::id_map::IdMap;

/// One worker's connections to one endpoint.
#[derive(Debug)]
pub(crate) struct EndpointPool {
    pub(crate) endpoint: Arc<LiveEndpoint>,
    unused: RefCell<Vec<Unused>>,
    is_closed: Cell<bool>,
    allowance: Rc<Allowance>,
}

/// How many unused connections a worker may keep, over all endpoints: they take files that used ones need.
#[derive(Debug)]
struct Allowance {
    kept: Cell<usize>,
    kept_max: usize,
}

impl Allowance {
    fn gave_back(&self, count: usize) {
        debug_assert!(count <= self.kept.get());
        self.kept.set(self.kept.get() - count);
    }
}

#[derive(Debug)]
struct Unused {
    stream: Stream,
    since_ms: u64,
}

/// A pool seen as its endpoint's load: what a lease holds without touching a shared reference count.
#[derive(Clone, Debug)]
pub(crate) struct Held(pub(crate) Rc<EndpointPool>);

impl Deref for Held {
    type Target = EndpointState;

    fn deref(&self) -> &EndpointState {
        &self.0.endpoint.state
    }
}

impl EndpointPool {
    /// The connection used last, if one is still quiet.
    pub(crate) fn take(&self, now_ms: u64) -> Option<Stream> {
        loop {
            let unused = self.unused.borrow_mut().pop()?;
            self.allowance.gave_back(1);
            let is_fresh = now_ms.saturating_sub(unused.since_ms) < timeout_ms();
            if is_fresh && unused.stream.is_quiet() {
                return Some(unused.stream);
            }
        }
    }

    /// Takes a connection back whose last response is complete. It is closed instead when there are enough already
    /// or the endpoint is gone.
    pub(crate) fn give(&self, stream: Stream, now_ms: u64) {
        let mut unused = self.unused.borrow_mut();
        let is_room = unused.len() < limits::POOL_IDLE_CONNECTIONS
            && self.allowance.kept.get() < self.allowance.kept_max;
        if is_room && !self.is_closed.get() && self.endpoint.is_listed() {
            self.allowance.kept.set(self.allowance.kept.get() + 1);
            unused.push(Unused {
                stream,
                since_ms: now_ms,
            });
        }
    }

    fn sweep(&self, now_ms: u64) {
        let mut unused = self.unused.borrow_mut();
        let before = unused.len();
        unused.retain(|unused| {
            now_ms.saturating_sub(unused.since_ms) < timeout_ms() && unused.stream.is_quiet()
        });
        self.allowance.gave_back(before - unused.len());
    }

    fn clear(&self) {
        let mut unused = self.unused.borrow_mut();
        self.allowance.gave_back(unused.len());
        unused.clear();
    }

    fn close(&self) {
        self.is_closed.set(true);
        self.clear();
    }
}

/// The pools of one worker. They outlive snapshots.
#[derive(Debug)]
pub(crate) struct Pools {
    by_endpoint: RefCell<IdMap<Rc<EndpointPool>>>,
    allowance: Rc<Allowance>,
}

impl Pools {
    /// Pools that keep at most `kept_max` unused connections in all.
    pub(crate) fn new(kept_max: usize) -> Self {
        Self {
            by_endpoint: RefCell::default(),
            allowance: Rc::new(Allowance {
                kept: Cell::new(0),
                kept_max,
            }),
        }
    }

    /// The pool of an endpoint.
    pub(crate) fn of(&self, endpoint: &Arc<LiveEndpoint>) -> Rc<EndpointPool> {
        if let Some(pool) = self.by_endpoint.borrow().get(&endpoint.id) {
            return Rc::clone(pool);
        }
        let pool = Rc::new(EndpointPool {
            endpoint: Arc::clone(endpoint),
            unused: RefCell::default(),
            is_closed: Cell::new(false),
            allowance: Rc::clone(&self.allowance),
        });
        self.by_endpoint
            .borrow_mut()
            .insert(endpoint.id, Rc::clone(&pool));
        pool
    }

    /// Closes the unused connections to endpoints that no backend lists any more. Those in use finish.
    pub(crate) fn close_unlisted(&self) {
        self.by_endpoint.borrow_mut().retain(|_, pool| {
            let kept = pool.endpoint.is_listed();
            if !kept {
                pool.close();
            }
            kept
        });
    }

    /// Closes all unused connections: their descriptors are needed.
    pub(crate) fn close_unused(&self) {
        for pool in self.by_endpoint.borrow().values() {
            pool.clear();
        }
    }

    /// Closes connections that have been unused for too long or that the endpoint has closed.
    pub(crate) fn sweep(&self, now_ms: u64) {
        for pool in self.by_endpoint.borrow().values() {
            pool.sweep(now_ms);
        }
    }
}

fn timeout_ms() -> u64 {
    limits::POOL_IDLE_TIMEOUT.as_millis() as u64
}
