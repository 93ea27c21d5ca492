//! `weir endpoint`.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde::Deserialize;
use weir_admin::Client;

use crate::ask::{AskArgs, unreachable};
use crate::error::{CommandError, Exit};
use crate::flags::{Global, Output};
use crate::output;
use crate::value::parse_duration;

/// Take endpoints of a running weir out, bring them back, or weigh them by hand
///
/// What is decided holds for an address in every backend that lists it, outlives reloads, and is shown by weir status
/// until it is taken back. It ends with the process.
#[derive(Args, Debug)]
#[command(after_help = "\
Exit codes: 0 done, 1 refused, 4 cannot reach the instance.

Over TCP this needs the admin token; on the same machine the Unix socket needs none.

Examples:
  weir endpoint drain 10.0.0.7:9000
  weir endpoint drain default/backend/pod-3 --for 10m --reason 'new disk'
  weir endpoint weight 10.0.0.7:9000 5
  weir endpoint reset 10.0.0.7:9000")]
pub(crate) struct EndpointArgs {
    #[command(subcommand)]
    verb: EndpointVerb,
}

/// What to do with it.
#[derive(Debug, Subcommand)]
enum EndpointVerb {
    /// Send nothing new there; what is in progress finishes
    Drain(Decision),
    /// Send nothing there, do not probe it, and close unused connections
    #[command(alias = "maint")]
    Disable(Decision),
    /// Use it as configured and as its health allows; a weight set by hand stays
    #[command(alias = "ready")]
    Enable(Decision),
    /// Use this weight in place of the configured one
    Weight {
        /// Which, as [BACKEND/]ENDPOINT: an address, or a name in a backend
        endpoint: String,
        /// From 1 up
        weight: u32,
        #[command(flatten)]
        how: How,
    },
    /// Take everything back that was decided
    Reset(Decision),
}

#[derive(Args, Debug)]
struct Decision {
    /// Which, as [BACKEND/]ENDPOINT: an address, or a name in a backend
    endpoint: String,
    #[command(flatten)]
    how: How,
}

#[derive(Args, Debug)]
struct How {
    /// Take it back after this time
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration)]
    lasts: Option<Duration>,

    /// Why, for those who see it
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,

    #[command(flatten)]
    ask: AskArgs,
}

/// What is answered.
#[derive(Debug, Deserialize)]
struct Decided {
    endpoints: Vec<String>,
}

impl EndpointArgs {
    /// Asks for it.
    pub(crate) fn execute(&self, global: &Global) -> Result<Exit, CommandError> {
        let (verb, endpoint, weight, how) = match &self.verb {
            EndpointVerb::Drain(one) => ("drain", &one.endpoint, None, &one.how),
            EndpointVerb::Disable(one) => ("disable", &one.endpoint, None, &one.how),
            EndpointVerb::Enable(one) => ("enable", &one.endpoint, None, &one.how),
            EndpointVerb::Reset(one) => ("reset", &one.endpoint, None, &one.how),
            EndpointVerb::Weight {
                endpoint,
                weight,
                how,
            } => ("weight", endpoint, Some(weight.to_string()), how),
        };
        let (backend, endpoint) = split(endpoint);
        let seconds = how.lasts.map(|lasts| format!("{}s", lasts.as_secs().max(1)));
        let parameters: Vec<(&str, &str)> = [
            ("backend", backend),
            ("weight", weight.as_deref()),
            ("for", seconds.as_deref()),
            ("reason", how.reason.as_deref()),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect();
        let client = how.ask.client(Duration::from_secs(30))?;
        let answer = client.post(&Client::order_path(endpoint, verb, &parameters));
        let read = answer.and_then(|answer| answer.read::<Decided>().map(|decided| (answer, decided)));
        let (answer, decided) = read.map_err(|error| unreachable(&client, &error))?;
        let did = match verb {
            "drain" => "draining",
            "disable" => "disabled",
            "enable" => "enabled",
            "reset" => "as configured",
            _ => "weighed",
        };
        match global.output {
            Output::Json => output::print(&String::from_utf8_lossy(&answer.body))?,
            Output::Text | Output::Github => {
                let lines = decided
                    .endpoints
                    .iter()
                    .map(|endpoint| format!("{endpoint}: {did}\n"));
                output::print(&lines.collect::<String>())?;
            }
        }
        Ok(Exit::Ok)
    }
}

/// Backend and endpoint; a socket's path is no backend.
fn split(text: &str) -> (Option<&str>, &str) {
    match text.rsplit_once('/') {
        Some((backend, endpoint)) if !text.starts_with('/') => (Some(backend), endpoint),
        _ => (None, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hc18_endpoints_are_named_with_or_without_a_backend() {
        for (text, expected) in [
            ("10.0.0.1:80", (None, "10.0.0.1:80")),
            ("default/backend/pod-3", (Some("default/backend"), "pod-3")),
            ("api/[::1]:80", (Some("api"), "[::1]:80")),
            ("/run/app.sock", (None, "/run/app.sock")),
        ] {
            assert_eq!(split(text), expected, "{text}");
        }
    }
}
