//! Unused connections, by endpoint, one pool per worker.
//!
//! Nobody watches a pooled connection. What the system already knows of it (closed, or bytes that nobody asked for) is
//! looked at when it is taken, without a system call; a connection that dies later is found out by using it.

use std::cell::{Cell, RefCell};
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;

use weir_balance::{Counters, EndpointState, Unavailable};
use weir_model::limits;

use super::handed::Handed;
use super::{OnBehalf, UpstreamConnection};
use crate::compile::LiveEndpoint;
use crate::id_map::IdMap;
use crate::queue::Queue;

/// One worker's connections to one endpoint.
#[derive(Debug)]
pub(crate) struct EndpointPool {
    pub(crate) endpoint: Arc<LiveEndpoint>,
    unused: RefCell<Vec<Unused>>,
    /// The same for connections that carry one client's requests alone: apart, so that nobody else is given one.
    reserved: RefCell<Vec<Unused>>,
    is_closed: Cell<bool>,
    /// Somebody opens connections ahead of requests.
    is_preparing: Cell<bool>,
    allowance: Rc<Allowance>,
    handed: Rc<Handed>,
}

/// A pool for which connections are being opened ahead of requests: nobody else does while this lives.
#[derive(Debug)]
pub(crate) struct Preparing(Rc<EndpointPool>);

impl Preparing {
    /// `None` while somebody else does.
    pub(crate) fn begin(pool: Rc<EndpointPool>) -> Option<Self> {
        (!pool.is_preparing.replace(true)).then(|| Self(pool))
    }

    /// Whose connections they are.
    pub(crate) fn pool(&self) -> &EndpointPool {
        &self.0
    }
}

impl Drop for Preparing {
    fn drop(&mut self) {
        self.0.is_preparing.set(false);
    }
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

    /// The same of those that were opened for this client.
    #[cold]
    pub(crate) fn take_reserved(&self, for_whom: OnBehalf, now_ms: u64) -> Option<UpstreamConnection> {
        let mut reserved = self.reserved.borrow_mut();
        let before = reserved.len();
        reserved.retain(|unused| unused.is_usable(now_ms));
        self.allowance.gave_back(before - reserved.len());
        let place = reserved
            .iter()
            .rposition(|unused| unused.connection.places.on_behalf == Some(for_whom))?;
        let mut connection = reserved.remove(place).connection;
        self.allowance.gave_back(1);
        connection.begin_request();
        Some(connection)
    }

    /// Takes a connection back whose last response is complete. It is closed instead when it has served its time, when
    /// there are enough already or the endpoint is gone.
    pub(crate) fn give(&self, connection: UpstreamConnection, now_ms: u64) {
        let until_ms = connection.unused_until_ms(now_ms);
        if until_ms <= now_ms {
            return;
        }
        if connection.places.are_wanted() {
            return self.hand_on(connection);
        }
        let list = match connection.places.on_behalf {
            None => &self.unused,
            Some(_) => &self.reserved,
        };
        let mut unused = list.borrow_mut();
        if connection.places.on_behalf.is_some() && unused.len() == limits::POOL_IDLE_CONNECTIONS {
            // Its client may be gone long since: nobody else would ever use it.
            drop(unused.remove(0));
            self.allowance.gave_back(1);
        }
        let is_room = unused.len() < limits::POOL_IDLE_CONNECTIONS
            && self.allowance.kept.get() < self.allowance.kept_max;
        if is_room && !self.is_closed.get() && self.endpoint.is_listed() {
            self.allowance.kept.set(self.allowance.kept.get() + 1);
            unused.push(Unused { connection, until_ms });
        }
    }

    /// Gives a connection to who waits for one; closes it when who goes first cannot use it.
    #[cold]
    fn hand_on(&self, connection: UpstreamConnection) {
        let lines = &connection.places.lines;
        let mut taker = None;
        if connection.places.on_behalf.is_none() && self.endpoint.is_listed() {
            let take = |queue: &Queue| queue.take_taker(self.handed.worker, self.endpoint.id);
            taker = take(&lines.endpoint).or_else(|| take(&lines.backend));
        }
        if let Some((ticket, waker)) = taker {
            self.handed.put(ticket.number, connection);
            waker.wake();
        }
    }

    fn sweep(&self, now_ms: u64) {
        for list in [&self.unused, &self.reserved] {
            let mut unused = list.borrow_mut();
            let before = unused.len();
            unused.retain(|unused| unused.is_usable(now_ms));
            self.allowance.gave_back(before - unused.len());
        }
    }

    fn clear(&self) {
        for list in [&self.unused, &self.reserved] {
            let cleared = list.take();
            self.allowance.gave_back(cleared.len());
        }
    }

    /// Closes one unused connection that takes a place under the limit of these counters, if there is one.
    fn close_counted(&self, counters: &Counters) -> bool {
        [&self.unused, &self.reserved].into_iter().any(|list| {
            let mut unused = list.borrow_mut();
            let place = unused
                .iter()
                .position(|unused| unused.connection.is_counted_by(counters));
            let closed = place.map(|place| unused.remove(place));
            drop(unused);
            self.allowance.gave_back(usize::from(closed.is_some()));
            closed.is_some()
        })
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
    /// Connections on their way to who waits for one.
    pub(crate) handed: Rc<Handed>,
}

impl Pools {
    /// Pools of `worker` that keep at most `kept_max` unused connections in all.
    pub(crate) fn new(worker: usize, kept_max: usize) -> Self {
        Self {
            handed: Rc::new(Handed::new(worker)),
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
            reserved: RefCell::default(),
            handed: Rc::clone(&self.handed),
            is_closed: Cell::new(false),
            is_preparing: Cell::new(false),
            allowance: Rc::clone(&self.allowance),
        });
        self.by_endpoint
            .borrow_mut()
            .insert(endpoint.id, Rc::clone(&pool));
        pool
    }

    /// Closes the unused connections to endpoints that no backend lists any more, or that somebody has disabled. Those in
    /// use finish.
    pub(crate) fn close_unlisted(&self) {
        self.by_endpoint.borrow_mut().retain(|_, pool| {
            let kept = pool.endpoint.is_listed();
            if !kept {
                pool.close();
            } else if pool.endpoint.state.holds(Unavailable::Disabled) {
                pool.clear();
            }
            kept
        });
    }

    /// Closes one unused connection that takes a place under the limit of these counters, so that another one may be opened;
    /// `false` when there is none.
    pub(crate) fn make_room(&self, counters: &Counters) -> bool {
        let pools = self.by_endpoint.borrow();
        pools.values().any(|pool| pool.close_counted(counters))
    }

    /// Closes all unused connections: their descriptors are needed.
    pub(crate) fn close_unused(&self) {
        for pool in self.by_endpoint.borrow().values() {
            pool.clear();
        }
    }

    /// The unused connections: to whom, and which.
    #[cfg(feature = "simulation")]
    pub(crate) fn unused(&self) -> Vec<(Arc<LiveEndpoint>, weir_net::simulation::SocketId)> {
        let pools = self.by_endpoint.borrow();
        let of = |pool: &Rc<EndpointPool>| {
            let unused = pool.unused.borrow();
            let sockets = unused
                .iter()
                .filter_map(|unused| unused.connection.stream.simulated());
            sockets
                .map(|socket| (Arc::clone(&pool.endpoint), socket))
                .collect::<Vec<_>>()
        };
        pools.values().flat_map(of).collect()
    }

    /// Closes connections that have been unused for too long or that the endpoint has closed.
    pub(crate) fn sweep(&self, now_ms: u64) {
        for pool in self.by_endpoint.borrow().values() {
            // What was in use when the endpoint was disabled has come back since.
            if pool.endpoint.state.holds(Unavailable::Disabled) {
                pool.clear();
            }
            pool.sweep(now_ms);
        }
    }
}
