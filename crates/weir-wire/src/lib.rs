//! Bytes to events and back: HTTP/1.1 heads, body framing, chunks, hosts, paths.
//!
//! This crate owns the one grammar that weir speaks. It is strict and has no lenient mode: whatever two
//! implementations could read differently is refused, never repaired (RFC 9112 11.2). It knows no socket, no
//! clock and no configuration; every bound is an argument. Nothing here panics on bytes from the network, and
//! nothing allocates in steady state: heads are reusable objects that hold offsets into the caller's buffer.
//!
//! Read [`head`] first, then [`framing`], which decides where a message ends and so guards against request
//! smuggling.

#![forbid(unsafe_code)]

pub mod accept;
pub mod base64;
pub mod connection;
pub mod cookie;
pub mod expect;
pub mod fields;
pub mod forwarded;
pub mod framing;
pub mod h1;
pub mod head;
mod head_error;
pub mod host;
pub mod known;
pub mod method;
pub mod path;
pub mod proxy_header;
pub mod query;
pub mod span;
pub mod target;
pub mod token;
pub mod trailer;
pub mod upgrade;

pub use fields::{Field, Fields};
pub use framing::BodyLength;
pub use head::{HeadLimits, Progress, RequestHead, ResponseHead};
pub use head_error::HeadError;
pub use known::{Known, KnownSet};
pub use method::{Method, Version};
pub use span::Span;
pub use target::Target;
