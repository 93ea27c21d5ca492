//! Core `Namespace`.

/// A namespace. Its labels, which selectors of Gateways match, are in [`super::Metadata::labels`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Namespace;
