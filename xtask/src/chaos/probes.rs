//! What probing costs: one process with many ports, many routes to all of them, each with a policy of its own whose check is
//! equal to the others'. The backends count what arrives.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::options::Fault;
use super::report::{Limit, Report};
use super::site;
use super::stage::Stage;
use crate::peers::{Leashed, free_port};

/// The check of every policy; its interval is [`INTERVAL`].
const CHECK: &str =
    "healthCheck: {active: {type: HTTP, interval: 1s, timeout: 500ms, http: {path: /healthz}}}";
const INTERVAL: Duration = Duration::from_secs(1);

/// Counts probes and weir's file descriptors.
pub(crate) fn run(stage: &Stage, is_short: bool, report: &mut Report) -> Result<(), String> {
    let (endpoints, routes, seconds) = if is_short { (40, 100, 6) } else { (200, 500, 52) };
    eprintln!("{endpoints} endpoints, {routes} routes, each with the same check once a second, {seconds} s");
    let (port, ports) = (free_port()?, stage.ports(endpoints)?);
    let journal = stage.journal()?;
    let _backends = stage.echoes(&ports, &journal)?;
    let mut config = site::gateway(port) + &site::service(&ports);
    for route in 0..routes {
        let name = format!("route-{route}");
        // Writing into a string cannot fail.
        let _written = write!(
            config,
            "{}{}",
            site::route(&name, &format!("/{route}")),
            site::traffic_policy(&name, CHECK)
        );
    }
    let mut weir = stage.weir("weir", port, &config)?;
    // All first probes have been made, and the second ones are spread as all later ones will be.
    std::thread::sleep(INTERVAL * 2);
    let (before, begin) = (journal.lines()?.len(), Instant::now());
    let mut files = Vec::new();
    for _ in 0..seconds {
        std::thread::sleep(INTERVAL);
        files.push(open_files(&weir.program)?);
    }
    let (lines, elapsed_s) = (journal.lines()?, begin.elapsed().as_secs_f64());
    weir.program.check_alive()?;
    let probes = lines.len() - before;
    let expected = endpoints as f64 * elapsed_s;
    let mut section = report.section(Fault::Probes, &format!("{endpoints} endpoints, {routes} routes"));
    section.tell("probes", probes as f64);
    let rate = probes as f64 / expected;
    section.judge("probe rate / (endpoints / interval)", rate, Limit::Least(0.95));
    section.judge("probe rate / (endpoints / interval)", rate, Limit::Most(1.05));
    let counts = ports.iter().map(|port| {
        let begin = format!("{port} GET /healthz");
        let own = lines[before..].iter().filter(|line| **line == begin);
        own.count() as f64 / elapsed_s
    });
    let counts: Vec<f64> = counts.collect();
    let least = counts.iter().copied().fold(f64::MAX, f64::min);
    section.judge(
        "probes a second, the endpoint with fewest",
        least,
        Limit::Least(0.8),
    );
    let most = counts.iter().copied().fold(0.0, f64::max);
    section.judge("probes a second, the endpoint with most", most, Limit::Most(1.2));
    let third = files.len() / 3;
    let (first, last) = (
        files[..third].iter().min(),
        files[files.len() - third..].iter().min(),
    );
    let (first, last) = first.zip(last).ok_or("too short")?;
    section.tell("open files at first", *first as f64);
    section.judge(
        "open files more at last",
        *last as f64 - *first as f64,
        Limit::Most(0.0),
    );
    Ok(())
}

/// Files that a program has open: as few as it had in a moment of looking, for a probe in progress has one, too.
fn open_files(program: &Leashed) -> Result<usize, String> {
    let process = program.processes().first().copied().ok_or("it has ended")?;
    let count = || {
        let folder = format!("/proc/{process}/fd");
        let files = std::fs::read_dir(&folder).map_err(|error| format!("{folder}: {error}"))?;
        Ok::<usize, String>(files.count())
    };
    let mut least = count()?;
    for _ in 0..20 {
        std::thread::sleep(Duration::from_millis(2));
        least = least.min(count()?);
    }
    Ok(least)
}
