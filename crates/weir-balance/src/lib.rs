//! Which endpoint serves a request: one file per algorithm behind [`Balancer::pick`], the hash keys, cookies and
//! overrides that steer it, the split over destinations, and the live state of an endpoint.
//!
//! Everything here is pure: the time and the randomness of a decision are arguments. What workers share are
//! relaxed atomics (an endpoint's load, a rotation's cursor), so a pick takes no lock and allocates nothing.

mod adaptive;
mod admin;
mod answer;
mod balancer;
mod bound;
mod breaker;
mod bucket_table;
mod budget;
mod by_address;
mod candidates;
mod change;
mod cookie;
mod ejection;
mod endpoint;
mod health;
mod key;
mod least_request;
mod load_report;
mod maglev;
mod modulus;
mod override_host;
mod peak_ewma;
mod pick;
mod pick_report;
mod placement;
mod random;
mod rate;
mod ready;
mod requests;
mod ring;
mod rng;
mod round_robin;
mod schedule;
mod seat;
mod slow_start;
mod split;
mod spread;
mod tier_shares;
mod tiers;
mod token;
mod token_bucket;
mod token_text;

#[cfg(test)]
mod world;

pub use admin::{Override, Use};
pub use answer::Answer;
pub use balancer::Balancer;
pub use breaker::{Counted, Counters, Overflow, Permit, Scope};
pub use bucket_table::{BucketTable, ClientHash};
pub use change::{
    Change, Decision, Ejection, EjectionCause, HealthyCause, ProbeFailure, ReturnCause, UnhealthyCause,
};
pub use cookie::{CookieValue, write_session_cookie, write_set_cookie};
pub use ejection::{Ejector, Trip, TryOutcome};
pub use endpoint::{EndpointState, Lease, Member, Unavailable};
pub use health::{Arrival, Health, ProbeOutcome, Verdict};
pub use key::{HashKey, KeyView, hash_key, request_key};
pub use load_report::capacity_percent;
pub use override_host::OverrideHosts;
pub use pick::{NoPick, Pick, PickReason, Picked};
pub use rng::{Rng, cursor_start};
pub use seat::{Judgement, Seat};
pub use split::Split;
pub use spread::{Spread, SpreadChoice, SpreadPick};
pub use tiers::{Availability, CandidateSpec, TierPlan, plan};
pub use token::{
    SessionTimeouts, Token, TokenHolders, TokenKey, TokenKeys, TokenRefusal, TokenSubject, WeakKey,
};
pub use token_bucket::{BucketEmpty, Level, Refill, TokenBucket};
