//! Which rule serves a request.
//!
//! Owns the order of precedence of Gateway API (section by host, then host, path, method, headers, query, age,
//! name, order) and nothing else: it knows no bytes of HTTP, no socket, no endpoint.

mod explain;
mod request;
mod router;

pub use explain::{Considered, Explanation, Outranked, Refusal, Verdict};
pub use request::{HeaderView, Hit, Miss, RequestParts};
pub use router::Router;
