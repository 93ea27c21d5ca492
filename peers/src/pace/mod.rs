//! A load that keeps its pace: requests are due at times that were fixed before, whatever becomes of those before them.
//!
//! A request that is due finds an idle connection or gets a new one; it never waits for another's answer. Its latency counts
//! from the moment at which it was due, so a program that stands still is billed for all who would have come meanwhile.
//! Every request carries its number in its target: `/NUMBER`.

mod client;
mod outcome;
mod plan;

pub use client::run;
pub use outcome::{End, Exchange, Outcome};
pub use plan::{Arrivals, Plan};
