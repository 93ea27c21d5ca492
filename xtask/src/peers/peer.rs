//! Who is measured.

use std::fmt;
use std::str::FromStr;

/// A program under measurement. The order is the one of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Peer {
    /// The blind relay of this repository: the least that a proxy can do.
    Floor,
    /// weir.
    Weir,
    /// nginx, from the system's packages.
    Nginx,
    /// HAProxy, from the system's packages.
    Haproxy,
    /// Envoy, from the Python package index.
    Envoy,
    /// Caddy, from the Python package index.
    Caddy,
}

impl Peer {
    /// Everybody.
    pub(crate) const ALL: [Self; 6] = [
        Self::Floor,
        Self::Weir,
        Self::Nginx,
        Self::Haproxy,
        Self::Envoy,
        Self::Caddy,
    ];

    /// The name on the command line and in tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Weir => "weir",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Envoy => "envoy",
            Self::Caddy => "caddy",
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.name())
    }
}

impl FromStr for Peer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|peer| peer.name() == text)
            .ok_or_else(|| "no such peer".to_owned())
    }
}
