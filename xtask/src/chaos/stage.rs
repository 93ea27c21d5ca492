//! Where it plays: weir, backends that can be killed, and the paced clients before them.

use std::fs;
use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use peers::pace::{self, Outcome, Plan};

use crate::peers::{Leashed, free_port};

/// Our programs and a place for files.
pub(crate) struct Stage {
    /// Where configurations, journals and logs go.
    pub(crate) directory: PathBuf,
    /// Where our own programs are.
    pub(crate) binaries: PathBuf,
}

/// A running program and where it listens.
pub(crate) struct Running {
    /// The program.
    pub(crate) program: Leashed,
    /// Its address.
    pub(crate) address: SocketAddrV4,
}

/// What backends have written down.
pub(crate) struct Journal(PathBuf);

impl Stage {
    /// Starts weir on a configuration and waits until it listens on `port`. What it says is in `NAME.log`.
    pub(crate) fn weir(&self, name: &str, port: u16, config: &str) -> Result<Running, String> {
        let config = self.write(&format!("{name}.yaml"), config)?;
        let arguments = ["run", "-c", &config, "--threads", "2"];
        let mut program = self.start(name, &arguments)?;
        let address = SocketAddrV4::new([127, 0, 0, 1].into(), port);
        program.wait_until_it_listens(address.into())?;
        Ok(Running { program, address })
    }

    /// Starts one of weir's commands on the leash.
    pub(crate) fn start(&self, name: &str, arguments: &[&str]) -> Result<Leashed, String> {
        self.start_other(name, &self.binaries.join("weir"), arguments)
    }

    /// Starts any program on the leash.
    pub(crate) fn start_other(
        &self,
        name: &str,
        program: &Path,
        arguments: &[&str],
    ) -> Result<Leashed, String> {
        let mut command = vec![program.display().to_string()];
        command.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        let log = self.directory.join(format!("{name}.log"));
        Leashed::start(&self.binaries.join("leash"), name, &command, &log)
    }

    /// Writes a file and returns its path.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<String, String> {
        let path = self.directory.join(name);
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(path.display().to_string())
    }

    /// Starts an echo backend that writes to the journal, and waits until it serves.
    pub(crate) fn echo(&self, port: u16, delay: &str, journal: &Journal) -> Result<Leashed, String> {
        let (listen, journal) = (format!("127.0.0.1:{port}"), journal.0.display().to_string());
        let arguments = [
            "echo",
            "--listen",
            &listen,
            "--delay",
            delay,
            "--journal",
            &journal,
        ];
        let mut echo = self.start(&format!("echo-{port}"), &arguments)?;
        echo.wait_until_it_listens(SocketAddrV4::new([127, 0, 0, 1].into(), port).into())?;
        Ok(echo)
    }

    /// One process that is an echo backend on each of these ports and writes to the journal.
    pub(crate) fn echoes(&self, ports: &[u16], journal: &Journal) -> Result<Leashed, String> {
        let listen: Vec<String> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        let (listen, journal) = (listen.join(","), journal.0.display().to_string());
        let mut echo = self.start("echoes", &["echo", "--listen", &listen, "--journal", &journal])?;
        if let Some(last) = ports.last() {
            echo.wait_until_it_listens(SocketAddrV4::new([127, 0, 0, 1].into(), *last).into())?;
        }
        Ok(echo)
    }

    /// An empty journal.
    pub(crate) fn journal(&self) -> Result<Journal, String> {
        let path = self.directory.join("journal");
        fs::write(&path, "").map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Journal(path))
    }

    /// Different free ports.
    pub(crate) fn ports(&self, count: usize) -> Result<Vec<u16>, String> {
        let mut ports = Vec::new();
        while ports.len() < count {
            let port = free_port()?;
            if !ports.contains(&port) {
                ports.push(port);
            }
        }
        Ok(ports)
    }
}

impl Journal {
    /// Its lines: port, method, target.
    pub(crate) fn lines(&self) -> Result<Vec<String>, String> {
        let text = fs::read_to_string(&self.0).map_err(|error| format!("{}: {error}", self.0.display()))?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// How many POSTs are in it more than once, whichever backend served them.
    pub(crate) fn posts_served_twice(&self) -> Result<usize, String> {
        let lines = self.lines()?;
        let mut targets: Vec<&str> = lines
            .iter()
            .filter_map(|line| line.split(" POST ").nth(1))
            .collect();
        let count = targets.len();
        targets.sort_unstable();
        targets.dedup();
        Ok(count - targets.len())
    }
}

/// Runs a load while something happens: `act` gets the moment of its beginning and returns what it did, when.
pub(crate) fn under_load<T: Send>(
    plan: &Plan,
    act: impl FnOnce(Instant) -> Result<T, String> + Send,
) -> Result<(Outcome, T), String> {
    std::thread::scope(|scope| {
        let begin = Instant::now();
        let load = scope.spawn(|| pace::run(plan));
        let acted = act(begin);
        let outcome = load.join().map_err(|_| "the load died".to_owned())?;
        Ok((outcome.map_err(|error| format!("the load: {error}"))?, acted?))
    })
}

/// Sends a signal to the processes of a program.
pub(crate) fn signal(program: &Leashed, name: &str) -> Result<(), String> {
    let processes = program.processes();
    if processes.is_empty() {
        return Err("there is nobody to signal".to_owned());
    }
    let mut command = Command::new("kill");
    command.arg("-s").arg(name);
    command.args(processes.iter().map(u32::to_string));
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("kill -s {name}: {status}")),
        Err(error) => Err(format!("kill: {error}")),
    }
}

/// Sleeps until so much time has passed since `begin`.
pub(crate) fn sleep_until(begin: Instant, time: Duration) {
    std::thread::sleep(time.saturating_sub(begin.elapsed()));
}
