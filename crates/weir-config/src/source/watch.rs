//! Noticing that files changed.
//!
//! Events of the kernel only wake; whoever waits reads everything again and compares contents
//! ([`super::FileSource::load`]). They also say when a writer is done: a file that is written slowly and in place is
//! waited for, because its first half may well be a smaller configuration that is valid. Polling is the safety net for file systems without events.

use std::collections::HashMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher as _};

use super::identity::Identity;
use super::signal::{Filter, Signal};
use super::walk::{Walk, walk};

/// Time that is given to a removal, so that a name that takes its place belongs to it.
const TOGETHER: Duration = Duration::from_millis(5);
/// Time that is given to a file that is complete: further ones of the same command are likely on their way.
const NEXT_FILE: Duration = Duration::from_millis(1);
/// Time without further changes after which something whose end cannot be seen counts as complete.
const QUIET: Duration = Duration::from_millis(80);
/// Longest time that changes can put off a wake while nobody is seen to write.
const QUIET_MAX: Duration = Duration::from_millis(500);
/// Time without further writes after which a writer that does not close its file has lost its privilege: it may be
/// a logger that never closes, or a copy over a network that broke. A pause inside a slow but living copy is
/// shorter.
const WRITER_PAUSE: Duration = Duration::from_secs(3);
/// Longest time that writers can put off a wake: whoever writes all the time must not keep other changes away.
const WRITER_MAX: Duration = Duration::from_secs(10);
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
    /// The directories that are watched, as they were then.
    watched: HashMap<PathBuf, Identity>,
    sender: Sender<Signal>,
    receiver: Receiver<Signal>,
    pending: Option<Pending>,
    fingerprint: u64,
    polled: Instant,
    reread: Instant,
}

/// Why [`Watcher::next`] returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    /// The kernel told of a change: what was written since has to be loaded ([`super::FileSource::load_written`]).
    Files,
    /// Something looks changed, or has not been looked at for long: load everything.
    Polled,
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

/// Changes that have been seen and not told yet.
#[derive(Debug)]
struct Pending {
    /// When the first of them was seen.
    since: Instant,
    /// When they are to be told, unless somebody writes.
    due: Instant,
    /// Names that went away, and until when something else may take their places.
    gone: HashMap<PathBuf, Instant>,
    /// Files that are being written, and when they last were.
    writers: HashMap<PathBuf, Instant>,
    /// Found by looking, so that only looking again says whether it is over.
    is_polled: bool,
}

impl Pending {
    fn new(now: Instant) -> Self {
        Self {
            since: now,
            due: now,
            gone: HashMap::new(),
            writers: HashMap::new(),
            is_polled: false,
        }
    }

    fn note(&mut self, signal: &Signal, now: Instant) {
        let wait = match signal {
            Signal::Complete(paths) => {
                for path in paths {
                    self.writers.remove(path);
                    self.gone.remove(path);
                }
                NEXT_FILE
            }
            Signal::Gone(paths) => {
                for path in paths {
                    self.writers.remove(path);
                    self.gone.insert(path.clone(), now + TOGETHER);
                }
                TOGETHER
            }
            Signal::Writing(path) => {
                self.writers.insert(path.clone(), now);
                Duration::ZERO
            }
            Signal::Touched => QUIET,
            Signal::Asked => Duration::ZERO,
        };
        self.is_polled = false;
        let replaced = self.gone.values().max().copied().unwrap_or(now);
        self.due = (now + wait).max(replaced).min(self.since + QUIET_MAX);
    }

    /// When they are to be told.
    fn due(&self) -> Instant {
        match self.writers.values().max() {
            Some(last) => (*last + WRITER_PAUSE).min(self.since + WRITER_MAX),
            None => self.due,
        }
    }
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
            watched: HashMap::new(),
            sender,
            receiver,
            pending: None,
            fingerprint: 0,
            polled: now,
            reread: now,
        };
        let mut filter = Filter::new(&watcher.roots);
        let events = watcher.sender.clone();
        let forward = move |event: notify::Result<Event>| {
            if let Some(signal) = filter.signal(event) {
                let _ = events.send(signal);
            }
        };
        watcher.events = notify::recommended_watcher(forward).ok();
        watcher.fingerprint = watcher.follow_anew();
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

    /// Waits until something may have changed, a waker asks, or `timeout` is over. A file that is being written is
    /// waited for, for some seconds; a waker need not wait.
    pub fn next(&mut self, timeout: Duration) -> Changed {
        let deadline = Instant::now().checked_add(timeout);
        loop {
            let now = Instant::now();
            let until = match &self.pending {
                Some(pending) => pending.due(),
                None => self.polled + self.poll_interval(),
            };
            if now >= until {
                if self.pending.is_none() {
                    self.poll(now);
                } else if self.is_still(now) {
                    let is_polled = self.pending.as_ref().is_some_and(|pending| pending.is_polled);
                    return self.tell(if is_polled {
                        Changed::Polled
                    } else {
                        Changed::Files
                    });
                }
                continue;
            }
            let wake = deadline.map_or(until, |deadline| deadline.min(until));
            match self.receiver.recv_timeout(wake.saturating_duration_since(now)) {
                Ok(Signal::Asked) => return self.tell(Changed::Asked),
                Ok(signal) => {
                    let now = Instant::now();
                    self.pending
                        .get_or_insert_with(|| Pending::new(now))
                        .note(&signal, now);
                }
                // This watcher holds a sender, so that the channel never disconnects.
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected)
                    if deadline.is_some_and(|deadline| Instant::now() >= deadline) =>
                {
                    return Changed::Timeout;
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
        }
    }

    fn poll_interval(&self) -> Duration {
        match self.has_events() {
            true => POLL,
            false => POLL_WITHOUT_EVENTS,
        }
    }

    /// Ends what is pending.
    fn tell(&mut self, changed: Changed) -> Changed {
        self.pending = None;
        self.fingerprint = self.follow();
        self.polled = Instant::now();
        changed
    }

    /// Looks whether anything changed. A change is pending then: its events may be on their way.
    fn poll(&mut self, now: Instant) {
        self.polled = now;
        let fingerprint = self.follow_anew();
        if fingerprint != self.fingerprint || now >= self.reread + REREAD {
            self.reread = now;
            self.pending = Some(Pending {
                due: now + QUIET,
                is_polled: true,
                ..Pending::new(now)
            });
        }
        self.fingerprint = fingerprint;
    }

    /// Whether what was found by looking has not changed since; what events told is over when it is due.
    fn is_still(&mut self, now: Instant) -> bool {
        let Some(pending) = self.pending.as_ref().filter(|pending| pending.is_polled) else {
            return true;
        };
        let limit = pending.since + QUIET_MAX;
        let fingerprint = self.follow();
        if fingerprint == self.fingerprint || now >= limit {
            return true;
        }
        self.fingerprint = fingerprint;
        if let Some(pending) = &mut self.pending {
            pending.due = (now + QUIET).min(limit);
        }
        false
    }

    /// Watches what the paths lead to now, and says what it looks like. Directories that have not become others since
    /// they were watched are left alone: each costs two changes of threads, while somebody waits for the new
    /// configuration.
    fn follow(&mut self) -> u64 {
        let found = walk(&self.roots);
        let Some(events) = &mut self.events else {
            return fingerprint(&found);
        };
        let wanted: HashMap<PathBuf, Identity> = found
            .directories
            .iter()
            .map(|path| (path.clone(), Identity::of(path)))
            .collect();
        let gone: Vec<&PathBuf> = self
            .watched
            .keys()
            .filter(|path| !wanted.contains_key(*path))
            .collect();
        for path in &gone {
            let _ = events.unwatch(path);
        }
        // Two paths may lead to one directory, which the kernel watches once.
        let is_any_gone = !gone.is_empty();
        // A directory that cannot be watched is polled.
        let mut is_watched = |path: &PathBuf, identity: &Identity| {
            let known = self.watched.get(path).filter(|_| !is_any_gone);
            known.is_some_and(|known| known.is_surely(identity))
                || events.watch(path, RecursiveMode::NonRecursive).is_ok()
        };
        self.watched = wanted
            .into_iter()
            .filter(|(path, identity)| is_watched(path, identity))
            .collect();
        fingerprint(&found)
    }

    /// The same for directories of which it is not known whether the kernel still watches them: it forgets those of a
    /// file system that was taken away for a while.
    fn follow_anew(&mut self) -> u64 {
        for identity in self.watched.values_mut() {
            *identity = Identity::default();
        }
        self.follow()
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

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write as _;
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
    fn ga06_a_directory_is_watched_as_long_as_one_of_its_names_is_wanted() {
        let scratch = Scratch::new();
        scratch.write("d/a.yaml", "a: 1");
        // The directory by another name.
        symlink("d/../d/a.yaml", scratch.path("link.yaml")).expect("link");
        let mut watcher = Watcher::new(&[scratch.path("d"), scratch.path("link.yaml")]);
        settle(&mut watcher);
        fs::remove_file(scratch.path("link.yaml")).expect("removed");
        assert_eq!(watcher.next(SOON), Changed::Files);
        settle(&mut watcher);
        scratch.write("d/a.yaml", "a: 2");
        assert_eq!(watcher.next(SOON), Changed::Files);
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
    fn ga06_a_slow_writer_is_waited_for_until_it_closes() {
        for root in ["a.yaml", "."] {
            let scratch = Scratch::new();
            scratch.write("a.yaml", "a: 1\n---\nb: 1\n");
            let mut watcher = Watcher::new(&[scratch.path(root)]);
            settle(&mut watcher);
            // Once over the file that is there, once as a new one.
            for round in ["over", "new"] {
                let mut file = File::create(scratch.path("a.yaml")).expect("a file");
                for piece in ["a: 2\n", "---\n", "b: 2\n"] {
                    assert_eq!(
                        watcher.next(QUIET_MAX),
                        Changed::Timeout,
                        "{root} {round} {piece}"
                    );
                    file.write_all(piece.as_bytes()).expect("written");
                }
                assert_eq!(watcher.next(QUIET_MAX), Changed::Timeout, "{root} {round}");
                drop(file);
                assert_eq!(watcher.next(SOON), Changed::Files, "{root} {round}");
                fs::remove_file(scratch.path("a.yaml")).expect("removed");
                assert_eq!(watcher.next(SOON), Changed::Files, "{root} {round}");
                settle(&mut watcher);
            }
        }
    }

    #[test]
    fn ga06_a_close_and_a_rename_are_told_at_once() {
        let scratch = Scratch::new();
        scratch.write("d/a.yaml", "a: 1");
        let mut watcher = Watcher::new(&[scratch.path("d")]);
        let changes: [(&str, &dyn Fn()); 4] = [
            ("close", &|| scratch.write("d/a.yaml", "a: 2")),
            ("rename", &|| {
                scratch.write("b.yaml", "a: 3");
                fs::rename(scratch.path("b.yaml"), scratch.path("d/a.yaml")).expect("renamed");
            }),
            ("rename inside", &|| {
                scratch.write("d/b.yaml", "a: 3");
                fs::rename(scratch.path("d/b.yaml"), scratch.path("d/a.yaml")).expect("renamed");
            }),
            ("removal", &|| {
                fs::remove_file(scratch.path("d/a.yaml")).expect("removed");
            }),
        ];
        for (name, change) in changes {
            // The best of some times, because the machine may be busy.
            let best = (0..5).map(|_| {
                scratch.write("d/a.yaml", "a: 1");
                settle(&mut watcher);
                change();
                let start = Instant::now();
                assert_eq!(watcher.next(SOON), Changed::Files, "{name}");
                start.elapsed()
            });
            let best = best.min().expect("five times");
            assert!(best < Duration::from_millis(25), "{name}: {best:?}");
        }
    }

    #[test]
    fn ga06_a_link_has_no_writer() {
        let scratch = Scratch::new();
        scratch.write("a", "a: 1");
        scratch.write("d/c.yaml", "a: 1");
        let mut watcher = Watcher::new(&[scratch.path("d")]);
        settle(&mut watcher);
        fs::hard_link(scratch.path("a"), scratch.path("d/a.yaml")).expect("linked");
        assert_eq!(watcher.next(SOON), Changed::Files);
        settle(&mut watcher);
        symlink("../a", scratch.path("d/b.yaml")).expect("linked");
        assert_eq!(watcher.next(SOON), Changed::Files);
    }

    #[test]
    fn a_writer_that_never_closes_is_followed_all_the_same() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let write = |path: &str| Signal::Writing(PathBuf::from(path));
        let close = |path: &str| Signal::Complete(vec![PathBuf::from(path)]);
        let gone = |path: &str| Signal::Gone(vec![PathBuf::from(path)]);
        let often: Vec<_> = (0..10).map(|second| (second * 1000, write("a"))).collect();
        let both = [(0, write("a")), (100, write("b"))];
        for (name, signals, due) in [
            ("a pause", vec![(0, write("a")), (2000, write("a"))], 5000),
            ("a write each second", often, 10_000),
            ("closed", vec![(0, write("a")), (2000, close("a"))], 2000),
            ("another closed", [&both[..], &[(200, close("a"))]].concat(), 3100),
            (
                "both closed",
                [&both[..], &[(200, close("a")), (300, close("b"))]].concat(),
                301,
            ),
            ("removed", vec![(0, gone("a"))], 5),
            ("removed and replaced", vec![(0, gone("a")), (2, close("a"))], 3),
            (
                "removed, and another written",
                vec![(0, gone("a")), (2, close("b"))],
                5,
            ),
            ("touched", vec![(0, Signal::Touched)], 80),
            (
                "touched and renamed",
                vec![(0, Signal::Touched), (1, close("a"))],
                2,
            ),
        ] {
            let mut pending = Pending::new(start);
            for (ms, signal) in &signals {
                pending.note(signal, at(*ms));
            }
            // What was closed late is told at once.
            let last = signals.last().map_or(0, |(ms, _)| *ms);
            let told = pending.due().max(at(last)).duration_since(start);
            assert_eq!(told, Duration::from_millis(due), "{name}");
        }
    }

    #[test]
    fn ga06_without_events_changes_are_polled() {
        let scratch = Scratch::new();
        scratch.write("a.yaml", "a: 1");
        let mut watcher = Watcher::new(&[scratch.path(".")]);
        watcher.events = None;
        settle(&mut watcher);
        scratch.write("a.yaml", "a: 22");
        assert_eq!(watcher.next(SOON), Changed::Polled);
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
