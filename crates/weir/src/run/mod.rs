//! Wiring: the control plane's results go to the data plane, signals end both. `control` decides what is in force,
//! `follow` asks it again when files change, `plane` is all that is known of the data plane, `serve` is the life
//! of the process.

mod control;
mod follow;
mod pidfile;
mod plane;
mod serve;
mod session_keys;

pub(crate) use plane::Plane;
pub(crate) use serve::{Origin, ServePlan, serve};
