//! The whole picture: what the data plane counts, what the control plane says, joined.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use weir_admin::{
    BackendState, ConfigState, DURATION_BOUNDS_S, DurationState, EndpointState, FailureState, ListenerState,
    LoadState, Overall, ProblemState, Report, RouteState, TryState,
};
use weir_balance::EjectionCause;
use weir_config::translate::{destinations, matches};
use weir_model::{Action, Config, EndpointAddress, Listener, Problem, Rule, Severity, Target};
use weir_proxy::{
    BackendReport, DURATION_BOUNDS_US, DurationReport, EndpointReport, EndpointStanding, Gateway, Loads,
    MemberReport, Stats,
};

use super::board::Notice;
use super::words;

/// What the picture's schema is called: fields may be added to a version, never removed or changed.
const SCHEMA: &str = "weir.status/v1";

/// What is known of the process itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) uptime_ms: u64,
    pub(super) is_draining: bool,
}

/// The picture at this moment, without what people have decided.
pub(super) fn picture(gateway: &Gateway, notice: &Notice, moment: Moment) -> Report {
    let (config, stats, backends) = (gateway.config(), gateway.stats(), gateway.backends());
    let answers = Answers::of(&config, &stats, &backends);
    let mut report = Report {
        schema: SCHEMA.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime_ms: moment.uptime_ms,
        is_draining: moment.is_draining,
        config: config_state(notice),
        listeners: listeners(gateway, &config, &stats),
        routes: routes(&config, &stats),
        backends: backends
            .iter()
            .map(|backend| backend_state(backend, &config, &answers, &stats))
            .collect(),
        tries: tries(&config, &stats),
        tenants: notice.tenants.states(&config, &backends),
        failures: stats
            .failures
            .iter()
            .map(|failure| FailureState {
                reason: failure.reason.to_owned(),
                count: failure.count,
            })
            .collect(),
        problems: notice.problems.iter().map(problem).collect(),
        connections_open: stats.connections_open,
        log_records_dropped: stats.log_records_dropped,
        ..Report::default()
    };
    report.status = overall(&report);
    report
}

/// What endpoints have answered, by backend and address, over all rules. What a rule counts of an endpoint belongs to the
/// first of its backends that lists it.
struct Answers<'s>(BTreeMap<(&'s str, &'s EndpointAddress), [u64; 6]>);

impl<'s> Answers<'s> {
    fn of(config: &'s Config, stats: &'s Stats, backends: &'s [BackendReport]) -> Self {
        let addresses = |backend: &'s BackendReport| {
            let addresses = backend.endpoints.iter().map(|member| &member.address);
            (&*backend.key, addresses.collect::<HashSet<_>>())
        };
        let listed: HashMap<&str, HashSet<&EndpointAddress>> = backends.iter().map(addresses).collect();
        let lists = |key: &str, address: &EndpointAddress| {
            listed
                .get(key)
                .is_some_and(|addresses| addresses.contains(address))
        };
        let mut sums: BTreeMap<_, [u64; 6]> = BTreeMap::new();
        let mut counted = HashSet::new();
        for rule in config.routes.iter().flat_map(|route| &route.rules) {
            let report = stats.rules.get(&rule.key).filter(|_| counted.insert(&rule.key));
            for EndpointReport { address, classes, .. } in report.into_iter().flat_map(|one| &one.endpoints) {
                let mut keys = backend_keys(config, rule);
                if let Some(key) = keys.find(|key| lists(key, address)) {
                    let sum = sums.entry((key, address)).or_default();
                    sum.iter_mut().zip(classes).for_each(|(sum, class)| *sum += class);
                }
            }
        }
        Self(sums)
    }

    fn classes(&self, backend: &str, address: &EndpointAddress) -> [u64; 6] {
        self.0.get(&(backend, address)).copied().unwrap_or_default()
    }

    fn all(&self, backend: &BackendReport) -> u64 {
        let of = |member: &MemberReport| self.classes(&backend.key, &member.address).iter().sum::<u64>();
        backend.endpoints.iter().map(of).sum()
    }
}

fn config_state(notice: &Notice) -> ConfigState {
    ConfigState {
        generation_running: notice.generation_running,
        generation_disk: notice.generation_disk,
        is_in_sync: notice.difference.is_none(),
        difference: notice.difference.clone(),
        reloads_good: notice.loads_good,
        reloads_bad: notice.loads_bad,
        is_last_good: notice.is_last_good,
        last_good_unix_ms: notice.last_good_unix_ms,
    }
}

fn listeners(gateway: &Gateway, config: &Config, stats: &Stats) -> Vec<ListenerState> {
    let sections = |listener: &Arc<Listener>| -> Vec<String> {
        listener
            .sections
            .iter()
            .map(|section| section.name.to_string())
            .collect()
    };
    let state = |(key, bound): (weir_model::ListenerKey, Result<std::net::SocketAddr, Arc<str>>)| {
        let configured = config.listeners.iter().find(|listener| listener.key == key);
        let counted = stats.listeners.iter().find(|one| one.key == key);
        let misses = [
            ("no_host", counted.map_or(0, |one| one.no_host)),
            ("no_route", counted.map_or(0, |one| one.no_route)),
        ];
        ListenerState {
            connections_open: counted.map_or(0, |one| one.connections_open),
            misses: misses.map(|(why, count)| (why.to_owned(), count)).into(),
            address: key.address.to_string(),
            error: bound.as_ref().err().map(|error| error.to_string()),
            bound: bound.ok().map(|address| address.to_string()),
            sections: configured.map(sections).unwrap_or_default(),
        }
    };
    gateway.listeners().into_iter().map(state).collect()
}

fn routes(config: &Config, stats: &Stats) -> Vec<RouteState> {
    // A route that is attached under several policies has the same keys several times.
    let mut routes: BTreeMap<&str, RouteState> = BTreeMap::new();
    for rule in config.routes.iter().flat_map(|route| &route.rules) {
        routes
            .entry(&rule.key)
            .or_insert_with(|| route_state(rule, config, stats));
    }
    routes.into_values().collect()
}

fn route_state(rule: &Rule, config: &Config, stats: &Stats) -> RouteState {
    let counted = stats.rules.get(&rule.key).cloned().unwrap_or_default();
    let bounds_us = DURATION_BOUNDS_S.iter().map(|bound_s| (bound_s * 1e6) as u64);
    RouteState {
        key: rule.key.to_string(),
        matches: matches(rule),
        destinations: destinations(config, rule),
        backends: backend_keys(config, rule).map(str::to_owned).collect(),
        origin: rule.origin.to_string(),
        classes: counted.classes,
        retries: counted.retries,
        retries_good: counted.retries_good,
        duration_us: counted.duration_us,
        within: bounds_us.map(|bound_us| counted.within(bound_us)).collect(),
        median_us: counted.latency_quantile_us(0.5),
        p99_us: counted.latency_quantile_us(0.99),
        durations: counted.durations.iter().map(duration).collect(),
    }
}

// The bounds that one counts by are those that the other names.
const _: () = {
    let mut at = 0;
    while at < DURATION_BOUNDS_US.len() {
        assert!((DURATION_BOUNDS_S[at] * 1e6) as u64 == DURATION_BOUNDS_US[at]);
        at += 1;
    }
};

fn duration(report: &DurationReport) -> DurationState {
    DurationState {
        method: report.kind.method.to_owned(),
        status: report.kind.status,
        version: report.kind.version.to_owned(),
        error: report.kind.error.to_owned(),
        buckets: report.buckets.to_vec(),
        sum_us: report.sum_us,
    }
}

/// The tries at backends that rules send requests to now.
fn tries(config: &Config, stats: &Stats) -> Vec<TryState> {
    let rules = config.routes.iter().flat_map(|route| &route.rules);
    let known: HashSet<(&str, &str)> = rules
        .flat_map(|rule| backend_keys(config, rule).map(|backend| (&*rule.key, backend)))
        .collect();
    let counted = stats.destinations.iter();
    counted
        .filter(|one| known.contains(&(&*one.rule, &*one.backend)))
        .map(|one| TryState {
            route: one.rule.to_string(),
            backend: one.backend.to_string(),
            durations: one.tries.iter().map(duration).collect(),
        })
        .collect()
}

/// The backends that a rule sends requests to.
fn backend_keys<'c>(config: &'c Config, rule: &'c Rule) -> impl Iterator<Item = &'c str> {
    let targets = match &rule.action {
        Action::Forward(forward) => &*forward.destinations,
        Action::Redirect(_) | Action::Answer(_) => &[],
    };
    targets
        .iter()
        .filter_map(|destination| match &destination.target {
            Target::Backend(id) => Some(&*config.backend(*id).key),
            Target::Answer(_) => None,
        })
}

fn backend_state(
    report: &BackendReport,
    config: &Config,
    answers: &Answers<'_>,
    stats: &Stats,
) -> BackendState {
    let counted = stats.destinations.iter().filter(|one| one.backend == report.key);
    let mut picks = BTreeMap::new();
    for (reason, count) in counted.flat_map(|one| one.picks) {
        *picks.entry(reason.to_owned()).or_default() += count;
    }
    let configured = config.backends.iter().find(|backend| backend.key == report.key);
    let all = answers.all(report);
    BackendState {
        key: report.key.to_string(),
        origin: configured
            .map(|backend| backend.origin.to_string())
            .unwrap_or_default(),
        is_in_panic: report.is_in_panic,
        load: load(&report.loads),
        picks,
        endpoints: report
            .endpoints
            .iter()
            .map(|member| endpoint(member, answers.classes(&report.key, &member.address), all))
            .collect(),
    }
}

fn endpoint(member: &MemberReport, classes: [u64; 6], all: u64) -> EndpointState {
    let own: u64 = classes.iter().sum();
    let probed = member.probes.iter().map(|probe| u32::from(probe.score)).min();
    let answered = ((own - classes[5]) * 100).checked_div(own);
    EndpointState {
        address: member.address.to_string(),
        name: member.name.to_string(),
        zone: member.zone.to_string(),
        state: member.standing.word().to_owned(),
        cause: words::cause(member),
        since_unix_ms: member.changed.as_ref().map(|record| record.unix_ms),
        score: probed.or(answered.and_then(|score| u32::try_from(score).ok())),
        weight: member.weight.number(),
        weight_in_force: member.decided.weight(member.weight).number(),
        tier: member.tier.number().into(),
        decided: words::decided(member.decided),
        in_flight: member.in_flight,
        picks: member.picks,
        share_percent: (all > 0).then(|| own as f64 * 100.0 / all as f64),
        classes,
        ejections: member.ejections.iter().sum(),
        ejections_by_cause: EjectionCause::WORDS
            .iter()
            .zip(member.ejections)
            .map(|(cause, count)| ((*cause).to_owned(), count))
            .collect(),
        load: load(&member.loads),
        probes: member.probes.iter().map(words::probe).collect(),
    }
}

fn load(loads: &Loads) -> LoadState {
    let [connections, pending, requests, retries] = loads.refused;
    LoadState {
        connections: loads.connections,
        pending: loads.pending,
        requests: loads.requests,
        retries: loads.retries,
        refused_connections: connections,
        refused_pending: pending,
        refused_requests: requests,
        refused_retries: retries,
    }
}

fn problem(problem: &Problem) -> ProblemState {
    let severity = match problem.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    };
    ProblemState {
        severity: severity.to_owned(),
        code: problem.code.to_owned(),
        message: problem.message.clone(),
        place: problem.origin.to_string(),
        object: problem.object.as_ref().map(ToString::to_string),
        help: problem.help.clone(),
        effect: problem.effect.clone(),
    }
}

/// What somebody decided is no fault: what is drained by hand does not make the whole degraded.
fn overall(report: &Report) -> Overall {
    let endpoints = || report.backends.iter().flat_map(|backend| &backend.endpoints);
    let serving = EndpointStanding::Serving.word();
    let is_bound = report.listeners.iter().any(|listener| listener.bound.is_some());
    if !is_bound || (endpoints().next().is_some() && endpoints().all(|one| one.state != serving)) {
        return Overall::Unhealthy;
    }
    let is_out = |endpoint: &EndpointState| {
        [EndpointStanding::Unhealthy, EndpointStanding::Ejected]
            .iter()
            .any(|standing| standing.word() == endpoint.state)
    };
    let is_wrong = report.is_draining
        || !report.config.is_in_sync
        || report.listeners.iter().any(|listener| listener.bound.is_none())
        || report.problems.iter().any(|problem| problem.severity == "error")
        || endpoints().any(is_out);
    if is_wrong {
        Overall::Degraded
    } else {
        Overall::Healthy
    }
}
