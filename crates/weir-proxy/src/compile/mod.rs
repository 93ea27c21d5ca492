//! From a `Config` to what workers execute.
//!
//! This folder owns the snapshot, what outlives it ([`live`]), and how one is made from the other with everything
//! unchanged shared. It runs on the publisher's thread and knows neither sockets nor workers.

mod backends;
mod checked;
mod checks;
mod compiler;
mod failover;
mod filters;
mod limits;
mod live;
mod names;
mod report;
mod responses;
mod rules;
mod sessions;
mod snapshot;
mod traffic;
mod upstream;

pub(crate) use checks::{CheckChanges, CheckedUpstream, Passive, ProbeMode, Probed};
pub(crate) use compiler::Compiler;
pub use compiler::{UnknownBackend, UnknownEndpoint};
pub(crate) use filters::MirrorTarget;
#[cfg(test)]
pub(crate) use live::Live;
pub(crate) use live::{LiveDestination, LiveEndpoint, LiveRule};
pub(crate) use names::{Name, names_of};
pub use report::{BackendReport, EndpointStanding, Loads, MemberReport};
pub(crate) use responses::ResponseRules;
pub(crate) use sessions::CompiledSessions;
pub(crate) use snapshot::{
    Action, BalancerSlot, CompiledBalancer, CompiledDestination, CompiledForward, CompiledRule, Goal,
    RuleTimeouts, SectionFacts, Snapshot,
};
pub(crate) use traffic::{Admission, CompiledLimit, CompiledSelector, CompiledTraffic};
pub(crate) use upstream::LiveUpstream;
