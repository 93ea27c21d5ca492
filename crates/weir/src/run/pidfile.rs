//! The file that holds the process id while weir runs.

use std::path::{Path, PathBuf};

use crate::error::{CommandError, Exit};

/// A written file, removed with this value.
#[derive(Debug)]
pub(crate) struct Pidfile(PathBuf);

impl Pidfile {
    /// Writes the process id.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn write(path: &Path) -> Result<Self, CommandError> {
        std::fs::write(path, format!("{}\n", std::process::id())).map_err(|error| {
            CommandError::new(Exit::Failed, "cannot write the pidfile")
                .place(path.display().to_string())
                .why(error)
        })?;
        Ok(Self(path.to_owned()))
    }
}

impl Drop for Pidfile {
    fn drop(&mut self) {
        // Somebody may have removed it already.
        let _gone = std::fs::remove_file(&self.0);
    }
}
