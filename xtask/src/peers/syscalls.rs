//! System calls per request, in a short run of its own: counting them costs time.

use std::fs;
use std::path::Path;

use super::load::{self, Generator};
use super::rounds::Running;
use super::tools::Tools;

/// How long the counted runs last, s.
const COUNT_S: u32 = 2;

/// System calls per request of one proxy.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Syscalls {
    /// All of them. By perf where it works, which hardly slows the proxy down; else by strace.
    pub(crate) per_request: Option<f64>,
    /// By name, most frequent first; by strace, under which the proxy is slow and waits are rarer.
    pub(crate) by_name: Vec<(String, f64)>,
}

/// Counts with what there is.
pub(crate) fn count(
    tools: &Tools,
    generator: &Generator,
    one: &Running,
    connections: u32,
    directory: &Path,
) -> Result<Syscalls, String> {
    let mut syscalls = Syscalls::default();
    let processes: Vec<String> = one.program.processes().iter().map(u32::to_string).collect();
    let command = generator.command(one.address, connections, COUNT_S);
    if let Some(strace) = &tools.strace {
        syscalls.by_name = traced(strace, &processes, &command, &directory.join("strace.txt"))?;
        let sum: f64 = syscalls.by_name.iter().map(|(_, count)| count).sum();
        syscalls.per_request = (sum > 0.0).then_some(sum);
    }
    if let Some(perf) = &tools.perf {
        let file = directory.join("perf.txt");
        let mut counted: Vec<String> = [
            &perf.display().to_string(),
            "stat",
            "-x,",
            "-e",
            "raw_syscalls:sys_enter",
            "-o",
            &file.display().to_string(),
            "-p",
            &processes.join(","),
            "--",
        ]
        .map(str::to_owned)
        .into();
        counted.extend(command);
        let load = load::run_command(&counted)?;
        let text = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        if let Some(count) = parse_perf(&text) {
            syscalls.per_request = Some(count / load.requests.max(1) as f64);
        }
    }
    Ok(syscalls)
}

/// Calls per request by name.
fn traced(
    strace: &Path,
    processes: &[String],
    command: &[String],
    file: &Path,
) -> Result<Vec<(String, f64)>, String> {
    // `timeout` ends strace by the signal that makes it print its summary.
    let mut tracer = std::process::Command::new("timeout")
        .args(["--foreground", "-s", "INT", &format!("{}s", COUNT_S + 2)])
        .arg(strace)
        .args(["-q", "-c", "-f", "-o"])
        .arg(file)
        .args(processes.iter().flat_map(|process| ["-p", process]))
        .stdin(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .map_err(|error| format!("timeout: {error}"))?;
    std::thread::sleep(std::time::Duration::from_millis(500));
    let load = load::run_command(command)?;
    tracer.wait().map_err(|error| format!("strace: {error}"))?;
    let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(parse_strace(&text)
        .into_iter()
        .map(|(name, count)| (name, count as f64 / load.requests.max(1) as f64))
        .collect())
}

/// The first field of the first line that is not a comment.
fn parse_perf(text: &str) -> Option<f64> {
    let line = text
        .lines()
        .find(|line| !line.is_empty() && !line.starts_with('#'))?;
    line.split(',').next()?.parse().ok()
}

/// Names and counts of the table that `strace -c` prints, most frequent first.
fn parse_strace(text: &str) -> Vec<(String, u64)> {
    let mut calls: Vec<(String, u64)> = text
        .lines()
        .filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [share, _, _, count, .., name] = words[..] else {
                return None;
            };
            share.parse::<f64>().ok()?;
            (name != "total").then_some((name.to_owned(), count.parse().ok()?))
        })
        .collect();
    calls.sort_by(|left, right| right.1.cmp(&left.1).then_with(|| left.0.cmp(&right.0)));
    calls
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strace_tables_are_read() {
        let text = "\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 45.66    1.026166           9    105254           sendto
 44.51    1.000265           9    105191        31 recvfrom
  9.83    0.220963          13     16205           epoll_wait
------ ----------- ----------- --------- --------- ----------------
100.00    2.247394           9    226650        31 total
";
        let calls = parse_strace(text);
        assert_eq!(calls.len(), 3);
        assert_eq!(calls[0], ("sendto".to_owned(), 105_254));
        assert_eq!(calls[1], ("recvfrom".to_owned(), 105_191));
    }

    #[test]
    fn perf_counts_are_read() {
        let text = "# started on today\n\n441209,,raw_syscalls:sys_enter,2002,100.00,,\n";
        assert_eq!(parse_perf(text), Some(441_209.0));
        assert_eq!(parse_perf("<not counted>,,raw_syscalls:sys_enter"), None);
    }
}
