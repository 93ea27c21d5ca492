//! The data plane on real sockets, with small scripted clients and backends.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

mod bodies;

mod forwarding;
mod framing;
