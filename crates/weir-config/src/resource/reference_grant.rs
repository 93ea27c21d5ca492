//! `gateway.networking.k8s.io` `ReferenceGrant`: leave to refer into its namespace.

use std::sync::Arc;

use super::decode::{Decoder, Field};

/// Every `from` may refer to every `to` in the grant's own namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReferenceGrant {
    /// Who may refer.
    pub from: Vec<GrantFrom>,
    /// To what.
    pub to: Vec<GrantTo>,
}

/// Who may refer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantFrom {
    /// API group; empty for the core group.
    pub group: Arc<str>,
    /// Kind of the referrer.
    pub kind: Arc<str>,
    /// Namespace of the referrer.
    pub namespace: Arc<str>,
}

/// What may be referred to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantTo {
    /// API group; empty for the core group.
    pub group: Arc<str>,
    /// Kind of the object.
    pub kind: Arc<str>,
    /// Name of the object; `None` for all of that kind.
    pub name: Option<Arc<str>>,
}

/// Reads `spec`.
pub(super) fn decode(decoder: &mut Decoder, spec: Field<'_>) -> Option<ReferenceGrant> {
    let fields = decoder.fields(spec, &["from", "to"])?;
    let (from, to) = (fields.required(decoder, "from"), fields.required(decoder, "to"));
    let (from, to) = (decoder.items(from?, 16), decoder.items(to?, 16));
    let mark = decoder.mark();
    let from = from
        .into_iter()
        .filter_map(|item| grant_from(decoder, item))
        .collect();
    let to = to
        .into_iter()
        .filter_map(|item| grant_to(decoder, item))
        .collect();
    decoder.effect_since(mark, "this entry grants nothing");
    Some(ReferenceGrant { from, to })
}

fn grant_from(decoder: &mut Decoder, item: Field<'_>) -> Option<GrantFrom> {
    let fields = decoder.fields(item, &["group", "kind", "namespace"])?;
    let group = fields
        .required(decoder, "group")
        .and_then(|field| decoder.text(field));
    let kind = fields
        .required(decoder, "kind")
        .and_then(|field| decoder.nonempty(field));
    let namespace = fields
        .required(decoder, "namespace")
        .and_then(|field| decoder.name(field));
    Some(GrantFrom {
        group: group?.value,
        kind: kind?.value,
        namespace: namespace?.value,
    })
}

fn grant_to(decoder: &mut Decoder, item: Field<'_>) -> Option<GrantTo> {
    let fields = decoder.fields_with_vital(item, &["group", "kind", "name"], ["name"])?;
    let group = fields
        .required(decoder, "group")
        .and_then(|field| decoder.text(field));
    let kind = fields
        .required(decoder, "kind")
        .and_then(|field| decoder.nonempty(field));
    // An unreadable name must not widen the grant to all names.
    if fields.has_misspelt() {
        return None;
    }
    let name = match fields.optional("name") {
        Some(field) => Some(decoder.name(field)?.value),
        None => None,
    };
    Some(GrantTo {
        group: group?.value,
        kind: kind?.value,
        name,
    })
}
