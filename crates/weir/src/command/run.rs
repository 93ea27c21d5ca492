//! `weir run`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use crate::config;
use crate::error::{CommandError, Exit};
use crate::flags::{AdminArgs, Global, PlaneArgs};
use crate::foreign::ForeignArgs;
use crate::log::Log;
use crate::run::{self, Origin, ServePlan};
use crate::value::bind_address;

/// Serve a configuration and follow changes to it
///
/// Reads Gateway API and Envoy Gateway objects and tenants files. One bad object never takes down the good ones: it is
/// reported, its last good version stays in force, and the rest is served. Only with a policy of an unknown type weir does
/// not start.
#[derive(Args, Debug)]
#[command(after_help = "\
Signals:
  TERM, INT  finish what is in progress, then end; a second one ends now (exit code 5)
  QUIT       end now
  HUP        read the configuration again
  USR1       open the access log again
  USR2       nothing yet: a handover to a new binary is to come

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

    /// Where tenants are served, in place of what their files say, such as :8080
    #[arg(long, value_name = "[ADDRESS]:PORT", env = "WEIR_ADDR", value_parser = tenants_address)]
    addr: Option<SocketAddr>,

    #[command(flatten)]
    plane: PlaneArgs,

    #[command(flatten)]
    admin: AdminArgs,

    #[command(flatten)]
    foreign: ForeignArgs,

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
            admin: self.admin.clone(),
            strict: self.strict,
            tenants_address: self.addr,
            pidfile: self.pidfile.clone(),
        };
        let log = Log::new(global);
        for note in self.foreign.notes() {
            log.warn(&note);
        }
        run::serve(&plan, log)
    }
}

/// Nobody could find tenants on a port that the kernel chooses.
fn tenants_address(text: &str) -> Result<SocketAddr, String> {
    let address = bind_address(text)?;
    match address.port() {
        0 => Err("expected a port from 1 to 65535, got 0".to_owned()),
        _ => Ok(address),
    }
}
