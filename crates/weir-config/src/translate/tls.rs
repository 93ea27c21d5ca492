//! What must be spoken to over TLS, which weir cannot do yet: it is refused, because bytes meant for TLS are never
//! sent in the clear.

use super::backend::ENVOY_GATEWAY_GROUP;
use super::index::Object;
use crate::hash::QuickMap;
use crate::resource::{BackendReference, BackendTlsPolicy, TlsTarget};
use crate::yaml::Finding;

/// The targets of all BackendTLSPolicies.
#[derive(Debug, Default)]
pub(crate) struct TlsTargets<'a> {
    /// By kind, namespace and name.
    by_name: QuickMap<(&'a str, &'a str, &'a str), Vec<Claim<'a>>>,
}

type Claim<'a> = (Object<'a, BackendTlsPolicy>, &'a TlsTarget);

impl<'a> TlsTargets<'a> {
    /// Adds what a policy names: Services, and Envoy Gateway's Backends.
    pub(crate) fn add(&mut self, policy: Object<'a, BackendTlsPolicy>) {
        for target in &policy.spec.targets {
            if matches!(
                (&*target.group, &*target.kind),
                ("", "Service") | (ENVOY_GATEWAY_GROUP, "Backend")
            ) {
                let key = (&*target.kind, policy.namespace(), &*target.name);
                self.by_name.entry(key).or_default().push((policy, target));
            }
        }
    }

    /// Why what a reference leads to is not served, if a policy asks for TLS. `port` is the name of a Service's port.
    pub(crate) fn refusal<T>(
        &self,
        object: Object<'_, T>,
        port: Option<&str>,
        reference: &BackendReference,
    ) -> Option<Finding> {
        let key = (&*object.id().kind, object.namespace(), object.name());
        let (policy, _) = self.by_name.get(&key)?.iter().find(|(_, target)| {
            let section = target.section_name.as_deref();
            section.is_none() || port.is_none() || section == port
        })?;
        let message = format!("{} needs TLS, which is not served yet", object.id());
        let place = policy.origin(policy.placed.resource.span);
        let help = format!("{} at {place} asks for it", policy.id());
        let finding = Finding::new("E0229", reference.object.name.span, message);
        Some(finding.label("not spoken to in the clear").help(help))
    }
}
