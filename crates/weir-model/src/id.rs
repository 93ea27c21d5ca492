//! Identities: indexes into one [`crate::Config`], and the names of objects as their owners wrote them.

use std::fmt;
use std::sync::Arc;

/// Index of a [`crate::Backend`] in [`crate::Config::backends`]. Meaningful inside one `Config` only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BackendId(pub u32);

/// Index of a [`crate::Route`] in [`crate::Config::routes`]. Meaningful inside one `Config` only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteId(pub u32);

/// Kind, namespace and name of an object as its owner wrote it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName {
    /// The kind as written, for example `HTTPRoute`.
    pub kind: Arc<str>,
    /// The namespace; empty for a cluster-scoped kind.
    pub namespace: Arc<str>,
    /// The name inside the namespace.
    pub name: Arc<str>,
}

impl ObjectName {
    /// A name from its three parts; pass an empty namespace for a cluster-scoped kind.
    pub fn new(kind: impl Into<Arc<str>>, namespace: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
        Self {
            kind: kind.into(),
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            write!(out, "{} {}", self.kind, self.name)
        } else {
            write!(out, "{} {}/{}", self.kind, self.namespace, self.name)
        }
    }
}
