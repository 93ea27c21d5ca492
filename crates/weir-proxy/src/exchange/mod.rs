//! One request and its response: stops 3 to 10 of a request's way, one file each.
//!
//! This folder owns what happens to an exchange. It is given a client's connection and a parsed head, and knows
//! neither listeners nor how connections are accepted. Read [`handle`] first.

mod account;
mod encoding;
mod failover;
mod failure;
mod feedback;
mod forward;
mod handle;
mod identity;
mod log;
mod open;
mod outbound;
mod own_answer;
mod passive;
mod pending;
mod persistence;
mod pick;
mod policy;
mod preconnect;
mod replace;
mod request;
mod respond;
mod retry;
mod route;
mod settle;
mod signals;
mod state;
mod timing;
mod tried;
mod view;
mod waiting;

pub(crate) use failure::Failure;
pub(crate) use handle::handle;
pub(crate) use identity::PeerText;
pub(crate) use state::{Client, Exchange, Next};
