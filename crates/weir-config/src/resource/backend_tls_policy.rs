//! `gateway.networking.k8s.io` `BackendTLSPolicy`: not served, but read as far as it says what must not be spoken
//! to in the clear.

use std::sync::Arc;

use super::decode::{Decoder, Field};
use super::words;

/// What must be spoken to over TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackendTlsPolicy {
    /// `targetRefs`, and `targetRef` of older versions.
    pub targets: Vec<TlsTarget>,
}

/// An object in the policy's own namespace that it applies to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsTarget {
    /// API group; empty for the core group.
    pub group: Arc<str>,
    /// The kind.
    pub kind: Arc<str>,
    /// The name.
    pub name: Arc<str>,
    /// The name of a Service's port; `None` means all of them.
    pub section_name: Option<Arc<str>>,
}

/// Reads the targets of `spec`; how TLS is to be spoken is not looked at.
pub(super) fn decode(decoder: &mut Decoder, spec: Field<'_>) -> Option<BackendTlsPolicy> {
    let fields = decoder.any_fields(spec)?;
    let mark = decoder.mark();
    let listed = match fields.optional("targetRef") {
        Some(_) => fields.optional("targetRefs"),
        None => fields.required(decoder, "targetRefs"),
    };
    let listed = listed.map(|field| decoder.items(field, 16)).unwrap_or_default();
    let targets = fields
        .optional("targetRef")
        .into_iter()
        .chain(listed)
        .filter_map(|item| target(decoder, item))
        .collect();
    decoder.effect_since(mark, "what it should name may be spoken to in the clear");
    Some(BackendTlsPolicy { targets })
}

fn target(decoder: &mut Decoder, item: Field<'_>) -> Option<TlsTarget> {
    let fields = decoder.fields(item, &["group", "kind", "name", "sectionName", "namespace"])?;
    let group = fields.optional("group").and_then(|field| decoder.text(field));
    let kind = fields
        .required(decoder, "kind")
        .and_then(|field| decoder.nonempty(field));
    let name = fields
        .required(decoder, "name")
        .and_then(|field| decoder.name(field));
    // Without a readable port all of them are meant: rather too few are served than one in the clear.
    let section_name = fields
        .optional("sectionName")
        .and_then(|field| decoder.name(field));
    Some(TlsTarget {
        group: group.map_or_else(|| words::shared(""), |group| group.value),
        kind: kind?.value,
        name: name?.value,
        section_name: section_name.map(|name| name.value),
    })
}
