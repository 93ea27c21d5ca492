//! Echo backends: HTTP/1.1 servers that tell what they received and who they are.
//!
//! Tests, `weir echo` and `weir demo` use them. The answer has the shape of Gateway API's echo-basic image, so
//! that scenarios written for a cluster can be read as they are. This crate owns the answer, the query knobs,
//! the counters and the journal; it must not know anything of weir's configuration or data plane.

#![forbid(unsafe_code)]

mod answer;
mod body;
mod connection;
mod counters;
mod identity;
mod journal;
mod knobs;
mod options;
mod server;

pub use counters::Counters;
pub use identity::{Identity, canonical_name};
pub use journal::Journal;
pub use knobs::{KnobError, Knobs};
pub use options::Options;
pub use server::Echo;
