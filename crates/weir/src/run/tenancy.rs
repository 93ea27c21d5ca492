//! The tenants in force, as their files have them, and how their services are.

use std::collections::BTreeSet;
use std::sync::Arc;

use weir_admin::{ServiceState, TenantState};
use weir_config::resource::{Body, Resource, ResourceSet, ServiceCheck, ServiceUrl, Tenant, TenantService};
use weir_model::{Config, EndpointAddress, ObjectName};
use weir_proxy::{BackendReport, EndpointStanding, MemberReport};

use super::words;

/// Where tenants are told of when no file says.
const BASE: &str = "/admin";

/// What is written of tenants.
#[derive(Debug, Default)]
pub(crate) struct Tenancy {
    resources: Vec<Arc<Resource>>,
    bases: Vec<String>,
}

impl Tenancy {
    /// The tenants among some resources.
    pub(super) fn of(set: &ResourceSet) -> Arc<Self> {
        let resources: Vec<Arc<Resource>> = set
            .objects
            .iter()
            .filter(|placed| matches!(placed.resource.body, Body::Tenant(_)))
            .map(|placed| Arc::clone(&placed.resource))
            .collect();
        let written = resources.iter().filter_map(|resource| {
            let base = &tenant(resource)?.settings.admin_base_path;
            base.as_ref().map(|base| base.value.to_string())
        });
        let bases: BTreeSet<String> = written.chain([BASE.to_owned()]).collect();
        Arc::new(Self {
            bases: bases.into_iter().collect(),
            resources,
        })
    }

    /// Base paths of what is told of them, without a slash at their end.
    pub(super) fn bases(&self) -> Vec<String> {
        if self.bases.is_empty() {
            return vec![BASE.to_owned()];
        }
        self.bases.clone()
    }

    /// How they are.
    pub(super) fn states(&self, config: &Config, backends: &[BackendReport]) -> Vec<TenantState> {
        let state = |resource: &Arc<Resource>| {
            let tenant = tenant(resource)?;
            let members = members(&resource.object, config, backends);
            Some(TenantState {
                name: resource.object.name.to_string(),
                domains: tenant
                    .domains
                    .iter()
                    .map(|domain| domain.value.to_string())
                    .collect(),
                path_prefix: tenant
                    .path_prefix
                    .as_ref()
                    .map(|prefix| format!("{}/", prefix.value)),
                services: tenant
                    .services
                    .iter()
                    .map(|service| service_state(service, &members))
                    .collect(),
            })
        };
        self.resources.iter().filter_map(state).collect()
    }
}

fn tenant(resource: &Resource) -> Option<&Tenant> {
    match &resource.body {
        Body::Tenant(tenant) => Some(tenant),
        _ => None,
    }
}

/// The endpoints of all backends that a tenant became.
fn members<'b>(object: &ObjectName, config: &Config, backends: &'b [BackendReport]) -> Vec<&'b MemberReport> {
    let is_its = |report: &&BackendReport| {
        let found = config
            .backends
            .binary_search_by(|backend| backend.key.cmp(&report.key));
        found.is_ok_and(|index| config.backends[index].object == *object)
    };
    let its = backends.iter().filter(is_its);
    its.flat_map(|backend| &backend.endpoints).collect()
}

fn service_state(service: &TenantService, members: &[&MemberReport]) -> ServiceState {
    let address = address(&service.url);
    let is_its = |member: &&&MemberReport| {
        let is_same_place = match &member.address {
            EndpointAddress::Tcp(found) => Some(found.to_string()) == address,
            EndpointAddress::Unix(_) => false,
        };
        // Services with the same address are one endpoint, with the name of one of them.
        *member.name == *service.name.value || is_same_place
    };
    let its: Vec<&MemberReport> = members.iter().filter(is_its).copied().collect();
    let best = its.iter().max_by_key(|member| member.standing);
    let last_check = its.iter().flat_map(|member| &member.probes);
    let last_check = last_check
        .filter_map(|probe| probe.last)
        .map(|last| last.unix_ms)
        .max();
    ServiceState {
        name: service.name.value.to_string(),
        url: url_text(&service.url),
        health: match &service.check {
            ServiceCheck::Path(path) => Some(path.value.to_string()),
            ServiceCheck::Connect => Some("tcp".to_owned()),
            ServiceCheck::Off | ServiceCheck::Unwritten { .. } => None,
        },
        status: match best {
            None => "unknown".to_owned(),
            Some(best) if best.standing == EndpointStanding::Serving => "healthy".to_owned(),
            Some(best) => best.standing.word().to_owned(),
        },
        last_check_unix_ms: last_check,
        cause: best.map(|best| words::cause(best)).unwrap_or_default(),
    }
}

/// The only address of a URL, as endpoints have it; `None` when it is a name.
fn address(url: &ServiceUrl) -> Option<String> {
    let host = match &*url.host {
        "localhost" => "127.0.0.1",
        host => host,
    };
    let is_address = host.parse::<std::net::Ipv4Addr>().is_ok() || host.starts_with('[');
    is_address.then(|| format!("{host}:{}", url.port.number()))
}

/// Without the query, which may hold a secret.
fn url_text(url: &ServiceUrl) -> String {
    let scheme = if url.is_tls { "https" } else { "http" };
    let query = if url.query.is_some() { "?(hidden)" } else { "" };
    format!("{scheme}://{}{}{query}", url.authority(), url.path)
}
