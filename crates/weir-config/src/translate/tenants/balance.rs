//! How a tenant's services are balanced, and how long they may take.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use weir_model::{
    ActiveCheck, Algorithm, BalanceSpec, EndpointProbe, HttpProbe, ObjectName, Origin, Period, Probe,
    StatusSet, Timeouts, UpstreamSpec, limits,
};

use crate::resource::decode::Decoder;
use crate::resource::{ServiceCheck, Tenant, UNKNOWN_TYPE};
use crate::translate::effective::{PolicySettings, PolicyTimeouts};
use crate::translate::index::Object;
use crate::translate::policy;
use crate::translate::reporter::Reporter;

/// Bound of a whole request (keystone-gateway's).
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// Time that a connection to a service may stay unused (keystone-gateway's).
const IDLE_TIMEOUT: Duration = Duration::from_secs(120);
/// A probe that takes longer has failed.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(3);

/// What holds for every rule of a tenant.
#[derive(Clone, Debug)]
pub(super) struct TenantSpec {
    pub(super) balance: Arc<BalanceSpec>,
    /// Where it is written; `None` for the default.
    pub(super) policy: Option<(ObjectName, Origin)>,
    pub(super) upstream: Arc<UpstreamSpec>,
    /// How services that say nothing of it are probed: as the policy says, not at all when it says nothing.
    pub(super) unwritten_probe: EndpointProbe,
    pub(super) timeouts: Timeouts,
    /// What its policy says besides.
    pub(super) settings: PolicySettings,
}

/// Reads `load_balancer` and `policy` with the reader of policies; `None` when they cannot be used, which has been
/// reported. Without them the services take turns, as in keystone-gateway.
pub(super) fn spec(tenant: Object<'_, Tenant>, reporter: &mut Reporter) -> Option<TenantSpec> {
    let written = &tenant.spec.balance;
    let mut settings = PolicySettings::default();
    if let Some(spec) = &written.spec {
        let mut decoder = Decoder::default();
        let object = ObjectName::new("TrafficPolicy", "", tenant.name());
        let found = policy::settings(&mut decoder, spec, policy::Owner::alone(&object));
        let mark = Decoder::default().mark();
        decoder.effect_since(mark, "all requests of the tenant are answered 500");
        for finding in decoder.into_findings() {
            // Such a one was found while reading, too.
            if finding.code != UNKNOWN_TYPE {
                reporter.add(tenant.placed, finding);
            }
        }
        settings = found?;
    }
    let balance = match written.has_load_balancer {
        true => settings.balance.clone(),
        false => Arc::new(BalanceSpec {
            algorithm: Algorithm::RoundRobin,
            ..BalanceSpec::clone(&settings.balance)
        }),
    };
    let origin = written.spec.as_ref().map(|spec| tenant.origin(spec.span));
    let unwritten_probe = match settings.upstream.health.active {
        Some(_) => EndpointProbe::AsBackend,
        None => EndpointProbe::Off,
    };
    Some(TenantSpec {
        balance,
        unwritten_probe,
        policy: origin.map(|origin| (tenant.id().clone(), origin)),
        upstream: Arc::new(upstream(tenant.spec, &settings.upstream)),
        timeouts: timeouts(tenant.spec, &settings.timeouts),
        settings,
    })
}

/// As the policy says; services are probed as the tenant says, unless the policy says how.
fn upstream(tenant: &Tenant, policy: &UpstreamSpec) -> UpstreamSpec {
    let mut spec = policy.clone();
    if !tenant.balance.says(&["timeout", "http", "connectionIdleTimeout"]) {
        spec.connection.idle_timeout = Some(IDLE_TIMEOUT);
    }
    if spec.health.active.is_none() {
        spec.health.active = active_check(tenant).map(Arc::new);
    }
    spec
}

/// The tenant's own bounds win over its policy's, which win over the file's.
fn timeouts(tenant: &Tenant, policy: &PolicyTimeouts) -> Timeouts {
    let (own, standard) = (&tenant.timeouts, Timeouts::default());
    let bound = |written: Duration| (!written.is_zero()).then_some(written);
    let service = own.service.and_then(bound);
    let request = match (own.request, policy.request, tenant.settings.request_timeout) {
        (Some(written), ..) => bound(written),
        (None, Some(policy), _) => policy,
        (None, None, Some(file)) => bound(file),
        // A try that is given longer than the default must not be cut short by it.
        (None, None, None) => Some(REQUEST_TIMEOUT).max(service),
    };
    Timeouts {
        request,
        backend_request: service,
        connect: own
            .connect
            .and_then(bound)
            .or(policy.connect)
            .unwrap_or(limits::CONNECT_TIMEOUT),
        stream_idle: policy.stream_idle.unwrap_or(standard.stream_idle),
        stream: policy.stream.unwrap_or(standard.stream),
    }
}

/// Every service with a health path is probed there (row HC01), one that asks for it by connecting (row HC05); any 2xx
/// is good, and it takes two in a row to come back and three to go (row HC03).
fn active_check(tenant: &Tenant) -> Option<ActiveCheck> {
    let is_checked = tenant.services.iter().any(|service| match service.check {
        ServiceCheck::Path(_) | ServiceCheck::Connect => true,
        ServiceCheck::Off | ServiceCheck::Unwritten { .. } => false,
    });
    let interval = tenant.health_interval.value;
    let check = || ActiveCheck {
        probe: Probe::Http(HttpProbe {
            expected: StatusSet::successes(),
            retriable: StatusSet::all(),
            ..HttpProbe::default()
        }),
        interval: Period::clamped(interval),
        timeout: Period::clamped(HEALTH_TIMEOUT.min(interval)),
        unhealthy_threshold: NonZeroU32::MIN.saturating_add(2),
        healthy_threshold: NonZeroU32::MIN.saturating_add(1),
        ..ActiveCheck::default()
    };
    is_checked.then(check)
}
