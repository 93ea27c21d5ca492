//! Canaries: rules before the tenant's own for marked requests, and a share of the rest (row KT32).

use std::sync::Arc;

use weir_model::{HeaderMatch, Match, PathMatch, ValueMatch};

use crate::nearest::nearest;
use crate::resource::{CanaryMark, Tenant, TenantService};
use crate::translate::index::Object;
use crate::translate::reporter::Reporter;
use crate::yaml::Finding;

/// A tenant's services, divided.
pub(super) struct Division<'a> {
    /// Those that get the requests without mark.
    pub(super) main: Vec<&'a TenantService>,
    /// Those of the canary; empty when there is none.
    pub(super) canary: Vec<&'a TenantService>,
}

/// Divides the services. Names of a canary that no service has are reported.
pub(super) fn divide<'a>(
    tenant: Object<'a, Tenant>,
    services: Vec<&'a TenantService>,
    reporter: &mut Reporter,
) -> Division<'a> {
    let Some(canary) = &tenant.spec.canary else {
        return Division {
            main: services,
            canary: Vec::new(),
        };
    };
    for name in &canary.services {
        if !tenant.spec.services.iter().any(|service| *service.name == **name) {
            report_unknown(tenant, name, "the canary goes without it", reporter);
        }
    }
    let is_canary = |service: &&TenantService| {
        canary
            .services
            .iter()
            .any(|name| name.value == service.name.value)
    };
    let (canary, main) = services.into_iter().partition(is_canary);
    Division { main, canary }
}

/// A service that a canary or route names does not exist.
pub(super) fn report_unknown(
    tenant: Object<'_, Tenant>,
    name: &crate::yaml::Spanned<Arc<str>>,
    effect: &str,
    reporter: &mut Reporter,
) {
    let message = format!("the tenant has no service \"{}\"", name.value);
    let finding = Finding::new("E0413", name.span, message).effect(effect);
    let names = tenant.spec.services.iter().map(|service| &*service.name.value);
    reporter.add(
        tenant.placed,
        match nearest(&name.value, names) {
            Some(meant) => finding.help(format!("did you mean {meant}?")),
            None => finding.help("name one of its services"),
        },
    );
}

/// The match of the canary's requests: a header, or a cookie inside the `Cookie` header (RFC 6265 4.2.1).
pub(super) fn marked(path: PathMatch, mark: &CanaryMark) -> Match {
    let (name, value) = match mark {
        CanaryMark::Header(name, Some(value)) => (name.clone(), ValueMatch::Exact(value.clone())),
        CanaryMark::Header(name, None) => (name.clone(), ValueMatch::Regex(".*".into())),
        CanaryMark::Cookie(name, value) => {
            let value = value.as_deref().map_or_else(|| "[^;]*".to_owned(), escaped);
            let pattern = format!("(?:.*;)?[ \\t]*{}={value}[ \\t]*(?:;.*)?", escaped(name));
            (Arc::from("cookie"), ValueMatch::Regex(pattern.into()))
        }
    };
    Match {
        path,
        method: None,
        headers: vec![HeaderMatch { name, value }],
        query: Vec::new(),
    }
}

/// The text as a regular expression that matches nothing else.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for letter in text.chars() {
        if r"\.+*?()|[]{}^$#&-~".contains(letter) {
            out.push('\\');
        }
        out.push(letter);
    }
    out
}
