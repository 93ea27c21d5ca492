//! What every object has: names, labels, age, and its place.

use std::collections::BTreeMap;
use std::sync::Arc;

use weir_model::{ObjectName, Origin, Problem};

use super::decode::{Decoder, Field};
use super::{
    Backend, BackendTlsPolicy, ConfigMap, EndpointSlice, Endpoints, Gateway, GatewayClass, HttpRoute,
    Namespace, Policy, ReferenceGrant, Service, Tenant, Unserved, format,
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
    /// The annotation `weir.dev/weight`: how much endpoints take, and where that is written.
    pub weight: Option<Spanned<Arc<str>>>,
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
    /// Core ConfigMap.
    ConfigMap(ConfigMap),
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
    /// `gateway.networking.k8s.io` BackendTLSPolicy, which is not served: what it names is refused.
    BackendTlsPolicy(BackendTlsPolicy),
    /// One tenant of a tenants file; the object's kind is `Tenant`.
    Tenant(Box<Tenant>),
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

/// Says how much endpoints take of a Service's or Backend's requests.
const WEIGHT_ANNOTATION: &str = "weir.dev/weight";

/// Fields of `metadata`; those after `generation` are the API server's and mean nothing to weir.
const METADATA_FIELDS: [&str; 15] = [
    "name",
    "namespace",
    "labels",
    "annotations",
    "creationTimestamp",
    "generation",
    "generateName",
    "uid",
    "resourceVersion",
    "managedFields",
    "ownerReferences",
    "finalizers",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "selfLink",
];

/// Reads `metadata`; the namespace comes with it.
pub(super) fn decode(
    decoder: &mut Decoder,
    field: Field<'_>,
) -> Option<(Metadata, Option<Spanned<Arc<str>>>)> {
    let fields = decoder.fields(field, &METADATA_FIELDS)?;
    let name = fields
        .required(decoder, "name")
        .and_then(|field| decoder.name(field));
    let namespace = match fields.optional("namespace") {
        Some(field) => Some(decoder.name(field)?),
        None => None,
    };
    let mut metadata = Metadata {
        name: name?,
        ..Metadata::default()
    };
    if let Some(field) = fields.optional("labels") {
        metadata.labels = labels(decoder, field);
    }
    if let Some(field) = fields.optional("annotations") {
        metadata.annotations = labels(decoder, field);
        let written = field.node.entry(WEIGHT_ANNOTATION);
        metadata.weight = written.and_then(|entry| {
            let value = metadata.annotations.get(WEIGHT_ANNOTATION)?;
            Some(Spanned::new(value.clone(), entry.node.span))
        });
    }
    if let Some(field) = fields.optional("creationTimestamp")
        && let Some(text) = decoder.text(field)
    {
        metadata.created = format::timestamp(&text);
        if metadata.created.is_none() {
            let message = format!("\"{}\" is not a time", text.value);
            let finding = Finding::new("W0102", text.span, message).label("counts as unknown");
            decoder.report(finding.help("write it as 2024-01-31T12:00:00Z"));
        }
    }
    if let Some(field) = fields.optional("generation") {
        metadata.generation = decoder
            .integer(field, 0..=i64::MAX)
            .map_or(0, |number| number.value);
    }
    Some((metadata, namespace))
}

/// Reads a mapping of text to text.
pub(super) fn labels(decoder: &mut Decoder, field: Field<'_>) -> Labels {
    texts(decoder, field, "a label's value")
}

/// Texts by name; `what` each of them is, for messages.
pub(super) fn texts(decoder: &mut Decoder, field: Field<'_>, what: &'static str) -> Labels {
    let Some(fields) = decoder.any_fields(field) else {
        return Labels::new();
    };
    let mut texts = Labels::new();
    for entry in fields.entries().iter().filter(|entry| !entry.node.is_null()) {
        if let Some(text) = decoder.text(Field::new(what, &entry.node)) {
            texts.insert(entry.key.clone(), text.value);
        }
    }
    texts
}
