//! Why a request goes where it goes, told from a configuration alone (row BX11). The folder asks the same router
//! and the same balancers as the data plane; it knows no socket and no clock.

mod decision;
mod forward;
mod json;
mod request;
mod simulation;
mod text;
mod words;

pub(crate) use decision::{Outcome, decide};
pub(crate) use json::to_json;
pub(crate) use request::ExplainedRequest;
pub(crate) use simulation::Plan;
pub(crate) use text::to_text;
