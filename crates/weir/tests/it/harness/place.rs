//! Ports and folders that no other test uses.

use std::collections::HashSet;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex};

/// Below the range from which kernels take the ports of outgoing connections, and above the default port of admin.
const PORTS: std::ops::Range<u16> = 19_001..32_000;

static TAKEN: LazyLock<Mutex<HashSet<u16>>> = LazyLock::new(Mutex::default);
static FOLDERS: AtomicU32 = AtomicU32::new(0);

/// A port that nothing listens on now and that no other test of this process gets.
pub(crate) fn free_port() -> u16 {
    let mut taken = TAKEN.lock().expect("no test panics here");
    // Test processes that run side by side start at different places.
    let start = std::process::id().wrapping_mul(97) % u32::from(PORTS.end - PORTS.start);
    for step in 0..u32::from(PORTS.end - PORTS.start) {
        let offset = (start + step) % u32::from(PORTS.end - PORTS.start);
        let port = PORTS.start + u16::try_from(offset).expect("in range");
        if !taken.contains(&port) && TcpListener::bind(("0.0.0.0", port)).is_ok() {
            taken.insert(port);
            return port;
        }
    }
    panic!("no port is free");
}

/// A folder that is removed with this value.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// An empty one.
    pub(crate) fn new() -> Self {
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("weir-it-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file the way editors and Kubernetes do: beside, then renamed over.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let (path, beside) = (self.0.join(name), self.0.join(format!(".{name}.new")));
        std::fs::write(&beside, text).expect("a file is written");
        std::fs::rename(&beside, &path).expect("a file is renamed");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A leftover in the temporary folder hurts nobody.
        let _leftover = std::fs::remove_dir_all(&self.0);
    }
}
