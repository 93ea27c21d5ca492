//! The `weir` command. The command line is in `cli.rs`, one file per command in `command/`, and `run/` wires the
//! control plane to the data plane. See ARCHITECTURE.md.

#![forbid(unsafe_code)]

mod aliases;
mod ask;
mod cli;
mod command;
mod config;
mod demo;
mod error;
mod explain;
mod flags;
mod foreign;
mod log;
mod output;
mod proxy_text;
mod run;
mod runtime;
mod status;
mod value;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use crate::cli::{Cli, Command};

fn main() -> ExitCode {
    let Cli { global, command } = Cli::parse_from(aliases::rewrite(std::env::args_os()));
    let ended = match command {
        Command::Run(run) => run.execute(&global),
        Command::Proxy(proxy) => proxy.execute(&global),
        Command::Check(check) => check.execute(&global),
        Command::Explain(explain) => explain.execute(&global),
        Command::Status(status) => status.execute(&global),
        Command::Reload(reload) => reload.execute(&global),
        Command::Endpoint(endpoint) => endpoint.execute(&global),
        Command::Healthcheck(healthcheck) => healthcheck.execute(&global),
        Command::Echo(echo) => echo.execute(&global),
        Command::Demo(demo) => demo.execute(&global),
        Command::Completions(completions) => completions.execute(&mut Cli::command()),
        Command::Version(version) => version.execute(&global),
    };
    match ended {
        Ok(exit) => exit.into(),
        Err(error) => {
            output::print_error(&error, output::color_stderr(global.color));
            error.exit().into()
        }
    }
}
