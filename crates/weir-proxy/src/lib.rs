//! The data plane: workers that serve exchanges under a snapshot, and publishing without loss.
//!
//! Read [`Gateway`] for what it offers, and `exchange/handle.rs` for what happens to a request. The folders follow the
//! request: `downstream` (clients), `exchange` (one request and its response), `upstream` (endpoints). `compile`
//! makes a [`weir_model::Config`] executable, `transit` holds messages on their way, `time` their deadlines.
//!
//! This crate knows no file, no YAML and no Kubernetes, and prints nothing: what happens outside exchanges is told
//! through [`Event`].

#![forbid(unsafe_code)]

mod access_log;
mod command;
mod compile;
mod contain;
mod control;
mod downstream;
mod event;
mod exchange;
mod gateway;
mod health;
mod host_cache;
mod id_map;
mod key_map;
mod lock;
mod log_style;
mod options;
mod prober;
mod queue;
mod resolver;
mod shared;
#[cfg(feature = "simulation")]
pub mod simulation;
mod stats;
mod thread;
mod time;
mod transit;
mod upstream;
mod worker;

pub use compile::{BackendReport, EndpointStanding, Loads, MemberReport, UnknownBackend, UnknownEndpoint};
pub use control::PublishReport;
pub use event::{Event, Judge};
pub use gateway::{DrainReport, Gateway};
pub use health::{ChangeRecord, EjectionReport, HealthReport, ProbeRecord, ProbeReport};
pub use log_style::{LogFormat, LogStyle, LogTemplate, LogTemplateError};
pub use options::{AccessLog, EventSink, Limits, Options};
pub use stats::{
    DURATION_BOUNDS_US, DestinationReport, DurationKind, DurationReport, EndpointReport, FailureReport,
    ListenerReport, RuleReport, Stats,
};
