//! The admin API: what weir tells while it runs, and what it may be told.
//!
//! It knows the gateway only through [`Instance`], which whoever runs it provides: no crate of the data plane or of the
//! control plane is below this one. It listens on sockets of its own and runs on a thread of its own, never on workers:
//! a scrape costs requests nothing, and an admin port never shadows a path of a tenant. HTTP is hyper's, on tokio:
//! nothing here is hot.
//!
//! `server` accepts, `guard` says who may ask what, `dispatch` finds the answer, `answers/` and `metrics/` write it;
//! `client` asks another process's API the same things.

#![forbid(unsafe_code)]

mod answers;
mod client;
mod dispatch;
mod door;
mod guard;
mod instance;
mod metrics;
mod percent;
mod report;
mod server;

pub use client::{Answer, AskError, Client, Target};
pub use door::{Door, DoorError, Place, Scope};
pub use guard::{Token, TokenError};
pub use instance::{Instance, Order, Readiness, Refusal, Reloaded, Selector, Verb};
pub use metrics::{DURATION_BOUNDS_S, text as metrics_text};
pub use report::{
    BackendState, ConfigState, DurationState, EndpointState, FailureState, ListenerState, LoadState, Overall,
    OverrideState, ProbeFailureState, ProbeState, ProblemState, Report, RouteState, ServiceState,
    TenantState, TryState,
};
pub use server::Admin;
