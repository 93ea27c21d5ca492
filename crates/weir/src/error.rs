//! How a command ends when it does not end well.

use std::fmt;
use std::process::ExitCode;

/// Exit codes; stable, and listed in `weir --help`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All went well.
    Ok = 0,
    /// Something failed while running, or a check did not hold.
    Failed = 1,
    /// The command line cannot be understood.
    Usage = 2,
    /// The configuration cannot be used.
    Config = 3,
    /// No running weir can be reached.
    Unreachable = 4,
    /// Stopped before everything in progress had finished.
    Forced = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// What failed, where, why, and what to do next, said to the person at the terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CommandError {
    exit: Exit,
    what: String,
    place: Option<String>,
    why: Option<String>,
    next: Option<String>,
}

impl CommandError {
    /// An error that says `what` failed, without a full stop.
    pub(crate) fn new(exit: Exit, what: impl Into<String>) -> Self {
        Self {
            exit,
            what: what.into(),
            place: None,
            why: None,
            next: None,
        }
    }

    /// File, address or flag concerned.
    pub(crate) fn place(mut self, place: impl Into<String>) -> Self {
        self.place = Some(place.into());
        self
    }

    /// The cause.
    pub(crate) fn why(mut self, why: impl fmt::Display) -> Self {
        self.why = Some(why.to_string());
        self
    }

    /// What to do about it.
    pub(crate) fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    /// The code to exit with.
    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.what)?;
        for (label, text) in [("where", &self.place), ("why", &self.why), ("next", &self.next)] {
            if let Some(text) = text {
                write!(out, "\n  {label}: {text}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for CommandError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn op11_an_error_says_what_where_why_and_what_next() {
        let error = CommandError::new(Exit::Failed, "cannot listen")
            .place("127.0.0.1:80")
            .why("permission denied")
            .next("choose a port above 1023");
        assert_eq!(
            error.to_string(),
            "cannot listen\n  where: 127.0.0.1:80\n  why: permission denied\n  next: choose a port above 1023"
        );
        assert_eq!(CommandError::new(Exit::Usage, "no").to_string(), "no");
    }
}
