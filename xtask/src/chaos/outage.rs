//! All backends are gone for a while: what weir does to them meanwhile, and how soon all is well after their return.
//!
//! Gone in two ways. Killed, so that the kernel refuses connections: it counts those itself. And broken, so that connections
//! are taken and broken off at once: then we count.

use std::fs;
use std::time::Duration;

use peers::Trapdoor;
use peers::pace::{Exchange, Outcome, Plan};

use super::options::Fault;
use super::report::{Limit, Report};
use super::stage::{Journal, Stage, signal, sleep_until, under_load};
use super::{document, site};
use crate::peers::{Leashed, free_port};

/// How the backends are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Absence {
    Killed,
    Broken,
}

/// What stands in the way of all that is sent.
struct Policy {
    name: &'static str,
    text: String,
    /// Probes of all endpoints a second; they are attempts, too.
    probes_per_s: u64,
}

/// Measures both ways, with no policy and with what the documentation says.
pub(crate) fn run(stage: &Stage, is_short: bool, report: &mut Report) -> Result<(), String> {
    let documented = format!("---\n{}", document::policy("All backends are gone")?);
    let never = documented.replace("  healthCheck:\n", "  healthCheck:\n    panicThreshold: 0\n");
    let policy = |name, text, probes_per_s| Policy {
        name,
        text,
        probes_per_s,
    };
    let policies = [
        policy("none", String::new(), 0),
        policy("documented", documented, 3),
        policy("panicThreshold: 0", never, 3),
    ];
    for policy in &policies {
        for absence in [Absence::Killed, Absence::Broken] {
            measure(stage, is_short, report, policy, absence)?;
        }
    }
    Ok(())
}

fn measure(
    stage: &Stage,
    is_short: bool,
    report: &mut Report,
    policy: &Policy,
    absence: Absence,
) -> Result<(), String> {
    let name = policy.name;
    let (rate, seconds) = if is_short { (1_000.0, 3_u32) } else { (2_000.0, 30) };
    eprintln!("all three backends are {absence:?} for {seconds} s, {rate} requests/s, policy: {name}");
    let (port, ports) = (free_port()?, stage.ports(3)?);
    let journal = stage.journal()?;
    let backends = start(stage, &ports, &journal)?;
    let mut weir = stage.weir("weir", port, &(site::shop(port, &ports) + &policy.text))?;
    let second = Duration::from_secs(1);
    let plan = Plan {
        patience: second * 2,
        ..Plan::new(weir.address, rate, second * (seconds + 5))
    };
    let (outcome, seen) = under_load(&plan, |begin| {
        sleep_until(begin, second);
        for backend in &backends {
            signal(backend, "KILL")?;
        }
        drop(backends);
        let gone_at = begin.elapsed();
        let counted = Counted::start(absence, &ports)?;
        sleep_until(begin, gone_at + second * seconds);
        let attempts = counted.finish()?;
        let counted_until = begin.elapsed();
        let backends = start(stage, &ports, &journal)?;
        let back_at = begin.elapsed();
        Ok(Seen {
            _backends: backends,
            attempts,
            gone_at,
            counted_until,
            back_at,
        })
    })?;
    weir.program.check_alive()?;
    let mut section = report.section(Fault::Outage, &format!("{name}, {absence:?}").to_lowercase());
    let offered = seen.offered(&outcome);
    section.tell("requests while they were gone", offered);
    // A probe is no attempt at a request. Each request before the outage was one, and has paid for what was saved up.
    let before = outcome
        .exchanges
        .iter()
        .filter(|exchange| exchange.due < seen.gone_at)
        .count() as f64;
    let probes = policy.probes_per_s * u64::from(seconds);
    let attempts = seen.attempts.saturating_sub(probes) as f64 + before;
    let share = attempts / (offered + before);
    section.judge("attempts at endpoints per request", share, Limit::Most(1.2));
    section.judge(
        "recovery, s",
        seen.recovery(&outcome).as_secs_f64(),
        Limit::Most(2.0),
    );
    Ok(())
}

fn start(stage: &Stage, ports: &[u16], journal: &Journal) -> Result<Vec<Leashed>, String> {
    ports
        .iter()
        .map(|port| stage.echo(*port, "2ms", journal))
        .collect()
}

/// What was seen of an outage; times since the beginning.
struct Seen {
    attempts: u64,
    gone_at: Duration,
    counted_until: Duration,
    /// All backends listen again.
    back_at: Duration,
    _backends: Vec<Leashed>,
}

impl Seen {
    /// Requests that were due while attempts were counted.
    fn offered(&self, outcome: &Outcome) -> f64 {
        let is_in = |exchange: &&Exchange| (self.gone_at..self.counted_until).contains(&exchange.due);
        outcome.exchanges.iter().filter(is_in).count() as f64
    }

    /// From the return to the last request that came after it and was lost.
    fn recovery(&self, outcome: &Outcome) -> Duration {
        let lost = |exchange: &&Exchange| exchange.due >= self.back_at && !exchange.is_good();
        let last = outcome.exchanges.iter().rfind(lost);
        last.map_or(Duration::ZERO, |last| last.due - self.back_at)
    }
}

/// Counts attempts to reach endpoints that are gone.
enum Counted {
    /// The kernel's count of connections that were refused, of the whole machine: too many rather than too few.
    Refused(u64),
    Broken(Trapdoor),
}

impl Counted {
    fn start(absence: Absence, ports: &[u16]) -> Result<Self, String> {
        match absence {
            Absence::Killed => refused_connections().map(Self::Refused),
            Absence::Broken => Trapdoor::open(ports)
                .map(Self::Broken)
                .map_err(|error| format!("{ports:?}: {error}")),
        }
    }

    fn finish(self) -> Result<u64, String> {
        match self {
            Self::Refused(before) => Ok(refused_connections()? - before),
            Self::Broken(trapdoor) => Ok(trapdoor.count()),
        }
    }
}

/// `AttemptFails` of TCP: connections that were refused since boot.
fn refused_connections() -> Result<u64, String> {
    let text = fs::read_to_string("/proc/net/snmp").map_err(|error| format!("/proc/net/snmp: {error}"))?;
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Tcp: "));
    let (names, values) = lines
        .next()
        .zip(lines.next())
        .ok_or("/proc/net/snmp has no Tcp")?;
    let value = names
        .split(' ')
        .zip(values.split(' '))
        .find(|(name, _)| *name == "AttemptFails")
        .and_then(|(_, value)| value.parse().ok());
    value.ok_or_else(|| "/proc/net/snmp has no AttemptFails".to_owned())
}
