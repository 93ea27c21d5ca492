//! The load generator: wrk, whose figures come back through a script of ours.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// wrk calls `done` once, after the run: the script costs nothing per request.
const DONE: &str = r#"
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '{"requests":%d,"duration_us":%d,"p50_us":%d,"p99_us":%d,"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d}\n',
    summary.requests, summary.duration, latency:percentile(50.0), latency:percentile(99.0),
    e.connect, e.read, e.write, e.status, e.timeout))
end
"#;

/// What one run of wrk found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Load {
    /// Answered requests.
    pub(crate) requests: u64,
    /// How long it took, µs.
    pub(crate) duration_us: u64,
    /// Median latency, µs.
    pub(crate) p50_us: u64,
    /// 99th percentile of latency, µs.
    pub(crate) p99_us: u64,
    /// Connections and requests that failed, answers that were not 2xx or 3xx included.
    pub(crate) errors: u64,
}

impl Load {
    /// Answered requests per second.
    pub(crate) fn rate(&self) -> f64 {
        self.requests as f64 * 1e6 / self.duration_us.max(1) as f64
    }

    /// Reads the line that the script printed.
    pub(crate) fn parse(output: &str) -> Option<Self> {
        let line = output.lines().rev().find(|line| line.starts_with('{'))?;
        let value: Value = serde_json::from_str(line).ok()?;
        let field = |name: &str| value.get(name).and_then(Value::as_u64);
        let errors: Option<u64> = ["connect", "read", "write", "status", "timeout"]
            .iter()
            .map(|name| field(name))
            .sum();
        Some(Self {
            requests: field("requests")?,
            duration_us: field("duration_us")?,
            p50_us: field("p50_us")?,
            p99_us: field("p99_us")?,
            errors: errors?,
        })
    }
}

/// wrk with its script.
pub(crate) struct Generator {
    program: PathBuf,
    script: PathBuf,
}

impl Generator {
    /// Writes the script into `directory`; `request` is Lua that chooses the requests, empty for `/` always.
    pub(crate) fn new(program: &Path, directory: &Path, request: &str) -> Result<Self, String> {
        let script = directory.join(if request.is_empty() {
            "wrk.lua"
        } else {
            "wrk-requests.lua"
        });
        fs::write(&script, format!("{request}{DONE}"))
            .map_err(|error| format!("{}: {error}", script.display()))?;
        Ok(Self {
            program: program.to_owned(),
            script,
        })
    }

    /// The command line of a run, to be run by something else.
    pub(crate) fn command(&self, target: SocketAddr, connections: u32, seconds: u32) -> Vec<String> {
        [
            self.program.display().to_string(),
            "-t2".to_owned(),
            format!("-c{connections}"),
            format!("-d{seconds}s"),
            "--latency".to_owned(),
            "-s".to_owned(),
            self.script.display().to_string(),
            format!("http://{target}/"),
        ]
        .into()
    }

    /// Runs and waits for the result.
    pub(crate) fn run(&self, target: SocketAddr, connections: u32, seconds: u32) -> Result<Load, String> {
        run_command(&self.command(target, connections, seconds))
    }

    /// Begins a run.
    pub(crate) fn start(&self, target: SocketAddr, connections: u32, seconds: u32) -> Result<Run, String> {
        start_command(&self.command(target, connections, seconds))
    }
}

/// A run that goes on.
pub(crate) struct Run {
    program: String,
    child: Child,
}

impl Run {
    /// The load generator's process.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the result.
    pub(crate) fn finish(self) -> Result<Load, String> {
        let output = self
            .child
            .wait_with_output()
            .map_err(|error| format!("{}: {error}", self.program))?;
        let text = String::from_utf8_lossy(&output.stdout);
        Load::parse(&text).ok_or_else(|| {
            format!(
                "{} printed no result: {}{}",
                self.program,
                text.trim(),
                String::from_utf8_lossy(&output.stderr).trim()
            )
        })
    }
}

/// Runs a command that is, or ends in, a wrk of ours.
pub(crate) fn run_command(command: &[String]) -> Result<Load, String> {
    start_command(command)?.finish()
}

fn start_command(command: &[String]) -> Result<Run, String> {
    let [program, arguments @ ..] = command else {
        return Err("an empty command".to_owned());
    };
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{program}: {error}"))?;
    Ok(Run {
        program: program.clone(),
        child,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_of_wrk_is_the_result() {
        let output = "Running 5s test\n  Latency Distribution\n{\"requests\":1000,\"duration_us\":500000,\
                      \"p50_us\":100,\"p99_us\":900,\"connect\":1,\"read\":2,\"write\":0,\"status\":3,\"timeout\":0}\n";
        let load = Load::parse(output).expect("a result");
        assert_eq!(
            (load.requests, load.p50_us, load.p99_us, load.errors),
            (1000, 100, 900, 6)
        );
        assert!((load.rate() - 2000.0).abs() < 1e-9);
        assert_eq!(Load::parse("unable to connect"), None);
    }
}
