//! What metrics are about.

/// What a family is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MetricScope {
    /// The process, and what it answered itself.
    Process,
    /// The configuration.
    Config,
    /// Listeners.
    Listener,
    /// Rules.
    Route,
    /// Backends.
    Backend,
    /// Endpoints.
    Endpoint,
    /// Active checks.
    Check,
    /// Tenants.
    Tenant,
}

impl MetricScope {
    /// All of them, with their words.
    const ALL: [(&'static str, Self); 8] = [
        ("process", Self::Process),
        ("config", Self::Config),
        ("listener", Self::Listener),
        ("route", Self::Route),
        ("backend", Self::Backend),
        ("endpoint", Self::Endpoint),
        ("check", Self::Check),
        ("tenant", Self::Tenant),
    ];

    /// The scope of a word.
    ///
    /// # Errors
    /// There is none; for people.
    pub(super) fn parse(word: &str) -> Result<Self, String> {
        let known = Self::ALL.iter().find(|(name, _)| *name == word);
        known.map(|(_, scope)| *scope).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|(name, _)| *name).collect();
            format!("there is no scope {word:?}: there are {}", names.join(", "))
        })
    }
}
