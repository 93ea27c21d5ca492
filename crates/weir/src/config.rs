//! Where configuration is, and what is said about it.

use std::path::{Path, PathBuf};

use weir_config::check::{CheckReport, check_resources};
use weir_config::resource::ResourceSet;
use weir_model::{Problem, Severity};

use crate::error::{CommandError, Exit};

/// Where configuration is looked for when nobody says where.
const DEFAULTS: [&str; 2] = ["weir.yaml", "/etc/weir"];

/// The paths that were named, or the first default that exists.
///
/// # Errors
/// Nothing was named and no default exists.
pub(crate) fn roots(named: &[PathBuf]) -> Result<Vec<PathBuf>, CommandError> {
    if !named.is_empty() {
        return Ok(named.to_vec());
    }
    let default = DEFAULTS.iter().map(Path::new).find(|path| path.exists());
    default.map(|path| vec![path.to_owned()]).ok_or_else(|| {
        CommandError::new(Exit::Config, "no configuration found")
            .place("./weir.yaml and /etc/weir")
            .next("name one with -c, or write an example to start from: weir demo --write .")
    })
}

/// Reads and translates a text as if it were a file of this name.
pub(crate) fn of_text(name: &str, text: &str) -> CheckReport {
    check_resources(&ResourceSet::from_texts([(name, text)]), vec![name.into()])
}

/// The text of a file as problems name it, to quote from; `None` when it cannot be read any more.
pub(crate) fn source_text(file: &str) -> Option<String> {
    std::fs::read_to_string(file).ok()
}

/// Number of problems of this severity.
pub(crate) fn count(problems: &[Problem], severity: Severity) -> usize {
    problems
        .iter()
        .filter(|problem| problem.severity == severity)
        .count()
}

/// Problems of reading and of translating, in the order of the files.
pub(crate) fn all_problems(read: &[Problem], translated: &[Problem]) -> Vec<Problem> {
    let mut problems: Vec<_> = read.iter().chain(translated).cloned().collect();
    problems.sort_by(|left, right| {
        let place = |problem: &Problem| {
            (
                problem.origin.file.clone(),
                problem.origin.line,
                problem.origin.column,
            )
        };
        place(left).cmp(&place(right))
    });
    problems
}
