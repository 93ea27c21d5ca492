//! Documents by content: a document that did not change is not read again, and neither is a file.

use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::hash::{BuildHasherDefault, Hasher};
use std::io::{self, Read};
use std::mem;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::str;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use weir_model::{Origin, Problem, limits};
use xxhash_rust::xxh3::xxh3_128;

use crate::resource::{Decoded, Environment, Reader};
use crate::yaml::{Finding, Span, sections};

/// One document of a file.
#[derive(Clone, Debug)]
pub(super) struct FileDocument {
    /// The line on which it starts, from 1.
    pub(super) first_line: u32,
    /// What it says.
    pub(super) decoded: Arc<Decoded>,
}

/// The documents of a file, in order.
pub(super) type FileDocuments = Arc<[FileDocument]>;

/// The documents and files of this load and of the one before, by what they hold.
#[derive(Debug, Default)]
pub(super) struct Documents {
    reader: Reader,
    /// Documents of this load and of earlier ones; those that no file has any more are dropped now and then.
    known: HashMap<u128, Arc<Decoded>, BuildHasherDefault<Prehashed>>,
    current: HashMap<Arc<str>, KnownFile>,
    former: HashMap<Arc<str>, KnownFile>,
}

/// A file that has been read.
#[derive(Debug)]
struct KnownFile {
    /// What the file looked like, if that is enough to know it again.
    stamp: Option<Stamp>,
    hash: u128,
    documents: FileDocuments,
}

/// What changes whenever a file is written or replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// Age at which a file's times tell two writes apart: file systems count in steps of up to a second or two.
const SETTLED: Duration = Duration::from_secs(2);

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Whether a later write is certain to have another stamp.
    fn is_settled(&self, now: SystemTime) -> bool {
        let seconds = u64::try_from(self.changed.0.max(self.modified.0)).unwrap_or(u64::MAX);
        let age = now
            .duration_since(UNIX_EPOCH)
            .ok()
            .and_then(|now| now.checked_sub(Duration::from_secs(seconds)));
        age.is_some_and(|age| age > SETTLED)
    }
}

/// Documents that no file has any more, kept beside twice those that one has.
const KNOWN_SPARE: usize = 64;

/// Takes keys that are hashes already.
#[derive(Default)]
struct Prehashed(u64);

impl Hasher for Prehashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes
            .iter()
            .for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u128(&mut self, hash: u128) {
        // Truncated: any half of a good hash is a good hash.
        self.0 = hash as u64;
    }
}

impl Documents {
    /// Documents whose references to environment variables are replaced by these.
    pub(super) fn with_environment(environment: Environment) -> Self {
        Self {
            reader: Reader::with_environment(environment),
            ..Self::default()
        }
    }

    /// Starts a load. What the load before did not use is forgotten.
    pub(super) fn start(&mut self) {
        self.former = mem::take(&mut self.current);
        let live: usize = self.former.values().map(|file| file.documents.len()).sum();
        if self.known.len() > 2 * live + KNOWN_SPARE {
            self.known.retain(|_, decoded| Arc::strong_count(decoded) > 1);
        }
    }

    /// Takes a file as it was read before, when its stamp says that nobody has written it since. The contents are
    /// not looked at.
    pub(super) fn unwritten(&mut self, path: &Path, name: &Arc<str>) -> Option<FileDocuments> {
        let stamp = self.former.get(name)?.stamp?;
        if Stamp::of(&fs::metadata(path).ok()?) != stamp {
            return None;
        }
        let file = self.former.remove(name)?;
        let documents = file.documents.clone();
        self.current.insert(name.clone(), file);
        Some(documents)
    }

    /// Reads a file; the error says why nothing of it can be used.
    pub(super) fn read(&mut self, path: &Path, name: &Arc<str>) -> Result<FileDocuments, Box<Problem>> {
        let now = SystemTime::now();
        let (bytes, stamp) = read_bounded(path).map_err(|finding| place(finding, name))?;
        let documents = self.take(&bytes, name)?;
        if let Some(file) = self.current.get_mut(name) {
            file.stamp = Some(stamp).filter(|stamp| stamp.is_settled(now));
        }
        Ok(documents)
    }

    /// Takes the bytes of a file.
    pub(super) fn take(&mut self, bytes: &[u8], name: &Arc<str>) -> Result<FileDocuments, Box<Problem>> {
        let hash = xxh3_128(bytes);
        let documents = match self.former.remove(name) {
            Some(former) if former.hash == hash => former.documents,
            _ => self.split(text_of(bytes).map_err(|finding| place(finding, name))?),
        };
        let file = KnownFile {
            stamp: None,
            hash,
            documents: documents.clone(),
        };
        self.current.insert(name.clone(), file);
        Ok(documents)
    }

    fn split(&mut self, text: &str) -> FileDocuments {
        let mut documents = Vec::new();
        for section in sections(text) {
            let hash = xxh3_128(section.text.as_bytes());
            let decoded = match self.known.get(&hash) {
                Some(decoded) => decoded.clone(),
                None => Arc::new(self.reader.read(section.text)),
            };
            self.known.insert(hash, decoded.clone());
            documents.push(FileDocument {
                first_line: section.first_line,
                decoded,
            });
        }
        documents.into()
    }
}

#[allow(clippy::boxed_local, reason = "errors travel boxed")]
fn place(finding: Box<Finding>, name: &Arc<str>) -> Box<Problem> {
    let Span { line, column, .. } = finding.span;
    Box::new(finding.at(Origin::new(name.clone(), line, column)))
}

/// Reads a whole file of at most [`limits::FILE_BYTES`].
fn read_bounded(path: &Path) -> Result<(Vec<u8>, Stamp), Box<Finding>> {
    let read = || -> io::Result<(Vec<u8>, Stamp)> {
        let file = File::open(path)?;
        // Taken before the contents: a write in between makes the stamp stale, not the contents.
        let stamp = Stamp::of(&file.metadata()?);
        let mut bytes = Vec::new();
        file.take(limits::FILE_BYTES + 1).read_to_end(&mut bytes)?;
        Ok((bytes, stamp))
    };
    match read() {
        Ok((bytes, _)) if bytes.len() as u64 > limits::FILE_BYTES => {
            let message = format!("the file is larger than {} MiB", limits::FILE_BYTES >> 20);
            Err(Box::new(
                Finding::new("E0011", Span::NONE, message).help("split it into several files"),
            ))
        }
        Ok(read) => Ok(read),
        Err(error) => Err(Box::new(unreadable(&error))),
    }
}

/// Why a path cannot be read.
pub(super) fn unreadable(error: &io::Error) -> Finding {
    let finding = Finding::new("E0010", Span::NONE, format!("cannot be read: {error}"));
    match error.kind() {
        io::ErrorKind::NotFound => finding.help("check the path, or create the file"),
        io::ErrorKind::PermissionDenied => finding.help("let the user that runs weir read it"),
        _ => finding,
    }
}

fn text_of(bytes: &[u8]) -> Result<&str, Box<Finding>> {
    let error = match str::from_utf8(bytes) {
        Ok(text) => return Ok(text),
        Err(error) => error,
    };
    let before = &bytes[..error.valid_up_to()];
    let line_start = before
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |end| end + 1);
    let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
    let column = 1 + String::from_utf8_lossy(&before[line_start..]).chars().count();
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    let span = Span {
        line: number(line),
        column: number(column),
        length: 1,
    };
    let finding = Finding::new("E0012", span, "the file is not text in UTF-8");
    Err(Box::new(match bytes {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => finding.help("it is UTF-16: save it as UTF-8"),
        _ => finding.help("save it as UTF-8"),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::scratch::Scratch;

    #[test]
    fn text_must_be_utf_8_and_the_first_bad_byte_is_shown() {
        for (bytes, expected) in [
            (&b"a: \xc3\xa4\nb: \xff"[..], Some((2, 4))),
            (b"\xff\xfea\0", Some((1, 1))),
            ("a: ä".as_bytes(), None),
        ] {
            let found = text_of(bytes)
                .err()
                .map(|finding| (finding.span.line, finding.span.column));
            assert_eq!(found, expected, "{bytes:?}");
        }
    }

    #[test]
    fn bx14_a_file_is_known_again_by_its_stamp_once_its_times_are_old_enough() {
        let scratch = Scratch::new();
        scratch.write("a.yaml", "a: 1");
        let (path, name) = (scratch.path("a.yaml"), Arc::from("a.yaml"));
        let old = SystemTime::now() - SETTLED * 2;
        for (what, is_old) in [("just written", false), ("old", true)] {
            let mut documents = Documents::default();
            let first = documents.read(&path, &name).expect("readable");
            let file = documents.current.get_mut(&name).expect("known");
            assert_eq!(file.stamp, None, "{what}: too young to be trusted");
            // The kernel alone sets the time of a change: the age is made by looking from later on.
            let stamp = Stamp::of(&fs::metadata(&path).expect("there"));
            assert!(!stamp.is_settled(old) && stamp.is_settled(SystemTime::now() + SETTLED * 2));
            file.stamp = is_old.then_some(stamp);
            documents.start();
            let again = documents.unwritten(&path, &name);
            assert_eq!(
                again.is_some_and(|again| Arc::ptr_eq(&first, &again)),
                is_old,
                "{what}"
            );
            documents.start();
            // Same length, other contents; and the same again under the name by a rename.
            scratch.write("a.yaml", "a: 2");
            assert!(documents.unwritten(&path, &name).is_none(), "{what}: written");
            scratch.write("a.yaml", "a: 1");
        }
    }

    #[test]
    fn documents_that_no_file_has_any_more_are_forgotten() {
        let mut documents = Documents::default();
        let name: Arc<str> = "a.yaml".into();
        for number in 0..10 * KNOWN_SPARE {
            documents.start();
            documents
                .take(format!("a: {number}").as_bytes(), &name)
                .expect("text");
            assert!(documents.known.len() <= KNOWN_SPARE + 3);
        }
    }

    #[test]
    fn only_what_changed_is_read_again() {
        let mut documents = Documents::default();
        let name: Arc<str> = "a.yaml".into();
        let mut load = |text: &str| {
            documents.start();
            documents.take(text.as_bytes(), &name).expect(text)
        };
        let first = load("a: 1\n---\nb: 2\n---\nc: 3\n");
        let second = load("a: 1\n---\nb: 2\n---\nc: 3\n");
        assert!(
            Arc::ptr_eq(&first, &second),
            "an equal file is the same documents"
        );
        let third = load("# moved\n---\na: 1\n---\nb: 3\n---\nc: 3\n");
        let lines: Vec<_> = third.iter().map(|document| document.first_line).collect();
        assert_eq!(lines, [1, 4, 6]);
        assert!(
            Arc::ptr_eq(&first[2].decoded, &third[2].decoded),
            "an equal document is the same"
        );
        assert!(
            !Arc::ptr_eq(&first[1].decoded, &third[1].decoded),
            "a changed document is another"
        );
        let fourth = load("---\nc: 3\n");
        assert!(
            Arc::ptr_eq(&first[2].decoded, &fourth[0].decoded),
            "it is kept over several loads"
        );
    }
}
