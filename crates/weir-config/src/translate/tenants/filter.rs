//! What is done to a tenant's requests and responses, and the form in which services get requests.

use std::sync::Arc;

use weir_model::{Filter, IdentityFields, PathRewrite, Redirect, Rewrite};

use super::backend::{Group, TenantBackends};
use super::spine::backend_key;
use crate::resource::{HttpFilter, Tenant};
use crate::translate::filter::{self, FilterOutcome};
use crate::translate::index::Object;
use crate::translate::reporter::Reporter;
use crate::yaml::Finding;

/// The filters of a tenant, sorted.
#[derive(Clone, Debug, Default)]
pub(super) struct TenantFilterSet {
    /// Those that hold for every rule.
    pub(super) rule: Vec<Filter>,
    /// The tenant's own rewrite; it is joined with what the services' URLs say.
    pub(super) rewrite: Option<Rewrite>,
    /// Nothing is forwarded at all.
    pub(super) redirect: Option<Redirect>,
    /// One of them cannot be served, so nothing is.
    pub(super) is_refused: bool,
}

/// Sorts the filters.
pub(super) fn sort(
    tenant: Object<'_, Tenant>,
    backends: &mut TenantBackends,
    reporter: &mut Reporter,
) -> TenantFilterSet {
    let settings = &tenant.spec.settings;
    let identity = IdentityFields {
        forwarded_host: true,
        forwarded_port: true,
        real_ip: true,
        forwarded: settings.forwarded,
        resets_untrusted: true,
        response_request_id: settings.response_request_id,
    };
    let mut set = TenantFilterSet {
        rule: vec![Filter::Identity(identity)],
        ..TenantFilterSet::default()
    };
    for written in &tenant.spec.filters.list {
        if let HttpFilter::Rewrite(rewrite) = &written.value {
            set.rewrite = Some(rewrite.clone());
            continue;
        }
        let (what, help) = match filter::write(&written.value) {
            FilterOutcome::Filter(filter) => {
                set.rule.push(filter);
                continue;
            }
            FilterOutcome::Redirect(redirect) => {
                set.redirect = Some(redirect);
                continue;
            }
            FilterOutcome::Mirror(_) => (
                "RequestMirror names a Service, which tenants do not have".to_string(),
                "write mirror: {url: http://HOST:PORT, percent: 10} beside filters",
            ),
            FilterOutcome::Unserved { what, help } => (what, help),
        };
        set.is_refused = true;
        let finding = Finding::new("E0250", written.span, what)
            .label("a filter must not be skipped")
            .help(help)
            .effect("all requests of the tenant are answered 500");
        reporter.add(tenant.placed, finding);
    }
    if let Some((url, fraction)) = &tenant.spec.filters.mirror {
        if url.is_tls {
            let finding = Finding::new("E0408", url.span, "TLS to services is not supported yet")
                .label("needs TLS")
                .effect("nothing is mirrored; the requests themselves are served");
            reporter.add(tenant.placed, finding);
        } else {
            let key = backend_key(tenant.id(), "mirror");
            let backend = backends.add_url(key, tenant.id(), url, tenant.origin(url.span));
            set.rule.push(filter::mirror(backend, *fraction));
        }
    }
    set
}

/// The rewrite that brings a request into the form that a group of services wants: the prefix goes (row KT10), the
/// path and query of their URL come first (row KT12), and perhaps another `Host` (row KT14).
pub(super) fn rewrite(tenant: &Tenant, set: &TenantFilterSet, group: &Group<'_>) -> Option<Filter> {
    let url = &group.services[0].url;
    let prefix = tenant.path_prefix.as_ref().map_or("", |prefix| &prefix.value);
    let own = set.rewrite.as_ref();
    let joined = |path: &str| -> Arc<str> { format!("{}/{}", url.path, path.trim_start_matches('/')).into() };
    let path = match own.and_then(|own| own.path.as_ref()) {
        Some(PathRewrite::Full(path)) => Some(PathRewrite::Full(joined(path))),
        Some(PathRewrite::Prefix(path) | PathRewrite::Start { to: path, .. }) => Some(PathRewrite::Start {
            from: prefix.into(),
            to: joined(path),
        }),
        None if tenant.strip_prefix => {
            (!prefix.is_empty() || !url.path.is_empty()).then(|| PathRewrite::Start {
                from: prefix.into(),
                to: url.path.clone(),
            })
        }
        None => (!url.path.is_empty()).then(|| PathRewrite::Start {
            from: "".into(),
            to: url.path.clone(),
        }),
    };
    let host = own
        .and_then(|own| own.host.clone())
        .or_else(|| group.host.clone());
    let rewrite = Rewrite {
        host,
        path,
        query: url.query.clone(),
    };
    let is_needed = rewrite.host.is_some() || rewrite.path.is_some() || rewrite.query.is_some();
    is_needed.then_some(Filter::Rewrite(rewrite))
}
