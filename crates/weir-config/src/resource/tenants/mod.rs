//! Tenants files: the simple multi-tenant format of keystone-gateway, as written.
//!
//! A document with a top-level `tenants` and neither `apiVersion` nor `kind` is one. Every tenant becomes an object of
//! its own, so that a bad one costs nobody else anything and keeps its last good version over reloads; what the file
//! says for all of them (`settings`) goes along with each. This folder owns the keys, their forms and the expansion of
//! `${VAR}`. It must not know how requests are routed (that is `translate/tenants`).

mod admission;
mod balance;
mod basic_auth;
mod canary;
mod compression;
mod document;
mod environment;
mod error_handler;
mod path;
mod route;
mod service;
mod settings;
mod tenant;
mod url;

pub use admission::{RateScope, TenantAdmission, TenantLimits, TenantRate};
pub use balance::{TenantBalance, TenantTimeouts};
pub use canary::{Canary, CanaryMark};
pub use environment::Environment;
pub use error_handler::ErrorHandlers;
pub use path::BarePrefix;
pub use route::{RouteTarget, TenantRoute};
pub use service::{ServiceCheck, TenantService};
pub use settings::TenantSettings;
pub use tenant::{HostHeader, Tenant, TenantFilters};
pub use url::ServiceUrl;

pub(super) use document::{is_tenants, looks_like_tenants, read};
