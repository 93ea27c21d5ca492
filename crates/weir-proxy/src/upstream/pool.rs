//! Unused connections, by endpoint, one pool per worker.
//!
//! Nobody watches a pooled connection. What the system already knows of it (closed, or bytes that nobody asked for) is
//! looked at when it is taken, without a system call; a connection that dies later is found out by using it.

use std::cell::{Cell, RefCell};
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;

use weir_balance::{Counters, EndpointState};
use weir_model::limits;

use super::UpstreamConnection;
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
    connection: UpstreamConnection,
    until_ms: u64,
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

impl Unused {
    fn is_usable(&self, now_ms: u64) -> bool {
        now_ms < self.until_ms && self.connection.stream.is_quiet()
    }
}

impl EndpointPool {
    /// The connection used last, if one is still quiet.
    pub(crate) fn take(&self, now_ms: u64) -> Option<UpstreamConnection> {
        loop {
            let mut unused = self.unused.borrow_mut().pop()?;
            self.allowance.gave_back(1);
            if unused.is_usable(now_ms) {
                unused.connection.begin_request();
                return Some(unused.connection);
            }
        }
    }

    /// Takes a connection back whose last response is complete. It is closed instead when it has served its time, when
    /// there are enough already or the endpoint is gone.
    pub(crate) fn give(&self, connection: UpstreamConnection, now_ms: u64) {
        let until_ms = connection.unused_until_ms(now_ms);
        if until_ms <= now_ms {
            return;
        }
        let mut unused = self.unused.borrow_mut();
        let is_room = unused.len() < limits::POOL_IDLE_CONNECTIONS
            && self.allowance.kept.get() < self.allowance.kept_max;
        if is_room && !self.is_closed.get() && self.endpoint.is_listed() {
            self.allowance.kept.set(self.allowance.kept.get() + 1);
            unused.push(Unused { connection, until_ms });
        }
    }

    fn sweep(&self, now_ms: u64) {
        let mut unused = self.unused.borrow_mut();
        let before = unused.len();
        unused.retain(|unused| unused.is_usable(now_ms));
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

    /// Closes one unused connection that takes a place at the backend of these counters, so that one to another of its
    /// endpoints may be opened; `false` when there is none.
    pub(crate) fn make_room(&self, backend: &Counters) -> bool {
        self.by_endpoint.borrow().values().any(|pool| {
            let mut unused = pool.unused.borrow_mut();
            let place = unused
                .iter()
                .position(|unused| unused.connection.is_counted_by(backend));
            place.map(|place| unused.remove(place)).is_some_and(|_closed| {
                pool.allowance.gave_back(1);
                true
            })
        })
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
