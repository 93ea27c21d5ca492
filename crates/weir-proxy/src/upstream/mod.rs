//! Connections to endpoints: kept, opened, given back.
//!
//! This folder owns pools and dialling. It knows endpoints and bytes but no exchange and no policy.

mod connect;
mod pool;

pub(crate) use connect::{ConnectFailure, connect};
pub(crate) use pool::{EndpointPool, Held, Pools};
