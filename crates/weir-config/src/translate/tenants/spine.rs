//! The stops of translating tenants, in their order.

use std::sync::Arc;

use weir_model::{Backend, BackendId, Listener, ObjectName, Route, RouteId};

use super::backend::TenantBackends;
use super::claim::Claims;
use super::rule::RuleWriter;
use super::unchecked::Unchecked;
use super::{listener, rule};
use crate::resource::Tenant;
use crate::translate::index::{Index, Object};
use crate::translate::number::{self, RouteDraft};
use crate::translate::options::Options;
use crate::translate::reporter::Reporter;

/// What every key of a tenant's backend begins with.
const KEY_PREFIX: &str = "tenant/";

/// The parts of a `Config` that tenants are added to: routes and backends go behind what is there.
pub(crate) struct Parts<'p> {
    pub(crate) listeners: &'p mut Vec<Arc<Listener>>,
    pub(crate) routes: &'p mut Vec<Arc<Route>>,
    pub(crate) backends: &'p mut Vec<Arc<Backend>>,
}

/// Whether a backend is a tenant's.
pub(crate) fn is_tenant_backend(backend: &Backend) -> bool {
    backend.key.starts_with(KEY_PREFIX)
}

/// Adds all tenants.
pub(crate) fn write(index: &Index<'_>, options: &Options, parts: Parts<'_>, reporter: &mut Reporter) {
    if index.tenants.is_empty() {
        return;
    }
    let mut claims = Claims::default();
    let mut backends = TenantBackends::default();
    let mut unchecked = Unchecked::default();
    let mut written: Vec<(Object<'_, Tenant>, Vec<_>, Route)> = Vec::new();
    for tenant in index.tenants.iter().copied() {
        if tenant.spec.unreachable || tenant.spec.settings.refused {
            continue;
        }
        let hosts = claims.take(tenant, options, reporter);
        if hosts.is_empty() {
            continue;
        }
        unchecked.note(tenant);
        let writer = RuleWriter {
            tenant,
            options,
            backends: &mut backends,
            reporter,
        };
        let route = Route {
            object: tenant.id().clone(),
            created: None,
            rules: rule::write(writer),
            origin: tenant.origin(tenant.spec.span),
        };
        written.push((tenant, hosts, route));
    }
    unchecked.report(reporter);
    written.sort_by(|left, right| left.2.object.cmp(&right.2.object));
    let (list, ids) = backends.finish(BackendId(parts.backends.len() as u32));
    parts.backends.extend(list);
    let first = parts.routes.len() as u32;
    let mut attached = Vec::with_capacity(written.len());
    let mut routes = Vec::with_capacity(written.len());
    for (place, (tenant, hosts, route)) in (0..).zip(written) {
        attached.push((tenant, RouteId(first + place), hosts));
        routes.push(RouteDraft::New(route));
    }
    parts.routes.extend(number::numbered(routes, &ids));
    listener::write(attached, options, parts.listeners, reporter);
}

/// The key of a backend: the tenant, and what of it.
pub(super) fn backend_key(tenant: &ObjectName, part: &str) -> Arc<str> {
    match part {
        "" => format!("{KEY_PREFIX}{}", tenant.name).into(),
        part => format!("{KEY_PREFIX}{}/{part}", tenant.name).into(),
    }
}
