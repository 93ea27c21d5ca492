//! What a policy means for one rule, and applying it: the seam between routes and policies.

use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use weir_model::{
    Action, BalanceSpec, DnsSpec, FixedAnswer, Forward, HttpProbe, ObjectName, Origin, Probe, Retry, Rule,
    Timeouts, UpstreamSpec, limits,
};

use super::policy::{PolicyFailover, TrafficDraft};
use crate::resource::{HttpRule, Placed, SessionPersistence};

/// A rule as reached through one listener: what a policy may apply to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PolicyPoint<'a> {
    /// The route.
    pub(crate) route: &'a Placed,
    /// `rules[].name`.
    pub(crate) rule: Option<&'a str>,
    /// The Gateway.
    pub(crate) gateway: &'a Placed,
    /// Name of its listener.
    pub(crate) listener: &'a str,
}

/// The policy of one rule, after precedence and merging.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EffectivePolicy {
    /// The policy; the most specific one when several are merged.
    pub(crate) object: ObjectName,
    /// Where it is written.
    pub(crate) origin: Origin,
    /// What it says. `Err` is the reason why it is not valid: every rule under it answers 500, as Envoy
    /// Gateway's do.
    pub(crate) outcome: Result<PolicySettings, &'static str>,
}

/// A policy at the rule that it applies to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AppliedPolicy {
    /// The policy.
    pub(crate) policy: Arc<EffectivePolicy>,
    /// It is attached to the route or the rule, not to a Gateway.
    pub(crate) is_of_route: bool,
}

/// What a valid policy says. What it leaves open is the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PolicySettings {
    /// How endpoints are picked.
    pub(crate) balance: Arc<BalanceSpec>,
    /// How they are treated.
    pub(crate) upstream: Arc<UpstreamSpec>,
    /// How long things may take.
    pub(crate) timeouts: PolicyTimeouts,
    /// When requests are tried again; the route's own `retry` wins.
    pub(crate) retry: Option<Arc<Retry>>,
    /// How tiers stand in for each other.
    pub(crate) failover: PolicyFailover,
    /// How names of endpoints become addresses.
    pub(crate) dns: Option<DnsSpec>,
    /// How sessions come back; the route's own `sessionPersistence` wins.
    pub(crate) persistence: Option<SessionPersistence>,
    /// What else it does to requests and responses.
    pub(crate) traffic: Option<TrafficDraft>,
}

/// Time bounds of a policy. `Some(None)` switches a bound off. The route's own `timeouts` win.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PolicyTimeouts {
    /// Time to connect to an endpoint.
    pub(crate) connect: Option<Duration>,
    /// Time for a whole exchange after the request was received.
    pub(crate) request: Option<Option<Duration>>,
    /// Time for a whole exchange, from its first byte.
    pub(crate) stream: Option<Option<Duration>>,
    /// Time in which nothing moves.
    pub(crate) stream_idle: Option<Option<Duration>>,
}

/// Specifications of endpoints, equal ones as one allocation: a policy of a Gateway stays one specification however
/// many rules are under it (row HC19).
#[derive(Debug, Default)]
pub(crate) struct UpstreamSpecs(RefCell<HashSet<Arc<UpstreamSpec>>>);

impl UpstreamSpecs {
    /// The allocation of an equal specification.
    pub(crate) fn shared(&self, spec: Arc<UpstreamSpec>) -> Arc<UpstreamSpec> {
        let mut known = self.0.borrow_mut();
        match known.get(&spec) {
            Some(same) => same.clone(),
            None => {
                known.insert(spec.clone());
                spec
            }
        }
    }
}

/// A rule as written, and what of its route matters to policies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RuleSource<'r> {
    /// The rule.
    pub(crate) written: &'r HttpRule,
    /// A name that the route's requests are sent to, for probes.
    pub(crate) host: Option<&'r str>,
}

/// Makes a rule do what its policy says.
pub(crate) fn apply(
    applied: Option<&AppliedPolicy>,
    source: RuleSource<'_>,
    upstreams: &UpstreamSpecs,
    rule: &mut Rule,
) {
    let settings = match applied.map(|applied| &applied.policy.outcome) {
        None => None,
        Some(Ok(settings)) => Some(settings),
        Some(Err(reason)) => {
            rule.action = Action::Answer(FixedAnswer {
                status: 500,
                reason: (*reason).into(),
                allow: None,
            });
            None
        }
    };
    rule.timeouts = timeouts(source.written, settings);
    let (Some(settings), Some(applied)) = (settings, applied) else {
        return;
    };
    rule.traffic = match &rule.action {
        // What cannot be served is not served with conditions either.
        Action::Answer(_) => None,
        Action::Forward(_) | Action::Redirect(_) => {
            settings.traffic.as_ref().map(|traffic| traffic.for_rule(rule))
        }
    };
    let key = rule.key.clone();
    if let Action::Forward(forward) = &mut rule.action {
        forward.balance = settings.balance.clone();
        forward.policy = Some((applied.policy.object.clone(), applied.policy.origin.clone()));
        let host = source.host.filter(|_| applied.is_of_route);
        forward.upstream = upstreams.shared(with_probe_host(&settings.upstream, host));
        apply_to_forward(settings, source.written, &key, forward);
    }
}

fn apply_to_forward(settings: &PolicySettings, written: &HttpRule, key: &str, forward: &mut Forward) {
    if forward.retry.is_none() {
        forward.retry = settings.retry.clone();
        // The route's own bound on one try wins.
        if let (Some(retry), Some(_)) = (&mut forward.retry, written.timeouts.backend_request)
            && retry.try_timeout.is_some()
        {
            Arc::make_mut(retry).try_timeout = None;
        }
    }
    if forward.persistence.is_none() {
        let persistence = settings.persistence.as_ref();
        forward.persistence = persistence.map(|persistence| persistence.for_rule(key));
    }
    forward.failover = settings.failover.failover;
    for (destination, reference) in forward.destinations.iter_mut().zip(&written.backends) {
        let tier = reference
            .priority
            .is_none()
            .then(|| settings.failover.tier_of(reference));
        destination.tier = tier.flatten().unwrap_or(destination.tier);
    }
}

/// Probes that name no host are sent to the route's (Envoy Gateway).
fn with_probe_host(spec: &Arc<UpstreamSpec>, host: Option<&str>) -> Arc<UpstreamSpec> {
    let (Some(host), Some(active)) = (host, &spec.health.active) else {
        return spec.clone();
    };
    let Probe::Http(probe @ HttpProbe { host: None, .. }) = &active.probe else {
        return spec.clone();
    };
    let mut check = (**active).clone();
    check.probe = Probe::Http(HttpProbe {
        host: Some(host.into()),
        ..probe.clone()
    });
    let mut spec = (**spec).clone();
    spec.health.active = Some(Arc::new(check));
    Arc::new(spec)
}

/// An idle stream is given at least this long once somebody bounds the whole exchange (Envoy Gateway).
const STREAM_IDLE_MIN: Duration = Duration::from_secs(3600);

/// The rule's own bounds win over the policy's, which win over the defaults. Zero switches a bound off.
fn timeouts(written: &HttpRule, settings: Option<&PolicySettings>) -> Timeouts {
    let own = &written.timeouts;
    let policy = settings.map(|settings| settings.timeouts).unwrap_or_default();
    let bound = |written: Duration| (!written.is_zero()).then_some(written);
    let backend_request = own.backend_request.and_then(|written| bound(written.value));
    let asked = own.request.map(|written| bound(written.value)).or(policy.request);
    let standard = Timeouts::default();
    // A try that is given longer than the default must not be cut short by it.
    let request = asked.unwrap_or(standard.request.max(backend_request));
    // A bound on the whole exchange is not cut short by one on its pauses.
    let stream_idle = match asked {
        Some(Some(request)) => Some(request.max(STREAM_IDLE_MIN)),
        Some(None) | None => standard.stream_idle,
    };
    Timeouts {
        request,
        backend_request,
        connect: policy.connect.unwrap_or(limits::CONNECT_TIMEOUT),
        stream_idle: policy.stream_idle.unwrap_or(stream_idle),
        stream: policy.stream.unwrap_or(standard.stream),
    }
}
