//! The admin API of a serving process: where it is, and what opens it.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;
use weir_admin::{Admin, Door, Place, Scope, Token};

use super::told::Told;
use crate::error::{CommandError, Exit};
use crate::flags::AdminArgs;
use crate::log::{Level, Log};
use crate::value::AdminPlace;

/// Where it is when nobody says where.
const DEFAULT: &str = "127.0.0.1:19000";
/// Where its socket is when nobody says where, if the folder is there.
const DEFAULT_SOCKET: &str = "/run/weir/admin.sock";

/// Doors that are open, and what opens what is behind them.
#[derive(Debug)]
pub(super) struct Entrance {
    doors: Vec<Door>,
    token: Option<Token>,
}

impl Entrance {
    /// Opens what the flags ask for. What they do not ask for is opened if that can be.
    ///
    /// # Errors
    /// Something that was asked for cannot be opened, or would be open to everybody.
    pub(super) fn open(flags: &AdminArgs, log: Log) -> Result<Self, CommandError> {
        let token = token(flags)?;
        let mut doors = Vec::new();
        if flags.admin.is_empty() {
            doors.extend(default_doors(log));
        }
        for place in flags.admin.iter().filter_map(place) {
            if !place.is_local() && token.is_none() {
                return Err(CommandError::new(Exit::Usage, "the admin API would be open to other machines")
                    .place(place.to_string())
                    .next("set WEIR_ADMIN_TOKEN or --admin-token-file, or choose an address of this machine such as 127.0.0.1"));
            }
            doors.push(open(place, Scope::Everything)?);
        }
        for (given, scope) in [
            (&flags.health_address, Scope::Health),
            (&flags.metrics_address, Scope::Metrics),
        ] {
            if let Some(place) = given.as_ref().and_then(place) {
                doors.push(open(place, scope)?);
            }
        }
        Ok(Self { doors, token })
    }

    /// Answers from now on, and says where. `None` when there is no door.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn serve(self, told: &Arc<Told>, log: Log) -> Result<Option<Admin>, CommandError> {
        if self.doors.is_empty() {
            return Ok(None);
        }
        let admin = Admin::start(self.doors, self.token, Arc::clone(told) as _)
            .map_err(|error| CommandError::new(Exit::Failed, "cannot start the admin API").why(error))?;
        for (place, scope) in admin.places() {
            let what = match scope {
                Scope::Everything => "admin",
                Scope::Metrics => "metrics",
                Scope::Health => "health",
            };
            let fields = [("address", json!(place.to_string())), ("scope", json!(what))];
            log.event(
                Level::Info,
                "admin_listening",
                &format!("{what} on {place}"),
                &fields,
            );
        }
        Ok(Some(admin))
    }
}

fn place(given: &AdminPlace) -> Option<Place> {
    match given {
        AdminPlace::Off => None,
        AdminPlace::Tcp(address) => Some(Place::Tcp(*address)),
        AdminPlace::Unix(path) => Some(Place::Unix(path.clone())),
    }
}

fn open(place: Place, scope: Scope) -> Result<Door, CommandError> {
    Door::open(place, scope).map_err(|error| {
        CommandError::new(Exit::Failed, "cannot open the admin API")
            .place(error.place.to_string())
            .why(&error.error)
            .next("stop what uses it, or choose another with --admin, --health-address or --metrics-address")
    })
}

/// Another weir on this machine may have them: that must not keep this one from serving.
fn default_doors(log: Log) -> Vec<Door> {
    let mut doors = Vec::new();
    if let Ok(address) = DEFAULT.parse() {
        match Door::open(Place::Tcp(address), Scope::Everything) {
            Ok(door) => doors.push(door),
            Err(error) => {
                let message = format!(
                    "no admin API on {DEFAULT}: {}; choose another address with --admin, or --admin off",
                    error.error
                );
                log.event(
                    Level::Warn,
                    "admin_failed",
                    &message,
                    &[("address", json!(DEFAULT))],
                );
            }
        }
    }
    let socket = Path::new(DEFAULT_SOCKET);
    if socket.parent().is_some_and(Path::is_dir) {
        // Whose folder it is may use it; others have the port.
        doors.extend(Door::open(Place::Unix(socket.to_owned()), Scope::Everything));
    }
    doors
}

/// The token that the flags name.
///
/// # Errors
/// The file cannot be read, or what it holds is no token.
fn token(flags: &AdminArgs) -> Result<Option<Token>, CommandError> {
    read_token(flags.admin_token.as_deref(), flags.admin_token_file.as_deref())
}

/// A token as given, or from a file.
///
/// # Errors
/// The file cannot be read, or what it holds is no token.
pub(crate) fn read_token(given: Option<&str>, file: Option<&Path>) -> Result<Option<Token>, CommandError> {
    let unusable = |why: &dyn std::fmt::Display| {
        CommandError::new(Exit::Usage, "the admin token cannot be used").why(why)
    };
    let text = match (given, file) {
        (Some(text), _) => text.to_owned(),
        (None, Some(path)) => std::fs::read_to_string(path)
            .map_err(|error| unusable(&error).place(path.display().to_string()))?,
        (None, None) => return Ok(None),
    };
    let token = Token::new(&text).map_err(|error| {
        let error = unusable(&error).next("make one: head -c 24 /dev/urandom | base64");
        match file {
            Some(path) => error.place(path.display().to_string()),
            None => error,
        }
    })?;
    Ok(Some(token))
}
