//! In-process measurements: what a pick and a route lookup cost, and whether that is within the targets.
//!
//! The measurements are examples of the crates that they measure; each prints one JSON object per line:
//! `{"name": NAME, "costs": [NUMBER...]}`, with a cost for each size.

use serde_json::Value;

use crate::flags::Flags;
use crate::{repository, table};

/// One measurement program and how its figures are judged.
struct Bench {
    title: &'static str,
    package: &'static str,
    example: &'static str,
    sizes: &'static [&'static str],
    targets: &'static [Target],
}

/// What the rows whose name begins with `prefix` have to reach.
struct Target {
    prefix: &'static str,
    limit: Limit,
}

/// A bound on a row of costs.
#[derive(Clone, Copy)]
enum Limit {
    /// The greatest cost, ns.
    Cost(f64),
    /// The cost of the last size relative to the one of the first.
    Growth(f64),
}

const BENCHES: [Bench; 2] = [
    Bench {
        title: "Route lookup, ns by number of routes",
        package: "weir-route",
        example: "lookup_bench",
        sizes: &["1", "100", "10,000"],
        // Lookups all over the tables miss the caches more, the larger those are; the bound is on the work.
        targets: &[
            Target {
                prefix: "first",
                limit: Limit::Growth(1.2),
            },
            Target {
                prefix: "last",
                limit: Limit::Growth(1.2),
            },
            Target {
                prefix: "miss",
                limit: Limit::Growth(1.2),
            },
        ],
    },
    Bench {
        title: "Endpoint pick, ns by number of endpoints",
        package: "weir-balance",
        example: "pick_bench",
        sizes: &["10", "1,000", "10,000"],
        targets: &[
            Target {
                prefix: "least request",
                limit: Limit::Cost(40.0),
            },
            Target {
                prefix: "adaptive",
                limit: Limit::Cost(40.0),
            },
            Target {
                prefix: "hash",
                limit: Limit::Cost(60.0),
            },
        ],
    },
];

/// `cargo xtask micro`.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    Flags::read(arguments, &[], &[])?;
    let mut failures = Vec::new();
    for bench in &BENCHES {
        eprintln!("measuring: {}", bench.title);
        match output(bench).and_then(|output| parse(&output)) {
            Ok(rows) => {
                let (text, missed) = judge(bench, &rows);
                println!("{}\n\n{text}", bench.title);
                failures.extend((missed > 0).then(|| format!("{}: {missed} targets missed", bench.title)));
            }
            Err(problem) => failures.push(problem),
        }
    }
    if failures.is_empty() {
        Ok(())
    } else {
        Err(failures.join("\n"))
    }
}

fn output(bench: &Bench) -> Result<String, String> {
    let arguments = [
        "run",
        "--quiet",
        "--release",
        "-p",
        bench.package,
        "--example",
        bench.example,
        "--",
        "--json",
    ];
    let output = repository::cargo(&arguments)
        .stderr(std::process::Stdio::inherit())
        .output();
    let output = output.map_err(|error| format!("{}: {error}", bench.example))?;
    if !output.status.success() {
        return Err(format!("{} failed", bench.example));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Names and costs.
fn parse(output: &str) -> Result<Vec<(String, Vec<f64>)>, String> {
    let rows = output.lines().filter(|line| !line.trim().is_empty()).map(|line| {
        let value: Value = serde_json::from_str(line).map_err(|error| format!("{line}: {error}"))?;
        let name = value["name"].as_str().ok_or_else(|| format!("no name: {line}"))?;
        let costs: Option<Vec<f64>> = value["costs"]
            .as_array()
            .and_then(|costs| costs.iter().map(Value::as_f64).collect());
        Ok((name.to_owned(), costs.ok_or_else(|| format!("no costs: {line}"))?))
    });
    rows.collect()
}

/// The table, and how many targets are missed.
fn judge(bench: &Bench, rows: &[(String, Vec<f64>)]) -> (String, usize) {
    let mut missed = 0;
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|(name, costs)| {
            let mut row = vec![name.clone()];
            row.extend(
                (0..bench.sizes.len())
                    .map(|at| costs.get(at).map_or(String::new(), |cost| format!("{cost:.1}"))),
            );
            let target = bench
                .targets
                .iter()
                .find(|target| name.starts_with(target.prefix));
            row.push(target.map_or(String::new(), |target| {
                let reached = target.limit.is_reached(costs);
                missed += usize::from(!reached);
                format!(
                    "{} {}",
                    if reached { "reached" } else { "MISSED" },
                    target.limit.text()
                )
            }));
            row
        })
        .collect();
    let mut header = vec![""];
    header.extend(bench.sizes);
    header.push("target");
    (table::text(&header, &rows), missed)
}

impl Limit {
    fn is_reached(self, costs: &[f64]) -> bool {
        match self {
            Self::Cost(limit) => costs.iter().all(|cost| *cost <= limit),
            Self::Growth(limit) => match costs {
                [first, .., last] => last / first <= limit,
                _ => true,
            },
        }
    }

    fn text(self) -> String {
        match self {
            Self::Cost(limit) => format!("(at most {limit:.0} ns)"),
            Self::Growth(limit) => format!("(last at most {limit:.1} x first)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_judged_by_name() {
        let rows = parse(
            "{\"name\":\"least request\",\"costs\":[10,39,40]}\n{\"name\":\"hash, key\",\"costs\":[10,61,40]}\n\
             {\"name\":\"random\",\"costs\":[900]}\n",
        );
        let (text, missed) = judge(&BENCHES[1], &rows.expect("rows"));
        assert_eq!(missed, 1, "{text}");
        assert!(parse("{\"name\":1}").is_err());
    }

    #[test]
    fn growth_compares_the_ends() {
        for (costs, reached) in [
            (&[10.0, 99.0, 12.0][..], true),
            (&[10.0, 12.1], false),
            (&[5.0], true),
        ] {
            assert_eq!(Limit::Growth(1.2).is_reached(costs), reached, "{costs:?}");
        }
    }
}
