//! Policies: `gateway.envoyproxy.io` `BackendTrafficPolicy` and `ClientTrafficPolicy`, `weir.dev`
//! `TrafficPolicy`. Targets are decoded; the rest stays a tree, because policies merge as trees.

use std::sync::Arc;

use super::decode::{Decoder, Field};
use super::policy_type::{self, Origin};
use super::{LabelSelector, selector, words};
use crate::yaml::{Finding, Node, Span, Spanned};

/// A policy: what it applies to, and what it says.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// `targetRef`, deprecated.
    pub target_ref: Option<PolicyTarget>,
    /// `targetRefs`.
    pub target_refs: Vec<PolicyTarget>,
    /// `targetSelectors`.
    pub target_selectors: Vec<TargetSelector>,
    /// `mergeType`.
    pub merge_type: Option<Spanned<MergeType>>,
    /// The whole `spec`, targets included.
    pub spec: Node,
}

impl Policy {
    /// All objects that the policy names, `targetRef` first.
    pub fn targets(&self) -> impl Iterator<Item = &PolicyTarget> {
        self.target_ref.iter().chain(&self.target_refs)
    }
}

/// An object in the policy's own namespace that it applies to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyTarget {
    /// API group.
    pub group: Arc<str>,
    /// The kind.
    pub kind: Arc<str>,
    /// The name.
    pub name: Spanned<Arc<str>>,
    /// A listener of a Gateway, or a rule of a route.
    pub section_name: Option<Spanned<Arc<str>>>,
    /// Where the reference starts.
    pub span: Span,
}

/// Objects that the policy applies to by their labels.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetSelector {
    /// API group; `gateway.networking.k8s.io` when not written.
    pub group: Arc<str>,
    /// The kind.
    pub kind: Arc<str>,
    /// Where to look; the policy's own namespace when not written.
    pub namespaces: SelectorNamespaces,
    /// `matchLabels` and `matchExpressions`.
    pub selector: LabelSelector,
    /// Where it starts.
    pub span: Span,
}

/// `targetSelectors[].namespaces`.
#[derive(Clone, Debug, PartialEq)]
pub enum SelectorNamespaces {
    /// The policy's own.
    Same,
    /// Every namespace.
    All,
    /// Namespaces whose labels match.
    Selector(LabelSelector),
}

/// `mergeType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MergeType {
    /// Kubernetes strategic merge: lists with keys merge by key.
    StrategicMerge,
    /// RFC 7396: lists replace.
    JsonMerge,
}

const GATEWAY_GROUP: &str = "gateway.networking.k8s.io";

const BACKEND_TARGETS: [&str; 7] = [
    "Gateway",
    "ListenerSet",
    "HTTPRoute",
    "GRPCRoute",
    "TCPRoute",
    "UDPRoute",
    "TLSRoute",
];
const CLIENT_TARGETS: [&str; 2] = ["Gateway", "ListenerSet"];

const MERGE_TYPES: &[(&str, MergeType)] = &[
    ("StrategicMerge", MergeType::StrategicMerge),
    ("JSONMerge", MergeType::JsonMerge),
];

/// Reads the targets of `spec` of a BackendTrafficPolicy or TrafficPolicy. Targets that cannot be read are
/// left out. The rest of `spec` is for whoever reads the tree, unknown fields included.
pub(super) fn decode_backend(decoder: &mut Decoder, spec: Field<'_>, origin: Origin) -> Option<Policy> {
    policy_type::check(decoder, spec.node, origin);
    decode(decoder, spec, &BACKEND_TARGETS)
}

/// The same for a ClientTrafficPolicy.
pub(super) fn decode_client(decoder: &mut Decoder, spec: Field<'_>) -> Option<Policy> {
    decode(decoder, spec, &CLIENT_TARGETS)
}

fn decode(decoder: &mut Decoder, spec: Field<'_>, kinds: &'static [&'static str]) -> Option<Policy> {
    let fields = decoder.any_fields(spec)?;
    let mark = decoder.mark();
    let target_ref = fields.optional("targetRef");
    let refs = fields
        .optional("targetRefs")
        .map(|field| decoder.items(field, 16));
    let selectors = fields
        .optional("targetSelectors")
        .map(|field| decoder.items(field, 16))
        .unwrap_or_default();
    match (&target_ref, &refs) {
        (Some(field), Some(_)) => {
            let message = "a policy takes \"targetRef\" or \"targetRefs\", not both";
            decoder.conflict(field.span(), message, "move it into \"targetRefs\"");
        }
        (None, refs) if refs.as_ref().is_none_or(Vec::is_empty) && selectors.is_empty() => {
            let message = "the policy has no target";
            let finding = Finding::new("E0105", fields.span(), message);
            let finding = finding.help("add \"targetRefs\" with group, kind and name");
            decoder.report(finding.effect("the policy applies to nothing"));
        }
        _ => {}
    }
    let target_ref = target_ref.and_then(|field| target(decoder, field, kinds));
    let target_refs = refs
        .unwrap_or_default()
        .into_iter()
        .filter_map(|item| target(decoder, item, kinds))
        .collect();
    let target_selectors = selectors
        .into_iter()
        .filter_map(|item| target_selector(decoder, item, kinds))
        .collect();
    decoder.effect_since(mark, "the policy does not apply to this target");
    let merge_type = match fields.optional("mergeType") {
        Some(field) => Some(decoder.choice(field, MERGE_TYPES)?),
        None => None,
    };
    let policy = Policy {
        target_ref,
        target_refs,
        target_selectors,
        merge_type,
        spec: spec.node.clone(),
    };
    if let Some(merge) = &policy.merge_type {
        let kinds = policy.targets().map(|target| &target.kind);
        let mut kinds = kinds.chain(policy.target_selectors.iter().map(|selector| &selector.kind));
        if let Some(kind) = kinds.find(|kind| !kind.ends_with("Route")) {
            let message = format!("\"mergeType\" does not go with a target of kind {kind}");
            decoder.conflict(
                merge.span,
                message,
                "only policies on routes merge: with the one on their Gateway",
            );
            return None;
        }
    }
    Some(policy)
}

fn target(decoder: &mut Decoder, item: Field<'_>, kinds: &'static [&'static str]) -> Option<PolicyTarget> {
    let known = ["group", "kind", "name", "sectionName", "namespace"];
    let fields = decoder.fields_with_vital(item, &known, ["sectionName"])?;
    if fields.optional("namespace").is_some() {
        let span = fields.key_span("namespace");
        let finding = Finding::new("W0101", span, "a policy's target has no field \"namespace\"");
        decoder.report(
            finding
                .label("the field is ignored")
                .help("a policy applies in its own namespace"),
        );
    }
    let group = fields
        .required(decoder, "group")
        .and_then(|field| target_group(decoder, field));
    let kind = fields
        .required(decoder, "kind")
        .and_then(|field| target_kind(decoder, field, kinds));
    let name = fields
        .required(decoder, "name")
        .and_then(|field| decoder.name(field));
    // An unreadable section must not widen the policy to the whole object.
    if fields.has_misspelt() {
        return None;
    }
    let section_name = match fields.optional("sectionName") {
        Some(field) => Some(decoder.name(field)?),
        None => None,
    };
    Some(PolicyTarget {
        group: group?,
        kind: kind?,
        name: name?,
        section_name,
        span: fields.span(),
    })
}

fn target_group(decoder: &mut Decoder, field: Field<'_>) -> Option<Arc<str>> {
    let group = decoder.text(field)?;
    if *group.value != *GATEWAY_GROUP {
        let message = format!("a policy cannot target objects of group \"{}\"", group.value);
        decoder
            .report(Finding::new("E0104", group.span, message).help(format!("the group is {GATEWAY_GROUP}")));
        return None;
    }
    Some(words::shared(GATEWAY_GROUP))
}

fn target_kind(decoder: &mut Decoder, field: Field<'_>, kinds: &'static [&'static str]) -> Option<Arc<str>> {
    let choices: Vec<_> = kinds.iter().map(|kind| (*kind, *kind)).collect();
    decoder
        .choice(field, &choices)
        .map(|kind| words::shared(kind.value))
}

fn target_selector(
    decoder: &mut Decoder,
    item: Field<'_>,
    kinds: &'static [&'static str],
) -> Option<TargetSelector> {
    let [labels, expressions] = selector::SELECTOR_FIELDS;
    let known = ["group", "kind", "namespaces", labels, expressions];
    let fields = decoder.fields_with_vital(item, &known, selector::SELECTOR_FIELDS)?;
    let group = match fields.optional("group") {
        Some(field) => target_group(decoder, field),
        None => Some(words::shared(GATEWAY_GROUP)),
    };
    let kind = fields
        .required(decoder, "kind")
        .and_then(|field| target_kind(decoder, field, kinds));
    let namespaces = match fields.optional("namespaces") {
        Some(field) => namespaces(decoder, field),
        None => Some(SelectorNamespaces::Same),
    };
    let selector = selector::from_fields(decoder, &fields)?;
    Some(TargetSelector {
        group: group?,
        kind: kind?,
        namespaces: namespaces?,
        selector,
        span: fields.span(),
    })
}

fn namespaces(decoder: &mut Decoder, field: Field<'_>) -> Option<SelectorNamespaces> {
    let fields = decoder.fields(field, &["from", "selector"])?;
    let words = &[("Same", 0), ("All", 1), ("Selector", 2)];
    let from = match fields.optional("from") {
        Some(field) => decoder.choice(field, words)?,
        None => Spanned::new(0, fields.span()),
    };
    match (from.value, fields.optional("selector")) {
        (0, _) => Some(SelectorNamespaces::Same),
        (1, _) => Some(SelectorNamespaces::All),
        (_, Some(field)) => Some(SelectorNamespaces::Selector(selector::decode(decoder, field)?)),
        (_, None) => {
            let message = "\"from: Selector\" needs a \"selector\"";
            decoder.conflict(from.span, message, "add selector: {matchLabels: {...}}");
            None
        }
    }
}
