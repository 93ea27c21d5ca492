//! Where requests are at home: sessions, keys, tiers.

use std::net::SocketAddr;

/// Keys whose endpoints are asked for.
pub(crate) const KEYS: usize = 256;
/// How far the share of one endpoint may lie above 1/n of the keys, percent: the tables are small.
const SHARE_SPREAD_PERCENT: usize = 20;
/// Keys that may move between endpoints that stay, percent. Maglev tables are made anew; rings move none, but when the
/// points of all their endpoints are doubled or halved.
const MAGLEV_STRAY_PERCENT: usize = 15;
/// See [`MAGLEV_STRAY_PERCENT`].
const DOUBLED_STRAY_PERCENT: usize = 50;

/// What a client knows of its session: the token, and where that leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    /// As the client was given it.
    pub(crate) text: String,
    /// Which endpoint served when it was given.
    pub(crate) home: SocketAddr,
}

/// Which endpoint each of [`KEYS`] keys belongs to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Owners {
    /// The endpoints that could be used.
    pub(crate) usable: Vec<SocketAddr>,
    /// Points of each endpoint on the ring; `None` for a table.
    pub(crate) points: Option<u32>,
    /// By key; empty when that is not known.
    pub(crate) owners: Vec<SocketAddr>,
}

/// Since when a tier's health has been as it is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TierWatch {
    /// How often something had happened by then.
    pub(crate) shakes: u64,
    /// When a request was first spread over the tiers after that: the delay of a failback begins there.
    pub(crate) since_us: u64,
}

impl Owners {
    /// What is wrong with a change of owners.
    pub(crate) fn moved_to(&self, now: &Self) -> Option<String> {
        if now.owners.len() != KEYS {
            return Some(format!("{} of {KEYS} keys belong to somebody", now.owners.len()));
        }
        if let Some(owner) = now.owners.iter().find(|owner| !now.usable.contains(owner)) {
            return Some(format!("keys belong to {owner}, which cannot be used"));
        }
        if self.owners.is_empty() {
            return None;
        }
        let moves = self.owners.iter().zip(&now.owners);
        let moves: Vec<_> = moves.filter(|(was, is)| was != is).collect();
        let is_stray =
            |(was, is): &&(&SocketAddr, &SocketAddr)| now.usable.contains(was) && self.usable.contains(is);
        let stray = moves.iter().filter(is_stray).count();
        let stray_percent = match (self.points, now.points) {
            (None, _) | (_, None) => MAGLEV_STRAY_PERCENT,
            (before, now) if before == now => 0,
            (Some(_), Some(_)) => DOUBLED_STRAY_PERCENT,
        };
        if stray * 100 > stray_percent * KEYS {
            return Some(format!("{stray} of {KEYS} keys move between endpoints that stay"));
        }
        let gone = self.usable.iter().filter(|one| !now.usable.contains(one)).count();
        let come = now.usable.iter().filter(|one| !self.usable.contains(one)).count();
        let all = self.usable.len().max(now.usable.len());
        let share_percent = 100 * (gone + come) / all + SHARE_SPREAD_PERCENT + stray_percent;
        (moves.len() * 100 > share_percent * KEYS).then(|| {
            format!(
                "{} of {KEYS} keys move, for {gone} gone and {come} come",
                moves.len()
            )
        })
    }
}
