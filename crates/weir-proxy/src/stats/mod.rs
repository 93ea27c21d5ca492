//! What the data plane counts. Workers write their own counters without synchronising; readers add them up.
//!
//! This folder owns the counters and knows of HTTP no more than words, and of configuration no more than keys.

mod counter;
mod destination;
mod durations;
mod histogram;
mod listener;
mod recorder;
mod report;

pub(crate) use destination::{DestinationRecorder, PickCause};
pub use durations::{DURATION_BOUNDS_US, DurationKind, DurationReport};
pub(crate) use listener::OpenConnection;
pub(crate) use recorder::{Recorder, Registry};
pub use report::{DestinationReport, EndpointReport, FailureReport, ListenerReport, RuleReport, Stats};
