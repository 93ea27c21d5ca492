//! Loads again when files change or somebody asks, on a thread of its own.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use weir_config::source::{Changed, Waker, Watcher};

use super::control::{Cause, Control};
use super::plane::Plane;

/// Time between two reminders that what runs is not what is written.
const REMINDER: Duration = Duration::from_secs(60);

/// The thread that follows changes. It ends with the process.
#[derive(Debug)]
pub(crate) struct Follower {
    waker: Waker,
    is_over: Arc<AtomicBool>,
}

impl Follower {
    /// Follows `roots`, or only [`Self::reload`] when there are none. `watcher` was made before the first load, so
    /// that no change is missed.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub(crate) fn start(
        mut watcher: Watcher,
        mut control: Control,
        plane: Arc<Plane>,
    ) -> std::io::Result<Self> {
        let waker = watcher.waker();
        let is_over = Arc::new(AtomicBool::new(false));
        let over = is_over.clone();
        std::thread::Builder::new()
            .name("weir-config".to_owned())
            .spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    let changed = watcher.next(REMINDER);
                    if over.load(Ordering::Relaxed) {
                        return;
                    }
                    match changed {
                        Changed::Files => control.load(&plane, Cause::Written),
                        Changed::Polled => control.load(&plane, Cause::Unknown),
                        Changed::Asked => control.load(&plane, Cause::Asked),
                        Changed::Timeout => {
                            control.remind();
                            continue;
                        }
                    };
                }
            })?;
        Ok(Self { waker, is_over })
    }

    /// Loads again now.
    pub(crate) fn reload(&self) {
        self.waker.wake();
    }

    /// Nothing is loaded any more.
    pub(crate) fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

/// What to watch: nothing when changes are not to be followed.
pub(crate) fn watcher(roots: &[PathBuf], is_watching: bool) -> Watcher {
    Watcher::new(if is_watching { roots } else { &[] })
}
