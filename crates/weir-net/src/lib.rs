//! Sockets, names, time and seeds: everything that the operating system gives the data plane.
//!
//! This crate owns how weir talks to the kernel and holds the only unsafe code of the workspace ([`sys`]). It knows
//! no HTTP and no configuration beyond an endpoint's address. Everything here works on the caller's thread;
//! nothing starts one. Connections belong to an [`EventLoop`]; only name resolution needs a tokio runtime.

mod clock;
mod dial;
mod dns;
mod event_loop;
mod listen;
mod rng;
mod stream;
mod sys;
pub mod wall;

pub use clock::{Clock, Epoch};
pub use dial::connect;
pub use dns::{DnsResolver, Resolution, Resolve, ResolveError, Resolving};
pub use event_loop::{Clockwork, EventLoop, TaskId};
pub use listen::{ListenError, Listener, listen};
pub use rng::{secret, seed};
pub use stream::Stream;
pub use sys::{file_limit, is_out_of_files, prefetch};
