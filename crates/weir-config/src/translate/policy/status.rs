//! What a policy is told about itself (Gateway API `PolicyStatus`).

use std::sync::Arc;

use weir_model::ObjectName;

use crate::translate::condition::Condition;

/// Ancestors that one status may hold (Gateway API `PolicyStatus.ancestors`); more are cut with a condition that says so.
const ANCESTORS_MAX: usize = 16;

/// The status of one policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyStatus {
    /// The policy.
    pub object: ObjectName,
    /// `metadata.generation` of the policy that this is about.
    pub generation: i64,
    /// One entry per Gateway through which it takes effect.
    pub ancestors: Vec<Ancestor>,
}

/// The status of a policy at one Gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ancestor {
    /// The Gateway.
    pub gateway: ObjectName,
    /// The Gateway's listener, when the target or the route's parentRef names one.
    pub section: Option<Arc<str>>,
    /// Conditions in the order `Accepted`, `Merged`, `Overridden`, `Warning`, `Aggregated`.
    pub conditions: Vec<Condition>,
}

/// Keeps the first [`ANCESTORS_MAX`] ancestors in order of name.
pub(super) fn bounded(mut ancestors: Vec<Ancestor>) -> Vec<Ancestor> {
    ancestors.sort_by(|left, right| (&left.gateway, &left.section).cmp(&(&right.gateway, &right.section)));
    if ancestors.len() > ANCESTORS_MAX {
        ancestors.truncate(ANCESTORS_MAX);
        if let Some(last) = ancestors.last_mut() {
            last.conditions.push(Condition::new(
                "Aggregated",
                true,
                "Aggregated",
                "Ancestors have been aggregated because the number of policy ancestors exceeds 16.",
            ));
        }
    }
    ancestors
}
