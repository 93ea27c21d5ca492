//! Policies: `gateway.envoyproxy.io` `BackendTrafficPolicy` and `ClientTrafficPolicy`, `weir.dev`
//! `TrafficPolicy`. Targets are decoded; the rest stays a tree, because policies merge as trees.

use std::sync::Arc;

use super::LabelSelector;
use crate::yaml::{Node, Span, Spanned};

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
