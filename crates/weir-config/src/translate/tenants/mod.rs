//! Tenants: from a tenants file to routes, backends and listeners like any others.
//!
//! A tenant is a route of the kind `Tenant`; its services are the endpoints of one backend, so that every way of
//! balancing works over them. This folder owns who serves which host and prefix, and what a service's URL means. It
//! must not know how files are written (that is `resource/tenants`).

mod admission;
mod backend;
mod balance;
mod canary;
mod claim;
mod compression;
mod error_handler;
mod filter;
mod listener;
mod overlap;
mod pattern;
mod route;
mod rule;
mod spine;
mod unchecked;

pub(crate) use spine::{Parts, is_tenant_backend, write};
