//! Wiring: the control plane's results go to the data plane, signals end both. `control` decides what is in force,
//! `follow` asks it again when files change, `plane` is all that is known of the data plane, `serve` is the life
//! of the process. `admin` opens the admin API, `told` answers it: from the `board` that control posts on, from the data
//! plane's `picture`, and with what people decide (`steering`).

mod admin;
mod board;
mod control;
mod follow;
mod picture;
mod pidfile;
mod plane;
mod serve;
mod session_keys;
mod steering;
mod tenancy;
mod told;
mod words;

pub(crate) use admin::read_token;
pub(crate) use plane::Plane;
pub(crate) use serve::{Origin, ServePlan, serve};
