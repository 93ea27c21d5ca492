//! Temporary directories for tests.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs, process};

/// A directory that is removed with its contents in the end.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("weir-config-{}-{number}", process::id()));
        fs::create_dir_all(&path).expect("a scratch directory");
        Self(path)
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        if name.as_ref() == Path::new(".") {
            self.0.clone()
        } else {
            self.0.join(name)
        }
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, text).expect("a file");
    }

    /// Writes a version of a Kubernetes volume and swaps `..data` to it, as the kubelet does.
    pub(crate) fn mount(&self, version: &str, name: &str, text: &str) {
        self.write(&format!("{version}/{name}"), text);
        symlink(version, self.path("..data_tmp")).expect("a link");
        fs::rename(self.path("..data_tmp"), self.path("..data")).expect("a swap");
        if fs::symlink_metadata(self.path(name)).is_err() {
            symlink(Path::new("..data").join(name), self.path(name)).expect("a link");
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
