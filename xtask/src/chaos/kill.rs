//! `kill -9` of one of three backends, again and again, each time another one, which comes back a little later.

use std::time::Duration;

use peers::pace::Plan;

use super::options::Fault;
use super::report::Report;
use super::stage::{Stage, signal, sleep_until, under_load};
use super::{document, losses, site};
use crate::peers::free_port;

/// Time between a kill and the return, and from there to the next kill.
const STEP: Duration = Duration::from_millis(750);

/// Measures with no policy at all, with a bare `retry`, and with what the documentation says.
pub(crate) fn run(stage: &Stage, is_short: bool, report: &mut Report) -> Result<(), String> {
    let bare = site::traffic_policy("shop", "retry: {}");
    let policies = [
        ("none", String::new(), false),
        ("retry: {}", bare, false),
        (
            "documented",
            format!("---\n{}", document::policy("A backend dies")?),
            true,
        ),
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
    let (rate, kills) = if is_short { (300.0, 3) } else { (2_000.0, 12) };
    eprintln!("kill -9 of one of three backends, {kills} times, {rate} requests/s, policy: {name}");
    let (port, ports) = (free_port()?, stage.ports(3)?);
    let journal = stage.journal()?;
    let mut backends = Vec::new();
    for port in &ports {
        backends.push(stage.echo(*port, "10ms", &journal)?);
    }
    let mut weir = stage.weir("weir", port, &(site::shop(port, &ports) + policy))?;
    let plan = Plan {
        posts_percent: 30,
        ..Plan::new(weir.address, rate, STEP * (2 * kills + 1))
    };
    let (outcome, ()) = under_load(&plan, |begin| {
        for kill in 0..kills {
            let (index, at) = (kill as usize % 3, STEP * (2 * kill + 1));
            sleep_until(begin, at);
            signal(&backends[index], "KILL")?;
            sleep_until(begin, at + STEP);
            backends[index] = stage.echo(ports[index], "10ms", &journal)?;
        }
        Ok(())
    })?;
    weir.program.check_alive()?;
    let section = report.section(Fault::Kill, name);
    losses::tell(section, &outcome, &journal, is_judged)
}
