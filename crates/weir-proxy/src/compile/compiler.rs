//! Snapshots, each made from the one before.

use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use weir_balance::{Change, Decision, Override, Rng, TokenKeys};
use weir_model::{
    Algorithm, Backend, BalanceSpec, Config, Endpoint, EndpointAddress, EndpointSource, Failover, Listener,
    RouteId,
};
use weir_net::Epoch;
use weir_route::{Router, are_chosen_alike};

use super::backends::{Backends, Usage};
use super::checks::CheckChanges;
use super::live::Live;
use super::names::{Name, NameTable, names_of};
use super::report::BackendReport;
use super::rules;
use super::snapshot::{BalancerSlot, CompiledListener, CompiledRoute, SectionFacts, Snapshot};
use crate::health::HealthReport;

/// Makes snapshots and keeps what outlives them. One per gateway, used by one thread at a time.
#[derive(Debug)]
pub(crate) struct Compiler {
    epoch: Epoch,
    live: Live,
    names: NameTable,
    config: Arc<Config>,
    backends: Backends,
    snapshot: Arc<Snapshot>,
    /// Kept for one publication longer, so that its memory is given back here and not by a busy worker.
    _retired: Arc<Snapshot>,
    /// Copies are nobody's requests: nothing is judged by them and nothing kept for them.
    mirror_usage: Usage,
}

/// The running configuration has no backend of that key. The caller is late or mistaken; nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownBackend {
    /// The key that was asked for.
    pub key: Arc<str>,
}

impl fmt::Display for UnknownBackend {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "no backend `{}` in the running configuration", self.key)
    }
}

impl std::error::Error for UnknownBackend {}

/// No backend lists an endpoint of that address. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownEndpoint {
    /// The address that was asked for.
    pub address: EndpointAddress,
}

impl fmt::Display for UnknownEndpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "no endpoint {} in the running configuration", self.address)
    }
}

impl std::error::Error for UnknownEndpoint {}

impl Compiler {
    pub(crate) fn new(epoch: Epoch, rng: Rng, session_keys: TokenKeys, workers: usize) -> Self {
        let mirror_spec = BalanceSpec {
            algorithm: Algorithm::RoundRobin,
            ..BalanceSpec::default()
        };
        Self {
            epoch,
            live: Live::new(rng, session_keys, workers),
            names: NameTable::default(),
            config: Arc::default(),
            backends: Backends::default(),
            snapshot: Arc::default(),
            _retired: Arc::default(),
            mirror_usage: Usage {
                balance: Arc::new(mirror_spec),
                upstream: Arc::default(),
                failover: Failover::default(),
                is_calm: false,
                has_sessions: false,
            },
        }
    }

    /// The configuration of the last snapshot.
    pub(crate) fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// The last snapshot.
    pub(crate) fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// The endpoints that are listed.
    #[cfg(feature = "simulation")]
    pub(crate) fn endpoints(&self) -> Vec<Arc<super::live::LiveEndpoint>> {
        self.live.endpoints()
    }

    /// What rules share of backends, by the keys of those.
    #[cfg(feature = "simulation")]
    pub(crate) fn upstreams(&self) -> Vec<(&Arc<str>, &Arc<super::upstream::LiveUpstream>)> {
        self.live.upstreams.all()
    }

    /// The snapshot of `config`, or `None` when it equals the running one.
    pub(crate) fn compile(&mut self, config: Arc<Config>) -> Option<Arc<Snapshot>> {
        if self.snapshot.generation > 0 && (Arc::ptr_eq(&config, &self.config) || *config == *self.config) {
            return None;
        }
        self.take_backends(&config);
        let slots: Vec<Vec<BalancerSlot>> = config
            .routes
            .iter()
            .map(|route| {
                rules::claims(route, &self.mirror_usage)
                    .map(|(id, usage)| self.backends.claim(&config.backend(id).key, &usage))
                    .collect()
            })
            .collect();
        let routes = self.compile_routes(&config, slots);
        let listeners = config
            .listeners
            .iter()
            .map(|listener| self.compile_listener(&config, listener))
            .collect();
        self.backends.release_claims();
        self.forget_rules(&config);
        self.names.retain(&names_of(&config).collect());
        self.live.upstreams.forget_unused();
        self.live.limits.forget_unused();
        self.config = config;
        Some(self.install(listeners, routes))
    }

    /// The snapshot with one backend's endpoints replaced, or `None` when they are the same.
    pub(crate) fn update_endpoints(
        &mut self,
        key: &str,
        endpoints: Arc<[Endpoint]>,
    ) -> Result<Option<Arc<Snapshot>>, UnknownBackend> {
        let Ok(index) = self
            .config
            .backends
            .binary_search_by(|backend| (*backend.key).cmp(key))
        else {
            return Err(UnknownBackend { key: key.into() });
        };
        if !self.take_endpoints(key, &endpoints) {
            return Ok(None);
        }
        let mut config = Config::clone(&self.config);
        let backend = Backend {
            endpoints: EndpointSource::Static(endpoints),
            ..Backend::clone(&config.backends[index])
        };
        config.backends[index] = Arc::new(backend);
        self.config = Arc::new(config);
        let (listeners, routes) = (
            Arc::clone(&self.snapshot.listeners),
            Arc::clone(&self.snapshot.routes),
        );
        Ok(Some(self.install(listeners, routes)))
    }

    /// The snapshot after names have resolved, or `None` when nothing that is used has changed.
    pub(crate) fn learn_names(&mut self, answers: Vec<(Name, Vec<IpAddr>)>) -> Option<Arc<Snapshot>> {
        let mut changed: HashSet<Name> = HashSet::new();
        for (name, addresses) in answers {
            if self.names.learn(name.clone(), addresses) {
                changed.insert(name);
            }
        }
        if changed.is_empty() {
            return None;
        }
        let config = Arc::clone(&self.config);
        let mut is_changed = false;
        for backend in &config.backends {
            if let EndpointSource::Names(names) = &backend.endpoints
                && names
                    .iter()
                    .any(|named| changed.contains(&(Arc::clone(&named.host), backend.dns)))
            {
                let endpoints = self.names.endpoints(names, backend.dns);
                is_changed |= self.take_endpoints(&backend.key, &endpoints);
            }
        }
        let (listeners, routes) = (
            Arc::clone(&self.snapshot.listeners),
            Arc::clone(&self.snapshot.routes),
        );
        is_changed.then(|| self.install(listeners, routes))
    }

    /// What the last snapshot changes for the prober, once.
    pub(crate) fn check_changes(&mut self) -> CheckChanges {
        CheckChanges {
            passive: self.backends.passive_changes(),
            ..self.live.checks.take_changes()
        }
    }

    /// What is known of the endpoints that are checked.
    pub(crate) fn health(&self) -> HealthReport {
        HealthReport {
            probes: self.live.checks.report(),
            ejections: self.backends.report_ejections(),
        }
    }

    /// What goes on at all backends, ordered by key.
    pub(crate) fn report(&self) -> Vec<BackendReport> {
        self.backends.report(&self.live, self.epoch.elapsed_ms())
    }

    /// What people have decided about endpoints.
    pub(crate) fn overrides(&self) -> Vec<(EndpointAddress, Override)> {
        let overrides = self.live.overrides().iter();
        overrides
            .map(|(address, decided)| (address.clone(), *decided))
            .collect()
    }

    /// Lets a decision hold at an endpoint. Says what that changed, and gives the next snapshot if one is needed.
    pub(crate) fn decide(
        &mut self,
        address: &EndpointAddress,
        decided: Override,
    ) -> Result<(Vec<Change>, Option<Arc<Snapshot>>), UnknownEndpoint> {
        let Some(changes) = self.live.decide(address, decided) else {
            return Err(UnknownEndpoint {
                address: address.clone(),
            });
        };
        let is_reweighted = |change: &Change| matches!(change, Change::Decided(Decision::Weight(_)));
        let snapshot = changes.iter().any(is_reweighted).then(|| {
            self.backends.touch(address);
            let (listeners, routes) = (
                Arc::clone(&self.snapshot.listeners),
                Arc::clone(&self.snapshot.routes),
            );
            self.install(listeners, routes)
        });
        Ok((changes, snapshot))
    }

    /// Brings the backends in line with `config`.
    fn take_backends(&mut self, config: &Config) {
        for backend in &config.backends {
            let endpoints = match &backend.endpoints {
                EndpointSource::Static(endpoints) => Arc::clone(endpoints),
                EndpointSource::Names(names) => self.names.endpoints(names, backend.dns),
            };
            self.take_endpoints(&backend.key, &endpoints);
        }
        let known: HashSet<&str> = config.backends.iter().map(|backend| &*backend.key).collect();
        self.backends.retain(|key| known.contains(key), &mut self.live);
    }

    /// Replaces the endpoints of one backend; says whether that changed anything.
    fn take_endpoints(&mut self, key: &str, endpoints: &Arc<[Endpoint]>) -> bool {
        self.backends
            .take(key, endpoints, &mut self.live, self.epoch.elapsed_ms())
    }

    /// Forgets what is remembered of rules that `config` does not have any more.
    fn forget_rules(&mut self, config: &Config) {
        let has_same_rules = |(old, new): (&Arc<weir_model::Route>, &Arc<weir_model::Route>)| {
            let pairs = || old.rules.iter().zip(&new.rules);
            Arc::ptr_eq(old, new)
                || (old.rules.len() == new.rules.len() && pairs().all(|(old, new)| old.key == new.key))
        };
        let (old, new) = (&self.config.routes, &config.routes);
        if old.len() == new.len() && old.iter().zip(new).all(has_same_rules) {
            return;
        }
        let rules = new.iter().flat_map(|route| &route.rules);
        let configured: HashSet<&str> = rules.map(|rule| &*rule.key).collect();
        self.live.retain_rules(|key| configured.contains(key));
    }

    fn compile_routes(
        &mut self,
        config: &Config,
        slots: Vec<Vec<BalancerSlot>>,
    ) -> Arc<[Arc<CompiledRoute>]> {
        let old = Arc::clone(&self.snapshot.routes);
        let old_config = Arc::clone(&self.config);
        // Most routes stand where they stood.
        let moved = OnceCell::new();
        let place_before = |route: &Arc<weir_model::Route>, index: usize| {
            let there = old_config.routes.get(index);
            if there.is_some_and(|other| Arc::ptr_eq(other, route)) {
                return Some(index);
            }
            // Changed in its place: not found elsewhere.
            if there.is_some_and(|other| other.object == route.object) {
                return there.is_some_and(|other| other == route).then_some(index);
            }
            let places = moved.get_or_init(|| places_of(&old_config.routes));
            places.get(&Arc::as_ptr(route)).copied()
        };
        config
            .routes
            .iter()
            .zip(slots)
            .enumerate()
            .map(|(index, (route, slots))| {
                match place_before(route, index)
                    .and_then(|index| old.get(index))
                    .filter(|compiled| compiled.slots == slots)
                {
                    Some(compiled) => Arc::clone(compiled),
                    None => Arc::new(rules::compile(route, config, &mut self.live, slots)),
                }
            })
            .collect()
    }

    fn compile_listener(&self, config: &Config, listener: &Arc<Listener>) -> Arc<CompiledListener> {
        // A router knows of a route when it is chosen, not what happens then.
        let is_same_choice = |id: RouteId| {
            let at = id.0 as usize;
            let (old, new) = (self.config.routes.get(at), config.routes.get(at));
            old.zip(new)
                .is_some_and(|(old, new)| Arc::ptr_eq(old, new) || are_chosen_alike(old, new))
        };
        if let Some(old) = self.config.listeners.iter().find(|old| old.key == listener.key)
            && old == listener
            && listener
                .sections
                .iter()
                .flat_map(|section| &section.attachments)
                .all(|one| is_same_choice(one.route))
            && let Some(index) = self.snapshot.listener_index(listener.key)
        {
            return Arc::clone(&self.snapshot.listeners[index]);
        }
        Arc::new(CompiledListener {
            key: listener.key,
            router: Router::build(listener, &config.routes),
            client_ip: listener.client_ip.clone(),
            sections: listener
                .sections
                .iter()
                .map(|section| SectionFacts {
                    name: Arc::clone(&section.name),
                    port: section.port,
                })
                .collect(),
        })
    }

    /// Builds the balancers that changed and makes the next snapshot the last one.
    fn install(
        &mut self,
        listeners: Arc<[Arc<CompiledListener>]>,
        routes: Arc<[Arc<CompiledRoute>]>,
    ) -> Arc<Snapshot> {
        let snapshot = Arc::new(Snapshot {
            generation: self.snapshot.generation + 1,
            listeners,
            routes,
            balancers: self.backends.balancers(&mut self.live, self.epoch.elapsed_ms()),
        });
        self.live.publication += 1;
        self._retired = std::mem::replace(&mut self.snapshot, Arc::clone(&snapshot));
        snapshot
    }
}

fn places_of(routes: &[Arc<weir_model::Route>]) -> HashMap<*const weir_model::Route, usize> {
    routes
        .iter()
        .enumerate()
        .map(|(index, route)| (Arc::as_ptr(route), index))
        .collect()
}
