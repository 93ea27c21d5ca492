//! What the kernel says of processes: who belongs together, CPU time, memory.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

/// The kernel's clock ticks per second in `/proc`; fixed at 100 on Linux.
const TICKS_PER_S: u64 = 100;

/// `root`'s descendants, without `root` itself.
pub(crate) fn descendants(root: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for process in numbered_entries(Path::new("/proc")) {
        if let Some(parent) = stat_field(process, 1).and_then(|parent| u32::try_from(parent).ok()) {
            children.entry(parent).or_default().push(process);
        }
    }
    let mut found = Vec::new();
    let mut open = vec![root];
    while let Some(process) = open.pop() {
        for child in children.get(&process).into_iter().flatten() {
            found.push(*child);
            open.push(*child);
        }
    }
    found.sort_unstable();
    found
}

/// CPU time of all threads of `processes`, ns. The scheduler's account is exact but forgets threads that have
/// ended; the process's own is in ticks and remembers them: the larger one counts.
pub(crate) fn cpu_ns(processes: &[u32]) -> u64 {
    processes
        .iter()
        .map(|process| scheduled_ns(*process).max(ticks_ns(*process)))
        .sum()
}

/// Resident memory of `processes`, bytes.
pub(crate) fn resident_bytes(processes: &[u32]) -> u64 {
    processes
        .iter()
        .filter_map(|process| fs::read_to_string(format!("/proc/{process}/status")).ok())
        .filter_map(|status| {
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
            line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()
        })
        .map(|kib| kib * 1024)
        .sum()
}

/// Busy and stolen time of all processors since boot, ns.
pub(crate) fn machine_ns() -> (u64, u64) {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let ticks: Vec<u64> = text
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    let at = |index: usize| ticks.get(index).copied().unwrap_or(0);
    // user, nice, system, (idle, iowait,) irq, softirq; then stolen.
    let busy = at(0) + at(1) + at(2) + at(5) + at(6);
    (
        busy * 1_000_000_000 / TICKS_PER_S,
        at(7) * 1_000_000_000 / TICKS_PER_S,
    )
}

fn scheduled_ns(process: u32) -> u64 {
    numbered_entries(Path::new(&format!("/proc/{process}/task")))
        .into_iter()
        .filter_map(|thread| fs::read_to_string(format!("/proc/{process}/task/{thread}/schedstat")).ok())
        .filter_map(|text| text.split_whitespace().next()?.parse::<u64>().ok())
        .sum()
}

fn ticks_ns(process: u32) -> u64 {
    (stat_field(process, 11).unwrap_or(0) + stat_field(process, 12).unwrap_or(0)) * 1_000_000_000
        / TICKS_PER_S
}

/// A field of `/proc/PID/stat`, counted from 0 after the process's name (proc(5) counts it as field `index + 3`).
fn stat_field(process: u32, index: usize) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(')')?;
    fields.split_whitespace().nth(index)?.parse().ok()
}

fn numbered_entries(directory: &Path) -> Vec<u32> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_process_is_accounted_for() {
        let own = [std::process::id()];
        let before = cpu_ns(&own);
        let mut sum = 0_u64;
        while cpu_ns(&own) < before + 20_000_000 {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(resident_bytes(&own) > 100_000);
        assert!(machine_ns().0 > 0);
    }

    #[test]
    fn descendants_are_found() {
        // The shell waits for its child, and the child for the end of a pipe that we hold.
        let mut shell = std::process::Command::new("sh")
            .args(["-c", "cat; true"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .spawn()
            .expect("a shell");
        while descendants(shell.id()).is_empty() {
            std::thread::yield_now();
        }
        let all = descendants(std::process::id());
        assert!(all.contains(&shell.id()));
        assert!(descendants(shell.id()).iter().all(|child| all.contains(child)));
        drop(shell.stdin.take());
        assert!(shell.wait().expect("the shell to end").success());
        assert!(descendants(shell.id()).is_empty());
    }
}
