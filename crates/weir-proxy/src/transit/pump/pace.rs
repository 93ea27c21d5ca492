//! How long a body has not moved.

use super::{Pump, Stall};

/// When what happened, as far as deadlines need it. Brought up to date only when the pump has to wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    stall: Stall,
    progress: u64,
    since_ms: u64,
    /// Start of the body, later by the time that the recipient took.
    start_ms: u64,
}

impl Pace {
    /// A body that begins now and waits for its sender.
    pub(super) fn begun(now_ms: u64) -> Self {
        Self {
            stall: Stall::Source,
            progress: 0,
            since_ms: now_ms,
            start_ms: now_ms,
        }
    }
}

impl Pump {
    /// When waiting any longer is too long; to be asked when [`Self::poll`] was pending. `source` bounds the wait for
    /// the sender, given when the wait began, when the body began and how much of it has come.
    pub(crate) fn deadline_ms(
        &mut self,
        now_ms: u64,
        sink_ms: u64,
        source: impl FnOnce(/* since */ u64, /* start */ u64, /* moved */ u64) -> u64,
    ) -> u64 {
        let pace = &mut self.pace;
        if pace.stall != self.stall || pace.progress != self.progress {
            if pace.stall == Stall::Sink {
                pace.start_ms += now_ms.saturating_sub(pace.since_ms);
            }
            *pace = Pace {
                stall: self.stall,
                progress: self.progress,
                since_ms: now_ms,
                start_ms: pace.start_ms,
            };
        }
        match self.stall {
            Stall::Source => source(pace.since_ms, pace.start_ms, self.moved),
            Stall::Sink => pace.since_ms.saturating_add(sink_ms),
        }
    }

    /// Which side the pump waits for.
    pub(crate) fn stall(&self) -> Stall {
        self.stall
    }
}
