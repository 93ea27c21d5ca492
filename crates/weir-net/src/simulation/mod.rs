//! A simulated world: what the kernel, the clock and the system's generator are to a thread that has entered one.
//!
//! This folder owns one end of every connection, the data plane's, and the listening sockets; the time; the seeds. It knows
//! nothing of networks: whoever owns the [`World`] says when bytes arrive, when room to write appears, when a
//! connection opens, ends or breaks, and hears in [`Notice`]s what the data plane did. So delays, loss and faults are
//! that owner's.
//!
//! Readiness is edge-triggered as epoll's is: an event when something arrives, and room only after a write that
//! found too little of it; whatever an event says is the whole state at the time of the look.

mod kernel;
mod socket;
mod watch;
mod world;

pub(crate) use self::kernel::{listen, now_us, seed, watch};
pub(crate) use self::socket::{MemoryListener, MemorySocket};
pub use self::socket::{Readiness, SocketId};
pub(crate) use self::watch::Watch;
pub use self::world::{BEGAN_UNIX_MS, Glimpse, Notice, World};
