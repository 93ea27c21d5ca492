//! The counters themselves: one set per rule and worker, written by that worker alone.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use weir_model::EndpointAddress;

use super::histogram::Histogram;
use crate::compile::{LiveEndpoint, LiveRule};
use crate::id_map::IdMap;
use crate::lock::lock;

/// A counter with one writer: adding needs no read-modify-write instruction.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds one. For the writing thread only.
    pub(crate) fn increment(&self) {
        self.add(1);
    }

    /// Adds several. For the writing thread only.
    pub(crate) fn add(&self, count: u64) {
        let sum = self.0.load(Ordering::Relaxed).wrapping_add(count);
        self.0.store(sum, Ordering::Relaxed);
    }

    pub(crate) fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What one worker counted of one rule; readable from any thread.
#[derive(Debug)]
pub(crate) struct RuleCounters {
    pub(crate) rule: Arc<LiveRule>,
    /// Exchanges by first digit of the status; 0 counts those without any.
    pub(crate) classes: [Counter; 6],
    /// How long they took in all, microseconds.
    pub(crate) duration_us: Counter,
    /// Tries after the first ones.
    pub(crate) retries: Counter,
    pub(crate) latency: Histogram,
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
    endpoints: RefCell<IdMap<Arc<EndpointCounters>>>,
}

impl RuleRecorder {
    /// Counts one finished exchange: its status, 0 when the client got none, and how long it took.
    pub(crate) fn finished(&self, status: u16, duration_us: u64) {
        self.counters.classes[class_of(status)].increment();
        self.counters.duration_us.add(duration_us);
        self.counters.latency.record(duration_us);
    }

    /// Counts tries after the first one of an exchange.
    pub(crate) fn retried(&self, times: u32) {
        self.counters.retries.add(u64::from(times));
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
fn class_of(status: u16) -> usize {
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
            classes: Default::default(),
            duration_us: Counter::default(),
            retries: Counter::default(),
            latency: Histogram::new(),
            endpoints: Mutex::default(),
        });
        lock(&self.registry.rules).push(Arc::clone(&counters));
        let recorder = Rc::new(RuleRecorder {
            counters,
            endpoints: RefCell::default(),
        });
        self.rules.borrow_mut().insert(rule.id, Rc::clone(&recorder));
        recorder
    }

    /// Forgets rules that the running configuration does not have any more; the registry forgets them too.
    pub(crate) fn forget_removed(&self) {
        let mut rules = self.rules.borrow_mut();
        let before = rules.len();
        rules.retain(|_, recorder| recorder.counters.rule.is_configured());
        if rules.len() < before {
            lock(&self.registry.rules).retain(|counters| counters.rule.is_configured());
        }
    }
}

/// Every worker's counters, for whoever reads them.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    pub(super) rules: Mutex<Vec<Arc<RuleCounters>>>,
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
