//! Sockets, names, time and seeds: everything that the operating system gives the data plane.
//!
//! This crate owns how weir talks to the kernel and holds the only unsafe code of the workspace ([`sys`]). It knows
//! no HTTP and no configuration beyond an endpoint's address. Everything here works on the caller's thread;
//! nothing starts one. Connections belong to an [`EventLoop`]; only name resolution needs a tokio runtime.
//!
//! The feature `simulation` lets a thread enter a simulated world, in which time, seeds and sockets are not the system's. A
//! thread that does not enter one has real ones, feature or not. The binary is built without it.

mod clock;
mod dial;
mod dns;
mod event_loop;
mod listen;
mod rng;
#[cfg(feature = "simulation")]
pub mod simulation;
mod stream;
mod sys;
mod transport;
pub mod wall;

pub use clock::{Clock, Epoch};
pub use dial::connect;
pub use dns::{DnsResolver, Resolution, Resolve, ResolveError, Resolving};
#[cfg(feature = "simulation")]
pub use event_loop::Stepped;
pub use event_loop::{Clockwork, EventLoop, TaskId};
pub use listen::{Bound, ListenError, Listener, listen};
pub use rng::{secret, seed};
pub use stream::Stream;
pub use sys::{file_limit, is_out_of_files, prefetch};
pub use transport::Accepted;
