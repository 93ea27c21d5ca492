//! `weir version`.

use clap::Args;
use serde_json::json;

use crate::error::{CommandError, Exit};
use crate::flags::{Global, Output};
use crate::output;

/// Print the version
#[derive(Args, Debug)]
pub(crate) struct VersionArgs {}

impl VersionArgs {
    /// Prints the version.
    pub(crate) fn execute(&self, global: &Global) -> Result<Exit, CommandError> {
        let version = env!("CARGO_PKG_VERSION");
        let (os, architecture) = (std::env::consts::OS, std::env::consts::ARCH);
        output::print(&match global.output {
            Output::Json => {
                let value =
                    json!({"schema": "weir.version/v1", "version": version, "os": os, "arch": architecture});
                format!("{value}\n")
            }
            Output::Text | Output::Github => format!("weir {version} ({os} {architecture})\n"),
        })?;
        Ok(Exit::Ok)
    }
}
