//! Backends and the balancers over them, from one snapshot to the next.

use std::sync::Arc;

use weir_balance::{Balancer, CandidateSpec, Member, TokenHolders};
use weir_model::{BalanceSpec, Endpoint, EndpointAddress, Failover, Percent, UpstreamSpec};

use super::checked::{CheckedUpstreams, Endpoints};
use super::checks::{CheckedUpstream, Passive};
use super::live::{Live, LiveEndpoint};
use super::report::{BackendParts, BackendReport};
use super::snapshot::{BalancerSlot, CompiledBalancer};
use crate::health::EjectionReport;
use crate::key_map::KeyMap;

/// All backends by key, and the slots that their balancers have in snapshots. A slot keeps its backend and its
/// specification for as long as something claims it.
#[derive(Debug, Default)]
pub(crate) struct Backends {
    by_key: KeyMap<Arc<str>, CompiledBackend>,
    free_slots: Vec<BalancerSlot>,
    slots: u32,
    /// Some passive check has changed since [`Self::passive_changes`] was asked.
    is_passive_changed: bool,
}

/// How a rule uses a backend. Rules with equal ones share a balancer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) balance: Arc<BalanceSpec>,
    pub(crate) upstream: Arc<UpstreamSpec>,
    pub(crate) failover: Failover,
    /// What is usable is used, however little that is: other destinations take over the rest.
    pub(crate) is_calm: bool,
    /// Tokens name its endpoints.
    pub(crate) has_sessions: bool,
}

/// A backend's endpoints, joined to what is alive.
#[derive(Debug)]
struct CompiledBackend {
    endpoints: Arc<[Endpoint]>,
    live: Arc<[Arc<LiveEndpoint>]>,
    /// Counts the changes of `endpoints`.
    revision: u64,
    claims: Vec<Claim>,
    upstreams: CheckedUpstreams,
}

/// A way in which some rule uses a backend.
#[derive(Debug)]
struct Claim {
    usage: Usage,
    slot: BalancerSlot,
    is_used: bool,
    built: Option<(u64, Arc<CompiledBalancer>)>,
}

impl Backends {
    /// Replaces the endpoints of one backend; says whether that changed anything.
    pub(crate) fn take(
        &mut self,
        key: &str,
        endpoints: &Arc<[Endpoint]>,
        live: &mut Live,
        now_ms: u64,
    ) -> bool {
        if let Some(backend) = self.by_key.get_mut(key) {
            if Arc::ptr_eq(&backend.endpoints, endpoints) || *backend.endpoints == **endpoints {
                return false;
            }
            let listed = live.list(endpoints, now_ms);
            live.unlist(&backend.live);
            backend.endpoints = Arc::clone(endpoints);
            backend.live = listed;
            backend.revision += 1;
            return true;
        }
        let backend = CompiledBackend {
            endpoints: Arc::clone(endpoints),
            live: live.list(endpoints, now_ms),
            revision: 0,
            claims: Vec::new(),
            upstreams: CheckedUpstreams::default(),
        };
        self.by_key.insert(key.into(), backend);
        true
    }

    /// Makes the balancers over an endpoint be built anew.
    pub(crate) fn touch(&mut self, address: &EndpointAddress) {
        for backend in self.by_key.values_mut() {
            let is_listed = backend
                .endpoints
                .iter()
                .any(|endpoint| endpoint.address == *address);
            backend.revision += u64::from(is_listed);
        }
    }

    /// What goes on at all of them, ordered by key.
    pub(crate) fn report(&self, live: &Live, now_ms: u64) -> Vec<BackendReport> {
        let report = |(key, backend): (&Arc<str>, &CompiledBackend)| {
            let balancers = backend.claims.iter().filter_map(|claim| claim.built.as_ref());
            let parts = BackendParts {
                key,
                endpoints: &backend.endpoints,
                live: &backend.live,
                upstreams: backend.upstreams.all().cloned().collect(),
                is_in_panic: balancers.clone().any(|(_, one)| one.balancer.is_in_panic(now_ms)),
            };
            parts.report(live)
        };
        let mut reports: Vec<BackendReport> = self.by_key.iter().map(report).collect();
        reports.sort_by(|one, other| one.key.cmp(&other.key));
        reports
    }

    /// Drops the backends that are not wanted, with their slots.
    pub(crate) fn retain(&mut self, is_wanted: impl Fn(&str) -> bool, live: &mut Live) {
        let (free_slots, is_passive_changed) = (&mut self.free_slots, &mut self.is_passive_changed);
        self.by_key.retain(|key, backend| {
            let kept = is_wanted(key);
            if !kept {
                *is_passive_changed |= backend.upstreams.all().any(|one| one.passive.is_some());
                backend.upstreams.give_back(live);
                live.unlist(&backend.live);
                free_slots.extend(backend.claims.iter().map(|claim| claim.slot));
            }
            kept
        });
    }

    /// The slot of a backend used in a way.
    pub(crate) fn claim(&mut self, key: &str, usage: &Usage) -> BalancerSlot {
        let Some(backend) = self.by_key.get_mut(key) else {
            debug_assert!(false, "every backend of the configuration was taken");
            return BalancerSlot(u32::MAX);
        };
        if let Some(claim) = backend.claims.iter_mut().find(|claim| claim.usage == *usage) {
            claim.is_used = true;
            return claim.slot;
        }
        let slot = self.free_slots.pop().unwrap_or_else(|| {
            self.slots += 1;
            BalancerSlot(self.slots - 1)
        });
        backend.claims.push(Claim {
            usage: usage.clone(),
            slot,
            is_used: true,
            built: None,
        });
        slot
    }

    /// Gives slots back that nothing claimed since the last time.
    pub(crate) fn release_claims(&mut self) {
        let free_slots = &mut self.free_slots;
        for backend in self.by_key.values_mut() {
            backend.claims.retain_mut(|claim| {
                let kept = std::mem::take(&mut claim.is_used);
                if !kept {
                    free_slots.push(claim.slot);
                }
                kept
            });
        }
    }

    /// The balancers by slot; only those that changed are built.
    pub(crate) fn balancers(&mut self, live: &mut Live, now_ms: u64) -> Box<[Option<Arc<CompiledBalancer>>]> {
        let mut balancers = vec![None; self.slots as usize];
        for (key, backend) in &mut self.by_key {
            let of = Endpoints {
                backend: key,
                endpoints: &backend.endpoints,
                live: &backend.live,
                revision: backend.revision,
            };
            let specs = backend.claims.iter().map(|claim| &claim.usage.upstream);
            self.is_passive_changed |= backend.upstreams.refresh(of, specs, live, now_ms);
            for claim in &mut backend.claims {
                let built = match &claim.built {
                    Some((revision, built)) if *revision == backend.revision => Arc::clone(built),
                    before => match backend.upstreams.of(&claim.usage.upstream) {
                        Some(upstream) => {
                            let before = before.as_ref().map(|(_, before)| &before.balancer);
                            Arc::new(balancer(of, &claim.usage, upstream, before, live))
                        }
                        None => {
                            debug_assert!(false, "every claim has its upstream");
                            continue;
                        }
                    },
                };
                claim.built = Some((backend.revision, Arc::clone(&built)));
                if let Some(place) = balancers.get_mut(claim.slot.0 as usize) {
                    *place = Some(built);
                }
            }
        }
        balancers.into_boxed_slice()
    }

    /// All upstreams with passive checks, if any has changed since the last time.
    pub(crate) fn passive_changes(&mut self) -> Option<Vec<Arc<CheckedUpstream>>> {
        let upstreams = self.by_key.values().flat_map(|backend| backend.upstreams.all());
        std::mem::take(&mut self.is_passive_changed)
            .then(|| upstreams.filter(|one| one.passive.is_some()).cloned().collect())
    }

    /// The endpoints under passive checks, ordered by backend and endpoint.
    pub(crate) fn report_ejections(&self) -> Vec<EjectionReport> {
        let upstreams = self.by_key.values().flat_map(|backend| backend.upstreams.all());
        let passives = upstreams.filter_map(|upstream| upstream.passive.as_deref());
        let mut reports: Vec<EjectionReport> = passives.flat_map(Passive::report).collect();
        reports.sort_by(|one, other| {
            (&one.backend, &one.endpoint, other.is_ejected).cmp(&(
                &other.backend,
                &other.endpoint,
                one.is_ejected,
            ))
        });
        reports.dedup_by(|next, one| (&one.backend, &one.endpoint) == (&next.backend, &next.endpoint));
        reports
    }
}

fn balancer(
    of: Endpoints<'_>,
    usage: &Usage,
    upstream: &Arc<CheckedUpstream>,
    before: Option<&Balancer>,
    live: &Live,
) -> CompiledBalancer {
    let members = (0u32..).zip(of.endpoints.iter().zip(&**of.live));
    let members = members.map(|(index, (endpoint, one))| {
        let mut endpoint = endpoint.clone();
        if let Some(decided) = live.overrides().get(&endpoint.address) {
            endpoint.weight = decided.weight(endpoint.weight);
        }
        let member = Member::new(endpoint, Arc::clone(&one.state));
        upstream.seats(index).fold(member, Member::heeding)
    });
    let mut candidates = CandidateSpec::new(&usage.upstream, usage.failover);
    if usage.is_calm {
        candidates.panic_threshold = Percent::ZERO;
    }
    let balancer = Balancer::with_candidates(&usage.balance, candidates, members.collect());
    if let Some(before) = before {
        balancer.inherit(before);
    }
    CompiledBalancer {
        backend: Arc::clone(of.backend),
        balancer,
        endpoints: Arc::clone(of.live),
        upstream: Arc::clone(upstream),
        holders: usage.has_sessions.then(|| {
            let addresses = of.endpoints.iter().map(|endpoint| &endpoint.address);
            Box::new(TokenHolders::new(&live.session_keys, addresses))
        }),
    }
}

#[cfg(test)]
mod tests {
    use weir_balance::{Rng, TokenKeys};
    use weir_model::{
        Action, ActiveCheck, Backend, BackendId, Config, Destination, DnsSpec, EndpointAddress,
        EndpointSource, Forward, HealthSpec, Match, ObjectName, Origin, PathMatch, Route, Rule, Target, Tier,
        Timeouts, Weight,
    };
    use weir_net::Epoch;

    use super::super::Compiler;
    use super::*;

    /// A rule for each of several backends, which all have a check and one endpoint each.
    fn checked_config() -> Config {
        let upstream = Arc::new(UpstreamSpec {
            health: HealthSpec {
                active: Some(Arc::new(ActiveCheck::default())),
                ..HealthSpec::default()
            },
            ..UpstreamSpec::default()
        });
        let rule = |number: u32| Rule {
            key: format!("rule/{number}").into(),
            name: None,
            matches: vec![Match {
                path: PathMatch::Prefix(format!("/{number}").into()),
                method: None,
                headers: Vec::new(),
                query: Vec::new(),
            }],
            filters: Vec::new(),
            action: Action::Forward(Forward {
                destinations: vec![Destination {
                    weight: Weight::ONE,
                    tier: Tier::FIRST,
                    target: Target::Backend(BackendId(number)),
                    filters: Vec::new(),
                }],
                balance: Arc::default(),
                upstream: Arc::clone(&upstream),
                failover: Failover::default(),
                retry: None,
                persistence: None,
                policy: None,
            }),
            timeouts: Timeouts::default(),
            traffic: None,
            origin: Origin::default(),
        };
        let backend = |number: u32| {
            let address = EndpointAddress::Unix(format!("/{number}").into());
            Arc::new(Backend {
                key: format!("backend/{number}").into(),
                object: ObjectName::new("Service", "default", number.to_string()),
                endpoints: EndpointSource::Static([Endpoint::new(address)].into()),
                dns: DnsSpec::default(),
                origin: Origin::default(),
            })
        };
        let route = Route {
            object: ObjectName::new("HTTPRoute", "default", "route"),
            created: None,
            rules: (0..8).map(rule).collect(),
            origin: Origin::default(),
        };
        Config {
            listeners: Vec::new(),
            routes: vec![Arc::new(route)],
            backends: (0..8).map(backend).collect(),
        }
    }

    #[test]
    fn rl08_probes_begin_in_the_same_order_in_every_process() {
        let begun = || {
            let keys = TokenKeys::new(Vec::new());
            let mut compiler = Compiler::new(Epoch::start(), Rng::from_seed(1), keys, 1);
            assert!(compiler.compile(Arc::new(checked_config())).is_some());
            let begun = compiler.check_changes().begin;
            begun
                .iter()
                .map(|probed| probed.endpoint.address.clone())
                .collect::<Vec<_>>()
        };
        let first = begun();
        assert_eq!(first.len(), 8);
        assert!((0..8).all(|_| begun() == first), "{first:?}");
    }
}
