//! Ports and folders that no other test uses.

use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use super::{PATIENCE, RaisedAtEnd};

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
        if !taken.contains(&port) && is_free(port) {
            taken.insert(port);
            return port;
        }
    }
    panic!("no port is free");
}

/// Asks without listening: a process that is being started has copies of all sockets for a moment, and a copy of one
/// that listens would keep the port.
fn is_free(port: u16) -> bool {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_reuse_address(true).expect("an option");
    socket
        .bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)).into())
        .is_ok()
}

/// Listens on the port of something that has ended, or is about to.
pub(crate) fn listen_on(port: u16) -> TcpListener {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(listener) => return listener,
            Err(error) => assert!(Instant::now() < deadline, "port {port}: {error}"),
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_free_port_stays_free_while_processes_are_started() {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let _ended = std::process::Command::new("true").status();
                }
            });
        }
        let _over = RaisedAtEnd(&is_over);
        for _ in 0..200 {
            TcpListener::bind((Ipv4Addr::LOCALHOST, free_port())).expect("the port is free");
        }
    });
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
