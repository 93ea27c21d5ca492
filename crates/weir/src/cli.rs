//! The command line: the list of commands. Each command's own flags are in its file, shared ones in `flags.rs`.

use clap::{Parser, Subcommand};

use crate::command::{
    check, completions, demo, echo, endpoint, explain, healthcheck, proxy, reload, run, status, version,
};
use crate::flags::Global;

/// A load-balancing gateway in one binary.
#[derive(Debug, Parser)]
#[command(
    name = "weir",
    version,
    propagate_version = true,
    max_term_width = 110,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "\
Examples:
  weir demo                                  four backends and a gateway to play with
  weir run -c gateway.yaml                   serve a configuration and follow changes to it
  weir proxy --from :8080 --to 10.0.0.7:80   balance without a file
  weir check gateway.yaml                    all problems of a configuration at once
  weir explain GET http://www.example.com/   where a request would go, and why
  weir status                                how a running weir is

Exit codes: 0 ok, 1 failed, 2 wrong usage, 3 invalid configuration, 4 cannot reach the instance,
5 stopped before everything in progress had finished."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve a configuration and follow changes to it
    Run(run::RunArgs),
    /// Balance over some backends without a configuration file
    Proxy(proxy::ProxyArgs),
    /// Report every problem of a configuration
    Check(check::CheckArgs),
    /// Say where a request would go, and why
    Explain(explain::ExplainArgs),
    /// Show how a running weir is: listeners, routes, backends and their endpoints
    Status(status::StatusArgs),
    /// Make a running weir load its configuration again, and say what came of it
    Reload(reload::ReloadArgs),
    /// Take endpoints of a running weir out, bring them back, or weigh them by hand
    Endpoint(endpoint::EndpointArgs),
    /// Say whether a running weir is ready; for containers
    Healthcheck(healthcheck::HealthcheckArgs),
    /// Serve backends that answer what they received
    Echo(echo::EchoArgs),
    /// Start four backends and a gateway that balances over them in every way
    Demo(demo::DemoArgs),
    /// Print a completion script for a shell
    Completions(completions::CompletionsArgs),
    /// Print the version
    Version(version::VersionArgs),
}
