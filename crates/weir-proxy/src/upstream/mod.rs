//! Connections to endpoints: kept, opened, given back, and opened to see how the endpoint does.
//!
//! This folder owns pools and dialling. It knows endpoints and bytes but no exchange and no policy.

mod connect;
mod connection;
mod grace;
mod handed;
mod pool;
mod preface;
mod probe;

pub(crate) use connect::{ConnectFailure, Dial, connect};
pub(crate) use connection::{Limit, OnBehalf, Places, UpstreamConnection};
pub(crate) use pool::{EndpointPool, Held, Pools, Preparing};
pub(crate) use preface::preface;
pub(crate) use probe::{ProbePlan, is_withdrawal};
