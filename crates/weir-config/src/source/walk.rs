//! Finding the configuration files under the paths that the user named.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, FileType};
use std::io;
use std::path::{Path, PathBuf};

/// Levels of directories below a named one.
const DEPTH_MAX: usize = 32;
/// Files in one configuration.
const FILES_MAX: usize = 100_000;
/// Symbolic links that lead to one file.
const LINKS_MAX: usize = 16;

/// What the named paths lead to.
#[derive(Debug, Default)]
pub(super) struct Walk {
    /// The files, in order: as named, and inside a directory by name.
    pub(super) files: Vec<PathBuf>,
    /// Every directory in which an entry may appear, vanish or be replaced.
    pub(super) directories: Vec<PathBuf>,
    /// Paths that cannot be read. Only paths that the user named and directories: a file's own troubles show
    /// when it is read.
    pub(super) failures: Vec<(PathBuf, io::Error)>,
    /// Named directories that hold no configuration file.
    pub(super) empty: Vec<PathBuf>,
}

/// Finds the files. Symbolic links are followed; names that start with a dot are skipped, which also skips the
/// versions behind a Kubernetes mount (`..data`) that its visible names link to. A file that is reached twice
/// is listed once.
pub(super) fn walk(roots: &[PathBuf]) -> Walk {
    let mut walk = Walk::default();
    let mut seen = HashSet::new();
    for root in roots {
        walk.add_links(root);
        match fs::metadata(root) {
            Ok(metadata) if metadata.is_dir() => {
                let before = (walk.files.len(), walk.failures.len());
                let is_new = walk.directory(root, real(root), 0, &mut seen);
                if is_new && before == (walk.files.len(), walk.failures.len()) {
                    walk.empty.push(root.clone());
                }
            }
            Ok(_) => walk.file(root.clone(), &mut seen),
            Err(error) => walk.failures.push((root.clone(), error)),
        }
    }
    walk
}

impl Walk {
    /// Takes a file that may be behind symbolic links.
    fn file(&mut self, path: PathBuf, seen: &mut HashSet<PathBuf>) {
        if self.files.len() < FILES_MAX && seen.insert(real(&path)) {
            self.add_links(&path);
            self.files.push(path);
        }
    }

    /// Takes what is in a directory, which is `real` without symbolic links; `false` when it was taken before. Entries
    /// that are no links cost no call of the system.
    fn directory(&mut self, path: &Path, real: PathBuf, depth: usize, seen: &mut HashSet<PathBuf>) -> bool {
        if depth > DEPTH_MAX || !seen.insert(real.clone()) {
            return false;
        }
        self.directories.push(path.to_owned());
        let mut entries = match entries(path) {
            Ok(entries) => entries,
            Err(error) => {
                self.failures.push((path.to_owned(), error));
                return true;
            }
        };
        entries.retain(|(name, _)| !name.as_encoded_bytes().starts_with(b"."));
        entries.sort_by(|(left, _), (right, _)| left.cmp(right));
        for (name, kind) in entries {
            let entry = path.join(&name);
            match kind {
                Some(kind) if kind.is_dir() => {
                    self.directory(&entry, real.join(&name), depth + 1, seen);
                }
                Some(kind) if kind.is_file() => {
                    if is_configuration(&name)
                        && self.files.len() < FILES_MAX
                        && seen.insert(real.join(&name))
                    {
                        self.files.push(entry);
                    }
                }
                Some(kind) if !kind.is_symlink() => {}
                _ => self.link(entry, &name, depth, seen),
            }
        }
        true
    }

    /// Takes what a symbolic link in a directory leads to.
    fn link(&mut self, entry: PathBuf, name: &OsStr, depth: usize, seen: &mut HashSet<PathBuf>) {
        match fs::metadata(&entry) {
            Ok(metadata) if metadata.is_dir() => {
                self.directory(&entry, real(&entry), depth + 1, seen);
            }
            Ok(metadata) if metadata.is_file() && is_configuration(name) => self.file(entry, seen),
            // A link that leads nowhere may be about to lead somewhere.
            Err(_) if is_configuration(name) => self.file(entry, seen),
            Ok(_) | Err(_) => {}
        }
    }

    /// Notes the directories of a path and of every symbolic link that it leads through.
    fn add_links(&mut self, path: &Path) {
        let mut path = path.to_owned();
        for _ in 0..LINKS_MAX {
            let parent = match path.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
                _ => PathBuf::from("."),
            };
            let parent_is_link = fs::symlink_metadata(&parent).is_ok_and(|metadata| metadata.is_symlink());
            if let Some(above) = parent
                .parent()
                .filter(|above| parent_is_link && !above.as_os_str().is_empty())
            {
                self.add_directory(above);
            }
            self.add_directory(&parent);
            match fs::read_link(&path) {
                Ok(target) => path = parent.join(target),
                Err(_) => return,
            }
        }
    }

    fn add_directory(&mut self, path: &Path) {
        // The last ones added are the likely ones, and there are few unless there are many links.
        if !self.directories.iter().rev().take(64).any(|known| known == path) {
            self.directories.push(path.to_owned());
        }
    }
}

/// A path without symbolic links. One that cannot be resolved stays as it is: reading it says why.
fn real(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// The names in a directory, and what they are as far as is known.
fn entries(path: &Path) -> io::Result<Vec<(OsString, Option<FileType>)>> {
    let named = |entry: fs::DirEntry| (entry.file_name(), entry.file_type().ok());
    fs::read_dir(path)?.map(|entry| entry.map(named)).collect()
}

/// `*.yaml`, `*.yml` and `*.json`.
pub(super) fn is_configuration(name: &OsStr) -> bool {
    let extension = Path::new(name).extension().and_then(OsStr::to_str);
    extension.is_some_and(|extension| ["yaml", "yml", "json"].contains(&&*extension.to_ascii_lowercase()))
}
