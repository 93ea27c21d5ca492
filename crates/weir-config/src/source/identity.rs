//! Whether a directory is the one that it was.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::SystemTime;

/// What tells a directory from one that took its place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Identity {
    inode: Option<(u64, u64)>,
    /// Numbers of inodes come back, moments do not.
    born: Option<SystemTime>,
}

impl Identity {
    /// What is there now.
    pub(super) fn of(path: &Path) -> Self {
        fs::metadata(path).map_or_else(
            |_| Self::default(),
            |metadata| Self {
                inode: Some((metadata.dev(), metadata.ino())),
                born: metadata.created().ok(),
            },
        )
    }

    /// Equal, and known to be.
    pub(super) fn is_surely(&self, other: &Self) -> bool {
        self == other && self.inode.is_some() && self.born.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::scratch::Scratch;

    #[test]
    fn a_directory_that_is_made_again_is_another_one() {
        let scratch = Scratch::new();
        let path = scratch.path("d");
        fs::create_dir(&path).expect("made");
        let first = Identity::of(&path);
        assert!(first.is_surely(&Identity::of(&path)) || first.born.is_none());
        fs::remove_dir(&path).expect("removed");
        assert!(
            !Identity::of(&path).is_surely(&Identity::of(&path)),
            "nothing is there"
        );
        fs::create_dir(&path).expect("made again");
        assert!(!first.is_surely(&Identity::of(&path)));
        assert!(!Identity::default().is_surely(&Identity::default()));
    }
}
