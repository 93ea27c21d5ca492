//! `weir reload`.

use std::time::Duration;

use clap::Args;
use serde::Deserialize;

use crate::ask::{AskArgs, unreachable};
use crate::error::{CommandError, Exit};
use crate::flags::{Global, Output};
use crate::output;

/// Make a running weir load its configuration again, and say what came of it
#[derive(Args, Debug)]
#[command(after_help = "\
Exit codes: 0 wholly in force, 3 errors in the configuration, 4 cannot reach the instance.")]
pub(crate) struct ReloadArgs {
    #[command(flatten)]
    ask: AskArgs,
}

/// What is answered.
#[derive(Debug, Deserialize)]
struct Reloaded {
    generation_running: u64,
    difference: Option<String>,
    errors: u64,
    warnings: u64,
}

impl ReloadArgs {
    /// Asks and waits.
    pub(crate) fn execute(&self, global: &Global) -> Result<Exit, CommandError> {
        let client = self.ask.client(Duration::from_secs(90))?;
        let answer = client.post("/reload");
        let read = answer.and_then(|answer| answer.read::<Reloaded>().map(|reloaded| (answer, reloaded)));
        let (answer, reloaded) = read.map_err(|error| unreachable(&client, &error))?;
        let is_good = reloaded.errors == 0 && reloaded.difference.is_none();
        if global.output == Output::Json {
            output::print(&String::from_utf8_lossy(&answer.body))?;
        } else {
            output::print(&reloaded.text())?;
        }
        Ok(if is_good { Exit::Ok } else { Exit::Config })
    }
}

impl Reloaded {
    fn text(&self) -> String {
        let count = |count: u64, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
        let mut text = format!(
            "generation {} in force: {}, {}\n",
            self.generation_running,
            count(self.errors, "error"),
            count(self.warnings, "warning")
        );
        if let Some(difference) = &self.difference {
            text += &format!("running differs from disk: {difference}\n");
        }
        if self.errors > 0 {
            text += "weir status and weir check say what is wrong\n";
        }
        text
    }
}
