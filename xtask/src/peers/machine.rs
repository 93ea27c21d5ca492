//! What was measured where: versions, kernel, processor.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::peer::Peer;
use super::tools::Tools;
use crate::repository;

/// Everything a reader needs in order to judge the figures.
pub(crate) struct Machine {
    /// Name and version, in the order of the tables.
    pub(crate) versions: Vec<(String, String)>,
    /// Kernel release.
    pub(crate) kernel: String,
    /// Processor model.
    pub(crate) processor: String,
    /// Processors that this process may use.
    pub(crate) cores: usize,
}

impl Machine {
    /// Asks every program and the kernel.
    pub(crate) fn describe(peers: &[Peer], tools: &Tools) -> Self {
        let mut versions: Vec<(String, String)> = peers
            .iter()
            .map(|peer| (peer.to_string(), peer_version(*peer, tools)))
            .collect();
        // wrk has no flag for its version; the word after the slash in its usage is it.
        versions.push(("wrk".to_owned(), first_line(&tools.wrk, &["-v"], "wrk ")));
        versions.push((
            "rustc".to_owned(),
            first_line(Path::new("rustc"), &["--version"], "rustc "),
        ));
        let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = processors
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(':'));
        Self {
            versions,
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")
                .unwrap_or_default()
                .trim()
                .to_owned(),
            processor: model.map_or("unknown", |(_, name)| name.trim()).to_owned(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
        }
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        let versions: Vec<String> = self
            .versions
            .iter()
            .map(|(name, version)| format!("{name} {version}"))
            .collect();
        format!(
            "{}, {} cores, Linux {}\n{}",
            self.processor,
            self.cores,
            self.kernel,
            versions.join("; ")
        )
    }

    /// For programs.
    pub(crate) fn to_json(&self) -> Value {
        let versions: serde_json::Map<String, Value> = self
            .versions
            .iter()
            .map(|(name, version)| (name.clone(), json!(version)))
            .collect();
        json!({
            "processor": self.processor,
            "cores": self.cores,
            "kernel": self.kernel,
            "versions": versions,
        })
    }
}

fn peer_version(peer: Peer, tools: &Tools) -> String {
    let Some(program) = tools.program(peer) else {
        return own_version();
    };
    match peer {
        Peer::Floor | Peer::Weir => own_version(),
        Peer::Nginx => first_line(program, &["-v"], "nginx/"),
        Peer::Haproxy => first_line(program, &["-v"], "HAProxy version "),
        Peer::Envoy => first_line(program, &["--version"], "version: "),
        Peer::Caddy => first_line(program, &["version"], ""),
    }
}

/// The commit that the working tree is at.
fn own_version() -> String {
    Command::new("git")
        .args(["describe", "--always", "--dirty"])
        .current_dir(repository::root())
        .output()
        .ok()
        .filter(|output| output.status.success())
        .map_or_else(
            || env!("CARGO_PKG_VERSION").to_owned(),
            |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        )
}

/// The word after `marker` in what the program prints first.
fn first_line(program: &Path, arguments: &[&str], marker: &str) -> String {
    let Ok(output) = Command::new(program).args(arguments).output() else {
        return "unknown".to_owned();
    };
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let rest = text.split_once(marker).map_or(&*text, |(_, rest)| rest);
    let word = rest.split_whitespace().next().unwrap_or("unknown");
    // Envoy prints COMMIT/VERSION/STATE/BUILD/LIBRARY.
    word.split('/')
        .find(|part| part.contains('.'))
        .unwrap_or(word)
        .to_owned()
}
