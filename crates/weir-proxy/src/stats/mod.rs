//! What the data plane counts. Workers write their own counters without synchronising; readers add them up.
//!
//! This folder owns the counters and knows neither HTTP nor configuration.

mod histogram;
mod recorder;
mod report;

pub(crate) use recorder::{Recorder, Registry};
pub use report::{EndpointReport, FailureReport, RuleReport, Stats};
