//! A file that says what a backend has received, whatever becomes of the backend.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

/// One line per request, in the file before the request is answered: a backend that is killed leaves what it had
/// received. Several backends may write to one file.
#[derive(Clone, Debug)]
pub struct Journal(Arc<File>);

impl Journal {
    /// Appends to this file, and creates it where there is none.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self(Arc::new(file)))
    }

    /// Writes `PORT METHOD TARGET`, as one write so that lines stay whole.
    pub(crate) fn note(&self, port: u16, method: &str, target: &str) -> io::Result<()> {
        (&*self.0).write_all(format!("{port} {method} {target}\n").as_bytes())
    }
}
