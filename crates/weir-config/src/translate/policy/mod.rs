//! Policies: which one applies where, and what it asks for.
//!
//! This folder owns targets, precedence, merging, conflicts and statuses of BackendTrafficPolicy, TrafficPolicy and
//! ClientTrafficPolicy. It must not know how routes attach to Gateways: it is told, and the route translation asks
//! it place by place.

mod breakers;
mod claims;
mod client;
mod compressor;
mod connection;
mod considered;
mod dialect;
mod failover;
mod fault;
mod hash;
mod health;
mod index;
mod load_balancer;
mod merge;
mod owner;
mod passive;
mod rate_limit;
mod reach;
mod report;
mod request_limits;
mod response_override;
mod retry;
mod selector;
mod spec;
mod target;
#[cfg(test)]
mod tests;
mod timeouts;
mod traffic;
mod values;

pub use considered::{ConsideredPolicy, PolicyLevel, PolicyPlace, PolicyVerdict, considered_policies};
pub(crate) use failover::PolicyFailover;
pub(crate) use index::PolicyIndex;
pub(crate) use owner::Owner;
pub(crate) use spec::settings;
pub(crate) use traffic::TrafficDraft;
