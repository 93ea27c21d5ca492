//! What the admin API may ask of the weir that it belongs to.

use std::time::Duration;

use serde_json::Value;

use crate::Report;

/// A running weir. Every function may be called from any thread, [`Instance::readiness`] and
/// [`Instance::tenant_bases`] at any moment without waiting; the others may wait for a publication that is under way.
pub trait Instance: Send + Sync + 'static {
    /// Whether it is ready to serve.
    fn readiness(&self) -> Readiness;

    /// The base paths of the tenants' part of the API, without a slash at their end; `/` is the empty one.
    fn tenant_bases(&self) -> Vec<String>;

    /// The whole picture.
    fn report(&self) -> Report;

    /// The configuration as meant, without secrets.
    fn config(&self) -> Value;

    /// Lets somebody's decision about endpoints hold. Gives the endpoints' addresses.
    fn decide(&self, order: &Order) -> Result<Vec<String>, Refusal>;

    /// Loads the configuration again and waits until the result is in force.
    fn reload(&self) -> Result<Reloaded, Refusal>;
}

/// Whether it is ready to serve: no reason speaks against it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// Stable words: `starting`, `no_listener`, `draining`.
    pub reasons: Vec<&'static str>,
}

/// A decision about endpoints (row HC18).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Which.
    pub endpoints: Selector,
    /// What.
    pub verb: Verb,
    /// After this time it is taken back by itself.
    pub lasts: Option<Duration>,
    /// For those who see it later.
    pub reason: Option<String>,
}

/// Which endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    /// An address, or the name of endpoints in the backend.
    pub endpoint: String,
    /// The key of a backend, or the part of it after the first slash; needed for names.
    pub backend: Option<String>,
}

/// What to do with endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Nothing new goes there; what is in progress finishes.
    Drain,
    /// As [`Verb::Drain`], and it is not probed and unused connections are closed.
    Disable,
    /// As configured and as its health allows; a weight set by hand stays.
    Enable,
    /// This weight in place of the configured one.
    Weight(u32),
    /// Everything that was decided is taken back.
    Reset,
}

/// Why something that was asked for is not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such thing.
    Unknown(String),
    /// It cannot be done as asked.
    Invalid(String),
    /// It was tried and did not work.
    Failed(String),
}

/// What a reload came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reloaded {
    /// Number of the load that is in force.
    pub generation_running: u64,
    /// Number of the last load.
    pub generation_disk: u64,
    /// Why they differ, if they do.
    pub difference: Option<String>,
    /// Errors in the configuration.
    pub errors: u64,
    /// Warnings.
    pub warnings: u64,
}

impl Readiness {
    /// Whether nothing speaks against it.
    pub fn is_ready(&self) -> bool {
        self.reasons.is_empty()
    }
}

impl Verb {
    /// The verb of a word and, for `weight`, a number. Words of HAProxy's users mean the same.
    pub fn of(word: &str, weight: Option<u32>) -> Option<Self> {
        match (word, weight) {
            ("drain", None) => Some(Self::Drain),
            ("disable" | "maint", None) => Some(Self::Disable),
            ("enable" | "ready", None) => Some(Self::Enable),
            ("weight", Some(weight)) => Some(Self::Weight(weight)),
            ("reset", None) => Some(Self::Reset),
            _ => None,
        }
    }
}
