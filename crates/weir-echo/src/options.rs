//! How an echo backend behaves.

use std::sync::Arc;
use std::time::Duration;

use crate::{Counters, Identity, Journal};

/// How an echo backend behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// Who it says it is. An empty `pod` becomes `echo-PORT`.
    pub identity: Identity,
    /// Time between a request and its answer.
    pub delay: Duration,
    /// Percent of the requests that are answered with 500, from 0 to 100.
    pub error_rate_percent: f64,
    /// Which requests those are: the same seed fails the same numbers of requests.
    pub seed: u64,
    /// Status of the other answers.
    pub status: u16,
    /// Where received requests are written down, if anywhere.
    pub journal: Option<Journal>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            identity: Identity {
                namespace: "default".to_owned(),
                ..Identity::default()
            },
            delay: Duration::ZERO,
            error_rate_percent: 0.0,
            seed: 1,
            status: 200,
            journal: None,
        }
    }
}

/// What the connections of one backend share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Of the backend.
    pub(crate) port: u16,
    pub(crate) options: Options,
    pub(crate) counters: Arc<Counters>,
}
