//! Policies: which one applies where, and what it asks for.
//!
//! This folder owns targets, precedence, merging, conflicts and statuses of BackendTrafficPolicy, TrafficPolicy and
//! ClientTrafficPolicy. It must not know how routes attach to Gateways: the route translation asks it, place by place.

mod client;
mod index;
mod load_balancer;
mod merge;
mod status;
mod target;

pub use index::{Effective, Place, PolicyIndex};
pub use status::{Ancestor, PolicyStatus};
