//! A tenant's rules: what happens to its requests.

use std::sync::Arc;

use weir_model::{
    Action, Algorithm, Destination, Filter, FixedAnswer, Forward, Match, PathMatch, PathRewrite, Redirect,
    Rule, Target, Tier, Timeouts, TrafficSpec, Weight, limits,
};

use super::backend::{self, TenantBackends, groups};
use super::balance::{self, TenantSpec};
use super::canary::{self, Division};
use super::filter::{self, TenantFilterSet};
use super::route;
use super::spine::backend_key;
use super::{admission, compression, error_handler, overlap};
use crate::resource::{BarePrefix, Tenant, TenantService};
use crate::translate::effective::PolicySettings;
use crate::translate::index::Object;
use crate::translate::options::Options;
use crate::translate::reporter::Reporter;
use crate::yaml::Finding;

/// What rules are written with.
pub(super) struct RuleWriter<'w, 'a> {
    pub(super) tenant: Object<'a, Tenant>,
    pub(super) options: &'w Options,
    pub(super) backends: &'w mut TenantBackends,
    pub(super) reporter: &'w mut Reporter,
}

/// What all rules of a tenant have in common.
#[derive(Debug)]
pub(super) struct Common {
    pub(super) spec: TenantSpec,
    pub(super) filters: TenantFilterSet,
}

/// Writes all rules of a tenant. The first ones win where several match alike.
pub(super) fn write(mut writer: RuleWriter<'_, '_>) -> Vec<Rule> {
    let tenant = writer.tenant;
    let mut drafts = Vec::new();
    let mut settings = PolicySettings::default();
    match writer.common() {
        Err(answer) => drafts.push(Draft::answer(vec![writer.prefix_match()], answer)),
        Ok(common) => {
            writer.bare_prefix(&mut drafts);
            let services = writer.services();
            match tenant.spec.has_routes {
                true => route::write(&mut writer, &common, &services, &mut drafts),
                false => writer.everything(&common, services, &mut drafts),
            }
            settings = common.spec.settings;
        }
    }
    let origin = tenant.origin(tenant.spec.span);
    // Most rules share it: most policies say nothing besides.
    let own_traffic = with_own(tenant, None);
    let rule = |(place, draft): (usize, Draft)| {
        let mut rule = Rule {
            key: backend_key(tenant.id(), &format!("rule/{place}")),
            name: None,
            matches: draft.matches,
            filters: draft.filters,
            action: draft.action,
            timeouts: draft.timeouts,
            traffic: None,
            origin: draft.origin.unwrap_or_else(|| origin.clone()),
        };
        apply(tenant, &settings, own_traffic.as_ref(), &mut rule);
        rule
    };
    drafts.into_iter().enumerate().map(rule).collect()
}

/// What a tenant and its policy say besides balance and treatment of services, for one rule.
fn apply(
    tenant: Object<'_, Tenant>,
    settings: &PolicySettings,
    own_traffic: Option<&Arc<TrafficSpec>>,
    rule: &mut Rule,
) {
    if let Action::Forward(forward) = &mut rule.action {
        let persistence = settings.persistence.as_ref();
        forward.persistence = persistence.map(|persistence| persistence.for_rule(&rule.key));
        let traffic = settings.traffic.as_ref();
        rule.traffic = traffic.map(|traffic| traffic.for_rule(rule));
    }
    let is_served = match &rule.action {
        Action::Forward(_) | Action::Redirect(_) => true,
        // What is not there is guarded like what is; what cannot be served as written is not served with conditions.
        Action::Answer(answer) => matches!(answer.status, 404 | 405),
    };
    if is_served {
        rule.traffic = match rule.traffic.take() {
            None => own_traffic.cloned(),
            Some(traffic) => with_own(tenant, Some(traffic)),
        };
    }
    error_handler::apply(tenant.spec, rule);
}

/// What the tenant and its file say of requests and responses, added to what its policy says.
fn with_own(tenant: Object<'_, Tenant>, traffic: Option<Arc<TrafficSpec>>) -> Option<Arc<TrafficSpec>> {
    let traffic = admission::add(tenant.spec, tenant.name(), traffic);
    compression::add(&tenant.spec.settings.compressors, traffic)
}

/// A rule without its key.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) matches: Vec<Match>,
    pub(super) filters: Vec<Filter>,
    pub(super) action: Action,
    pub(super) timeouts: Timeouts,
    /// Where it is written, when that is not where the tenant is.
    pub(super) origin: Option<weir_model::Origin>,
}

impl Draft {
    /// A rule that weir answers itself.
    pub(super) fn answer(matches: Vec<Match>, answer: FixedAnswer) -> Self {
        Self {
            matches,
            filters: Vec::new(),
            action: Action::Answer(answer),
            timeouts: Timeouts::default(),
            origin: None,
        }
    }
}

impl<'a> RuleWriter<'_, 'a> {
    /// What holds for all rules, or the answer of a tenant that cannot be served as written.
    fn common(&mut self) -> Result<Common, FixedAnswer> {
        let spec = balance::spec(self.tenant, self.reporter);
        let filters = filter::sort(self.tenant, self.backends, self.reporter);
        if let Some(reason) = self.tenant.spec.refused {
            let status = if reason == "ScriptsNotSupported" { 501 } else { 500 };
            return Err(fixed(status, reason));
        }
        match spec {
            None => Err(fixed(500, "InvalidPolicy")),
            Some(_) if filters.is_refused => Err(fixed(500, "UnsupportedValue")),
            Some(spec) => Ok(Common { spec, filters }),
        }
    }

    /// The prefix; of a tenant without one, everything.
    pub(super) fn prefix(&self) -> Arc<str> {
        let prefix = self.tenant.spec.path_prefix.as_ref();
        prefix.map_or_else(|| Arc::from(""), |prefix| prefix.value.clone())
    }

    fn prefix_match(&self) -> Match {
        on_path(PathMatch::Prefix(self.prefix()))
    }

    /// `/api` for a tenant under `/api/` (row KT11). Of two that claim it, an exact path precedes.
    fn bare_prefix(&self, drafts: &mut Vec<Draft>) {
        let prefix = self.prefix();
        if prefix.is_empty() {
            return;
        }
        let matches = vec![on_path(PathMatch::Exact(prefix.clone()))];
        match self.tenant.spec.bare_prefix {
            BarePrefix::Match => {}
            BarePrefix::NotFound => drafts.push(Draft::answer(matches, fixed(404, "BarePrefix"))),
            BarePrefix::Redirect => drafts.push(Draft {
                action: Action::Redirect(Redirect {
                    scheme: None,
                    host: None,
                    path: Some(PathRewrite::Full(format!("{prefix}/").into())),
                    port: None,
                    status: 308,
                    is_relative: true,
                }),
                ..Draft::answer(matches, fixed(500, ""))
            }),
        }
    }

    /// The services that can be spoken to; of equal names the first one counts.
    fn services(&mut self) -> Vec<&'a TenantService> {
        let tenant = self.tenant;
        let mut usable: Vec<&'a TenantService> = Vec::new();
        let mut seen: Vec<&'a TenantService> = Vec::new();
        for service in &tenant.spec.services {
            if let Some(first) = seen.iter().find(|first| first.name.value == service.name.value) {
                let place = tenant.origin(first.name.span);
                let message = format!("the tenant has two services with the name {}", service.name.value);
                let finding = Finding::new("E0405", service.name.span, message)
                    .label("this one is ignored")
                    .help(format!(
                        "the first one is at {place}: give one of the two another name"
                    ))
                    .effect("this service gets no requests; the tenant's other services do");
                self.reporter.add(tenant.placed, finding);
                continue;
            }
            seen.push(service);
            if service.url.is_tls {
                let finding = Finding::new("E0408", service.url.span, "TLS to services is not supported yet")
                    .label("needs TLS")
                    .effect("this service gets no requests; nothing is sent to it in the clear");
                self.reporter.add(tenant.placed, finding);
                continue;
            }
            let ip = service
                .url
                .host
                .trim_matches(['[', ']'])
                .parse::<std::net::IpAddr>();
            if let Ok(ip) = ip
                && ip.is_loopback()
                && !self.options.loopback_endpoints
            {
                let finding = crate::translate::endpoint::loopback(ip, service.url.span);
                self.reporter.add(tenant.placed, finding);
                continue;
            }
            usable.push(service);
        }
        usable
    }

    /// The rules of a tenant without routes of its own: marked requests to the canary, the rest to its services.
    fn everything(&mut self, common: &Common, services: Vec<&'a TenantService>, drafts: &mut Vec<Draft>) {
        let tenant = self.tenant;
        if let Some(redirect) = &common.filters.redirect {
            let draft = Draft::answer(vec![self.prefix_match()], fixed(500, ""));
            drafts.push(Draft {
                action: Action::Redirect(redirect.clone()),
                filters: common.filters.rule.clone(),
                ..draft
            });
            return;
        }
        let Division { main, canary } = canary::divide(tenant, services, self.reporter);
        let (percent, marks) = match &tenant.spec.canary {
            Some(written) if !canary.is_empty() => (written.percent, written.marks.as_slice()),
            _ => (0, &[][..]),
        };
        if !marks.is_empty() {
            let prefix = PathMatch::Prefix(self.prefix());
            let matches = marks.iter().map(|mark| canary::marked(prefix.clone(), mark));
            let matches = matches.collect();
            let action = self.forward(common, "canary", &[(&canary, 1)]);
            drafts.push(common.draft(matches, action));
        }
        let parts: &[(&[&TenantService], u64)] = match percent {
            0 => &[(&main, 1)],
            100 => &[(&canary, 1)],
            percent => &[(&main, u64::from(100 - percent)), (&canary, u64::from(percent))],
        };
        let action = self.forward(common, "", parts);
        drafts.push(common.draft(vec![self.prefix_match()], action));
    }

    /// Where requests go: to parts of the services by share, and in each part by weight. `key` tells the backends of
    /// different rules apart, so that one with the same services is the same backend.
    pub(super) fn forward(
        &mut self,
        common: &Common,
        key: &str,
        parts: &[(&[&TenantService], u64)],
    ) -> Action {
        let tenant = self.tenant;
        let parts = parts.iter().filter(|(services, _)| backend::weight(services) > 0);
        let parts: Vec<_> = parts.collect();
        if parts.is_empty() {
            return self.nowhere();
        }
        let mut destinations = Vec::new();
        for (number, (services, share)) in parts.iter().enumerate() {
            let part = match number {
                0 => key,
                _ => "canary",
            };
            let groups = groups(tenant.spec, services.iter().copied());
            if groups.len() > 1 {
                self.report_groups(&common.spec, &groups);
            }
            let total = backend::weight(services);
            for (place, group) in groups.iter().enumerate() {
                let own = match (part, place) {
                    (part, 0) => part.to_owned(),
                    ("", place) => format!("base/{place}"),
                    (part, place) => format!("{part}/base/{place}"),
                };
                overlap::report(tenant, group, self.reporter);
                let weight = backend::weight(&group.services);
                let origin = tenant.origin(group.services[0].span);
                let id = self.backends.add(
                    backend_key(tenant.id(), &own),
                    tenant.id(),
                    &group.services,
                    &common.spec.unwritten_probe,
                    origin,
                );
                destinations.push(Destination {
                    weight: scaled(share * weight, total, parts.len() > 1 || groups.len() > 1),
                    tier: Tier::FIRST,
                    target: Target::Backend(id),
                    filters: filter::rewrite(tenant.spec, &common.filters, group)
                        .into_iter()
                        .collect(),
                });
            }
        }
        Action::Forward(Forward {
            destinations,
            balance: common.spec.balance.clone(),
            upstream: common.spec.upstream.clone(),
            failover: common.spec.settings.failover.failover,
            retry: common.spec.settings.retry.clone(),
            persistence: None,
            policy: common.spec.policy.clone(),
        })
    }

    fn nowhere(&mut self) -> Action {
        let tenant = self.tenant;
        // Services that cannot be used have been reported.
        if tenant.spec.services.is_empty() && !tenant.spec.services_incomplete {
            let finding = Finding::new("W0412", tenant.spec.span, "the tenant has no services");
            self.reporter.add(
                tenant.placed,
                finding
                    .help("add services: [{name: api, url: http://HOST:PORT}]")
                    .effect("all requests of the tenant are answered 503"),
            );
        }
        Action::Answer(fixed(503, "NoServices"))
    }

    /// Several groups cannot share one balancer: their requests differ.
    fn report_groups(&mut self, spec: &TenantSpec, groups: &[backend::Group<'_>]) {
        // Turns are turns over several balancers too, and a key chooses among destinations as among endpoints.
        if matches!(
            spec.balance.algorithm,
            Algorithm::RoundRobin | Algorithm::Random | Algorithm::ConsistentHash(_)
        ) {
            return;
        }
        let url = &groups[1].services[0].url;
        let finding = Finding::new(
            "W0414",
            url.span,
            "services of this tenant have different paths, queries or hosts",
        )
        .effect("requests are spread over them by weight; only services that are alike share a balancer");
        self.reporter.add(self.tenant.placed, finding);
    }
}

impl Common {
    /// A rule with what is common to all.
    pub(super) fn draft(&self, matches: Vec<Match>, action: Action) -> Draft {
        Draft {
            matches,
            filters: self.filters.rule.clone(),
            action,
            timeouts: self.spec.timeouts.clone(),
            origin: None,
        }
    }
}

/// A match of a path and nothing else.
pub(super) fn on_path(path: PathMatch) -> Match {
    Match {
        path,
        method: None,
        headers: Vec::new(),
        query: Vec::new(),
    }
}

/// An answer of weir's own.
pub(super) fn fixed(status: u16, reason: &str) -> FixedAnswer {
    FixedAnswer {
        status,
        reason: reason.into(),
        allow: None,
    }
}

/// `part / total` as a weight; 1 when it stands alone.
fn scaled(part: u64, total: u64, has_siblings: bool) -> Weight {
    if !has_siblings {
        return Weight::ONE;
    }
    // Shares are percents at most, so that the product stays inside the bounds.
    let scale = u64::from(limits::WEIGHT_MAX) / 100;
    let weight = u128::from(part) * u128::from(scale) / u128::from(total.max(1));
    let least = u64::from(part > 0);
    let weight = u64::try_from(weight).unwrap_or(u64::MAX).max(least);
    Weight::new(weight).unwrap_or(Weight::ONE)
}
