//! `weir explain`.

use std::net::IpAddr;

use clap::Args;
use weir_config::check::check_resources;
use weir_config::source::FileSource;
use weir_config::translate::Options;

use crate::error::{CommandError, Exit};
use crate::explain::{self, ExplainedRequest, Outcome, Plan};
use crate::flags::{Global, Output};
use crate::{config, output};

/// Say where a request would go, and why
///
/// Reads the configuration and asks no network: which listener, route, rule and policy apply and where each was
/// written, what lost and why, which endpoints are candidates, and how one is picked.
#[derive(Args, Debug)]
#[command(after_help = "\
Exit code 1 when no route matches.

Examples:
  weir explain -c gateway.yaml http://www.example.com/round
  weir explain -c gateway.yaml POST http://www.example.com/cart -H 'x-user: 7' --from-ip 10.0.0.9
  weir explain -c gateway.yaml http://www.example.com/header -H 'FooBar: 1.2.3.4' --n 1000")]
pub(crate) struct ExplainArgs {
    /// Method and URL, or the URL alone for GET
    #[arg(value_name = "[METHOD] URL", required = true, num_args = 1..=2)]
    request: Vec<String>,

    /// A header of the request; may be repeated
    #[arg(short = 'H', long, value_name = "NAME: VALUE")]
    header: Vec<String>,

    /// A cookie of the request; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    cookie: Vec<String>,

    /// The client's address
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    from_ip: IpAddr,

    /// Simulate that many requests and show how they spread
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    n: Option<u32>,

    /// Requests in flight at a time in the simulation
    #[arg(long, value_name = "COUNT", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    concurrency: u32,

    /// Seed of the simulation
    #[arg(long, value_name = "NUMBER", env = "WEIR_SEED", default_value_t = 1)]
    seed: u64,
}

impl ExplainArgs {
    /// Explains one request.
    pub(crate) fn execute(&self, global: &Global) -> Result<Exit, CommandError> {
        let request = self.request()?;
        let loaded = FileSource::new(config::roots(&global.config)?).load();
        let read = check_resources(&loaded.resources, loaded.files);
        let model = &read.translation.config;
        let mut decision = explain::decide(model, &request);
        decision.consider_policies(&loaded.resources, &Options::files());
        let errors = read.summary.errors;
        if errors > 0 {
            let noun = if errors == 1 { "error" } else { "errors" };
            decision
                .notes
                .push(format!("the configuration has {errors} {noun}: see weir check"));
        }
        let plan = self.n.map(|requests| Plan {
            requests,
            concurrency: self.concurrency,
            seed: self.seed,
        });
        let predicted = match (&decision.outcome, plan) {
            (Outcome::Forward(forwarding), Some(plan)) => {
                Some((plan, forwarding.simulate(model, &request, plan)))
            }
            _ => None,
        };
        let simulated = predicted.as_ref().map(|(plan, prediction)| (*plan, prediction));
        output::print(&match global.output {
            Output::Json => format!("{:#}\n", explain::to_json(&request, &decision, simulated)),
            Output::Text | Output::Github => {
                explain::to_text(&request, &decision, simulated, output::color_stdout(global.color))
            }
        })?;
        Ok(if decision.route.is_some() {
            Exit::Ok
        } else {
            Exit::Failed
        })
    }

    fn request(&self) -> Result<ExplainedRequest, CommandError> {
        let usage = |what: String| CommandError::new(Exit::Usage, what);
        let (method, url) = match self.request.as_slice() {
            [url] => ("GET", url),
            [method, url] => (method.as_str(), url),
            _ => return Err(usage("expected [METHOD] URL".to_owned())),
        };
        let mut headers = Vec::new();
        for header in &self.header {
            let (name, value) = header
                .split_once(':')
                .ok_or_else(|| usage(format!("expected a header as NAME: VALUE, got {header:?}")))?;
            headers.push((name.trim().to_owned(), value.trim().to_owned()));
        }
        if let Some(cookie) = self.cookie.iter().find(|cookie| !cookie.contains('=')) {
            return Err(usage(format!("expected a cookie as NAME=VALUE, got {cookie:?}")));
        }
        if !self.cookie.is_empty() {
            headers.push(("cookie".to_owned(), self.cookie.join("; ")));
        }
        ExplainedRequest::new(method, url, &headers, self.from_ip).map_err(usage)
    }
}
