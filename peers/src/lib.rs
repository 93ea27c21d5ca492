//! What weir is measured with: the floor relay, minimal backends, clients that keep a pace, and a leash for processes.
//!
//! The binaries are in `bin/`; `cargo xtask peers` and `cargo xtask chaos` build and drive them. This crate talks to the
//! kernel directly, because a yardstick must not share the code of what it measures: it depends on no crate of weir.

mod flags;
pub mod pace;
mod poll;
pub mod queue;
mod random;
mod socket;
mod trapdoor;

pub use flags::Flags;
pub use poll::{Events, Poller};
pub use random::Random;
pub use socket::{accept, connect, listen, raise_file_limit, read, write};
pub use trapdoor::Trapdoor;
