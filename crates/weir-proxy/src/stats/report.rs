//! What readers get: every worker's counters added up at one moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use weir_model::EndpointAddress;

use super::histogram::{count_within, quantile_us};
use super::recorder::Registry;
use crate::lock::lock;

/// The counters of all workers, added up. Counters of a rule live as long as the rule.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Client connections open now.
    pub connections_open: u64,
    /// By rule key.
    pub rules: BTreeMap<Arc<str>, RuleReport>,
    /// Exchanges that weir answered itself because something failed, by reason word.
    pub failures: Vec<FailureReport>,
    /// Access log records that were dropped because their writer did not keep up.
    pub log_records_dropped: u64,
}

/// Failures of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureReport {
    /// The word that `x-weir-reason` and the access log carry.
    pub reason: &'static str,
    /// How many.
    pub count: u64,
}

/// The exchanges of one rule.
#[derive(Clone, Debug, Default)]
pub struct RuleReport {
    /// All of them.
    pub requests: u64,
    /// By first digit of the status; index 0 counts exchanges that ended without an answer.
    pub classes: [u64; 6],
    /// How long they took in all, microseconds.
    pub duration_us: u64,
    /// Tries after the first ones.
    pub retries: u64,
    /// By endpoint that answered, ordered by address.
    pub endpoints: Vec<EndpointReport>,
    latency: Vec<u64>,
}

/// The exchanges that one endpoint answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointReport {
    /// The endpoint.
    pub address: EndpointAddress,
    /// How many.
    pub requests: u64,
    /// By first digit of the status.
    pub classes: [u64; 6],
}

impl RuleReport {
    /// The duration of a whole exchange, in microseconds, that the given part (0 to 1) of them does not exceed;
    /// within 6.25 %. 0 before the first one.
    pub fn latency_quantile_us(&self, quantile: f64) -> u64 {
        quantile_us(&self.latency, quantile)
    }

    /// How many took no longer than `bound_us` microseconds; one that took about as long may count on either side.
    pub fn within(&self, bound_us: u64) -> u64 {
        count_within(&self.latency, bound_us)
    }

    /// Takes `earlier` away: what happened since then.
    pub fn since(&self, earlier: &Self) -> Self {
        let mut endpoints = self.endpoints.clone();
        for endpoint in &mut endpoints {
            let before = earlier
                .endpoints
                .iter()
                .find(|other| other.address == endpoint.address);
            let Some(before) = before else { continue };
            endpoint.requests = endpoint.requests.saturating_sub(before.requests);
            for (class, before) in endpoint.classes.iter_mut().zip(before.classes) {
                *class = class.saturating_sub(before);
            }
        }
        let before = |index: usize| earlier.latency.get(index).copied().unwrap_or(0);
        Self {
            requests: self.requests.saturating_sub(earlier.requests),
            classes: std::array::from_fn(|index| self.classes[index].saturating_sub(earlier.classes[index])),
            duration_us: self.duration_us.saturating_sub(earlier.duration_us),
            retries: self.retries.saturating_sub(earlier.retries),
            endpoints,
            latency: self
                .latency
                .iter()
                .enumerate()
                .map(|(index, n)| n.saturating_sub(before(index)))
                .collect(),
        }
    }
}

impl Registry {
    /// Adds everything up.
    pub(crate) fn report(&self) -> Stats {
        let mut rules: BTreeMap<Arc<str>, RuleReport> = BTreeMap::new();
        let mut endpoints: BTreeMap<(Arc<str>, EndpointAddress), EndpointReport> = BTreeMap::new();
        for counters in lock(&self.rules).iter() {
            let key = &counters.rule.key;
            let report = rules.entry(Arc::clone(key)).or_default();
            report.duration_us += counters.duration_us.value();
            report.retries += counters.retries.value();
            for (sum, class) in report.classes.iter_mut().zip(&counters.classes) {
                *sum += class.value();
            }
            report.requests = report.classes.iter().sum();
            counters.latency.add_to(&mut report.latency);
            for endpoint in lock(&counters.endpoints).iter() {
                let place = (Arc::clone(key), endpoint.address.clone());
                let sum = endpoints.entry(place).or_insert_with(|| EndpointReport {
                    address: endpoint.address.clone(),
                    requests: 0,
                    classes: [0; 6],
                });
                for (sum, class) in sum.classes.iter_mut().zip(&endpoint.classes) {
                    *sum += class.value();
                }
                sum.requests = sum.classes.iter().sum();
            }
        }
        for ((key, _), endpoint) in endpoints {
            rules.entry(key).or_default().endpoints.push(endpoint);
        }
        let mut failures: BTreeMap<&'static str, u64> = BTreeMap::new();
        self.each_failure(|reason, count| *failures.entry(reason).or_default() += count);
        let failures = failures
            .into_iter()
            .map(|(reason, count)| FailureReport { reason, count })
            .collect();
        Stats {
            rules,
            failures,
            ..Stats::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Recorder;
    use super::*;
    use crate::compile::Live;
    use weir_balance::{Rng, TokenKeys};
    use weir_model::Endpoint;

    #[test]
    fn workers_add_up_and_forgotten_rules_are_gone() {
        let registry = Arc::new(Registry::default());
        let workers = [Recorder::new(&registry), Recorder::new(&registry)];
        let mut live = Live::new(Rng::from_seed(1), TokenKeys::new(Vec::new()), 1);
        let (rule, other) = (live.rule(&"rule".into()), live.rule(&"other".into()));
        let endpoint = Endpoint::new(EndpointAddress::Unix("/socket".into()));
        let listed = live.list(std::slice::from_ref(&endpoint), 0);
        for worker in &workers {
            worker.rule(&rule).finished(200, 100);
            worker.rule(&rule).finished(503, 300);
            worker.rule(&rule).retried(2);
            worker.rule(&rule).served_by(&listed[0], 200);
            worker.rule(&other).finished(0, 1);
            worker.failures.count("no_endpoints");
        }
        let stats = registry.report();
        let report = &stats.rules["rule"];
        assert_eq!((report.requests, report.classes), (4, [0, 0, 2, 0, 0, 2]));
        assert_eq!(report.retries, 4);
        assert_eq!(
            report.endpoints,
            [EndpointReport {
                address: endpoint.address,
                requests: 2,
                classes: [0, 0, 2, 0, 0, 0],
            }]
        );
        assert_eq!(
            (report.duration_us, report.within(200), report.within(1000)),
            (800, 2, 4)
        );
        assert!(report.latency_quantile_us(0.5).abs_diff(100) < 7);
        assert_eq!(report.since(&report.clone()).requests, 0);
        assert_eq!(stats.rules["other"].classes[0], 2);
        assert_eq!(
            stats.failures,
            [FailureReport {
                reason: "no_endpoints",
                count: 2
            }]
        );

        live.retain_rules(|key| key == "rule");
        workers.iter().for_each(Recorder::forget_removed);
        assert_eq!(
            registry
                .report()
                .rules
                .keys()
                .map(|key| &**key)
                .collect::<Vec<_>>(),
            ["rule"]
        );
    }
}
