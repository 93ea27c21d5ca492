//! What is lost when backends die: real processes, real signals, a load that keeps its pace.
//!
//! Every fault has limits; one that is missed fails the run. The policies are those of docs/resilience.md, taken from there,
//! so what the page promises is what was measured.

mod commands;
mod document;
mod kill;
mod losses;
mod options;
mod outage;
mod probes;
mod report;
mod site;
mod slow;
mod stage;
mod stop;

pub(crate) use commands::run;
