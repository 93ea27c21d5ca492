//! Documents by content: a document that did not change is not read again, and neither is a file.

use std::collections::HashMap;
use std::fs::File;
use std::hash::{BuildHasherDefault, Hasher};
use std::io::{self, Read};
use std::mem;
use std::path::Path;
use std::str;
use std::sync::Arc;

use weir_model::{Origin, Problem, limits};
use xxhash_rust::xxh3::xxh3_128;

use crate::resource::{Decoded, Reader};
use crate::yaml::{Finding, Span, sections};

/// One document of a file.
#[derive(Clone, Debug)]
pub(super) struct FileDocument {
    /// The line on which it starts, from 1.
    pub(super) first_line: u32,
    /// What it says.
    pub(super) decoded: Arc<Decoded>,
    hash: u128,
}

/// The documents of a file, in order.
pub(super) type FileDocuments = Arc<[FileDocument]>;

/// The documents and files of this load and of the one before, by what they hold.
#[derive(Debug, Default)]
pub(super) struct Documents {
    reader: Reader,
    current: Contents,
    former: Contents,
}

#[derive(Debug, Default)]
struct Contents {
    documents: HashMap<u128, Arc<Decoded>, BuildHasherDefault<Prehashed>>,
    files: HashMap<Arc<str>, (u128, FileDocuments)>,
}

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
    /// Starts a load. What the load before did not use is forgotten.
    pub(super) fn start(&mut self) {
        self.former = mem::take(&mut self.current);
    }

    /// Reads a file; the error says why nothing of it can be used.
    pub(super) fn read(&mut self, path: &Path, name: &Arc<str>) -> Result<FileDocuments, Box<Problem>> {
        let bytes = read_bounded(path).map_err(|finding| place(finding, name))?;
        self.take(&bytes, name)
    }

    /// Takes the bytes of a file.
    pub(super) fn take(&mut self, bytes: &[u8], name: &Arc<str>) -> Result<FileDocuments, Box<Problem>> {
        let hash = xxh3_128(bytes);
        let documents = match self.former.files.remove(name) {
            Some((former, documents)) if former == hash => {
                self.current.documents.extend(
                    documents
                        .iter()
                        .map(|document| (document.hash, document.decoded.clone())),
                );
                documents
            }
            _ => self.split(text_of(bytes).map_err(|finding| place(finding, name))?),
        };
        self.current.files.insert(name.clone(), (hash, documents.clone()));
        Ok(documents)
    }

    fn split(&mut self, text: &str) -> FileDocuments {
        let mut documents = Vec::new();
        for section in sections(text) {
            let hash = xxh3_128(section.text.as_bytes());
            let known = self
                .current
                .documents
                .get(&hash)
                .or_else(|| self.former.documents.get(&hash));
            let decoded = match known {
                Some(decoded) => decoded.clone(),
                None => Arc::new(self.reader.read(section.text)),
            };
            self.current.documents.insert(hash, decoded.clone());
            documents.push(FileDocument {
                first_line: section.first_line,
                decoded,
                hash,
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
fn read_bounded(path: &Path) -> Result<Vec<u8>, Box<Finding>> {
    let read = || -> io::Result<Vec<u8>> {
        let file = File::open(path)?;
        let mut bytes = Vec::new();
        file.take(limits::FILE_BYTES + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    match read() {
        Ok(bytes) if bytes.len() as u64 > limits::FILE_BYTES => {
            let message = format!("the file is larger than {} MiB", limits::FILE_BYTES >> 20);
            Err(Box::new(
                Finding::new("E0011", Span::NONE, message).help("split it into several files"),
            ))
        }
        Ok(bytes) => Ok(bytes),
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
