//! `kill -9` of one of three backends, again and again, each time another one, which comes back a little later.

use std::time::Duration;

use peers::pace::Plan;

use super::options::Fault;
use super::report::{Limit, Report};
use super::stage::{Stage, signal, sleep_until, under_load};
use super::{document, site};
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
    let losses = outcome.losses();
    if !losses.is_empty() {
        eprintln!("  lost: {losses}");
    }
    let mut section = report.section(Fault::Kill, name);
    section.tell("GETs", outcome.count(false) as f64);
    let lost = outcome.lost(false) as f64;
    match is_judged {
        true => section.judge("GETs lost", lost, Limit::Most(0.0)),
        false => section.tell("GETs lost", lost),
    }
    section.tell("POSTs", outcome.count(true) as f64);
    section.tell("POSTs lost", outcome.lost(true) as f64);
    let twice = journal.posts_served_twice()?;
    section.judge("POSTs served twice", twice as f64, Limit::Most(0.0));
    section.tell("p99, ms", outcome.latency(0.99).as_secs_f64() * 1e3);
    section.tell("longest, ms", outcome.latency(1.0).as_secs_f64() * 1e3);
    Ok(())
}
