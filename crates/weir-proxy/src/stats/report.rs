//! What readers get: every worker's counters added up at one moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use weir_model::{EndpointAddress, ListenerKey};

use super::destination::PickCause;
use super::durations::{DurationKind, DurationReport};
use super::histogram::{count_within, quantile_us};
use super::recorder::{Registry, class_of};
use crate::lock::lock;

/// The counters of all workers, added up. Counters of a rule live as long as the rule.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Client connections open now.
    pub connections_open: u64,
    /// By rule key.
    pub rules: BTreeMap<Arc<str>, RuleReport>,
    /// Tries at backends, ordered by rule and backend.
    pub destinations: Vec<DestinationReport>,
    /// Ordered by key; without those that nobody has connected to.
    pub listeners: Vec<ListenerReport>,
    /// Exchanges that weir answered itself because something failed, by reason word.
    pub failures: Vec<FailureReport>,
    /// Access log records that were dropped because their writer did not keep up.
    pub log_records_dropped: u64,
}

/// The tries at one backend on behalf of one rule.
#[derive(Clone, Debug, Default)]
pub struct DestinationReport {
    /// The rule's key.
    pub rule: Arc<str>,
    /// The backend's key.
    pub backend: Arc<str>,
    /// Tries begun, by the word for what decided where they went.
    pub picks: [(&'static str, u64); PickCause::WORDS.len()],
    /// How long they took, by kind. The status is the endpoint's.
    pub tries: Vec<DurationReport>,
}

/// What goes on at a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerReport {
    /// Which.
    pub key: ListenerKey,
    /// Client connections open now.
    pub connections_open: u64,
    /// Requests for a host that nobody serves there.
    pub no_host: u64,
    /// Requests that no rule of their host matches.
    pub no_route: u64,
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
    /// The same by kind.
    pub durations: Vec<DurationReport>,
    /// Tries after the first ones.
    pub retries: u64,
    /// Those of them that brought a good answer: one below 500.
    pub retries_good: u64,
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
            durations: durations_since(&self.durations, &earlier.durations),
            retries: self.retries.saturating_sub(earlier.retries),
            retries_good: self.retries_good.saturating_sub(earlier.retries_good),
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

/// Durations of several workers, added up.
type Sums = BTreeMap<DurationKind, DurationReport>;

/// What several workers counted of one destination, added up.
#[derive(Debug, Default)]
struct DestinationSums {
    picks: [u64; PickCause::WORDS.len()],
    tries: Sums,
}

impl Registry {
    /// Adds everything up.
    pub(crate) fn report(&self) -> Stats {
        let mut failures: BTreeMap<&'static str, u64> = BTreeMap::new();
        self.each_failure(|reason, count| *failures.entry(reason).or_default() += count);
        let failures = failures
            .into_iter()
            .map(|(reason, count)| FailureReport { reason, count })
            .collect();
        Stats {
            rules: self.rule_reports(),
            destinations: self.destination_reports(),
            listeners: self.listener_reports(),
            failures,
            ..Stats::default()
        }
    }

    fn rule_reports(&self) -> BTreeMap<Arc<str>, RuleReport> {
        let mut rules: BTreeMap<Arc<str>, RuleReport> = BTreeMap::new();
        let mut durations: BTreeMap<Arc<str>, Sums> = BTreeMap::new();
        let mut endpoints: BTreeMap<(Arc<str>, EndpointAddress), EndpointReport> = BTreeMap::new();
        for counters in lock(&self.rules).iter() {
            let key = &counters.rule.key;
            counters
                .durations
                .add_to(durations.entry(Arc::clone(key)).or_default());
            let report = rules.entry(Arc::clone(key)).or_default();
            report.retries_good += counters.retries_good.value();
            report.retries += counters.retries_good.value() + counters.retries_failed.value();
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
        for (key, durations) in durations {
            rules.entry(key).or_default().take(durations);
        }
        for ((key, _), endpoint) in endpoints {
            rules.entry(key).or_default().endpoints.push(endpoint);
        }
        rules
    }

    fn destination_reports(&self) -> Vec<DestinationReport> {
        let mut sums: BTreeMap<(Arc<str>, Arc<str>), DestinationSums> = BTreeMap::new();
        for counters in lock(&self.destinations).iter() {
            let place = (
                Arc::clone(&counters.live.rule.key),
                Arc::clone(&counters.live.backend),
            );
            let DestinationSums { picks, tries } = sums.entry(place).or_default();
            for (sum, count) in picks.iter_mut().zip(&counters.picks) {
                *sum += count.value();
            }
            counters.tries.add_to(tries);
        }
        sums.into_iter()
            .map(|((rule, backend), sums)| DestinationReport {
                rule,
                backend,
                picks: std::array::from_fn(|place| (PickCause::WORDS[place], sums.picks[place])),
                tries: sums.tries.into_values().collect(),
            })
            .collect()
    }

    fn listener_reports(&self) -> Vec<ListenerReport> {
        let mut sums: BTreeMap<ListenerKey, ListenerReport> = BTreeMap::new();
        for counters in lock(&self.listeners).iter() {
            let sum = sums.entry(counters.key).or_insert(ListenerReport {
                key: counters.key,
                connections_open: 0,
                no_host: 0,
                no_route: 0,
            });
            sum.connections_open += counters.open.value();
            sum.no_host += counters.no_host.value();
            sum.no_route += counters.no_route.value();
        }
        sums.into_values().collect()
    }
}

impl RuleReport {
    fn take(&mut self, durations: Sums) {
        for report in durations.values() {
            self.classes[class_of(report.kind.status)] += report.count();
            self.duration_us += report.sum_us;
        }
        self.requests = self.classes.iter().sum();
        self.durations = durations.into_values().collect();
    }
}

fn durations_since(now: &[DurationReport], earlier: &[DurationReport]) -> Vec<DurationReport> {
    let mut since = now.to_vec();
    for report in &mut since {
        let Some(before) = earlier.iter().find(|other| other.kind == report.kind) else {
            continue;
        };
        report.sum_us = report.sum_us.saturating_sub(before.sum_us);
        for (bucket, before) in report.buckets.iter_mut().zip(before.buckets) {
            *bucket = bucket.saturating_sub(before);
        }
    }
    since
}

#[cfg(test)]
mod tests {
    use super::super::Recorder;
    use super::*;
    use crate::compile::Live;
    use weir_balance::{Rng, TokenKeys};
    use weir_model::Endpoint;

    fn of_status(status: u16) -> DurationKind {
        DurationKind {
            status,
            ..DurationKind::default()
        }
    }

    #[test]
    fn workers_add_up_and_forgotten_rules_are_gone() {
        let registry = Arc::new(Registry::default());
        let workers = [Recorder::new(&registry), Recorder::new(&registry)];
        let mut live = Live::new(Rng::from_seed(1), TokenKeys::new(Vec::new()), 1);
        let (rule, other) = (live.rule(&"rule".into()), live.rule(&"other".into()));
        let destination = live.destination(&"rule".into(), &"backend".into());
        let endpoint = Endpoint::new(EndpointAddress::Unix("/socket".into()));
        let listed = live.list(std::slice::from_ref(&endpoint), 0);
        for worker in &workers {
            worker.rule(&rule).finished(of_status(200), 100);
            worker.rule(&rule).finished(of_status(503), 300);
            worker.rule(&rule).retried(2, true);
            worker.rule(&rule).retried(1, false);
            worker.rule(&rule).served_by(&listed[0], 200);
            worker.rule(&other).finished(of_status(0), 1);
            let destination = worker.destination(&destination);
            destination.picked(PickCause::Policy);
            destination.picked(PickCause::Retry);
            destination.tried(of_status(503), 200);
            worker.failures.count("no_endpoints");
        }
        let stats = registry.report();
        let report = &stats.rules["rule"];
        assert_eq!((report.requests, report.classes), (4, [0, 0, 2, 0, 0, 2]));
        assert_eq!((report.retries, report.retries_good), (6, 2));
        let tries = &stats.destinations[0];
        assert_eq!((&*tries.rule, &*tries.backend), ("rule", "backend"));
        let picks: Vec<_> = tries.picks.iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(picks, [&("policy", 2), &("retry", 2)]);
        assert_eq!((tries.tries[0].count(), tries.tries[0].sum_us), (2, 400));
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
        assert_eq!(registry.report().destinations.len(), 1);
        live.retain_rules(|_| false);
        workers.iter().for_each(Recorder::forget_removed);
        assert!(registry.report().destinations.is_empty());
    }

    #[test]
    fn op06_connections_and_misses_are_counted_by_listener() {
        let registry = Arc::new(Registry::default());
        let workers = [Recorder::new(&registry), Recorder::new(&registry)];
        let key = |port: u16| ListenerKey {
            address: std::net::SocketAddr::from(([127, 0, 0, 1], port)),
        };
        let open: Vec<_> = workers
            .iter()
            .map(|worker| worker.open_connection(key(1)))
            .collect();
        let other = workers[0].open_connection(key(2));
        open[1].missed(weir_route::Miss::NoHost);
        other.missed(weir_route::Miss::NoRoute);
        drop(other);
        let found = registry.report().listeners;
        let found: Vec<_> = found
            .iter()
            .map(|one| {
                (
                    one.key.address.port(),
                    one.connections_open,
                    one.no_host,
                    one.no_route,
                )
            })
            .collect();
        assert_eq!(found, [(1, 2, 1, 0), (2, 0, 0, 1)]);
        drop(open);
        assert_eq!(registry.report().listeners[0].connections_open, 0);
    }
}
