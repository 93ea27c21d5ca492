//! What weir is measured with: the floor relay, a minimal backend, idle clients and a leash for processes.
//!
//! The binaries are in `bin/`; `cargo xtask peers` builds and drives them. This crate talks to the kernel
//! directly, because a yardstick must not share the code of what it measures: it depends on no crate of weir.

mod flags;
mod poll;
mod socket;

pub use flags::Flags;
pub use poll::{Events, Poller};
pub use socket::{accept, connect, listen, raise_file_limit, read, write};
