//! The repository as the rules see it.

use std::fs;
use std::path::Path;

use super::manifest::{self, Package};
use super::ratchet::{self, Exception};
use super::source::Source;

/// Folders that are not ours to check: build results, history, downloads.
const SKIPPED: [&str; 5] = ["target", ".git", "corpus", "artifacts", "node_modules"];
/// Names of files that we read as text besides Rust sources.
const TEXTS: [&str; 8] = ["md", "toml", "yaml", "yml", "txt", "sh", "json", "html"];

/// Everything that is checked.
pub(crate) struct Tree {
    /// All Rust files.
    pub(crate) sources: Vec<Source>,
    /// All text files, Rust included.
    pub(crate) texts: Vec<Text>,
    /// The workspace's packages.
    pub(crate) packages: Vec<Package>,
    /// Functions that may be longer than the rule says.
    pub(crate) ratchet: Vec<Exception>,
}

/// A text file.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    /// From the repository's root, with `/`.
    pub(crate) path: String,
    /// What it says.
    pub(crate) text: String,
}

impl Tree {
    /// Reads the repository.
    pub(crate) fn read(root: &Path) -> Result<Self, String> {
        let mut texts = Vec::new();
        collect(root, root, &mut texts)?;
        texts.sort_by(|left, right| left.path.cmp(&right.path));
        let mut sources: Vec<Source> = texts
            .iter()
            .filter(|text| text.path.ends_with(".rs"))
            .map(|text| Source::new(&text.path, &text.text))
            .collect();
        let tests: Vec<String> = sources.iter().flat_map(Source::test_modules).collect();
        sources
            .iter_mut()
            .filter(|source| tests.contains(&source.path))
            .for_each(Source::set_test_file);
        let ratchet = texts.iter().find(|text| text.path == ratchet::PATH);
        let ratchet = ratchet.map_or_else(|| Ok(Vec::new()), |text| ratchet::parse(&text.text))?;
        Ok(Self {
            sources,
            texts,
            packages: manifest::packages()?,
            ratchet,
        })
    }
}

fn collect(root: &Path, folder: &Path, texts: &mut Vec<Text>) -> Result<(), String> {
    let problem = |error: std::io::Error| format!("{}: {error}", folder.display());
    for entry in fs::read_dir(folder).map_err(problem)? {
        let entry = entry.map_err(problem)?;
        let kind = entry.file_type().map_err(problem)?;
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        // In a linked worktree `.git` is a file.
        if SKIPPED.contains(&name.as_str()) {
            continue;
        }
        if kind.is_dir() {
            collect(root, &path, texts)?;
        } else if kind.is_file() && is_text(&name) {
            let relative = path
                .strip_prefix(root)
                .unwrap_or(&path)
                .to_string_lossy()
                .replace('\\', "/");
            // A file that vanishes or is not UTF-8 is not ours to judge.
            if let Ok(text) = fs::read_to_string(&path) {
                texts.push(Text { path: relative, text });
            }
        }
    }
    Ok(())
}

fn is_text(name: &str) -> bool {
    match name.rsplit_once('.') {
        Some(("", _)) | None => !["LICENSE", ".gitignore"].contains(&name),
        Some((_, extension)) => extension == "rs" || TEXTS.contains(&extension),
    }
}
