//! Which rule serves a request.
//!
//! Owns the order of precedence of Gateway API (section by host, then host, path, method, headers, query, age,
//! name, order) and nothing else: it knows no bytes of HTTP, no socket, no endpoint.

#![forbid(unsafe_code)]

mod build;
mod condition;
mod criterion;
mod explain;
mod host;
mod layout;
mod pattern;
mod precedence;
mod query;
mod range;
mod request;
mod router;
mod split;
mod table;
mod trie;
mod verdict;

pub use condition::HeaderConditions;
pub use criterion::Criterion;
pub use pattern::{Pattern, PatternError};
pub use precedence::are_chosen_alike;
pub use request::{HeaderView, Hit, Miss, RequestParts};
pub use router::Router;
pub use verdict::{Considered, Explanation, Outranked, Refusal, Verdict};
