//! Backends and the balancers over them, from one snapshot to the next.

use std::collections::HashMap;
use std::sync::Arc;

use weir_balance::{Balancer, Member};
use weir_model::{BalanceSpec, Endpoint};

use super::live::{Live, LiveEndpoint};
use super::snapshot::{BalancerSlot, CompiledBalancer};

/// All backends by key, and the slots that their balancers have in snapshots. A slot keeps its backend and its
/// specification for as long as something claims it.
#[derive(Debug, Default)]
pub(crate) struct Backends {
    by_key: HashMap<Arc<str>, CompiledBackend>,
    free_slots: Vec<BalancerSlot>,
    slots: u32,
}

/// A backend's endpoints, joined to what is alive.
#[derive(Debug)]
struct CompiledBackend {
    endpoints: Arc<[Endpoint]>,
    live: Arc<[Arc<LiveEndpoint>]>,
    /// Counts the changes of `endpoints`.
    revision: u64,
    claims: Vec<Claim>,
}

/// A specification under which some rule uses a backend.
#[derive(Debug)]
struct Claim {
    spec: Arc<BalanceSpec>,
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
        };
        self.by_key.insert(key.into(), backend);
        true
    }

    /// Drops the backends that are not wanted, with their slots.
    pub(crate) fn retain(&mut self, is_wanted: impl Fn(&str) -> bool, live: &mut Live) {
        let free_slots = &mut self.free_slots;
        self.by_key.retain(|key, backend| {
            let kept = is_wanted(key);
            if !kept {
                live.unlist(&backend.live);
                free_slots.extend(backend.claims.iter().map(|claim| claim.slot));
            }
            kept
        });
    }

    /// The slot of a backend under a specification.
    pub(crate) fn claim(&mut self, key: &str, spec: &Arc<BalanceSpec>) -> BalancerSlot {
        let Some(backend) = self.by_key.get_mut(key) else {
            debug_assert!(false, "every backend of the configuration was taken");
            return BalancerSlot(u32::MAX);
        };
        if let Some(claim) = backend.claims.iter_mut().find(|claim| claim.spec == *spec) {
            claim.is_used = true;
            return claim.slot;
        }
        let slot = self.free_slots.pop().unwrap_or_else(|| {
            self.slots += 1;
            BalancerSlot(self.slots - 1)
        });
        backend.claims.push(Claim {
            spec: Arc::clone(spec),
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
    pub(crate) fn balancers(&mut self) -> Box<[Option<Arc<CompiledBalancer>>]> {
        let mut balancers = vec![None; self.slots as usize];
        for (key, backend) in &mut self.by_key {
            for claim in &mut backend.claims {
                let built = match &claim.built {
                    Some((revision, built)) if *revision == backend.revision => Arc::clone(built),
                    _ => Arc::new(CompiledBalancer {
                        backend: Arc::clone(key),
                        balancer: Balancer::new(&claim.spec, members(&backend.endpoints, &backend.live)),
                        endpoints: Arc::clone(&backend.live),
                    }),
                };
                claim.built = Some((backend.revision, Arc::clone(&built)));
                if let Some(place) = balancers.get_mut(claim.slot.0 as usize) {
                    *place = Some(built);
                }
            }
        }
        balancers.into_boxed_slice()
    }
}

fn members(endpoints: &[Endpoint], live: &[Arc<LiveEndpoint>]) -> Vec<Member> {
    endpoints
        .iter()
        .zip(live)
        .map(|(endpoint, live)| Member::new(endpoint.clone(), Arc::clone(&live.state)))
        .collect()
}
