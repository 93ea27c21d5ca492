//! Conditions on requests, in Gateway API's sense.

use std::sync::Arc;

/// All conditions must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// Condition on the path.
    pub path: PathMatch,
    /// The method, upper case as sent; `None` for all.
    pub method: Option<Arc<str>>,
    /// Conditions on headers.
    pub headers: Vec<HeaderMatch>,
    /// Conditions on query parameters.
    pub query: Vec<QueryMatch>,
}

/// Condition on the normalised path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathMatch {
    /// Equal, case-sensitive.
    Exact(Arc<str>),
    /// By path element; held without trailing slash, so the prefix `/` is held as the empty string.
    Prefix(Arc<str>),
    /// A regular expression that must match the whole path; valid and within [`crate::limits::REGEX_BYTES`].
    Regex(Arc<str>),
}

/// Condition on a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderMatch {
    /// Lower case.
    pub name: Arc<str>,
    /// What the value must be; several fields of one name count as one value joined with `,`.
    pub value: ValueMatch,
}

/// Condition on a query parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryMatch {
    /// Case-sensitive.
    pub name: Arc<str>,
    /// What its first value must be.
    pub value: ValueMatch,
}

/// Condition on a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueMatch {
    /// Equal, case-sensitive.
    Exact(Arc<str>),
    /// A regular expression that must match the whole value; valid and bounded.
    Regex(Arc<str>),
}
