//! The data plane on real sockets, with small scripted clients and backends.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

mod admission;
mod balancing;
mod bodies;
mod breakers;
mod compression;
mod failures;
mod filters;
mod forwarding;
mod framing;
mod health;
mod lifecycle;
mod limits;
mod names;
mod preconnect;
mod proxy_protocol;
mod rate_limits;
mod reload;
mod replaced;
mod retries;
mod sessions;
mod timeouts;
mod waiting;
