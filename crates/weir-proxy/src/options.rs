//! What the process decides about the data plane, as opposed to its configuration.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use weir_balance::TokenKeys;
use weir_model::limits;

use crate::{Event, LogStyle};

/// How a gateway runs. Never changes while it does.
#[derive(Clone, Default)]
pub struct Options {
    /// Worker threads; 0 for one per core.
    pub workers: usize,
    /// Makes every random choice repeatable (row RL08); from the system when `None`.
    pub seed: Option<u64>,
    /// Bounds.
    pub limits: Limits,
    /// Where records of exchanges go.
    pub access_log: AccessLog,
    /// How they are written, and which.
    pub log_style: LogStyle,
    /// Answers that weir gives itself carry `x-weir-reason` with a word that says why.
    pub reason_header: bool,
    /// What session tokens are signed with. Every replica needs the same, also after a restart (row BX15); a key of its own,
    /// drawn when it starts, when `None`.
    pub session_keys: Option<TokenKeys>,
    /// Finds the addresses of names; the system's name servers when `None`.
    pub resolver: Option<Arc<dyn weir_net::Resolve>>,
    /// Hears of what happens outside exchanges. Called from several threads; must not block.
    pub events: Option<EventSink>,
}

/// A function that hears of events.
pub type EventSink = Arc<dyn Fn(Event) + Send + Sync>;

impl fmt::Debug for Options {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Options")
            .field("workers", &self.workers)
            .field("seed", &self.seed)
            .field("limits", &self.limits)
            .field("access_log", &self.access_log)
            .field("log_style", &self.log_style)
            .field("reason_header", &self.reason_header)
            .field("session_keys", &self.session_keys)
            .field("resolver", &self.resolver)
            .finish_non_exhaustive()
    }
}

/// Where records of exchanges go, one line each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AccessLog {
    /// Nowhere.
    #[default]
    Off,
    /// The standard output.
    Stdout,
    /// The end of this file, which is made when it is missing.
    File(PathBuf),
}

/// Bounds on what clients and endpoints may take. The defaults are [`weir_model::limits`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Time for a whole request head.
    pub head_timeout: Duration,
    /// Time that a client connection may stay open between requests.
    pub idle_timeout: Duration,
    /// A request body must arrive at this rate, bytes per second, after [`Self::body_grace`].
    pub body_rate_min: u64,
    /// See [`Self::body_rate_min`].
    pub body_grace: Duration,
    /// A blocked write must make progress within this time.
    pub write_timeout: Duration,
    /// Open client connections; `None` derives it from `RLIMIT_NOFILE`, 45 % of it.
    pub connections: Option<u32>,
    /// Open client connections from one address, loopback exempt.
    pub connections_per_source: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_timeout: limits::HEAD_TIMEOUT,
            idle_timeout: limits::IDLE_TIMEOUT,
            body_rate_min: limits::BODY_RATE_MIN,
            body_grace: limits::BODY_GRACE,
            write_timeout: limits::WRITE_TIMEOUT,
            connections: None,
            connections_per_source: limits::CONNECTIONS_PER_SOURCE,
        }
    }
}

/// [`Limits`] in the units that workers compare with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) head_ms: u64,
    pub(crate) idle_ms: u64,
    pub(crate) body_rate_min: u64,
    pub(crate) body_grace_ms: u64,
    pub(crate) write_ms: u64,
}

impl From<&Limits> for Bounds {
    fn from(limits: &Limits) -> Self {
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX / 2);
        Self {
            head_ms: milliseconds(limits.head_timeout),
            idle_ms: milliseconds(limits.idle_timeout),
            body_rate_min: limits.body_rate_min.max(1),
            body_grace_ms: milliseconds(limits.body_grace),
            write_ms: milliseconds(limits.write_timeout),
        }
    }
}
