//! Noticing that files changed.
//!
//! Events of the kernel only wake; whoever waits reads everything again and compares contents
//! ([`super::FileSource::load`]). Polling is the safety net for file systems without events.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};
use std::{env, fs};

use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher as _};

use super::walk::{Walk, walk};

/// Time without further writes after which a file that is still open counts as written.
const QUIET: Duration = Duration::from_millis(80);
/// Longest time that a stream of writes can put off a wake.
const QUIET_MAX: Duration = Duration::from_millis(500);
/// Time between two looks at names, sizes and times of files.
const POLL: Duration = Duration::from_secs(2);
/// The same when the kernel sends no events.
const POLL_WITHOUT_EVENTS: Duration = Duration::from_millis(500);
/// Time after which contents are read again although nothing seems to have changed.
const REREAD: Duration = Duration::from_secs(30);

/// Waits for changes of files and directories. Blocking: give it a thread.
#[derive(Debug)]
pub struct Watcher {
    roots: Vec<PathBuf>,
    events: Option<RecommendedWatcher>,
    watched: HashSet<PathBuf>,
    sender: Sender<Signal>,
    receiver: Receiver<Signal>,
    fingerprint: u64,
    polled: Instant,
    reread: Instant,
}

/// Why [`Watcher::next`] returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    /// Something may have changed: load again.
    Files,
    /// A [`Waker`] asked.
    Asked,
    /// The time is over.
    Timeout,
}

/// Makes [`Watcher::next`] return, from any thread.
#[derive(Clone, Debug)]
pub struct Waker(Sender<Signal>);

impl Waker {
    /// Wakes the watcher. Does nothing when it is gone.
    pub fn wake(&self) {
        let _ = self.0.send(Signal::Asked);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signal {
    /// A file is complete: written and closed, renamed, linked or removed.
    Complete,
    /// A file is being written.
    Partial,
    Asked,
}

impl Watcher {
    /// Watches the paths, which need not exist. Load for the first time after this, so that no change is
    /// missed. Without events from the kernel it polls; [`Self::has_events`] tells.
    pub fn new(roots: &[PathBuf]) -> Self {
        let (sender, receiver) = mpsc::channel();
        let now = Instant::now();
        let mut watcher = Self {
            roots: roots
                .iter()
                .filter(|root| *root != Path::new("-"))
                .cloned()
                .collect(),
            events: None,
            watched: HashSet::new(),
            sender,
            receiver,
            fingerprint: 0,
            polled: now,
            reread: now,
        };
        let filter = Filter::new(&watcher.roots);
        let events = watcher.sender.clone();
        let forward = move |event: notify::Result<Event>| {
            if let Some(signal) = filter.signal(event) {
                let _ = events.send(signal);
            }
        };
        watcher.events = notify::recommended_watcher(forward).ok();
        watcher.fingerprint = watcher.follow();
        watcher
    }

    /// Whether the kernel sends events. Without them changes are noticed by polling, within about a second.
    pub fn has_events(&self) -> bool {
        self.events.is_some()
    }

    /// Something that can wake this watcher.
    pub fn waker(&self) -> Waker {
        Waker(self.sender.clone())
    }

    /// Waits until something may have changed, a waker asks, or `timeout` is over.
    pub fn next(&mut self, timeout: Duration) -> Changed {
        let deadline = Instant::now().checked_add(timeout);
        loop {
            let now = Instant::now();
            let poll = if self.has_events() {
                POLL
            } else {
                POLL_WITHOUT_EVENTS
            };
            let next_poll = self.polled + poll;
            let until = deadline.map_or(next_poll, |deadline| deadline.min(next_poll));
            match self.receiver.recv_timeout(until.saturating_duration_since(now)) {
                Ok(signal) => return self.settle(signal),
                // This watcher holds a sender, so that the channel never disconnects.
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
            let now = Instant::now();
            if now >= next_poll && self.poll(now) {
                return Changed::Files;
            }
            if deadline.is_some_and(|deadline| now >= deadline) {
                return Changed::Timeout;
            }
        }
    }

    /// Waits until files that are being written are complete, and takes all signals up to then.
    fn settle(&mut self, first: Signal) -> Changed {
        let limit = Instant::now() + QUIET_MAX;
        let mut signal = first;
        let mut asked = first == Signal::Asked;
        loop {
            let wait = if signal == Signal::Partial {
                QUIET
            } else {
                Duration::ZERO
            };
            match self.receiver.recv_timeout(wait) {
                Ok(next) if Instant::now() < limit => signal = next,
                Ok(_) | Err(_) => break,
            }
            asked |= signal == Signal::Asked;
        }
        self.fingerprint = self.follow();
        self.polled = Instant::now();
        if asked { Changed::Asked } else { Changed::Files }
    }

    fn poll(&mut self, now: Instant) -> bool {
        self.polled = now;
        let fingerprint = self.follow();
        let changed = fingerprint != self.fingerprint || now >= self.reread + REREAD;
        self.fingerprint = fingerprint;
        if changed {
            self.reread = now;
        }
        changed
    }

    /// Watches what the paths lead to now, and says what it looks like.
    fn follow(&mut self) -> u64 {
        let found = walk(&self.roots);
        if let Some(events) = &mut self.events {
            let wanted: HashSet<PathBuf> = found.directories.iter().cloned().collect();
            for gone in self.watched.difference(&wanted) {
                let _ = events.unwatch(gone);
            }
            // Every time, because a directory that was removed and made again is another one. A directory
            // that cannot be watched is polled.
            self.watched = wanted
                .into_iter()
                .filter(|path| events.watch(path, RecursiveMode::NonRecursive).is_ok())
                .collect();
        }
        fingerprint(&found)
    }
}

/// Names, sizes and times of everything found.
fn fingerprint(found: &Walk) -> u64 {
    let mut hasher = DefaultHasher::new();
    for path in &found.files {
        path.hash(&mut hasher);
        if let Ok(metadata) = fs::metadata(path) {
            (metadata.dev(), metadata.ino(), metadata.len()).hash(&mut hasher);
            (
                metadata.mtime(),
                metadata.mtime_nsec(),
                metadata.ctime(),
                metadata.ctime_nsec(),
            )
                .hash(&mut hasher);
        }
    }
    (found.failures.len(), found.empty.len()).hash(&mut hasher);
    hasher.finish()
}

/// Tells events that may matter from others in the same directories.
struct Filter {
    /// Named files, absolute. Beside them only names that start with two dots matter: the links of Kubernetes
    /// mounts.
    files: Vec<PathBuf>,
    /// Named directories, absolute: everything below matters but hidden files.
    directories: Vec<PathBuf>,
    /// Events elsewhere come from directories that links lead to: all of them matter.
    parents: Vec<PathBuf>,
}

impl Filter {
    fn new(roots: &[PathBuf]) -> Self {
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
        }
    }

    fn signal(&self, event: notify::Result<Event>) -> Option<Signal> {
        // An error says that events may be missing.
        let Ok(event) = event else {
            return Some(Signal::Complete);
        };
        let signal = match event.kind {
            // Reading is no change; weir itself reads.
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => Signal::Complete,
            EventKind::Access(_) => return None,
            EventKind::Modify(ModifyKind::Name(_)) | EventKind::Remove(_) => Signal::Complete,
            EventKind::Create(_) | EventKind::Modify(_) | EventKind::Any | EventKind::Other => {
                Signal::Partial
            }
        };
        let matters = event.paths.is_empty() || event.paths.iter().any(|path| self.matters(path));
        matters.then_some(signal)
    }

    fn matters(&self, path: &Path) -> bool {
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        let is_named = self
            .files
            .iter()
            .chain(&self.directories)
            .any(|root| root == path);
        if is_named || name.starts_with(b"..") {
            return true;
        }
        if self
            .directories
            .iter()
            .any(|directory| path.starts_with(directory))
        {
            return !name.starts_with(b".");
        }
        !self.parents.iter().any(|parent| path.parent() == Some(parent))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::source::scratch::Scratch;

    /// How soon a change must be seen.
    const SOON: Duration = Duration::from_secs(1);

    /// Nothing more is on its way.
    fn settle(watcher: &mut Watcher) {
        while watcher.next(QUIET * 2) != Changed::Timeout {}
    }

    fn check(name: &str, root: &str, prepare: impl Fn(&Scratch), change: impl Fn(&Scratch)) {
        let scratch = Scratch::new();
        prepare(&scratch);
        let mut watcher = Watcher::new(&[scratch.path(root)]);
        assert!(watcher.has_events());
        settle(&mut watcher);
        change(&scratch);
        assert_eq!(watcher.next(SOON), Changed::Files, "{name}");
        settle(&mut watcher);
        // The same again, because the first change may have replaced what was watched.
        change(&scratch);
        assert_eq!(watcher.next(SOON), Changed::Files, "{name}, second time");
    }

    #[test]
    fn ga06_every_way_to_change_a_file_is_seen_within_a_second() {
        let write = |scratch: &Scratch| scratch.write("a.yaml", "a: 1");
        check("write", "a.yaml", write, |scratch| {
            scratch.write("a.yaml", "a: 2");
        });
        check("rename over", "a.yaml", write, |scratch| {
            scratch.write(".a.yaml.swp", "a: 2");
            fs::rename(scratch.path(".a.yaml.swp"), scratch.path("a.yaml")).expect("rename");
        });
        check("delete and make again", "a.yaml", write, |scratch| {
            fs::remove_file(scratch.path("a.yaml")).expect("remove");
            scratch.write("a.yaml", "a: 2");
        });
        check(
            "made later",
            "late.yaml",
            |_| {},
            |scratch| scratch.write("late.yaml", "a: 1"),
        );
        check("new file in a directory", ".", write, |scratch| {
            scratch.write("b.yaml", "a: 2");
        });
        check(
            "deep in a directory",
            ".",
            |scratch| scratch.write("d/e/a.yaml", "a: 1"),
            |scratch| {
                scratch.write("d/e/a.yaml", "a: 2");
            },
        );
        check(
            "directory replaced",
            "d",
            |scratch| scratch.write("d/a.yaml", "a: 1"),
            |scratch| {
                fs::remove_dir_all(scratch.path("d")).expect("remove");
                scratch.write("d/a.yaml", "a: 2");
            },
        );
        check(
            "link to elsewhere",
            "link.yaml",
            |scratch| {
                scratch.write("else/where.yaml", "a: 1");
                symlink("else/where.yaml", scratch.path("link.yaml")).expect("link");
            },
            |scratch| scratch.write("else/where.yaml", "a: 2"),
        );
    }

    #[test]
    fn ga06_the_swap_of_a_kubernetes_mount_is_seen() {
        for root in [".", "shop.yaml"] {
            let scratch = Scratch::new();
            scratch.mount("..1", "shop.yaml", "a: 1");
            let mut watcher = Watcher::new(&[scratch.path(root)]);
            settle(&mut watcher);
            for version in ["..2", "..3"] {
                scratch.mount(version, "shop.yaml", "a: 2");
                assert_eq!(watcher.next(SOON), Changed::Files, "{root} {version}");
                settle(&mut watcher);
            }
        }
    }

    #[test]
    fn ga06_other_files_and_reading_do_not_wake() {
        let scratch = Scratch::new();
        scratch.write("a.yaml", "a: 1");
        let mut watcher = Watcher::new(&[scratch.path("a.yaml")]);
        settle(&mut watcher);
        scratch.write("other.yaml", "a: 1");
        fs::read(scratch.path("a.yaml")).expect("read");
        assert_eq!(watcher.next(QUIET * 3), Changed::Timeout);
    }

    #[test]
    fn ga06_without_events_changes_are_polled() {
        let scratch = Scratch::new();
        scratch.write("a.yaml", "a: 1");
        let mut watcher = Watcher::new(&[scratch.path(".")]);
        watcher.events = None;
        settle(&mut watcher);
        scratch.write("a.yaml", "a: 22");
        assert_eq!(watcher.next(SOON), Changed::Files);
    }

    #[test]
    fn a_waker_wakes() {
        let mut watcher = Watcher::new(&[]);
        let waker = watcher.waker();
        std::thread::spawn(move || waker.wake());
        assert_eq!(watcher.next(SOON), Changed::Asked);
        assert_eq!(watcher.next(Duration::ZERO), Changed::Timeout);
    }
}
