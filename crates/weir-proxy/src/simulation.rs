//! The data plane without threads: the same workers, the same prober and the same publishing as [`crate::Gateway`]'s, in a
//! simulated world ([`weir_net::simulation`]) whose owner steps their loops one task at a time.
//!
//! What is not here: the access log's thread and the resolver's. What can be seen from outside of a gateway is what its statistics tell; here
//! the owner also sees every endpoint's load and every pooled connection, to hold them against what it knows itself.

use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use weir_balance::{Counted, Counters, Pick, Rng, TokenKey, TokenKeys, Unavailable};
use weir_model::{Breakers, Config, Endpoint, EndpointAddress, UpstreamSpec};
use weir_net::simulation::SocketId;
use weir_net::{Epoch, EventLoop, Stepped};

use crate::command::{Command, inbox};
use crate::compile::{Action, CompiledBalancer, Compiler, Goal, LiveEndpoint, UnknownBackend};
use crate::control::{Control, PublishReport};
use crate::health::HealthReport;
use crate::prober::Prober;
use crate::shared::Shared;
use crate::stats::Stats;
use crate::worker::Worker;
use crate::{Options, thread};

/// Client connections that are allowed unless the options say otherwise.
const CONNECTIONS_MAX: u32 = 10_000;

/// A data plane on one thread.
#[derive(Debug)]
pub struct Plane {
    shared: Arc<Shared>,
    control: Control,
    workers: Vec<Rc<Worker>>,
    /// The workers' loops, then the prober's.
    loops: Vec<Stepped>,
    /// Every endpoint that was ever listed.
    endpoints: BTreeMap<u32, Arc<LiveEndpoint>>,
    /// What goes on at every backend that there ever was.
    backends: Vec<Counting>,
}

/// Where the requests and connections of one backend under one specification are counted.
#[derive(Debug)]
struct Counting {
    backend: Arc<str>,
    spec: Arc<UpstreamSpec>,
    counters: Arc<Counters>,
}

/// What goes on at a backend under one specification, and what may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendLoad {
    /// Its key.
    pub backend: Arc<str>,
    /// What may go on at once.
    pub breakers: Breakers,
    /// Connections that are open or being opened.
    pub connections: u32,
    /// Requests that wait for a connection.
    pub pending: u32,
    /// Requests in flight.
    pub requests: u32,
    /// Retries in flight.
    pub retries: u32,
}

/// One endpoint's load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointLoad {
    /// Which; when it was listed, unlisted and listed again it is another one.
    pub number: u32,
    /// Where.
    pub address: EndpointAddress,
    /// Some backend lists it.
    pub is_listed: bool,
    /// Nothing speaks against it.
    pub is_available: bool,
    /// A person drains or disables it.
    pub is_withheld: bool,
    /// Tries that have begun and not ended.
    pub in_flight: u32,
    /// Tries ever begun.
    pub picks: u64,
    /// Connections that count against its limits.
    pub connections: u32,
    /// Requests that count against its limits.
    pub requests: u32,
}

impl Plane {
    /// A data plane in the world of this thread. Its owner's options say how many workers; at least one.
    pub fn start(options: Options) -> io::Result<Self> {
        let seed = options.seed.unwrap_or_else(weir_net::seed);
        let connections_max = options.limits.connections.unwrap_or(CONNECTIONS_MAX);
        let epoch = Epoch::start();
        let (inboxes, outlets): (Vec<_>, Vec<_>) = (0..options.workers.max(1)).map(|_| inbox()).unzip();
        let shared = Arc::new(Shared::new(options, inboxes, None, connections_max, epoch));
        let (mut workers, mut loops) = (Vec::new(), Vec::new());
        for (index, inbox) in outlets.into_iter().enumerate() {
            let rng = Rng::from_seed(seed ^ (index as u64 + 1));
            let worker = Rc::new(Worker::new(index, Arc::clone(&shared), EventLoop::new()?, rng));
            loops.push(thread::stepped(&worker, inbox));
            workers.push(worker);
        }
        let (prober, stepped) = Prober::stepped(Arc::clone(&shared), Rng::from_seed(!seed))?;
        loops.push(stepped);
        let keys = TokenKeys::new(TokenKey::new(&weir_net::secret()).into_iter().collect());
        let compiler = Compiler::new(epoch, Rng::from_seed(seed), keys, workers.len());
        Ok(Self {
            control: Control::new(Arc::clone(&shared), compiler, prober),
            shared,
            workers,
            loops,
            endpoints: BTreeMap::new(),
            backends: Vec::new(),
        })
    }

    /// See [`crate::Gateway::publish`].
    pub fn publish(&mut self, config: Arc<Config>) -> PublishReport {
        let report = self.control.publish(config);
        self.note_endpoints();
        report
    }

    /// See [`crate::Gateway::update_endpoints`].
    pub fn update_endpoints(
        &mut self,
        backend: &str,
        endpoints: Arc<[Endpoint]>,
    ) -> Result<(), UnknownBackend> {
        self.control.update_endpoints(backend, endpoints)?;
        self.note_endpoints();
        Ok(())
    }

    /// Begins what [`crate::Gateway::drain`] does: no connection is accepted any more, and each ends after its exchange.
    pub fn begin_drain(&self) {
        self.shared.is_draining.store(true, Ordering::Relaxed);
        self.shared.tell_workers(|| Command::Drain);
    }

    /// See [`crate::Gateway::stats`].
    pub fn stats(&self) -> Stats {
        Stats {
            connections_open: u64::from(self.shared.loads.total()),
            ..self.shared.registry.report()
        }
    }

    /// Client connections that are counted as open.
    pub fn connections_open(&self) -> u32 {
        self.shared.loads.total()
    }

    /// See [`crate::Gateway::health`].
    pub fn health(&mut self) -> HealthReport {
        self.control.compiler().health()
    }

    /// The generation that the next request sees.
    pub fn generation(&self) -> u64 {
        self.shared.generation()
    }

    /// How many loops there are: the workers', then the prober's.
    pub fn loops(&self) -> usize {
        self.loops.len()
    }

    /// One loop looks at its sockets and its clock.
    pub fn look(&mut self, index: usize) {
        if let Some(one) = self.loops.get_mut(index) {
            one.look();
        }
    }

    /// One loop polls its next ready task; `false` when none is.
    pub fn poll_next(&mut self, index: usize) -> bool {
        self.loops.get_mut(index).is_some_and(Stepped::poll_next)
    }

    /// Whether one loop has something to do now, whatever the time.
    pub fn is_ready(&self, index: usize) -> bool {
        self.loops.get(index).is_some_and(Stepped::is_ready)
    }

    /// How long one loop would wait.
    pub fn patience(&self, index: usize) -> Duration {
        self.loops.get(index).map_or(Duration::MAX, Stepped::patience)
    }

    /// Tasks of the workers: one per client connection and listening socket, and the workers' own.
    pub fn worker_tasks(&self) -> usize {
        self.loops
            .iter()
            .take(self.workers.len())
            .map(Stepped::tasks)
            .sum()
    }

    /// Tasks that have ended by a panic: defects.
    pub fn panics(&self) -> u64 {
        self.loops.iter().map(Stepped::panics).sum()
    }

    /// The load of every endpoint that was ever listed.
    pub fn endpoints(&self) -> Vec<EndpointLoad> {
        self.endpoints
            .values()
            .map(|endpoint| load_of(endpoint))
            .collect()
    }

    /// What goes on at every backend that there ever was.
    pub fn backends(&self) -> Vec<BackendLoad> {
        self.backends.iter().map(Counting::load).collect()
    }

    /// Where a rule, named by its key, sends requests whose hash keys are these, were they to come now. Empty when it does
    /// not forward, and short by those that it sends nowhere.
    pub fn owners(&self, rule: &str, keys: &[u64]) -> Vec<EndpointAddress> {
        let snapshot = self.shared.snapshot();
        let mut rules = snapshot.routes.iter().flat_map(|route| &route.rules);
        let found = rules.find(|one| *one.live.key == *rule);
        let Some(Action::Forward(forward)) = found.map(|found| &found.action) else {
            return Vec::new();
        };
        let balancer = forward.destinations.first().and_then(|one| match &one.goal {
            Goal::Balancer { slot, .. } => snapshot.balancer(*slot),
            Goal::Answer(_) => None,
        });
        let now_ms = self.shared.epoch.elapsed_ms();
        let owner = |key: &u64| owner(balancer?, *key, now_ms);
        keys.iter().filter_map(owner).collect()
    }

    /// Has a person drain an endpoint, or end that.
    pub fn withhold(&self, address: &EndpointAddress, is_withheld: bool) {
        for endpoint in self.endpoints.values().filter(|one| one.address == *address) {
            if is_withheld {
                endpoint.state.raise(Unavailable::Draining);
            } else {
                endpoint.state.clear(Unavailable::Draining);
            }
        }
    }

    /// Unused connections, over all workers: to which endpoint, by its number, and which.
    pub fn pooled(&self) -> Vec<(u32, SocketId)> {
        let pools = self.workers.iter().flat_map(|worker| worker.pools.unused());
        let mut pooled: Vec<_> = pools.map(|(endpoint, socket)| (endpoint.id, socket)).collect();
        pooled.sort_unstable();
        pooled
    }

    fn note_endpoints(&mut self) {
        for endpoint in self.control.compiler().endpoints() {
            self.endpoints.insert(endpoint.id, endpoint);
        }
        for (backend, upstream) in self.control.compiler().upstreams() {
            let is_known = |known: &Counting| Arc::ptr_eq(&known.counters, &upstream.counters);
            if !self.backends.iter().any(is_known) {
                self.backends.push(Counting {
                    backend: Arc::clone(backend),
                    spec: Arc::clone(&upstream.spec),
                    counters: Arc::clone(&upstream.counters),
                });
            }
        }
    }
}

impl Counting {
    fn load(&self) -> BackendLoad {
        BackendLoad {
            backend: Arc::clone(&self.backend),
            breakers: self.spec.breakers,
            connections: self.counters.in_use(Counted::Connections),
            pending: self.counters.in_use(Counted::PendingRequests),
            requests: self.counters.in_use(Counted::ParallelRequests),
            retries: self.counters.in_use(Counted::Retries),
        }
    }
}

fn owner(balancer: &CompiledBalancer, key: u64, now_ms: u64) -> Option<EndpointAddress> {
    let picked = balancer.balancer.pick(&mut Pick {
        key: Some(key),
        key_source: 0,
        cursor: &AtomicU64::new(0),
        rng: &mut Rng::from_seed(0),
        now_ms,
        override_hosts: None,
        tried: &[],
    });
    let endpoint = balancer.endpoints.get(picked.ok()?.index as usize)?;
    Some(endpoint.address.clone())
}

fn load_of(endpoint: &LiveEndpoint) -> EndpointLoad {
    let holds = |reason| endpoint.state.holds(reason);
    EndpointLoad {
        number: endpoint.id,
        address: endpoint.address.clone(),
        is_listed: endpoint.is_listed(),
        is_available: endpoint.state.is_available(),
        is_withheld: holds(Unavailable::Draining) || holds(Unavailable::Disabled),
        in_flight: endpoint.state.in_flight(),
        picks: endpoint.state.picks(),
        connections: endpoint.counters.in_use(Counted::Connections),
        requests: endpoint.counters.in_use(Counted::ParallelRequests),
    }
}
