//! `weir check`.

use std::path::PathBuf;

use clap::Args;
use weir_config::check::check;
use weir_config::report::TextOptions;
use weir_model::Severity;

use crate::error::{CommandError, Exit};
use crate::flags::{Global, Output};
use crate::{config, output};

/// Report every problem of a configuration
///
/// Reads the files the way weir run does, asks no network, and prints all problems at once: where, what is
/// wrong, what to do, and what it means for traffic.
#[derive(Args, Debug)]
#[command(after_help = "\
Exit code 3 when there is an error.

Examples:
  weir check gateway.yaml routes.d/
  weir check -o json gateway.yaml
  weir check --statuses gateway.yaml      Accepted, ResolvedRefs, Overridden ...
  weir check -o github config/            annotations in a GitHub workflow
  kubectl get gateways,httproutes,services,endpointslices -o yaml | weir check -")]
pub(crate) struct CheckArgs {
    /// Files or folders; - for standard input. Default: what --config says
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// Show the status of every Gateway, route and policy too, as Kubernetes would; -o json always has it
    #[arg(long)]
    statuses: bool,

    /// Count warnings as errors
    #[arg(long, env = "WEIR_STRICT")]
    strict: bool,
}

impl CheckArgs {
    /// Prints every problem.
    pub(crate) fn execute(&self, global: &Global) -> Result<Exit, CommandError> {
        let named = if self.paths.is_empty() {
            &global.config
        } else {
            &self.paths
        };
        let report = check(&config::roots(named)?);
        output::print(&match global.output {
            Output::Json => report.json(),
            Output::Github => report.github(),
            Output::Text => {
                let color = output::color_stdout(global.color);
                let severity_min = if global.quiet {
                    Severity::Error
                } else {
                    Severity::Note
                };
                let options = TextOptions {
                    color,
                    severity_min,
                    ..TextOptions::default()
                };
                let statuses = if self.statuses {
                    report.statuses_text()
                } else {
                    String::new()
                };
                if global.quiet && !report.has_errors() {
                    statuses
                } else {
                    statuses + &report.text(options)
                }
            }
        })?;
        let is_refused = report.has_errors() || (self.strict && report.summary.warnings > 0);
        Ok(if is_refused { Exit::Config } else { Exit::Ok })
    }
}
