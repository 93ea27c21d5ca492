//! What the control plane says of itself, for others to read at any moment.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use weir_model::Problem;

use super::tenancy::Tenancy;
use crate::log::unix_ms;

/// The last notice. Reading it waits for nothing.
#[derive(Debug, Default)]
pub(crate) struct Board {
    notice: Mutex<Notice>,
    posted: Condvar,
}

/// What there is to say after a load.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notice {
    /// Number of the load that is in force.
    pub(crate) generation_running: u64,
    /// Number of the last load that changed something.
    pub(crate) generation_disk: u64,
    /// Why they differ.
    pub(crate) difference: Option<String>,
    /// Of the last load.
    pub(crate) problems: Arc<[Problem]>,
    /// Tenants in force.
    pub(crate) tenants: Arc<Tenancy>,
    /// Loads that were wholly put in force.
    pub(crate) loads_good: u64,
    /// Others.
    pub(crate) loads_bad: u64,
    /// Whether the last one was good.
    pub(crate) is_last_good: bool,
    /// When the last good one was, milliseconds since 1970.
    pub(crate) last_good_unix_ms: Option<u64>,
    /// Loads that somebody asked for and that are over.
    pub(crate) answered: u64,
}

impl Notice {
    /// Counts a load.
    pub(crate) fn count(&mut self, is_good: bool) {
        self.is_last_good = is_good;
        if is_good {
            self.loads_good += 1;
            self.last_good_unix_ms = Some(unix_ms());
        } else {
            self.loads_bad += 1;
        }
    }
}

impl Board {
    /// Changes the notice.
    pub(crate) fn post(&self, change: impl FnOnce(&mut Notice)) {
        change(&mut self.lock());
        self.posted.notify_all();
    }

    /// The notice.
    pub(crate) fn read(&self) -> Notice {
        self.lock().clone()
    }

    /// Waits for a notice of which `is_it` holds; `None` when none came in time.
    pub(crate) fn wait(&self, patience: Duration, is_it: impl Fn(&Notice) -> bool) -> Option<Notice> {
        let deadline = Instant::now() + patience;
        let mut notice = self.lock();
        while !is_it(&notice) {
            let left = deadline.checked_duration_since(Instant::now())?;
            let waited = self.posted.wait_timeout(notice, left);
            notice = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        Some(notice.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Notice> {
        self.notice.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
