//! Whose policy is read, and what it may refer to.

use weir_model::ObjectName;

use crate::translate::index::Index;

/// The object that a policy's specification belongs to.
#[derive(Clone, Copy)]
pub(crate) struct Owner<'a> {
    pub(crate) object: &'a ObjectName,
    /// Where ConfigMaps are; `None` when there are none to refer to.
    pub(crate) index: Option<&'a Index<'a>>,
}

impl<'a> Owner<'a> {
    /// One that can refer to nothing.
    pub(crate) fn alone(object: &'a ObjectName) -> Self {
        Self { object, index: None }
    }

    /// The text that a ConfigMap of its namespace has for the body of a response.
    pub(super) fn response_body(&self, name: &str) -> Option<&'a str> {
        self.index?.response_body(&self.object.namespace, name)
    }
}
