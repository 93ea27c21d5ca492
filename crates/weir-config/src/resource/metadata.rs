//! What every object has: names, labels, age, and its place.

use std::collections::BTreeMap;
use std::sync::Arc;

use weir_model::{ObjectName, Origin, Problem};

use super::{
    Backend, EndpointSlice, Endpoints, Gateway, GatewayClass, HttpRoute, Namespace, Policy, ReferenceGrant,
    Service, Unserved,
};
use crate::yaml::{Finding, Span, Spanned};

/// Labels or annotations.
pub type Labels = BTreeMap<Arc<str>, Arc<str>>;

/// One object as written. Spans are relative to its document.
///
/// A resource whose document did not change keeps its allocation over reloads: compare with [`Arc::ptr_eq`].
#[derive(Clone, Debug, PartialEq)]
pub struct Resource {
    /// Kind, namespace (empty for cluster-scoped kinds) and name.
    pub object: ObjectName,
    /// `apiVersion` as written.
    pub api_version: Arc<str>,
    /// What every object has.
    pub metadata: Metadata,
    /// What only this kind has.
    pub body: Body,
    /// Something in it is an error, already reported. What could be kept was kept, and the parts that could
    /// not are marked (`refused`); an API server would refuse the object as a whole.
    pub faulty: bool,
    /// Where the object starts.
    pub span: Span,
}

/// What every object has.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metadata {
    /// `metadata.name`.
    pub name: Spanned<Arc<str>>,
    /// `metadata.labels`.
    pub labels: Labels,
    /// `metadata.annotations`.
    pub annotations: Labels,
    /// `metadata.creationTimestamp` in seconds since the epoch; `None` in files that do not say.
    pub created: Option<i64>,
    /// `metadata.generation`; 0 in files that do not say.
    pub generation: i64,
}

/// What only one kind has.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// `gateway.networking.k8s.io` GatewayClass.
    GatewayClass(GatewayClass),
    /// `gateway.networking.k8s.io` Gateway.
    Gateway(Gateway),
    /// `gateway.networking.k8s.io` HTTPRoute.
    HttpRoute(HttpRoute),
    /// `gateway.networking.k8s.io` ReferenceGrant.
    ReferenceGrant(ReferenceGrant),
    /// Core Service.
    Service(Service),
    /// Core Namespace; its labels are in [`Metadata::labels`].
    Namespace(Namespace),
    /// `discovery.k8s.io/v1` EndpointSlice.
    EndpointSlice(EndpointSlice),
    /// Core Endpoints.
    Endpoints(Endpoints),
    /// `gateway.envoyproxy.io` Backend.
    Backend(Backend),
    /// `gateway.envoyproxy.io` BackendTrafficPolicy.
    BackendTrafficPolicy(Policy),
    /// `weir.dev` TrafficPolicy: the same shape as BackendTrafficPolicy plus weir's own fields.
    TrafficPolicy(Policy),
    /// `gateway.envoyproxy.io` ClientTrafficPolicy.
    ClientTrafficPolicy(Policy),
    /// A kind that weir knows but does not serve.
    Unserved(Unserved),
}

/// A resource and where its document is now.
#[derive(Clone, Debug)]
pub struct Placed {
    /// The resource; the same allocation as before the reload when its document did not change.
    pub resource: Arc<Resource>,
    /// The file as the user named it.
    pub file: Arc<str>,
    /// The line of the file on which the document starts, from 1.
    pub first_line: u32,
}

impl Placed {
    /// The place in the file of something in this resource.
    pub fn origin(&self, span: Span) -> Origin {
        let line = if span.line == 0 {
            0
        } else {
            self.first_line.saturating_add(span.line - 1)
        };
        Origin::new(self.file.clone(), line, span.column)
    }

    /// The problem that a finding about this resource is.
    pub fn problem(&self, finding: Finding) -> Problem {
        let origin = self.origin(finding.span);
        Problem {
            object: Some(self.resource.object.clone()),
            ..finding.at(origin)
        }
    }
}
