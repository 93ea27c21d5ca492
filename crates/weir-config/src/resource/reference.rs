//! References from one object to another, with the API's defaults applied.

use std::sync::Arc;

use weir_model::Port;

use super::decode::{Decoder, Field, Fields};
use super::words;
use crate::yaml::{Span, Spanned};

/// A reference to an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// API group; empty for the core group.
    pub group: Arc<str>,
    /// The kind.
    pub kind: Arc<str>,
    /// The namespace as written; `None` means the referrer's own.
    pub namespace: Option<Spanned<Arc<str>>>,
    /// The name.
    pub name: Spanned<Arc<str>>,
    /// Where the reference starts.
    pub span: Span,
}

/// A reference to a backend: group `""` and kind `Service` unless written otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendReference {
    /// The object.
    pub object: Reference,
    /// The port; always there for a core Service unless the reference is refused.
    pub port: Option<Spanned<Port>>,
}

/// A route's reference to its parent: group `gateway.networking.k8s.io` and kind `Gateway` unless written
/// otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParentReference {
    /// The object.
    pub object: Reference,
    /// Attach to the listener of this name only.
    pub section_name: Option<Spanned<Arc<str>>>,
    /// Attach to listeners on this port only.
    pub port: Option<Spanned<Port>>,
}

impl Reference {
    /// Reads group, kind, namespace and name among other fields.
    pub(super) fn from_fields(
        decoder: &mut Decoder,
        fields: &Fields<'_>,
        (group, kind): (&'static str, &'static str),
    ) -> Option<Self> {
        let word =
            |decoder: &mut Decoder, name: &'static str, default: &'static str| match fields.optional(name) {
                Some(field) => decoder.text(field).map(|text| text.value),
                None => Some(words::shared(default)),
            };
        let group = word(decoder, "group", group);
        let kind = word(decoder, "kind", kind);
        let namespace = fields.optional("namespace").map(|field| decoder.name(field));
        let name = fields
            .required(decoder, "name")
            .and_then(|field| decoder.name(field));
        let namespace = match namespace {
            Some(written) => Some(written?),
            None => None,
        };
        Some(Self {
            group: group?,
            kind: kind?,
            namespace,
            name: name?,
            span: fields.span(),
        })
    }

    /// Reads a reference that has no other fields.
    pub(super) fn decode(
        decoder: &mut Decoder,
        field: Field<'_>,
        default: (&'static str, &'static str),
    ) -> Option<Self> {
        let fields = decoder.fields(field, &REFERENCE_FIELDS)?;
        Self::from_fields(decoder, &fields, default)
    }

    /// A reference that could not be read; what holds it is refused.
    pub(super) fn unreadable(span: Span) -> Self {
        let empty = words::shared("");
        Self {
            group: empty.clone(),
            kind: empty.clone(),
            namespace: None,
            name: Spanned::new(empty, span),
            span,
        }
    }
}

impl BackendReference {
    /// Reads the reference among other fields. A core Service needs a port (Gateway API `BackendObjectReference`).
    pub(super) fn from_fields(decoder: &mut Decoder, fields: &Fields<'_>) -> Option<Self> {
        let object = Reference::from_fields(decoder, fields, ("", "Service"));
        let port = fields.optional("port").map(|field| decoder.port(field));
        let (object, port) = (object?, port.map_or(Some(None), |read| read.map(Some))?);
        if port.is_none() && object.group.is_empty() && *object.kind == *"Service" {
            let message = format!(
                "the reference to Service \"{}\" has no \"port\"",
                object.name.value
            );
            decoder.conflict(
                object.name.span,
                message,
                "add the Service's port: a number, not the targetPort",
            );
            return None;
        }
        Some(Self { object, port })
    }
}

impl ParentReference {
    /// Reads one entry of `parentRefs`.
    pub(super) fn decode(decoder: &mut Decoder, field: Field<'_>) -> Option<Self> {
        let known = ["group", "kind", "namespace", "name", "sectionName", "port"];
        let vital = ["group", "kind", "namespace", "sectionName", "port"];
        let fields = decoder.fields_with_vital(field, &known, vital)?;
        let object = Reference::from_fields(decoder, &fields, ("gateway.networking.k8s.io", "Gateway"));
        let section_name = fields.optional("sectionName").map(|field| decoder.name(field));
        let port = fields.optional("port").map(|field| decoder.port(field));
        if fields.has_misspelt() {
            return None;
        }
        Some(Self {
            object: object?,
            section_name: section_name.map_or(Some(None), |read| read.map(Some))?,
            port: port.map_or(Some(None), |read| read.map(Some))?,
        })
    }
}

const REFERENCE_FIELDS: [&str; 4] = ["group", "kind", "namespace", "name"];

impl ParentReference {
    /// The listener named, if any.
    pub fn section(&self) -> Option<&Arc<str>> {
        self.section_name.as_ref().map(|section| &section.value)
    }

    /// What tells the object that it names from others, whatever the section.
    pub(super) fn object_key(&self) -> [Option<&str>; 4] {
        let Reference {
            group,
            kind,
            namespace,
            name,
            ..
        } = &self.object;
        [
            Some(group),
            Some(kind),
            namespace.as_ref().map(|written| &*written.value),
            Some(&name.value),
        ]
    }
}
