//! Measures weir beside others: the same machine, the same backend, equal settings, interleaved rounds.
//!
//! What is compared is CPU time per request, taken from the kernel's accounting of every thread of every process
//! of a proxy, because on a machine where load generator, proxy and backend share cores the rate says little
//! about the proxy. docs/performance.md explains the method.

mod commands;
mod figures;
mod idle;
mod kernel;
mod load;
mod machine;
mod options;
mod peer;
mod probe;
mod process;
mod reload;
mod report;
mod rounds;
mod routes;
mod settings;
mod syscalls;
mod tools;

pub(crate) use commands::{run, run_short};
pub(crate) use figures::Figures;
pub(crate) use process::{Leashed, free_port};
pub(crate) use settings::envoy_with;
pub(crate) use tools::envoy;
