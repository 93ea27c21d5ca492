//! What is lost when backends die, in short form: real processes, real signals, a load that keeps its pace, and the policies
//! of docs/resilience.md as they stand there. `cargo xtask chaos` does the same at length and measures.

mod keystone;
mod kill;
mod left;
mod outage;
mod probes;
mod slow;
mod stage;
mod stop;
