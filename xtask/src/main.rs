//! weir's own tasks: `cargo xtask tidy | peers | bench | micro | chaos`.
//!
//! Everything here is for people who work on weir; nothing of it is in the product.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program")]

mod chaos;
mod flags;
mod micro;
mod peers;
mod repository;
mod table;
mod tidy;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask TASK [FLAGS]

  tidy     checks the house rules by reading the tree
  peers    measures weir beside the floor relay, nginx, HAProxy, Envoy and Caddy on this machine
             --only LIST           of floor,weir,nginx,haproxy,envoy,caddy (default: all)
             --connections LIST    client connections (default: 64,512)
             --rounds N            rounds per number of connections (default: 7)
             --seconds N           length of a slice of load (default: 2)
             --idle N              idle connections for the memory table, 0 for none (default: 5000)
             --quick               64 connections, 3 rounds of 2 s, no memory table
             --json FILE           where the figures go (default: target/peers/peers.json)
             --reload              measures changes of configuration under load instead
             --routes N            routes of the --reload configuration (default: 10000)
  bench    a short `peers` of weir, floor and nginx; takes the same flags
  micro    measures route lookup and endpoint picks inside one process
  chaos    kills, stops and slows backends under load and counts what is lost
             NAME...               of kill stop outage probes slow (default: all)
             --short               seconds instead of minutes
             --json FILE           where the figures go (default: target/chaos/chaos.json)
";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let task = arguments.next().unwrap_or_default();
    let rest: Vec<String> = arguments.collect();
    let result = match task.as_str() {
        "tidy" => tidy::run(&rest),
        "peers" => peers::run(&rest),
        "bench" => peers::run_short(&rest),
        "micro" => micro::run(&rest),
        "chaos" => chaos::run(&rest),
        "" | "help" | "--help" | "-h" => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        unknown => Err(format!("there is no task {unknown}\n\n{USAGE}")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("xtask: {problem}");
            ExitCode::FAILURE
        }
    }
}
