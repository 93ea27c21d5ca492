//! Policies: which one applies where, and what it asks for.
//!
//! This folder owns targets, precedence, merging, conflicts and statuses of BackendTrafficPolicy, TrafficPolicy and
//! ClientTrafficPolicy. It must not know how routes attach to Gateways: it is told, and the route translation asks
//! it place by place.

mod claims;
mod client;
mod considered;
mod dialect;
mod hash;
mod index;
mod load_balancer;
mod merge;
mod reach;
mod report;
mod spec;
mod target;
#[cfg(test)]
mod tests;

pub use considered::{ConsideredPolicy, PolicyLevel, PolicyPlace, PolicyVerdict, considered_policies};
pub(crate) use index::PolicyIndex;
pub(crate) use spec::settings;
