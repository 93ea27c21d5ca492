//! Where configuration is, and reading it once.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use weir_config::resource::ResourceSet;
use weir_config::source::FileSource;
use weir_config::translate::{Options, Translation, translate};
use weir_model::{Problem, Severity};

use crate::error::{CommandError, Exit};

/// Where configuration is looked for when nobody says where.
const DEFAULTS: [&str; 2] = ["weir.yaml", "/etc/weir"];

/// A configuration, read and translated once.
#[derive(Debug)]
pub(crate) struct ReadConfig {
    /// What it means.
    pub(crate) translation: Translation,
    /// Everything that is wrong with it, in the order of the files.
    pub(crate) problems: Vec<Problem>,
    /// Number of objects.
    pub(crate) objects: usize,
    /// The files read, in order.
    pub(crate) files: Vec<Arc<str>>,
}

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

/// Reads and translates these paths.
pub(crate) fn read(roots: Vec<PathBuf>) -> ReadConfig {
    let loaded = FileSource::new(roots).load();
    ReadConfig {
        files: loaded.files,
        ..of_set(&loaded.resources)
    }
}

/// Translates a text as if it were a file of this name.
pub(crate) fn of_text(name: &str, text: &str) -> ReadConfig {
    ReadConfig {
        files: vec![name.into()],
        ..of_set(&ResourceSet::from_texts([(name, text)]))
    }
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

fn of_set(set: &ResourceSet) -> ReadConfig {
    let translation = translate(set, &Options::files());
    ReadConfig {
        problems: all_problems(&set.problems, &translation.problems),
        objects: set.objects.len(),
        files: Vec::new(),
        translation,
    }
}
