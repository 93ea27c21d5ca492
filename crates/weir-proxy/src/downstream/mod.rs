//! Clients' connections: accepted, read, ended.
//!
//! This folder owns stops 1 to 3 of a request's way and knows nothing of routes and endpoints.

mod accept;
mod h1;

pub(crate) use accept::{accept, admit, serve};
