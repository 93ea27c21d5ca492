//! The life of a serving process: load, start, follow, drain, end.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use weir_config::source::{FileSource, Watcher};
use weir_config::translate::Options;

use super::admin::Entrance;
use super::board::Board;
use super::control::{Cause, Control, Input};
use super::follow::{self, Follower};
use super::pidfile::Pidfile;
use super::plane::Plane;
use super::told::Told;
use crate::error::{CommandError, Exit};
use crate::flags::{AdminArgs, PlaneArgs};
use crate::log::Log;
use crate::runtime::{self, Asked, Signals};
use crate::value::duration_text;

/// What a serving process is told.
#[derive(Clone, Debug)]
pub(crate) struct ServePlan {
    pub(crate) origin: Origin,
    pub(crate) flags: PlaneArgs,
    pub(crate) admin: AdminArgs,
    /// A configuration with errors is not taken at all.
    pub(crate) strict: bool,
    /// Where tenants are served, whatever their files say.
    pub(crate) tenants_address: Option<SocketAddr>,
    pub(crate) pidfile: Option<PathBuf>,
}

/// Where its configuration comes from.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    /// These files and folders, followed or not.
    Files {
        /// The paths as named.
        roots: Vec<PathBuf>,
        /// Whether changes are followed.
        watch: bool,
    },
    /// A text, and what to call it.
    Text {
        /// The name in messages.
        name: String,
        /// The documents.
        text: String,
    },
}

/// Serves until a signal.
///
/// # Errors
/// Nothing can be served.
pub(crate) fn serve(plan: &ServePlan, log: Log) -> Result<Exit, CommandError> {
    let runtime = runtime::single()?;
    // Before anything is served: a signal that comes early must not be lost.
    let mut signals = runtime.block_on(async { Signals::new() })?;
    let watcher = match &plan.origin {
        Origin::Files { roots, watch } => follow::watcher(roots, *watch),
        Origin::Text { .. } => Watcher::new(&[]),
    };
    let entrance = Entrance::open(&plan.admin, log)?;
    // Before the first line that says that requests are served: whoever waits for that may want to send signals.
    let _pidfile = plan.pidfile.as_deref().map(Pidfile::write).transpose()?;
    let plane = Arc::new(Plane::start(&plan.flags, log)?);
    let board = Arc::new(Board::default());
    let told = Arc::new(Told::new(plane.clone(), board.clone(), watcher.waker()));
    // Served until the end, also while what is in progress finishes.
    let _admin = entrance.serve(&told, log)?;
    let control = first_load(plan, &plane, board, log)?;
    let follower = Follower::start(watcher, control, plane.clone())
        .map_err(|error| CommandError::new(Exit::Failed, "cannot start a thread").why(error))?;
    let asked = runtime.block_on(async {
        loop {
            match signals.next().await {
                Asked::Reload => follower.reload(),
                Asked::Reopen => plane.reopen_access_log(),
                Asked::HandOver => {
                    log.warn("USR2 asks for a handover to a new program, which is not supported yet: nothing changes");
                }
                asked @ (Asked::Drain | Asked::Stop) => return asked,
            }
        }
    });
    follower.end();
    if asked == Asked::Stop {
        log.info("stopping now");
        return Ok(Exit::Ok);
    }
    told.begin_draining();
    if !wait_for_others(plan.flags.drain_delay, &runtime, &mut signals, log) {
        return Ok(Exit::Forced);
    }
    let timeout = plan.flags.drain_timeout;
    log.info(&format!(
        "draining: finishing what is in progress, for {} at most; signal again to stop now",
        duration_text(timeout)
    ));
    let drained = runtime.block_on(async {
        let drain = tokio::task::spawn_blocking(move || plane.drain(timeout));
        tokio::select! {
            drained = drain => drained.unwrap_or(false),
            _ = signals.end() => false,
        }
    });
    // The draining thread may still wait; the process does not.
    runtime.shutdown_background();
    if drained {
        log.info("stopped");
        Ok(Exit::Ok)
    } else {
        log.warn("stopped before everything in progress had finished");
        Ok(Exit::Forced)
    }
}

/// Goes on serving while `/readyz` says no already. Says whether nobody wants the end at once.
fn wait_for_others(delay: Duration, runtime: &Runtime, signals: &mut Signals, log: Log) -> bool {
    if delay.is_zero() {
        return true;
    }
    log.info(&format!(
        "about to drain: not ready any more, still serving for {}; signal again to stop now",
        duration_text(delay)
    ));
    let is_over = runtime.block_on(async {
        tokio::select! {
            () = tokio::time::sleep(delay) => true,
            _ = signals.end() => false,
        }
    });
    if !is_over {
        log.warn("stopped before everything in progress had finished");
    }
    is_over
}

/// Loads and publishes for the first time.
fn first_load(plan: &ServePlan, plane: &Plane, board: Arc<Board>, log: Log) -> Result<Control, CommandError> {
    let (input, place) = match &plan.origin {
        Origin::Files { roots, .. } => {
            let names: Vec<_> = roots.iter().map(|root| root.display().to_string()).collect();
            (
                Input::Files(Box::new(FileSource::new(roots.clone()))),
                names.join(", "),
            )
        }
        Origin::Text { name, text } => (Input::Text(name.clone(), text.clone()), name.clone()),
    };
    let options = Options {
        tenants_address: plan.tenants_address,
        ..Options::files()
    };
    let mut control = Control::new(input, plan.strict, options, log, board);
    let is_in_force = control.load(plane, Cause::Unknown);
    let refuse = |what: &str, next: &str| Err(CommandError::new(Exit::Config, what).place(&place).next(next));
    if !is_in_force {
        return match plan.strict {
            true => refuse(
                "the configuration has errors",
                "correct what is said above, or leave --strict out",
            ),
            false => refuse(
                "the configuration has a policy of an unknown type",
                "correct what is said above",
            ),
        };
    }
    let listeners = control.config().map_or(0, |config| config.listeners.len());
    if listeners == 0 && control.errors() > 0 {
        return refuse(
            "the configuration has errors and no listener",
            "correct what is said above",
        );
    }
    if listeners == 0 {
        return refuse(
            "the configuration has no listener",
            "add a Gateway with a listener of protocol HTTP, or tenants",
        );
    }
    if plane.addresses().is_empty() {
        return Err(CommandError::new(Exit::Failed, "no listener could be opened")
            .place(place)
            .next("stop what uses the ports, or choose others"));
    }
    Ok(control)
}
