//! What every object begins with: its kind and its name.

use std::sync::Arc;

use weir_model::ObjectName;

use super::decode::{Decoder, Field, Fields};
use super::kinds::{self, Kind};
use super::{Metadata, metadata, tenants, words};
use crate::nearest::nearest;
use crate::yaml::{Finding, Node, Span};

/// An object whose kind has been read.
pub(super) struct Opened<'n> {
    pub(super) root: &'n Node,
    pub(super) fields: Fields<'n>,
    pub(super) api_version: Arc<str>,
    pub(super) kind: Arc<str>,
    pub(super) kind_span: Span,
}

impl Opened<'_> {
    /// Whether it holds other objects.
    pub(super) fn is_list(&self) -> bool {
        *self.api_version == *"v1" && *self.kind == *"List"
            || self.kind.ends_with("List") && self.fields.optional("items").is_some()
    }

    /// Group and version.
    fn group(&self) -> (&str, &str) {
        self.api_version
            .split_once('/')
            .unwrap_or(("", &self.api_version))
    }
}

/// Reads what every object begins with; `None` for what is no object.
pub(super) fn open<'n>(decoder: &mut Decoder, root: &'n Node) -> Option<Opened<'n>> {
    let fields = decoder.any_fields(Field::new("the document", root))?;
    if fields
        .optional("apiVersion")
        .or(fields.optional("kind"))
        .is_none()
    {
        let finding = Finding::new(
            "E0102",
            root.span,
            "the document has neither \"apiVersion\" nor \"kind\"",
        );
        let help = tenants::looks_like_tenants(root);
        decoder.report(
            finding
                .label("not an object")
                .help(help.unwrap_or("every document is one object, such as an HTTPRoute")),
        );
        return None;
    }
    let api_version = fields
        .required(decoder, "apiVersion")
        .and_then(|field| decoder.nonempty(field));
    let kind = fields
        .required(decoder, "kind")
        .and_then(|field| decoder.nonempty(field));
    let (api_version, kind) = (api_version?, kind?);
    Some(Opened {
        root,
        fields,
        api_version: api_version.value,
        kind: kind.value,
        kind_span: kind.span,
    })
}

/// The name of an object, and its metadata.
pub(super) type Identity = (ObjectName, Metadata);

/// The kind and name of an object; `None` for unknown kinds and nameless objects.
pub(super) fn identify(decoder: &mut Decoder, opened: &Opened<'_>) -> Option<(&'static Kind, Identity)> {
    let (group, version) = opened.group();
    let Some(kind) = kinds::find(group, &opened.kind) else {
        unknown_kind(decoder, opened, group);
        return None;
    };
    if !kind.versions.is_empty() && !kind.versions.contains(&version) {
        let message = format!("{} has no version \"{version}\"", kind.name);
        let span = opened
            .fields
            .optional("apiVersion")
            .map_or(opened.kind_span, |field| field.span());
        let meant = if group.is_empty() {
            kind.versions[0].to_owned()
        } else {
            format!("{group}/{}", kind.versions[0])
        };
        let finding = Finding::new("W0102", span, message).label(format!("read as {}", kind.versions[0]));
        decoder.report(finding.help(format!("write apiVersion: {meant}")));
    }
    let field = opened.fields.required(decoder, "metadata")?;
    let (metadata, namespace) = metadata::decode(decoder, field)?;
    let namespace = match namespace {
        _ if !kind.namespaced => words::shared(""),
        Some(namespace) => namespace.value,
        None => words::shared("default"),
    };
    let object = ObjectName::new(words::shared(kind.name), namespace, metadata.name.value.clone());
    Some((kind, (object, metadata)))
}

fn unknown_kind(decoder: &mut Decoder, opened: &Opened<'_>, group: &str) {
    let name = &opened.kind;
    let message = format!("weir does not know the kind {name} of \"{}\"", opened.api_version);
    let code = if kinds::TRAFFIC_GROUPS.contains(&group) || kinds::all().any(|kind| kind.name == &**name) {
        "W0110"
    } else {
        "N0112"
    };
    let finding = Finding::new(code, opened.kind_span, message).label("the object is ignored");
    let same_name = kinds::all().find(|kind| kind.name == &**name);
    let similar = nearest(
        name,
        kinds::all()
            .filter(|kind| kind.group == group)
            .map(|kind| kind.name),
    );
    decoder.report(match (same_name, similar) {
        (Some(kind), _) => {
            let version = kind.versions.first().unwrap_or(&"v1");
            let separator = if kind.group.is_empty() { "" } else { "/" };
            finding.help(format!(
                "{name} is of apiVersion {}{separator}{version}",
                kind.group
            ))
        }
        (None, Some(meant)) => finding.help(format!("did you mean {meant}?")),
        (None, None) => finding,
    });
}
