//! What all rules share that treat a backend's endpoints alike.

use std::sync::Arc;

use weir_model::{Endpoint, UpstreamSpec};

use super::checks::{CheckedUpstream, passive};
use super::live::{Live, LiveEndpoint};

/// The upstreams of one backend, one per different specification.
#[derive(Debug, Default)]
pub(super) struct CheckedUpstreams {
    /// For which revision of the endpoints each was built.
    built: Vec<(u64, Arc<CheckedUpstream>)>,
}

/// A backend's endpoints at one revision.
#[derive(Clone, Copy, Debug)]
pub(super) struct Endpoints<'a> {
    pub(super) backend: &'a Arc<str>,
    pub(super) endpoints: &'a [Endpoint],
    pub(super) live: &'a Arc<[Arc<LiveEndpoint>]>,
    pub(super) revision: u64,
}

impl CheckedUpstreams {
    /// Makes those of `specs`, keeping what has not changed and dropping all others. Says whether passive checks changed.
    pub(super) fn refresh<'s>(
        &mut self,
        of: Endpoints<'_>,
        specs: impl Iterator<Item = &'s Arc<UpstreamSpec>>,
        live: &mut Live,
        now_ms: u64,
    ) -> bool {
        let mut next: Vec<(u64, Arc<CheckedUpstream>)> = Vec::new();
        let mut is_passive_changed = false;
        for spec in specs {
            if next.iter().any(|(_, one)| one.spec == *spec) {
                continue;
            }
            let same = self.built.iter().find(|(_, one)| one.spec == *spec);
            let upstream = match same {
                Some((revision, one)) if *revision == of.revision => Arc::clone(one),
                _ => {
                    is_passive_changed |= spec.health.passive.is_some();
                    Arc::new(self.build(of, spec, &next, live, now_ms))
                }
            };
            next.push((of.revision, upstream));
        }
        let before = std::mem::replace(&mut self.built, next);
        for (_, gone) in before {
            if !self.built.iter().any(|(_, one)| Arc::ptr_eq(one, &gone)) {
                live.checks.give_back(&gone.probed);
                is_passive_changed |= gone.passive.is_some();
            }
        }
        is_passive_changed
    }

    /// That of a specification.
    pub(super) fn of(&self, spec: &Arc<UpstreamSpec>) -> Option<&Arc<CheckedUpstream>> {
        let found = self.built.iter().find(|(_, one)| one.spec == *spec);
        found.map(|(_, one)| one)
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<CheckedUpstream>> {
        self.built.iter().map(|(_, one)| one)
    }

    /// Ends all probes.
    pub(super) fn give_back(&self, live: &mut Live) {
        for one in self.all() {
            live.checks.give_back(&one.probed);
        }
    }

    fn build(
        &self,
        of: Endpoints<'_>,
        spec: &Arc<UpstreamSpec>,
        next: &[(u64, Arc<CheckedUpstream>)],
        live: &mut Live,
        now_ms: u64,
    ) -> CheckedUpstream {
        let probed = match &spec.health.active {
            None => Box::default(),
            Some(check) => {
                let pairs = of.endpoints.iter().zip(&**of.live);
                let (checks, publication) = (&mut live.checks, live.publication);
                pairs
                    .map(|(endpoint, one)| {
                        let how = (check, spec.connection.proxy_protocol);
                        checks.take(endpoint, one, how, one.publication == publication, now_ms)
                    })
                    .collect()
            }
        };
        let passive = spec.health.passive.as_ref().map(|check| {
            let mut known = next.iter().chain(&self.built);
            let before = known.find_map(|(_, one)| {
                let passive = one.passive.as_ref()?;
                (passive.ejector.check() == check).then_some(passive)
            });
            passive(of.backend, check, of.live, before, now_ms)
        });
        CheckedUpstream {
            spec: Arc::clone(spec),
            probed,
            passive,
        }
    }
}
