//! One condition of a status, as the Kubernetes API writes it.

/// One condition. Its `observedGeneration` is that of the status which holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// `type`, for example `Accepted`.
    pub kind: &'static str,
    /// Whether it holds.
    pub status: bool,
    /// One CamelCase word, for example `Invalid`.
    pub reason: &'static str,
    /// For people.
    pub message: String,
}

impl Condition {
    /// A condition from its four parts.
    pub fn new(kind: &'static str, status: bool, reason: &'static str, message: impl Into<String>) -> Self {
        Self { kind, status, reason, message: message.into() }
    }
}
