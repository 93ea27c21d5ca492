//! What stands before a request of a rule: one file per concern, called by [`stage`] in Envoy Gateway's order of
//! filters. Each may answer instead of the rule; none changes what the rule does then.

mod admitted;
mod basic;
mod buffer;
mod fault;
mod rate;
mod size;
mod stage;

pub(in crate::exchange) use admitted::{Admitted, write_fields};
pub(in crate::exchange) use stage::{admit, release};
