//! What a run of `cargo xtask chaos` was asked for.

use std::path::PathBuf;

use crate::flags::Flags;
use crate::repository;

/// A fault, in the order in which they are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// One of three backends is killed.
    Kill,
    /// One of three backends is stopped and goes on later.
    Stop,
    /// All backends are gone for a while.
    Outage,
    /// None: what probing costs with many endpoints and routes.
    Probes,
    /// One backend is slow and one fails at once.
    Slow,
}

impl Fault {
    /// All of them.
    const ALL: [Self; 5] = [Self::Kill, Self::Stop, Self::Outage, Self::Probes, Self::Slow];

    /// The name on the command line and in tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Stop => "stop",
            Self::Outage => "outage",
            Self::Probes => "probes",
            Self::Slow => "slow",
        }
    }
}

/// The options of a run.
pub(crate) struct Options {
    /// What is measured.
    pub(crate) faults: Vec<Fault>,
    /// Everything takes seconds instead of minutes, at the price of precision.
    pub(crate) is_short: bool,
    /// Where the figures go.
    pub(crate) json: PathBuf,
}

impl Options {
    /// Reads the arguments: names of faults, then flags.
    pub(crate) fn read(arguments: &[String]) -> Result<Self, String> {
        let names = arguments
            .iter()
            .take_while(|argument| !argument.starts_with("--"))
            .count();
        let (names, rest) = arguments.split_at(names);
        let flags = Flags::read(rest, &["short"], &["json"])?;
        let mut faults = Vec::new();
        for name in names {
            let known = Fault::ALL.into_iter().find(|fault| fault.name() == name);
            let known = known.ok_or_else(|| format!("there is no fault {name}; see cargo xtask help"))?;
            faults.push(known);
        }
        if faults.is_empty() {
            faults = Fault::ALL.to_vec();
        }
        Ok(Self {
            faults,
            is_short: flags.has("short"),
            json: flags
                .text("json")
                .map_or_else(|| repository::target().join("chaos/chaos.json"), PathBuf::from),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Options, String> {
        Options::read(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn faults_are_named_first() {
        let some = read("stop kill --short").expect("options");
        assert_eq!(
            (some.faults, some.is_short),
            (vec![Fault::Stop, Fault::Kill], true)
        );
        assert_eq!(read("").expect("options").faults, Fault::ALL);
        for wrong in ["flood", "--short kill", "kill --quick"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
