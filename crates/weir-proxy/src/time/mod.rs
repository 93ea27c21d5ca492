//! Deadlines: a coarse wheel per worker, and waiting with one in mind.

mod alarm;
mod wheel;

pub(crate) use alarm::{Alarm, Expired};
pub(crate) use wheel::{NEVER, Timer, Wheel};
