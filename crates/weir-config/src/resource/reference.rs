//! References from one object to another, with the API's defaults applied.

use std::sync::Arc;

use weir_model::Port;

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
