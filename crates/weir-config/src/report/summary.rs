//! Counting problems.

use std::fmt;
use std::sync::Arc;

use weir_model::{Problem, Severity};

/// How much was read and how much of it is wrong. Shown as one line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The files read.
    pub files: Vec<Arc<str>>,
    /// Objects that were decoded.
    pub objects: usize,
    /// Problems of severity error.
    pub errors: usize,
    /// Problems of severity warning.
    pub warnings: usize,
    /// Problems of severity note.
    pub notes: usize,
}

impl Summary {
    /// Counts.
    pub fn new(files: Vec<Arc<str>>, objects: usize, problems: &[Problem]) -> Self {
        let count = |severity| {
            problems
                .iter()
                .filter(|problem| problem.severity == severity)
                .count()
        };
        Self {
            files,
            objects,
            errors: count(Severity::Error),
            warnings: count(Severity::Warning),
            notes: count(Severity::Note),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.files {
            [] => out.write_str("no files")?,
            [file] => out.write_str(file)?,
            files => write!(out, "{} files", files.len())?,
        }
        let plural =
            |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
        write!(
            out,
            ": {}, {}",
            plural(self.errors, "error"),
            plural(self.warnings, "warning")
        )?;
        if self.notes > 0 {
            write!(out, ", {}", plural(self.notes, "note"))?;
        }
        write!(out, " ({})", plural(self.objects, "object"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_is_one_line() {
        let summary = |files: &[&str], errors, warnings, notes| Summary {
            files: files.iter().map(|file| Arc::from(*file)).collect(),
            objects: 12,
            errors,
            warnings,
            notes,
        };
        for (summary, expected) in [
            (
                summary(&["shop.yaml"], 1, 0, 0),
                "shop.yaml: 1 error, 0 warnings (12 objects)",
            ),
            (
                summary(&["a", "b"], 0, 1, 2),
                "2 files: 0 errors, 1 warning, 2 notes (12 objects)",
            ),
            (
                summary(&[], 2, 0, 0),
                "no files: 2 errors, 0 warnings (12 objects)",
            ),
        ] {
            assert_eq!(summary.to_string(), expected);
        }
    }
}
