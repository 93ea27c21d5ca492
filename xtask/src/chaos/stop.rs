//! `kill -STOP` of one of three backends: the kernel goes on taking its connections, and nothing ever answers.

use std::time::Duration;

use peers::pace::Plan;

use super::options::Fault;
use super::report::Report;
use super::stage::{Stage, signal, sleep_until, under_load};
use super::{document, losses, site};
use crate::peers::free_port;

/// Measures what the documentation says, and without it for comparison.
pub(crate) fn run(stage: &Stage, is_short: bool, report: &mut Report) -> Result<(), String> {
    let documented = document::policy("A backend stops answering")?;
    let policies = [
        ("none", String::new(), false),
        ("documented", format!("---\n{documented}"), true),
    ];
    for (name, policy, is_judged) in policies {
        measure(stage, is_short, report, (name, &policy, is_judged))?;
    }
    Ok(())
}

fn measure(
    stage: &Stage,
    is_short: bool,
    report: &mut Report,
    (name, policy, is_judged): (&str, &str, bool),
) -> Result<(), String> {
    let rate = if is_short { 300.0 } else { 2_000.0 };
    let seconds = if is_short { 4 } else { 10 };
    eprintln!("one of three backends is stopped for {seconds} s, {rate} requests/s, policy: {name}");
    let (port, ports) = (free_port()?, stage.ports(3)?);
    let journal = stage.journal()?;
    let mut backends = Vec::new();
    for port in &ports {
        backends.push(stage.echo(*port, "10ms", &journal)?);
    }
    let mut weir = stage.weir("weir", port, &(site::shop(port, &ports) + policy))?;
    let stopped = Duration::from_secs(seconds);
    let second = Duration::from_secs(1);
    let plan = Plan {
        posts_percent: 30,
        patience: second * 2,
        ..Plan::new(weir.address, rate, stopped + second * 3)
    };
    let (outcome, ()) = under_load(&plan, |begin| {
        sleep_until(begin, second);
        signal(&backends[1], "STOP")?;
        sleep_until(begin, second + stopped);
        signal(&backends[1], "CONT")
    })?;
    weir.program.check_alive()?;
    let section = report.section(Fault::Stop, name);
    losses::tell(section, &outcome, &journal, is_judged)
}
