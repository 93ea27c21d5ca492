//! Where a piece of configuration was written.

use std::fmt;
use std::sync::Arc;

/// File, line and column of something written by a person. Lines and columns count from 1; line 0 means that
/// nothing was written (a default, a flag).
///
/// All origins compare equal: moving an object to another line changes nothing that it means, so an equal
/// [`crate::Config`] stays equal (ARCHITECTURE.md, "an equal configuration changes nothing").
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// The file as the user named it; empty for something that no file holds.
    pub file: Option<Arc<str>>,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

impl Origin {
    /// A place in a file.
    pub fn new(file: Arc<str>, line: u32, column: u32) -> Self {
        Self {
            file: Some(file),
            line,
            column,
        }
    }
}

impl PartialEq for Origin {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

impl Eq for Origin {}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.file, self.line) {
            (Some(file), 0) => write!(out, "{file}"),
            (Some(file), line) => write!(out, "{file}:{line}:{}", self.column),
            (None, _) => out.write_str("(built in)"),
        }
    }
}
