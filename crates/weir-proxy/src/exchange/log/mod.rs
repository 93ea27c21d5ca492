//! Within stop 10: one record of the access log, in each of its formats.
//!
//! This folder owns what a line says and how it is written. It must not know where lines go: `access_log.rs` writes them.

pub(super) mod envoy;
mod flags;
pub(super) mod json;
mod parts;
pub(super) mod text;
