//! Who serves which host and prefix: the first to claim it, never the last (row KT09).

use std::net::SocketAddr;
use std::sync::Arc;

use weir_model::{HostPattern, Origin};

use super::listener::address;
use crate::hash::QuickMap;
use crate::resource::Tenant;
use crate::translate::index::Object;
use crate::translate::options::Options;
use crate::translate::reporter::Reporter;
use crate::yaml::{Finding, Span};

/// Address, host and prefix.
type Claim = (SocketAddr, HostPattern, Arc<str>);

/// All claims so far.
#[derive(Debug, Default)]
pub(super) struct Claims {
    taken: QuickMap<Claim, (Arc<str>, Origin)>,
}

impl Claims {
    /// The hosts under which a tenant is served: all of its own but those that others have claimed with its prefix.
    pub(super) fn take(
        &mut self,
        tenant: Object<'_, Tenant>,
        options: &Options,
        reporter: &mut Reporter,
    ) -> Vec<HostPattern> {
        let prefix = tenant.spec.path_prefix.as_ref();
        let any = (
            HostPattern::Any,
            prefix.map_or(tenant.spec.span, |prefix| prefix.span),
        );
        let written = tenant.spec.domains.iter();
        let mut wanted: Vec<(HostPattern, Span)> = written
            .map(|domain| (domain.value.clone(), domain.span))
            .collect();
        if wanted.is_empty() {
            wanted.push(any);
        }
        let mut hosts = Vec::with_capacity(wanted.len());
        let text = prefix.map_or_else(|| Arc::from(""), |prefix| prefix.value.clone());
        for (host, span) in wanted {
            let claim = (address(tenant.spec, options), host.clone(), text.clone());
            match self.taken.get(&claim) {
                None => {
                    let owner = (tenant.id().name.clone(), tenant.origin(span));
                    self.taken.insert(claim, owner);
                    hosts.push(host);
                }
                Some((owner, place)) => {
                    reporter.add(tenant.placed, conflict(tenant, &claim, (owner, place), span));
                }
            }
        }
        hosts
    }
}

fn conflict(tenant: Object<'_, Tenant>, claim: &Claim, first: (&str, &Origin), span: Span) -> Finding {
    let (_, host, prefix) = claim;
    let (owner, place) = first;
    let what = match host {
        HostPattern::Any => format!("path {prefix}/"),
        host if prefix.is_empty() => format!("domain {host}"),
        host => format!("domain {host} with path {prefix}/"),
    };
    if owner == tenant.name() {
        let finding = Finding::new("W0106", span, format!("the tenant names {what} twice"));
        return finding.help(format!("the first one is at {place}: remove one of the two"));
    }
    Finding::new("E0406", span, format!("{what} already belongs to tenant {owner}"))
        .label("claimed before")
        .help(format!(
            "{owner} claims it at {place}: give one of the two another domain or prefix"
        ))
        .effect(format!("requests for it go to {owner}"))
}
