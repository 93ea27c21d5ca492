//! The real binary, running.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

use super::lines::Lines;
use super::{Folder, PATIENCE, command};

/// A running `weir`, killed with this value.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    /// Its standard output.
    pub(crate) stdout: Lines,
    /// Its standard error.
    pub(crate) stderr: Lines,
}

impl Process {
    /// Starts `weir` with these arguments.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::spawn(command::binary().args(arguments))
    }

    /// The same with the admin API where it is when nobody says where.
    pub(crate) fn start_undirected(arguments: &[&str]) -> Self {
        Self::spawn(command::binary().env_remove("WEIR_ADMIN").args(arguments))
    }

    fn spawn(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let stdout = Lines::follow(child.stdout.take().expect("piped"));
        let stderr = Lines::follow(child.stderr.take().expect("piped"));
        Self {
            child,
            stdout,
            stderr,
        }
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its name, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args(["-s", name, &self.child.id().to_string()])
            .status();
        assert!(sent.expect("kill runs").success());
    }

    /// Its memory that is in the machine's now, KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).expect("it lives");
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().nth(1));
        number.expect("a line").parse().expect("kilobytes")
    }

    /// Waits for the end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        // Its output ends when it does.
        self.stdout.wait_end();
        self.stderr.wait_end();
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status;
            }
            assert!(Instant::now() < deadline, "the process does not end");
            std::thread::yield_now();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

/// A running `weir run` with a configuration of its own.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) process: Process,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    folder: Folder,
}

impl Gateway {
    /// Starts it on this configuration and waits until it is in force. `port` is where the configuration listens.
    pub(crate) fn start(port: u16, config: &str) -> Self {
        Self::start_with(port, config, &[])
    }

    /// The same with further flags.
    pub(crate) fn start_with(port: u16, config: &str, flags: &[&str]) -> Self {
        let folder = Folder::new();
        let path = folder.write("weir.yaml", config);
        let mut arguments = vec!["run", "-c", path.to_str().expect("UTF-8")];
        arguments.extend(flags);
        let process = Process::start(&arguments);
        process.stderr.wait_after(0, "generation 1 in force");
        Self {
            process,
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            folder,
        }
    }

    /// Path of the configuration.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("weir.yaml")
    }

    /// Replaces the configuration and waits until the log says `expected`; returns that line.
    pub(crate) fn rewrite(&self, config: &str, expected: &str) -> String {
        let before = self.process.stderr.count();
        self.folder.write("weir.yaml", config);
        self.process.stderr.wait_after(before, expected)
    }
}
