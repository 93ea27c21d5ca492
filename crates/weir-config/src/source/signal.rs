//! What events of the kernel say about the files of a configuration.

use std::path::{Path, PathBuf};
use std::{env, fs};

use notify::Event;
use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind, RenameMode};

use super::walk::is_configuration;

/// What an event says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// These are complete: written and closed, or renamed to. Or events were lost, so that all may be.
    Complete(Vec<PathBuf>),
    /// These are removed or renamed to something else; others may take their places at once.
    Gone(Vec<PathBuf>),
    /// Somebody writes this file, and its close will be seen.
    Writing(PathBuf),
    /// Something else happened: a new name, other permissions, or a write whose end will not be seen.
    Touched,
    /// A [`super::Waker`] asked.
    Asked,
}

/// Whether the kernel says when a writer closes a file (inotify `IN_CLOSE_WRITE`).
const CLOSES_ARE_SEEN: bool = cfg!(any(target_os = "linux", target_os = "android"));

/// Tells events that may matter from others in the same directories.
#[derive(Debug)]
pub(super) struct Filter {
    /// Named files, absolute. Beside them only names that start with two dots matter: the links of Kubernetes
    /// mounts.
    files: Vec<PathBuf>,
    /// Named directories, absolute: everything below matters but hidden files.
    directories: Vec<PathBuf>,
    /// Events elsewhere come from directories that links lead to: all of them matter.
    parents: Vec<PathBuf>,
    /// The name that was made last. When it is opened next, it was made by opening it to write, not by linking.
    made: Option<PathBuf>,
}

/// How a path matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Interest {
    /// Its contents may be configuration.
    Contents,
    /// Only that it is there, or where it leads.
    Name,
}

impl Filter {
    /// Events that have to do with `roots` matter.
    pub(super) fn new(roots: &[PathBuf]) -> Self {
        let here = env::current_dir().unwrap_or_default();
        let absolute = roots.iter().map(|root| here.join(root));
        let (directories, files): (Vec<_>, Vec<_>) = absolute.partition(|root| root.is_dir());
        let parents = files
            .iter()
            .chain(&directories)
            .filter_map(|root| root.parent().map(Path::to_owned))
            .collect();
        Self {
            files,
            directories,
            parents,
            made: None,
        }
    }

    /// What an event says, if it may matter.
    pub(super) fn signal(&mut self, event: notify::Result<Event>) -> Option<Signal> {
        let Ok(event) = event else {
            return Some(Signal::Complete(Vec::new()));
        };
        if let EventKind::Access(AccessKind::Open(_)) = event.kind {
            let made = self.made.take_if(|made| event.paths.first() == Some(made))?;
            return Some(Signal::Writing(one_name(made)));
        }
        let is_lost = event.paths.is_empty();
        let mut paths: Vec<(Interest, PathBuf)> = event
            .paths
            .into_iter()
            .filter_map(|path| Some((self.interest(&path)?, path)))
            .collect();
        let is_contents =
            CLOSES_ARE_SEEN && paths.iter().any(|(interest, _)| *interest == Interest::Contents);
        let is_gone = matches!(
            event.kind,
            EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(RenameMode::From))
        );
        match event.kind {
            // Reading is no change; weir itself reads.
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => {}
            EventKind::Access(_) => return None,
            _ if is_lost => return Some(Signal::Complete(Vec::new())),
            EventKind::Modify(ModifyKind::Name(_)) | EventKind::Remove(_) => {}
            EventKind::Modify(ModifyKind::Data(_)) if is_contents => {
                return paths.pop().map(|(_, path)| Signal::Writing(one_name(path)));
            }
            EventKind::Create(_) if is_contents => {
                self.made = paths.pop().map(|(_, path)| path);
                return Some(Signal::Touched);
            }
            EventKind::Create(_) | EventKind::Modify(_) | EventKind::Any | EventKind::Other => {
                return (!paths.is_empty()).then_some(Signal::Touched);
            }
        }
        let paths: Vec<_> = paths.into_iter().map(|(_, path)| one_name(path)).collect();
        let signal = match is_gone {
            true => Signal::Gone,
            false => Signal::Complete,
        };
        (!paths.is_empty()).then(|| signal(paths))
    }

    fn interest(&self, path: &Path) -> Option<Interest> {
        let name = path.file_name().unwrap_or_default();
        if self.files.iter().any(|root| root == path) {
            return Some(Interest::Contents);
        }
        let is_root = self.directories.iter().any(|root| root == path);
        if is_root || name.as_encoded_bytes().starts_with(b"..") {
            return Some(Interest::Name);
        }
        if self
            .directories
            .iter()
            .any(|directory| path.starts_with(directory))
        {
            return match name {
                _ if name.as_encoded_bytes().starts_with(b".") => None,
                _ if is_configuration(name) => Some(Interest::Contents),
                // It may be where a link leads.
                _ => Some(Interest::Name),
            };
        }
        let is_elsewhere = !self.parents.iter().any(|parent| path.parent() == Some(parent));
        is_elsewhere.then_some(Interest::Contents)
    }
}

/// The path with its directory resolved: events name a directory that is watched under several names now by one of
/// them, now by another.
fn one_name(path: PathBuf) -> PathBuf {
    let directory = path
        .parent()
        .and_then(|directory| fs::canonicalize(directory).ok());
    match (directory, path.file_name()) {
        (Some(directory), Some(name)) => directory.join(name),
        _ => path,
    }
}
