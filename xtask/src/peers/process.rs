//! Programs that run while we measure, each on a leash: none outlives this process, however it ends.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use super::{kernel, probe::Probe};

/// How long a program may take until it answers.
const START_LIMIT: Duration = Duration::from_secs(20);

/// A running program. Dropping it kills it and everything it started.
pub(crate) struct Leashed {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Leashed {
    /// Starts `command` on the leash; what it prints goes to `log`.
    pub(crate) fn start(leash: &Path, name: &str, command: &[String], log: &Path) -> Result<Self, String> {
        let output = File::create(log).map_err(|error| format!("{}: {error}", log.display()))?;
        let errors = output
            .try_clone()
            .map_err(|error| format!("{}: {error}", log.display()))?;
        let child = Command::new(leash)
            .args(command)
            .stdin(Stdio::piped())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .map_err(|error| format!("{name}: {}: {error}", leash.display()))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            log: log.to_owned(),
        })
    }

    /// The processes of the program, the leash excluded.
    pub(crate) fn processes(&self) -> Vec<u32> {
        kernel::descendants(self.child.id())
    }

    /// Fails with the end of the log when the program has ended.
    pub(crate) fn check_alive(&mut self) -> Result<(), String> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(format!("{} has ended ({status}){}", self.name, self.log_end())),
            Err(error) => Err(format!("{}: {error}", self.name)),
        }
    }

    /// Waits until the program answers a request for `/` with 200.
    pub(crate) fn wait_until_it_serves(&mut self, address: SocketAddr) -> Result<(), String> {
        let begin = Instant::now();
        loop {
            self.check_alive()?;
            let answer = Probe::connect(address).and_then(|mut probe| probe.request("/"));
            let problem = match answer {
                Ok(answer) if answer.status == 200 => return Ok(()),
                Ok(answer) => format!("answers {}", answer.status),
                Err(error) => error.to_string(),
            };
            if begin.elapsed() > START_LIMIT {
                return Err(format!(
                    "{} does not serve: {problem}{}",
                    self.name,
                    self.log_end()
                ));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until somebody listens there.
    pub(crate) fn wait_until_it_listens(&mut self, address: SocketAddr) -> Result<(), String> {
        let begin = Instant::now();
        while let Err(error) = TcpStream::connect_timeout(&address, Duration::from_secs(1)) {
            self.check_alive()?;
            if begin.elapsed() > START_LIMIT {
                return Err(format!(
                    "{} does not listen: {error}{}",
                    self.name,
                    self.log_end()
                ));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn log_end(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let last = lines[lines.len().saturating_sub(8)..].join("\n  ");
        format!("\n  {last}\n  (all of it: {})", self.log.display())
    }
}

impl Drop for Leashed {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// A helper program that is talked to line by line. Ends with its standard input.
pub(crate) struct Conversation {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Conversation {
    /// Starts the program.
    pub(crate) fn start(program: &Path, arguments: &[String]) -> Result<Self, String> {
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{}: {error}", program.display()))?;
        let input = child.stdin.take();
        let output = child.stdout.take().ok_or("no standard output")?;
        Ok(Self {
            child,
            input,
            output: BufReader::new(output),
        })
    }

    /// The next line that the program prints.
    pub(crate) fn line(&mut self) -> Result<String, String> {
        let mut line = String::new();
        match self.output.read_line(&mut line) {
            Ok(0) => Err("ended early".to_owned()),
            Ok(_) => Ok(line.trim().to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Sends a line and returns the answer.
    pub(crate) fn ask(&mut self, question: &str) -> Result<String, String> {
        let input = self.input.as_mut().ok_or("no standard input")?;
        writeln!(input, "{question}").map_err(|error| error.to_string())?;
        self.line()
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

/// A loopback port that is free now, on 127.0.0.1 and on 127.0.0.2.
pub(crate) fn free_port() -> Result<u16, String> {
    for _ in 0..100 {
        let first = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|error| error.to_string())?;
        let port = first.local_addr().map_err(|error| error.to_string())?.port();
        if TcpListener::bind((Ipv4Addr::new(127, 0, 0, 2), port)).is_ok() {
            return Ok(port);
        }
    }
    Err("no free loopback port".to_owned())
}
