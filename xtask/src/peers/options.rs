//! What a run of `cargo xtask peers` was asked for.

use std::path::PathBuf;

use super::peer::Peer;
use crate::flags::Flags;
use crate::repository;

/// The options of a run.
pub(crate) struct Options {
    /// Who takes part.
    pub(crate) peers: Vec<Peer>,
    /// Numbers of client connections, one table each.
    pub(crate) connections: Vec<u32>,
    /// Rounds per number of connections.
    pub(crate) rounds: u32,
    /// How long the load of one slice lasts, s. Its beginning is not measured.
    pub(crate) slice_s: u32,
    /// Connections of the memory table; 0 for none.
    pub(crate) idle_connections: u32,
    /// Where the figures go.
    pub(crate) json: PathBuf,
    /// Measure changes of configuration instead.
    pub(crate) reload: bool,
    /// Routes of the configuration whose changes are measured.
    pub(crate) routes: u32,
}

impl Options {
    /// Reads the arguments. `short` makes a few short rounds of a few peers the default.
    pub(crate) fn read(arguments: &[String], short: bool) -> Result<Self, String> {
        let flags = Flags::read(
            arguments,
            &["quick", "reload"],
            &[
                "only",
                "connections",
                "rounds",
                "seconds",
                "idle",
                "json",
                "routes",
            ],
        )?;
        let short = short || flags.has("quick");
        let everybody = if short && !flags.has("quick") {
            vec![Peer::Floor, Peer::Weir, Peer::Nginx]
        } else {
            Peer::ALL.to_vec()
        };
        let mut peers: Vec<Peer> = flags.list("only", everybody)?;
        peers.sort_unstable();
        peers.dedup();
        let options = Self {
            peers,
            connections: flags.list("connections", if short { vec![64] } else { vec![64, 512] })?,
            rounds: flags.value("rounds", if short { 3 } else { 7 })?,
            slice_s: flags.value("seconds", 2)?,
            idle_connections: flags.value("idle", if short { 0 } else { 5_000 })?,
            json: flags
                .text("json")
                .map_or_else(|| repository::target().join("peers/peers.json"), PathBuf::from),
            reload: flags.has("reload"),
            routes: flags.value("routes", 10_000)?,
        };
        if options.rounds == 0 || options.slice_s == 0 || options.connections.contains(&0) {
            return Err("--rounds, --seconds and --connections start at 1".to_owned());
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str, short: bool) -> Result<Options, String> {
        Options::read(
            &line.split_whitespace().map(str::to_owned).collect::<Vec<_>>(),
            short,
        )
    }

    #[test]
    fn defaults_follow_the_kind_of_run() {
        let full = read("", false).expect("options");
        assert_eq!(
            (full.connections, full.rounds, full.peers.len()),
            (vec![64, 512], 7, Peer::ALL.len())
        );
        let quick = read("--quick --only weir,floor", false).expect("options");
        assert_eq!((quick.connections, quick.rounds), (vec![64], 3));
        assert_eq!(quick.peers, [Peer::Floor, Peer::Weir]);
        let bench = read("--rounds 9", true).expect("options");
        assert_eq!((bench.rounds, bench.peers.len()), (9, 3));
    }

    #[test]
    fn nonsense_is_refused() {
        for line in ["--only apache", "--rounds 0", "--connections 64,x", "--seconds 0"] {
            assert!(read(line, false).is_err(), "{line}");
        }
    }
}
