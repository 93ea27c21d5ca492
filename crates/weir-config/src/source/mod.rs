//! Where configuration comes from: files and directories, read again whenever they change.
//!
//! This folder owns the file system: finding files, limits, caching by content, keeping the last good version,
//! watching. It must not know what resources mean.

mod change;
mod documents;
mod environment;
mod files;
mod identity;
mod patch;
#[cfg(test)]
pub(crate) mod scratch;
mod signal;
mod walk;
mod watch;

pub use change::Change;
pub use files::{FileSource, Loaded};
pub use watch::{Changed, Waker, Watcher};
