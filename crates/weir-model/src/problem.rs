//! What is wrong with a configuration, said to the person who wrote it.

use crate::{ObjectName, Origin};

/// How much a [`Problem`] matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing; nothing is lost.
    Note,
    /// Served, but probably not as meant.
    Warning,
    /// Something as written cannot be served.
    Error,
}

/// A diagnostic about configuration: origin, problem, hint, and what it means for traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// How much it matters.
    pub severity: Severity,
    /// Stable code such as `E0207`, documented in `docs/problems.md`.
    pub code: &'static str,
    /// One sentence: what is wrong.
    pub message: String,
    /// Where it is written.
    pub origin: Origin,
    /// Number of characters to underline from the origin; 0 when only the line is known.
    pub span_length: u32,
    /// A few words beside the underlined text.
    pub label: String,
    /// What to do about it.
    pub help: Option<String>,
    /// What it means for traffic.
    pub effect: Option<String>,
    /// The object concerned.
    pub object: Option<ObjectName>,
}
