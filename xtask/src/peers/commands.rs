//! The run: tools, programs, rounds, tables.

use std::fs;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};

use super::load::Generator;
use super::machine::Machine;
use super::options::Options;
use super::peer::Peer;
use super::process::{self, Leashed};
use super::report::Report;
use super::rounds::{self, Running};
use super::settings::Site;
use super::tools::Tools;
use super::{idle, reload, syscalls};
use crate::repository;

/// `cargo xtask peers`.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    start(Options::read(arguments, false)?)
}

/// `cargo xtask bench`.
pub(crate) fn run_short(arguments: &[String]) -> Result<(), String> {
    start(Options::read(arguments, true)?)
}

/// The backend, which all peers have in common.
pub(crate) struct Backend {
    /// Its process.
    pub(crate) program: Leashed,
    count: SocketAddr,
}

impl Backend {
    /// How many requests it has answered so far.
    pub(crate) fn answered(&self) -> Result<u64, String> {
        let read = || -> std::io::Result<String> {
            let mut text = String::new();
            TcpStream::connect(self.count)?.read_to_string(&mut text)?;
            Ok(text)
        };
        let text = read().map_err(|error| format!("the backend's count: {error}"))?;
        text.trim()
            .parse()
            .map_err(|error| format!("the backend's count, {text:?}: {error}"))
    }
}

/// What everything else needs: programs, a place for files, a backend.
pub(crate) struct Bench {
    /// What was asked for.
    pub(crate) options: Options,
    /// Programs that are not ours.
    pub(crate) tools: Tools,
    /// Where configurations and logs go.
    pub(crate) directory: PathBuf,
    /// Where our own programs are.
    binaries: PathBuf,
}

impl Bench {
    /// One of our own programs.
    pub(crate) fn binary(&self, name: &str) -> PathBuf {
        self.binaries.join(name)
    }

    /// Starts a program on the leash.
    pub(crate) fn start(&self, name: &str, command: &[String]) -> Result<Leashed, String> {
        Leashed::start(
            &self.binary("leash"),
            name,
            command,
            &self.directory.join(format!("{name}.log")),
        )
    }

    /// Starts the backend on `port` of these addresses and waits until it serves on the first.
    pub(crate) fn start_backend(&self, name: &str, hosts: &[Ipv4Addr], port: u16) -> Result<Backend, String> {
        let count = SocketAddr::from((Ipv4Addr::LOCALHOST, process::free_port()?));
        let listen: Vec<String> = hosts.iter().map(|host| format!("{host}:{port}")).collect();
        let program = self.binary("backend").display().to_string();
        let command = [
            program,
            "--listen".to_owned(),
            listen.join(","),
            "--threads".to_owned(),
            "2".to_owned(),
            "--count-listen".to_owned(),
            count.to_string(),
        ];
        let mut program = self.start(name, &command)?;
        program.wait_until_it_serves(SocketAddr::from((hosts[0], port)))?;
        Ok(Backend { program, count })
    }

    /// Starts a proxy in front of the backend and waits until it serves.
    fn start_peer(&self, peer: Peer, backend_port: u16) -> Result<Running, String> {
        let port = process::free_port()?;
        let program = match peer {
            Peer::Floor | Peer::Weir => self.binary(peer.name()),
            outside => self
                .tools
                .program(outside)
                .map(Path::to_owned)
                .ok_or("not installed")?,
        };
        let site = Site {
            directory: &self.directory,
            port,
            backend_port,
        };
        let mut program = self.start(peer.name(), &site.prepare(peer, &program)?)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        program.wait_until_it_serves(address)?;
        Ok(Running {
            peer,
            address,
            program,
        })
    }
}

fn start(options: Options) -> Result<(), String> {
    let tools = Tools::find(&options.peers)?;
    for missing in &tools.missing {
        eprintln!("{missing}");
    }
    let directory = repository::target().join("peers/run");
    fs::create_dir_all(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let mut failures = build(&options)?;
    let bench = Bench {
        options,
        tools,
        directory,
        binaries: repository::target().join("release"),
    };
    if bench.options.reload {
        return reload::run(&bench);
    }
    let report = measure(&bench, &mut failures)?;
    println!("{}", report.text());
    let json = serde_json::to_string_pretty(&report.to_json()).map_err(|error| error.to_string())?;
    if let Some(parent) = bench.options.json.parent() {
        fs::create_dir_all(parent).map_err(|error| format!("{}: {error}", parent.display()))?;
    }
    fs::write(&bench.options.json, json + "\n")
        .map_err(|error| format!("{}: {error}", bench.options.json.display()))?;
    println!("figures: {}", bench.options.json.display());
    match report.failures.len() {
        0 => Ok(()),
        count => Err(format!("{count} failures, see above")),
    }
}

/// Builds our own programs. Only weir may fail to build: the rig is of use without it.
fn build(options: &Options) -> Result<Vec<String>, String> {
    let build = |package: &str| {
        eprintln!("building {package}");
        let status = repository::cargo(&["build", "--quiet", "--release", "-p", package]).status();
        status
            .map_err(|error| error.to_string())
            .map(|status| status.success())
    };
    if !build("peers")? {
        return Err("the floor and the backend do not build".to_owned());
    }
    let wanted = options.peers.contains(&Peer::Weir);
    Ok(if wanted && !build("weir")? {
        vec!["weir does not build".to_owned()]
    } else {
        Vec::new()
    })
}

fn measure(bench: &Bench, failures: &mut Vec<String>) -> Result<Report, String> {
    let options = &bench.options;
    let backend_port = process::free_port()?;
    let hosts = [Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 2)];
    let backend = bench.start_backend("backend", &hosts, backend_port)?;
    let mut running = start_peers(bench, backend_port, failures);
    if running.is_empty() {
        return Err(format!("nobody to measure: {}", failures.join("; ")));
    }
    let peers: Vec<Peer> = running.iter().map(|one| one.peer).collect();
    let generator = Generator::new(&bench.tools.wrk, &bench.directory, "")?;
    let mut report = Report {
        machine: Machine::describe(&peers, &bench.tools),
        rounds: Vec::new(),
        syscalls: Vec::new(),
        idle: Vec::new(),
        failures: Vec::new(),
    };
    for connections in &options.connections {
        let rounds = rounds::measure(options, &generator, &backend, &mut running, *connections)?;
        for (peer, rounds) in peers.iter().zip(&rounds).filter(|(_, rounds)| rounds.errors > 0) {
            failures.push(format!(
                "{peer}: {} errors at {connections} connections",
                rounds.errors
            ));
        }
        report
            .rounds
            .push((*connections, peers.iter().copied().zip(rounds).collect()));
    }
    let connections = options.connections.first().copied().unwrap_or(64);
    for one in &running {
        eprintln!("system calls: {}", one.peer);
        let syscalls = syscalls::count(&bench.tools, &generator, one, connections, &bench.directory)?;
        report.syscalls.push((one.peer, syscalls));
    }
    drop(running);
    if options.idle_connections > 0 {
        measure_idle(bench, &peers, backend_port, &mut report, failures);
    }
    report.failures.append(failures);
    Ok(report)
}

/// Starts everybody who can be started. A peer that is not installed is no failure, one that does not serve is.
fn start_peers(bench: &Bench, backend_port: u16, failures: &mut Vec<String>) -> Vec<Running> {
    let mut running = Vec::new();
    for peer in &bench.options.peers {
        let ours = matches!(peer, Peer::Floor | Peer::Weir);
        if !ours && bench.tools.program(*peer).is_none() {
            eprintln!("{peer} is left out");
            continue;
        }
        match bench.start_peer(*peer, backend_port) {
            Ok(one) => running.push(one),
            Err(problem) => failures.push(problem),
        }
    }
    for failure in failures.iter() {
        eprintln!("{failure}");
    }
    running
}

fn measure_idle(
    bench: &Bench,
    peers: &[Peer],
    backend_port: u16,
    report: &mut Report,
    failures: &mut Vec<String>,
) {
    let count = bench.options.idle_connections;
    for peer in peers {
        eprintln!("memory of {count} idle connections: {peer}");
        let result = bench
            .start_peer(*peer, backend_port)
            .and_then(|one| idle::measure(&one.program, one.address, &bench.binary("idle"), count));
        match result {
            Ok(idle) if idle.open == u64::from(count) => report.idle.push((*peer, idle)),
            Ok(idle) => {
                failures.push(format!("{peer} kept {} of {count} idle connections", idle.open));
                report.idle.push((*peer, idle));
            }
            Err(problem) => failures.push(format!("idle connections of {peer}: {problem}")),
        }
    }
}
