//! What outlives a snapshot: endpoints with their load, rules with their cursors.

use std::collections::{BTreeMap, HashMap};
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use weir_balance::{
    Change, Counters, EjectionCause, EndpointState, Override, Rng, Scope, Spread, TokenKeys, cursor_start,
};
use weir_model::{Endpoint, EndpointAddress};
use weir_net::wall;

use super::checks::Checks;
use super::limits::Limits;
use super::upstream::Upstreams;
use crate::Judge;
use crate::health::ChangeRecord;
use crate::lock::lock;
use crate::queue::Queue;

/// An endpoint as long as any backend lists it: its number, its load, whether it is still listed. Two backends that
/// list one address share it, so its load is the truth about that address.
#[derive(Debug)]
pub(crate) struct LiveEndpoint {
    /// Unique in the process; never used again.
    pub(crate) id: u32,
    pub(crate) address: EndpointAddress,
    /// The address as text, for headers and logs.
    pub(crate) text: Box<str>,
    pub(crate) state: Arc<EndpointState>,
    /// What goes on there, as far as breakers count it: for all backends and rules together.
    pub(crate) counters: Arc<Counters>,
    /// Who waits for a connection to it.
    pub(crate) queue: Arc<Queue>,
    /// Number of the publication that it came with.
    pub(crate) publication: u64,
    /// By [`EjectionCause::place`].
    ejections: [AtomicU64; EjectionCause::WORDS.len()],
    is_listed: AtomicBool,
    is_unreached: AtomicBool,
    /// What has become of it last.
    changed: Mutex<Option<ChangeRecord>>,
}

impl LiveEndpoint {
    /// Notes what has become of it.
    pub(crate) fn note(&self, judge: Judge, change: Change) {
        *lock(&self.changed) = Some(ChangeRecord {
            unix_ms: wall::unix_ms(),
            judge,
            change,
        });
    }

    /// What was noted last.
    pub(crate) fn changed(&self) -> Option<ChangeRecord> {
        lock(&self.changed).clone()
    }

    /// Whether some backend lists it. Workers close unused connections to one that none lists.
    pub(crate) fn is_listed(&self) -> bool {
        self.is_listed.load(Ordering::Relaxed)
    }

    /// Whether the last attempt of any worker to open a connection came to nothing.
    pub(crate) fn is_unreached(&self) -> bool {
        self.is_unreached.load(Ordering::Relaxed)
    }

    /// Says how an attempt to open a connection ended.
    pub(crate) fn note_unreached(&self, is_unreached: bool) {
        // Written only when it changes: all workers read this line.
        if self.is_unreached() != is_unreached {
            self.is_unreached.store(is_unreached, Ordering::Relaxed);
        }
    }

    /// Counts that some backend's passive check has ejected it.
    pub(crate) fn count_ejection(&self, cause: EjectionCause) {
        if let Some(count) = self.ejections.get(cause.place()) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How often that has happened, by [`EjectionCause::place`].
    pub(crate) fn ejections(&self) -> [u64; EjectionCause::WORDS.len()] {
        self.ejections
            .each_ref()
            .map(|count| count.load(Ordering::Relaxed))
    }
}

/// Where a rotation stands, on a cache line of its own: requests of all workers move it, and whatever lay beside it would be
/// fetched anew each time.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Cursor(AtomicU64);

impl Cursor {
    fn new(rng: &mut Rng) -> Self {
        Self(AtomicU64::new(cursor_start(rng)))
    }
}

impl Deref for Cursor {
    type Target = AtomicU64;

    fn deref(&self) -> &AtomicU64 {
        &self.0
    }
}

/// A backend as a rule uses it, as long as the rule's key is configured.
#[derive(Debug)]
pub(crate) struct LiveDestination {
    /// Unique in the process; never used again.
    pub(crate) id: u32,
    pub(crate) rule: Arc<LiveRule>,
    /// The backend's key.
    pub(crate) backend: Arc<str>,
    /// Turns of the balancer.
    pub(crate) cursor: Cursor,
}

/// A rule as long as its key is configured.
#[derive(Debug)]
pub(crate) struct LiveRule {
    /// Unique in the process; never used again.
    pub(crate) id: u32,
    pub(crate) key: Arc<str>,
    /// Turns of the weighted split over its destinations.
    pub(crate) cursor: Cursor,
    is_configured: AtomicBool,
}

impl LiveRule {
    /// Whether the running configuration has it. Workers forget the counters of one that it has not.
    pub(crate) fn is_configured(&self) -> bool {
        self.is_configured.load(Ordering::Relaxed)
    }
}

/// All that is alive.
#[derive(Debug)]
pub(crate) struct Live {
    /// What session tokens are signed with.
    pub(crate) session_keys: Arc<TokenKeys>,
    pub(crate) upstreams: Upstreams,
    pub(crate) limits: Limits,
    rng: Rng,
    ids: u32,
    /// Number of the publication that is being made.
    pub(crate) publication: u64,
    pub(crate) checks: Checks,
    /// What people have decided by hand; none of them is the default. Kept over reloads, also while the endpoint is away.
    overrides: BTreeMap<EndpointAddress, Override>,
    endpoints: HashMap<EndpointAddress, (Arc<LiveEndpoint>, u32)>,
    rules: HashMap<Arc<str>, Arc<LiveRule>>,
    /// By rule and backend.
    destinations: HashMap<(Arc<str>, Arc<str>), Arc<LiveDestination>>,
    /// Turns of the balancers of mirrors, by rule and backend.
    mirror_cursors: HashMap<(Arc<str>, Arc<str>), Arc<Cursor>>,
    /// By rule key.
    spreads: HashMap<Arc<str>, Arc<Spread>>,
}

impl Live {
    /// Nothing yet, for so many workers.
    pub(crate) fn new(mut rng: Rng, session_keys: TokenKeys, workers: usize) -> Self {
        Self {
            session_keys: Arc::new(session_keys),
            upstreams: Upstreams::new(workers),
            limits: Limits::new(rng.next_u64()),
            checks: Checks::new(Rng::from_seed(rng.next_u64())),
            rng,
            ids: 0,
            publication: 1,
            overrides: BTreeMap::new(),
            endpoints: HashMap::new(),
            rules: HashMap::new(),
            destinations: HashMap::new(),
            mirror_cursors: HashMap::new(),
            spreads: HashMap::new(),
        }
    }

    /// Takes one more listing of each endpoint into account and returns them in order.
    pub(crate) fn list(&mut self, endpoints: &[Endpoint], now_ms: u64) -> Arc<[Arc<LiveEndpoint>]> {
        endpoints
            .iter()
            .map(|endpoint| {
                if let Some((live, listings)) = self.endpoints.get_mut(&endpoint.address) {
                    *listings += 1;
                    return Arc::clone(live);
                }
                self.ids += 1;
                let live = Arc::new(LiveEndpoint {
                    id: self.ids,
                    address: endpoint.address.clone(),
                    text: endpoint.address.to_string().into_boxed_str(),
                    state: Arc::new(EndpointState::new(now_ms)),
                    counters: Arc::new(Counters::new(Scope::Endpoint)),
                    queue: Arc::default(),
                    publication: self.publication,
                    ejections: Default::default(),
                    is_listed: AtomicBool::new(true),
                    is_unreached: AtomicBool::new(false),
                    changed: Mutex::default(),
                });
                if let Some(decided) = self.overrides.get(&live.address) {
                    decided.apply(&Override::default(), &live.state);
                }
                self.endpoints
                    .insert(endpoint.address.clone(), (Arc::clone(&live), 1));
                live
            })
            .collect()
    }

    /// Takes one listing of each endpoint back. One without any is gone; when its address comes back, it is new.
    pub(crate) fn unlist(&mut self, endpoints: &[Arc<LiveEndpoint>]) {
        for endpoint in endpoints {
            let Some((live, listings)) = self.endpoints.get_mut(&endpoint.address) else {
                continue;
            };
            *listings -= 1;
            if *listings == 0 {
                live.is_listed.store(false, Ordering::Relaxed);
                self.endpoints.remove(&endpoint.address);
            }
        }
    }

    /// What people have decided by hand.
    pub(crate) fn overrides(&self) -> &BTreeMap<EndpointAddress, Override> {
        &self.overrides
    }

    /// Lets a decision hold at an endpoint. Says what that changed; `None` when no backend lists the endpoint and nothing
    /// was decided of it either.
    pub(crate) fn decide(&mut self, address: &EndpointAddress, decided: Override) -> Option<Vec<Change>> {
        let live = self.endpoints.get(address).map(|(live, _)| live);
        let before = self.overrides.get(address).copied();
        if live.is_none() && before.is_none() {
            return None;
        }
        if decided.is_default() {
            self.overrides.remove(address);
        } else {
            self.overrides.insert(address.clone(), decided);
        }
        let changes = live.map(|live| {
            let changes = decided.apply(&before.unwrap_or_default(), &live.state);
            for change in &changes {
                live.note(Judge::Person, change.clone());
            }
            changes
        });
        Some(changes.unwrap_or_default())
    }

    /// The endpoints that are listed, in order of their numbers.
    #[cfg(feature = "simulation")]
    pub(crate) fn endpoints(&self) -> Vec<Arc<LiveEndpoint>> {
        let mut all: Vec<_> = self
            .endpoints
            .values()
            .map(|(live, _)| Arc::clone(live))
            .collect();
        all.sort_unstable_by_key(|endpoint| endpoint.id);
        all
    }

    /// The rule of a key.
    pub(crate) fn rule(&mut self, key: &Arc<str>) -> Arc<LiveRule> {
        if let Some(rule) = self.rules.get(key) {
            return Arc::clone(rule);
        }
        self.ids += 1;
        let rule = Arc::new(LiveRule {
            id: self.ids,
            key: Arc::clone(key),
            cursor: Cursor::new(&mut self.rng),
            is_configured: AtomicBool::new(true),
        });
        self.rules.insert(Arc::clone(key), Arc::clone(&rule));
        rule
    }

    /// A backend as the rule of a key uses it.
    pub(crate) fn destination(&mut self, rule: &Arc<str>, backend: &Arc<str>) -> Arc<LiveDestination> {
        let key = (Arc::clone(rule), Arc::clone(backend));
        if let Some(destination) = self.destinations.get(&key) {
            return Arc::clone(destination);
        }
        let cursor = Cursor::new(&mut self.rng);
        let rule = self.rule(rule);
        self.ids += 1;
        let destination = Arc::new(LiveDestination {
            id: self.ids,
            rule,
            backend: Arc::clone(backend),
            cursor,
        });
        self.destinations.insert(key, Arc::clone(&destination));
        destination
    }

    /// The cursor of a rule's balancer over a mirror's backend.
    pub(crate) fn mirror_cursor(&mut self, rule: &Arc<str>, backend: &Arc<str>) -> Arc<Cursor> {
        let rng = &mut self.rng;
        let key = (Arc::clone(rule), Arc::clone(backend));
        Arc::clone(
            self.mirror_cursors
                .entry(key)
                .or_insert_with(|| Arc::new(Cursor::new(rng))),
        )
    }

    /// Remembers how a rule spreads its requests; what it did so far goes on where it stopped.
    pub(crate) fn spread(&mut self, rule: &Arc<str>, spread: Spread) -> Arc<Spread> {
        let spread = Arc::new(spread);
        if let Some(before) = self.spreads.insert(Arc::clone(rule), Arc::clone(&spread)) {
            spread.inherit(&before);
        }
        spread
    }

    /// Forgets it, for a rule that spreads nothing any more.
    pub(crate) fn forget_spread(&mut self, rule: &str) {
        self.spreads.remove(rule);
    }

    /// Forgets rules and what belongs to them whose rule key `is_configured` does not know.
    pub(crate) fn retain_rules(&mut self, is_configured: impl Fn(&str) -> bool) {
        self.rules.retain(|key, rule| {
            let kept = is_configured(key);
            rule.is_configured.store(kept, Ordering::Relaxed);
            kept
        });
        self.destinations.retain(|(key, _), _| is_configured(key));
        self.mirror_cursors.retain(|(key, _), _| is_configured(key));
        self.spreads.retain(|key, _| is_configured(key));
    }
}
