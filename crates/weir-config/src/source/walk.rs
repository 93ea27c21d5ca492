//! Finding the configuration files under the paths that the user named.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
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
                let is_new = walk.directory(root, 0, &mut seen);
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
    fn file(&mut self, path: PathBuf, seen: &mut HashSet<PathBuf>) {
        // A file that cannot be resolved is listed: reading it says why.
        let real = fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
        if self.files.len() < FILES_MAX && seen.insert(real) {
            self.add_links(&path);
            self.files.push(path);
        }
    }

    /// Takes what is in a directory; `false` when it was taken before.
    fn directory(&mut self, path: &Path, depth: usize, seen: &mut HashSet<PathBuf>) -> bool {
        let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        if depth > DEPTH_MAX || !seen.insert(real) {
            return false;
        }
        self.directories.push(path.to_owned());
        let names = fs::read_dir(path).and_then(|entries| {
            entries
                .map(|entry| entry.map(|entry| entry.file_name()))
                .collect::<io::Result<Vec<_>>>()
        });
        let mut names = match names {
            Ok(names) => names,
            Err(error) => {
                self.failures.push((path.to_owned(), error));
                return true;
            }
        };
        names.retain(|name| !name.as_encoded_bytes().starts_with(b"."));
        names.sort();
        for name in names {
            let entry = path.join(&name);
            match fs::metadata(&entry) {
                Ok(metadata) if metadata.is_dir() => {
                    self.directory(&entry, depth + 1, seen);
                }
                Ok(metadata) if metadata.is_file() && is_configuration(&name) => self.file(entry, seen),
                // A link that leads nowhere may be about to lead somewhere.
                Err(_) if is_configuration(&name) => self.file(entry, seen),
                Ok(_) | Err(_) => {}
            }
        }
        true
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

/// `*.yaml`, `*.yml` and `*.json`.
pub(super) fn is_configuration(name: &OsStr) -> bool {
    let extension = Path::new(name).extension().and_then(OsStr::to_str);
    extension.is_some_and(|extension| ["yaml", "yml", "json"].contains(&&*extension.to_ascii_lowercase()))
}
