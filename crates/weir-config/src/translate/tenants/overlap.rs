//! Services of one address: they become one endpoint, and of what they say differently the first one's word counts.

use super::backend::{self, Group};
use crate::resource::{ServiceCheck, Tenant, TenantService};
use crate::translate::index::Object;
use crate::translate::reporter::Reporter;
use crate::yaml::Finding;

/// Warns of each service that says something else than the first one of its address.
pub(super) fn report(tenant: Object<'_, Tenant>, group: &Group<'_>, reporter: &mut Reporter) {
    for (place, later) in group.services.iter().enumerate() {
        let is_first = |first: &&&TenantService| address(first) == address(later);
        let Some(first) = group.services[..place].iter().find(is_first) else {
            continue;
        };
        let ignored = differences(first, later);
        if ignored.is_empty() {
            continue;
        }
        let (name, other) = (&later.name.value, &first.name.value);
        let message = format!("the services {other} and {name} have the same address");
        let finding = Finding::new("W0415", later.url.span, message)
            .label("one endpoint, which has the weight of both")
            .help(format!(
                "the first one is at {}: say the same in both, or give one of them another address",
                tenant.origin(first.span)
            ))
            .effect(format!("{} of {other} counts for both", ignored.join(" and ")));
        reporter.add(tenant.placed, finding);
    }
}

fn address(service: &TenantService) -> (std::sync::Arc<str>, u16) {
    (backend::host(&service.url), service.url.port.number())
}

/// The keys in which two services differ, besides those that are added up.
fn differences(first: &TenantService, later: &TenantService) -> Vec<&'static str> {
    let path = |service: &TenantService| match &service.check {
        ServiceCheck::Path(path) => Some(path.value.clone()),
        ServiceCheck::Connect | ServiceCheck::Off | ServiceCheck::Unwritten { .. } => None,
    };
    // How without a path: by connecting, or not at all because that is said.
    let without = |service: &TenantService| match service.check {
        ServiceCheck::Connect => Some(true),
        ServiceCheck::Off => Some(false),
        ServiceCheck::Path(_) | ServiceCheck::Unwritten { .. } => None,
    };
    [
        ("health", path(first) != path(later)),
        ("health_type", without(first) != without(later)),
        ("priority", first.tier != later.tier),
        ("max_connections", first.connections_max != later.connections_max),
    ]
    .into_iter()
    .filter_map(|(key, is_different)| is_different.then_some(key))
    .collect()
}
