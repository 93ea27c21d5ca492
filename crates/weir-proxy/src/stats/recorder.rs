//! The counters themselves: one set per rule and worker, written by that worker alone.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use weir_model::{EndpointAddress, ListenerKey};

use super::counter::Counter;
use super::destination::{DestinationCounters, DestinationRecorder};
use super::durations::{DurationKind, DurationRecorder, Durations};
use super::histogram::Histogram;
use super::listener::{ListenerCounters, OpenConnection};
use crate::compile::{LiveDestination, LiveEndpoint, LiveRule};
use crate::id_map::IdMap;
use crate::lock::lock;

/// What one worker counted of one rule; readable from any thread.
#[derive(Debug)]
pub(crate) struct RuleCounters {
    pub(crate) rule: Arc<LiveRule>,
    /// How long its exchanges took, coarsely and by what became of them.
    pub(crate) durations: Arc<Durations>,
    /// The same in fine steps, all together.
    pub(crate) latency: Histogram,
    /// Tries after the first ones that came to nothing, or to an answer that says so.
    pub(crate) retries_failed: Counter,
    /// Those that brought a good answer.
    pub(crate) retries_good: Counter,
    pub(crate) endpoints: Mutex<Vec<Arc<EndpointCounters>>>,
}

/// What one worker counted of one endpoint under one rule.
#[derive(Debug)]
pub(crate) struct EndpointCounters {
    pub(crate) address: EndpointAddress,
    /// Its answers by first digit of the status.
    pub(crate) classes: [Counter; 6],
}

/// One worker's way to the counters of one rule.
#[derive(Debug)]
pub(crate) struct RuleRecorder {
    counters: Arc<RuleCounters>,
    durations: DurationRecorder,
    endpoints: RefCell<IdMap<Arc<EndpointCounters>>>,
}

impl RuleRecorder {
    /// Counts one finished exchange, and how long it took.
    pub(crate) fn finished(&self, kind: DurationKind, duration_us: u64) {
        self.durations.record(kind, duration_us);
        self.counters.latency.record(duration_us);
    }

    /// Counts the tries after the first one of an exchange, and whether the last of them was good.
    pub(crate) fn retried(&self, times: u32, is_good: bool) {
        let good = u64::from(is_good && times > 0);
        self.counters.retries_good.add(good);
        self.counters.retries_failed.add(u64::from(times) - good);
    }

    /// Counts one exchange that this endpoint answered with this status.
    pub(crate) fn served_by(&self, endpoint: &LiveEndpoint, status: u16) {
        if let Some(counters) = self.endpoints.borrow().get(&endpoint.id) {
            counters.classes[class_of(status)].increment();
            return;
        }
        let counters = Arc::new(EndpointCounters {
            address: endpoint.address.clone(),
            classes: Default::default(),
        });
        counters.classes[class_of(status)].increment();
        lock(&self.counters.endpoints).push(Arc::clone(&counters));
        self.endpoints.borrow_mut().insert(endpoint.id, counters);
    }
}

/// Where a status is counted; 0 stands for no answer.
pub(super) fn class_of(status: u16) -> usize {
    usize::from(status / 100).min(5)
}

/// Failures by reason, of one worker.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    by_reason: Mutex<HashMap<&'static str, u64>>,
}

impl Failures {
    /// Counts one; failures are rare enough for a lock that nobody contends for.
    pub(crate) fn count(&self, reason: &'static str) {
        *lock(&self.by_reason).entry(reason).or_default() += 1;
    }
}

/// One worker's counters.
#[derive(Debug)]
pub(crate) struct Recorder {
    registry: Arc<Registry>,
    rules: RefCell<IdMap<Rc<RuleRecorder>>>,
    destinations: RefCell<IdMap<Rc<DestinationRecorder>>>,
    /// Few, and none of them is ever forgotten: only as many as there have been addresses to listen at.
    listeners: RefCell<Vec<Arc<ListenerCounters>>>,
    /// Failures of this worker.
    pub(crate) failures: Arc<Failures>,
}

impl Recorder {
    pub(crate) fn new(registry: &Arc<Registry>) -> Self {
        let failures = Arc::new(Failures::default());
        lock(&registry.failures).push(Arc::clone(&failures));
        Self {
            registry: Arc::clone(registry),
            rules: RefCell::default(),
            destinations: RefCell::default(),
            listeners: RefCell::default(),
            failures,
        }
    }

    /// The recorder of a rule, made at its first request.
    pub(crate) fn rule(&self, rule: &Arc<LiveRule>) -> Rc<RuleRecorder> {
        if let Some(recorder) = self.rules.borrow().get(&rule.id) {
            return Rc::clone(recorder);
        }
        let counters = Arc::new(RuleCounters {
            rule: Arc::clone(rule),
            durations: Arc::default(),
            latency: Histogram::new(),
            retries_failed: Counter::default(),
            retries_good: Counter::default(),
            endpoints: Mutex::default(),
        });
        lock(&self.registry.rules).push(Arc::clone(&counters));
        let recorder = Rc::new(RuleRecorder {
            durations: DurationRecorder::new(&counters.durations),
            counters,
            endpoints: RefCell::default(),
        });
        self.rules.borrow_mut().insert(rule.id, Rc::clone(&recorder));
        recorder
    }

    /// The recorder of a backend as a rule uses it, made at the first try.
    pub(crate) fn destination(&self, live: &Arc<LiveDestination>) -> Rc<DestinationRecorder> {
        if let Some(recorder) = self.destinations.borrow().get(&live.id) {
            return Rc::clone(recorder);
        }
        let recorder = Rc::new(DestinationRecorder::new(live));
        lock(&self.registry.destinations).push(Arc::clone(&recorder.counters));
        self.destinations
            .borrow_mut()
            .insert(live.id, Rc::clone(&recorder));
        recorder
    }

    /// Counts a client connection of a listener for as long as the value lives.
    pub(crate) fn open_connection(&self, listener: ListenerKey) -> OpenConnection {
        let mut listeners = self.listeners.borrow_mut();
        let known = listeners.iter().find(|counters| counters.key == listener);
        let counters = known.map(Arc::clone).unwrap_or_else(|| {
            let counters = Arc::new(ListenerCounters::new(listener));
            lock(&self.registry.listeners).push(Arc::clone(&counters));
            listeners.push(Arc::clone(&counters));
            counters
        });
        OpenConnection::new(counters)
    }

    /// Forgets rules that the running configuration does not have any more; the registry forgets them too.
    pub(crate) fn forget_removed(&self) {
        let mut rules = self.rules.borrow_mut();
        let before = rules.len();
        rules.retain(|_, recorder| recorder.counters.rule.is_configured());
        if rules.len() < before {
            lock(&self.registry.rules).retain(|counters| counters.rule.is_configured());
        }
        let mut destinations = self.destinations.borrow_mut();
        let before = destinations.len();
        destinations.retain(|_, recorder| recorder.counters.live.rule.is_configured());
        if destinations.len() < before {
            lock(&self.registry.destinations).retain(|counters| counters.live.rule.is_configured());
        }
    }
}

/// Every worker's counters, for whoever reads them.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    pub(super) rules: Mutex<Vec<Arc<RuleCounters>>>,
    pub(super) destinations: Mutex<Vec<Arc<DestinationCounters>>>,
    pub(super) listeners: Mutex<Vec<Arc<ListenerCounters>>>,
    failures: Mutex<Vec<Arc<Failures>>>,
}

impl Registry {
    /// Calls `each` for every reason and worker that counted it.
    pub(super) fn each_failure(&self, mut each: impl FnMut(&'static str, u64)) {
        for failures in lock(&self.failures).iter() {
            for (reason, count) in lock(&failures.by_reason).iter() {
                each(reason, *count);
            }
        }
    }
}
