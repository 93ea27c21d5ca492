//! What the rules that treat a backend's endpoints alike share, from one snapshot to the next.

use std::collections::HashMap;
use std::sync::Arc;

use weir_balance::{Counters, Scope};
use weir_model::UpstreamSpec;

use crate::queue::Queue;

/// A backend under one specification of how its endpoints are treated, as long as any snapshot uses it.
#[derive(Debug)]
pub(crate) struct LiveUpstream {
    pub(crate) spec: Arc<UpstreamSpec>,
    /// What goes on at the backend. Shared by its own count because connections outlive what they were opened for.
    pub(crate) counters: Arc<Counters>,
    /// Who waits for a connection to it.
    pub(crate) queue: Arc<Queue>,
}

/// All of them, by backend key.
#[derive(Debug)]
pub(crate) struct Upstreams {
    by_backend: HashMap<Arc<str>, Vec<Arc<LiveUpstream>>>,
    /// How many workers take requests.
    workers: usize,
}

impl Upstreams {
    /// None yet, for so many workers.
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            by_backend: HashMap::new(),
            workers,
        }
    }

    /// The one of a backend and a specification: equal specifications share it.
    pub(crate) fn of(&mut self, backend: &Arc<str>, spec: &Arc<UpstreamSpec>) -> Arc<LiveUpstream> {
        let known = self.by_backend.entry(Arc::clone(backend)).or_default();
        if let Some(upstream) = known.iter().find(|upstream| upstream.spec == *spec) {
            return Arc::clone(upstream);
        }
        let limit = spec.breakers.parallel_requests;
        let upstream = Arc::new(LiveUpstream {
            spec: Arc::clone(spec),
            counters: Arc::new(Counters::striped(Scope::Backend, limit, self.workers)),
            queue: Arc::default(),
        });
        known.push(Arc::clone(&upstream));
        upstream
    }

    /// All of them, each with the key of its backend, in order of the keys.
    #[cfg(feature = "simulation")]
    pub(crate) fn all(&self) -> Vec<(&Arc<str>, &Arc<LiveUpstream>)> {
        let mut all: Vec<_> = self
            .by_backend
            .iter()
            .flat_map(|(backend, known)| known.iter().map(move |upstream| (backend, upstream)))
            .collect();
        all.sort_by_key(|(backend, _)| Arc::clone(backend));
        all
    }

    /// What goes on at a backend, once per specification.
    pub(crate) fn counters_of(&self, backend: &str) -> impl Iterator<Item = &Counters> {
        let known = self.by_backend.get(backend).into_iter().flatten();
        known.map(|upstream| &*upstream.counters)
    }

    /// Forgets those that no snapshot holds any more.
    pub(crate) fn forget_unused(&mut self) {
        self.by_backend.retain(|_, known| {
            known.retain(|upstream| Arc::strong_count(upstream) > 1);
            !known.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_model::Breakers;

    #[test]
    fn lb30_equal_specifications_of_one_backend_share_their_counters() {
        let mut upstreams = Upstreams::new(2);
        let (spec, equal) = (Arc::default(), Arc::default());
        let other = Arc::new(UpstreamSpec {
            breakers: Breakers::OPEN,
            ..UpstreamSpec::default()
        });
        let (backend, second) = ("service/a".into(), "service/b".into());
        let first = upstreams.of(&backend, &spec);
        assert!(Arc::ptr_eq(&first, &upstreams.of(&backend, &equal)));
        assert!(!Arc::ptr_eq(&first, &upstreams.of(&backend, &other)));
        assert!(!Arc::ptr_eq(&first, &upstreams.of(&second, &spec)));
        upstreams.forget_unused();
        assert_eq!(upstreams.by_backend.len(), 1);
        assert_eq!(upstreams.by_backend[&backend].len(), 1, "the one in use stays");
        drop(first);
        upstreams.forget_unused();
        assert!(upstreams.by_backend.is_empty());
    }
}
