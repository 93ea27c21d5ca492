//! What the black-box tests stand on: backends in this process, the real binary beside it, and a client that
//! believes nothing. Everything waits for events, never for time.

mod admin;
mod backends;
mod client;
mod command;
mod config;
mod gateway;
mod lines;
#[path = "../../../../weir-admin/src/metrics/lint_text.rs"]
mod lint_text;
mod load;
#[path = "../../../../weir-net/tests/names/name_server.rs"]
mod name_server;
mod place;
mod scripted;
mod witness;

pub(crate) use admin::{ADMIN, Admin, TOKEN};
pub(crate) use backends::Backends;
pub(crate) use client::{Client, Response, head, read_some};
pub(crate) use command::{weir, weir_in};
pub(crate) use config::{
    ROUTE, balanced_routes, endpoints, example_on, gateway, gateway_and_service, route_policy,
};
pub(crate) use gateway::{Gateway, Process};
pub(crate) use lint_text::lint;
pub(crate) use load::{RaisedAtEnd, Request, Spread, load};
pub(crate) use name_server::{NameServer, Says};
pub(crate) use place::{Folder, free_port, listen_on};
pub(crate) use scripted::{answer_of, scripted};
pub(crate) use witness::{Reply, Witness};

use std::time::Duration;

/// Longest time that a test waits for anything; reaching it is a failure, so it is generous.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
