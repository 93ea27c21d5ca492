//! The tables, the targets and the file.

use serde_json::{Value, json};

use super::figures::Figures;
use super::idle::Idle;
use super::machine::Machine;
use super::peer::Peer;
use super::rounds::Rounds;
use super::syscalls::Syscalls;
use crate::table;

/// Everything that a run found out.
pub(crate) struct Report {
    /// Where it was found out.
    pub(crate) machine: Machine,
    /// Rounds of everybody, by number of connections.
    pub(crate) rounds: Vec<(u32, Vec<(Peer, Rounds)>)>,
    /// System calls per request.
    pub(crate) syscalls: Vec<(Peer, Syscalls)>,
    /// Memory of idle connections.
    pub(crate) idle: Vec<(Peer, Idle)>,
    /// What went wrong, one sentence each; any makes the run a failure.
    pub(crate) failures: Vec<String>,
}

/// A target that weir has to reach.
struct Target {
    what: String,
    limit: f64,
    measured: f64,
}

impl Report {
    /// For people.
    pub(crate) fn text(&self) -> String {
        let mut parts = vec![self.machine.text()];
        parts.extend(
            self.rounds
                .iter()
                .map(|(connections, rounds)| rounds_text(*connections, rounds)),
        );
        if !self.syscalls.is_empty() {
            parts.push(self.syscalls_text());
        }
        if !self.idle.is_empty() {
            parts.push(self.idle_text());
        }
        if !self.targets().is_empty() {
            parts.push(self.targets_text());
        }
        parts.extend(self.failures.iter().map(|failure| format!("FAILED: {failure}")));
        format!("\n{}", parts.join("\n\n"))
    }

    /// For programs.
    pub(crate) fn to_json(&self) -> Value {
        let rounds: Vec<Value> = self
            .rounds
            .iter()
            .map(|(connections, rounds)| {
                let peers: serde_json::Map<String, Value> = rounds
                    .iter()
                    .map(|(peer, rounds)| (peer.to_string(), rounds.to_json()))
                    .collect();
                json!({"connections": connections, "peers": peers})
            })
            .collect();
        let syscalls: serde_json::Map<String, Value> = self
            .syscalls
            .iter()
            .map(|(peer, syscalls)| {
                let names: serde_json::Map<String, Value> = syscalls
                    .by_name
                    .iter()
                    .map(|(name, count)| (name.clone(), json!(count)))
                    .collect();
                (
                    peer.to_string(),
                    json!({"per_request": syscalls.per_request, "by_name": names}),
                )
            })
            .collect();
        let idle: serde_json::Map<String, Value> = self
            .idle
            .iter()
            .map(|(peer, idle)| {
                let value = json!({
                    "bytes_per_connection": idle.bytes_per_connection,
                    "open": idle.open,
                    "resident_bytes_before": idle.resident_before,
                });
                (peer.to_string(), value)
            })
            .collect();
        let targets: Vec<Value> = self
            .targets()
            .iter()
            .map(|target| {
                json!({"what": target.what, "limit": target.limit, "measured": target.measured, "reached": target.is_reached()})
            })
            .collect();
        json!({
            "machine": self.machine.to_json(),
            "rounds": rounds,
            "syscalls": syscalls,
            "idle": idle,
            "targets": targets,
            "failures": self.failures,
        })
    }

    fn syscalls_text(&self) -> String {
        let rows: Vec<Vec<String>> = self
            .syscalls
            .iter()
            .map(|(peer, syscalls)| {
                let names: Vec<String> = syscalls
                    .by_name
                    .iter()
                    .filter(|(_, count)| *count >= 0.005)
                    .take(6)
                    .map(|(name, count)| format!("{name} {count:.2}"))
                    .collect();
                vec![
                    peer.to_string(),
                    number(syscalls.per_request, 2),
                    names.join(", "),
                ]
            })
            .collect();
        format!(
            "System calls per request\n\n{}",
            table::text(&["peer", "per request", "by name (under strace)"], &rows)
        )
    }

    fn idle_text(&self) -> String {
        let rows: Vec<Vec<String>> = self
            .idle
            .iter()
            .map(|(peer, idle)| {
                vec![
                    peer.to_string(),
                    number(Some(idle.bytes_per_connection / 1024.0), 2),
                    idle.open.to_string(),
                    number(Some(idle.resident_before as f64 / 1024.0 / 1024.0), 1),
                ]
            })
            .collect();
        let header = ["peer", "KiB per connection", "still open", "MiB before"];
        format!(
            "Memory of idle keep-alive connections\n\n{}",
            table::text(&header, &rows)
        )
    }

    fn targets_text(&self) -> String {
        let rows: Vec<Vec<String>> = self
            .targets()
            .iter()
            .map(|target| {
                let verdict = if target.is_reached() { "reached" } else { "MISSED" };
                vec![
                    target.what.clone(),
                    number(Some(target.measured), 2),
                    number(Some(target.limit), 2),
                    verdict.to_owned(),
                ]
            })
            .collect();
        format!(
            "Targets\n\n{}",
            table::text(&["what", "measured", "limit", ""], &rows)
        )
    }

    /// The targets that this run can judge.
    fn targets(&self) -> Vec<Target> {
        let mut targets = Vec::new();
        for (connections, rounds) in &self.rounds {
            let relative = |wanted: Peer| {
                rounds
                    .iter()
                    .find(|(peer, _)| *peer == wanted)
                    .map(|(_, rounds)| &rounds.relative)
            };
            let Some(weir) = relative(Peer::Weir) else {
                continue;
            };
            let mut add = |what: &str, other: Option<&Figures>, limit: f64| {
                let measured = other.and_then(|other| weir.ratios(other).median());
                let what = format!("CPU per request / {what}, {connections} connections");
                targets.extend(measured.map(|measured| Target {
                    what,
                    limit,
                    measured,
                }));
            };
            add(
                "floor",
                relative(Peer::Floor),
                if *connections < 256 { 1.15 } else { 1.2 },
            );
            if *connections < 256 {
                let better = relative(Peer::Nginx)
                    .zip(relative(Peer::Haproxy))
                    .map(|(nginx, haproxy)| nginx.smaller(haproxy));
                add("the better of nginx and HAProxy", better.as_ref(), 0.85);
                add("Envoy", relative(Peer::Envoy), 0.42);
            }
        }
        let syscalls = self.syscalls.iter().find(|(peer, _)| *peer == Peer::Weir);
        targets.extend(
            syscalls
                .and_then(|(_, syscalls)| syscalls.per_request)
                .map(|measured| Target {
                    what: "system calls per request".to_owned(),
                    limit: 4.4,
                    measured,
                }),
        );
        let idle = self.idle.iter().find(|(peer, _)| *peer == Peer::Weir);
        targets.extend(idle.map(|(_, idle)| Target {
            what: "KiB per idle connection".to_owned(),
            limit: 4.0,
            measured: idle.bytes_per_connection / 1024.0,
        }));
        targets
    }
}

impl Target {
    fn is_reached(&self) -> bool {
        self.measured <= self.limit
    }
}

/// The table of one number of connections: cost and latency, and cost relative to everybody who is a measure.
fn rounds_text(connections: u32, rounds: &[(Peer, Rounds)]) -> String {
    let bases: Vec<&(Peer, Rounds)> = rounds
        .iter()
        .filter(|(peer, _)| matches!(peer, Peer::Floor | Peer::Nginx | Peer::Haproxy | Peer::Envoy))
        .collect();
    let mut header: Vec<String> = [
        "peer",
        "CPU µs/request",
        "requests/s",
        "p50 ms",
        "p99 ms",
        "errors",
    ]
    .map(str::to_owned)
    .into();
    header.extend(bases.iter().map(|(base, _)| format!("CPU / {base}")));
    let rows: Vec<Vec<String>> = rounds
        .iter()
        .map(|(peer, own)| {
            let mut row = vec![
                peer.to_string(),
                number(own.cpu_us.median(), 2),
                number(own.rate.median(), 0),
                number(own.p50_ms.median(), 2),
                number(own.p99_ms.median(), 2),
                own.errors.to_string(),
            ];
            row.extend(
                bases
                    .iter()
                    .map(|(_, base)| spread(&own.relative.ratios(&base.relative))),
            );
            row
        })
        .collect();
    let most = |of: fn(&Rounds) -> &Figures| {
        let highest = rounds.iter().filter_map(|(_, rounds)| of(rounds).range());
        highest.map(|(_, high)| high).fold(0.0, f64::max)
    };
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    format!(
        "{connections} connections: medians; ratios are medians of the rounds' ratios (smallest to largest)\n\
         at most {:.0} % of the machine went to other programs in a slice, {:.0} % to the hypervisor; \
         {} measurements were disturbed and made again\n\n{}",
        most(|rounds| &rounds.other_percent),
        most(|rounds| &rounds.stolen_percent),
        rounds.iter().map(|(_, rounds)| rounds.repeated).sum::<u32>(),
        table::text(&header, &rows)
    )
}

fn spread(ratios: &Figures) -> String {
    match (ratios.median(), ratios.range()) {
        (Some(median), Some((low, high))) => format!("{median:.2} ({low:.2}-{high:.2})"),
        _ => "-".to_owned(),
    }
}

fn number(value: Option<f64>, decimals: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.decimals$}"))
}
