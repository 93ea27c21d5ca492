//! The vocabulary of weir: what a configuration means once every name is resolved.
//!
//! This crate owns the types that the control plane writes and the data plane reads. It knows no file format,
//! no socket, no clock and no random numbers. A value of these types is valid by construction: whoever builds
//! one has already reported what was wrong with the input as a [`Problem`].

mod backend;
mod balance;
mod config;
mod filter;
mod host;
mod id;
pub mod limits;
mod listener;
mod origin;
mod problem;
mod route;
mod unit;

pub use backend::{Backend, Endpoint, EndpointAddress, EndpointCondition, EndpointSource};
pub use balance::{
    Algorithm, BalanceSpec, Choices, ConsistentHash, CookieSpec, EndpointOverride, HashSource, LeastRequest,
    MissingKey, SlowStart, TableSize,
};
pub use config::Config;
pub use filter::{Cors, Filter, HeaderChange, Mirror, OriginPattern, PathRewrite, Redirect, Rewrite};
pub use host::HostPattern;
pub use id::{BackendId, ObjectName, RouteId};
pub use listener::{Attachment, ClientIp, Listener, ListenerKey, Section};
pub use origin::Origin;
pub use problem::{Problem, Severity};
pub use route::{
    Action, Destination, FixedAnswer, Forward, HeaderMatch, Match, PathMatch, QueryMatch, Route, Rule,
    Target, Timeouts, ValueMatch,
};
pub use unit::{Cidr, Fraction, Port, Weight};
