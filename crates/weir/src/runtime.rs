//! The asynchronous runtime of the commands, and the signals that they follow.

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::{CommandError, Exit};

/// A runtime for one thread.
///
/// # Errors
/// The kernel refuses a resource.
pub(crate) fn single() -> Result<Runtime, CommandError> {
    let built = Builder::new_current_thread().enable_all().build();
    built.map_err(|error| CommandError::new(Exit::Failed, "cannot start the runtime").why(error))
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// TERM or INT: finish what is in progress and end.
    Drain,
    /// QUIT: end now.
    Stop,
    /// HUP: read the configuration again.
    Reload,
    /// USR1: open the access log again.
    Reopen,
    /// USR2: hand over to a new program, which weir cannot do yet. Without anybody who takes it, the signal would end the
    /// process.
    HandOver,
}

/// The signals that a command follows.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    quit: Signal,
    hangup: Signal,
    user1: Signal,
    user2: Signal,
}

impl Signals {
    /// Takes over the signals of the process. To be called inside a runtime.
    ///
    /// # Errors
    /// The kernel refuses.
    pub(crate) fn new() -> Result<Self, CommandError> {
        let take = |kind| {
            signal(kind).map_err(|error| CommandError::new(Exit::Failed, "cannot follow signals").why(error))
        };
        Ok(Self {
            interrupt: take(SignalKind::interrupt())?,
            terminate: take(SignalKind::terminate())?,
            quit: take(SignalKind::quit())?,
            hangup: take(SignalKind::hangup())?,
            user1: take(SignalKind::user_defined1())?,
            user2: take(SignalKind::user_defined2())?,
        })
    }

    /// Waits for the next signal. Safe to drop and call again: no signal is lost.
    pub(crate) async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.interrupt.recv() => Asked::Drain,
            _ = self.terminate.recv() => Asked::Drain,
            _ = self.quit.recv() => Asked::Stop,
            _ = self.hangup.recv() => Asked::Reload,
            _ = self.user1.recv() => Asked::Reopen,
            _ = self.user2.recv() => Asked::HandOver,
        }
    }

    /// Waits for a signal that asks to end.
    pub(crate) async fn end(&mut self) -> Asked {
        loop {
            let asked = self.next().await;
            if matches!(asked, Asked::Drain | Asked::Stop) {
                return asked;
            }
        }
    }
}
