//! `weir run`.

use std::path::PathBuf;

use clap::Args;

use crate::config;
use crate::error::{CommandError, Exit};
use crate::flags::{Global, PlaneArgs};
use crate::log::Log;
use crate::run::{self, Origin, ServePlan};

/// Serve a configuration and follow changes to it
///
/// Reads Gateway API and Envoy Gateway objects from files. One bad object never takes down the good ones: it is
/// reported, its last good version stays in force, and the rest is served.
#[derive(Args, Debug)]
#[command(after_help = "\
Signals:
  TERM, INT  finish what is in progress, then end; a second one ends now (exit code 5)
  QUIT       end now
  HUP        read the configuration again
  USR1       open the access log again

Examples:
  weir run                                   ./weir.yaml, else /etc/weir
  weir run -c gateway.yaml -c routes.d/
  weir run --strict --no-watch --access-log stdout")]
pub(crate) struct RunArgs {
    /// Do not follow changes of the files; HUP still reads them again
    #[arg(long, env = "WEIR_NO_WATCH")]
    no_watch: bool,

    /// Take a configuration with errors not at all, instead of without the objects that have them
    #[arg(long, env = "WEIR_STRICT")]
    strict: bool,

    #[command(flatten)]
    plane: PlaneArgs,

    /// File to write the process id to; removed at the end
    #[arg(long, value_name = "PATH", env = "WEIR_PIDFILE")]
    pidfile: Option<PathBuf>,
}

impl RunArgs {
    /// Serves until a signal.
    pub(crate) fn execute(&self, global: &Global) -> Result<Exit, CommandError> {
        let plan = ServePlan {
            origin: Origin::Files {
                roots: config::roots(&global.config)?,
                watch: !self.no_watch,
            },
            flags: self.plane.clone(),
            strict: self.strict,
            pidfile: self.pidfile.clone(),
        };
        run::serve(&plan, Log::new(global))
    }
}
