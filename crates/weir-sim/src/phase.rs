//! The phases of a seed.

/// What a seed goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Everything may fail.
    Storm,
    /// Nothing fails any more; what was broken may recover.
    Calm,
    /// Nothing may be lost.
    Proof,
    /// weir is told to drain, in some seeds.
    Drain,
    /// Nothing is going on any more.
    Rest,
    Over,
}
