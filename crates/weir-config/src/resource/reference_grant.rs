//! `gateway.networking.k8s.io` `ReferenceGrant`: leave to refer into its namespace.

use std::sync::Arc;

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
