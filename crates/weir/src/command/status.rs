//! `weir status`.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use clap::Args;
use weir_admin::{Overall, Report};

use crate::ask::{AskArgs, unreachable};
use crate::demo::Screen;
use crate::error::{CommandError, Exit};
use crate::flags::{Global, Output};
use crate::status::{Style, screen_text};
use crate::value::{duration_text, parse_duration};
use crate::{log, output};

/// Show how a running weir is: listeners, routes, backends and their endpoints
#[derive(Args, Debug)]
#[command(after_help = "\
Exit codes: 0 healthy, 1 degraded or unhealthy, 4 cannot reach the instance.

Examples:
  weir status
  weir status -o json
  weir status --watch
  weir status --admin unix:/run/weir/admin.sock")]
pub(crate) struct StatusArgs {
    /// Show it again and again, until interrupted
    #[arg(long, short, value_name = "TIME", num_args = 0..=1, default_missing_value = "1s", value_parser = parse_duration)]
    watch: Option<Duration>,

    #[command(flatten)]
    ask: AskArgs,
}

impl StatusArgs {
    /// Shows it.
    pub(crate) fn execute(&self, global: &Global) -> Result<Exit, CommandError> {
        let client = self.ask.client(Duration::from_secs(10))?;
        let fetch = || {
            let answer = client.get("/status");
            let report = answer.and_then(|answer| answer.read::<Report>().map(|report| (answer, report)));
            report.map_err(|error| unreachable(&client, &error))
        };
        let style = Style {
            color: output::color_stdout(global.color),
        };
        let show = |answer: &weir_admin::Answer, report: &Report| match global.output {
            Output::Json => String::from_utf8_lossy(&answer.body).into_owned(),
            Output::Text | Output::Github => screen_text(report, log::unix_ms(), style),
        };
        let Some(pause) = self.watch else {
            let (answer, report) = fetch()?;
            output::print(&show(&answer, &report))?;
            return Ok(exit(report.status));
        };
        let pause = pause.max(Duration::from_millis(100));
        if global.output == Output::Json || !io::stdout().is_terminal() {
            loop {
                let (answer, report) = fetch()?;
                output::print(&show(&answer, &report))?;
                std::thread::sleep(pause);
            }
        }
        let gone =
            |error: io::Error| CommandError::new(Exit::Failed, "cannot write to the terminal").why(error);
        let mut screen = Screen::new(io::stdout()).map_err(gone)?;
        loop {
            let (answer, report) = fetch()?;
            let text = format!(
                "{}\nevery {}; interrupt to end\n",
                show(&answer, &report),
                duration_text(pause)
            );
            screen.draw(&text).map_err(gone)?;
            std::thread::sleep(pause);
        }
    }
}

fn exit(status: Overall) -> Exit {
    match status {
        Overall::Healthy => Exit::Ok,
        Overall::Degraded | Overall::Unhealthy => Exit::Failed,
    }
}
