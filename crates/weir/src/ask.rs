//! Reaching a running weir: the flags that say where it is, and what is said when it is not.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use weir_admin::{AskError, Client, Target};

use crate::error::{CommandError, Exit};
use crate::run::read_token;

/// Where a weir's admin API is when nobody says where, in this order.
const DEFAULT_SOCKET: &str = "/run/weir/admin.sock";
const DEFAULT_ADDRESS: &str = "127.0.0.1:19000";

/// Where the weir is that is asked.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Admin options")]
pub(crate) struct AskArgs {
    /// Where the admin API is: HOST:PORT or unix:PATH. Default: /run/weir/admin.sock if it is there, else
    /// 127.0.0.1:19000
    #[arg(long, value_name = "ADDRESS", env = "WEIR_ADMIN", hide_env_values = true)]
    admin: Option<String>,

    /// File with the admin token
    #[arg(
        long,
        value_name = "PATH",
        env = "WEIR_ADMIN_TOKEN_FILE",
        conflicts_with = "admin_token"
    )]
    admin_token_file: Option<PathBuf>,

    /// The admin token itself
    #[arg(long, value_name = "TOKEN", env = "WEIR_ADMIN_TOKEN", hide_env_values = true)]
    admin_token: Option<String>,
}

impl AskArgs {
    /// A client that waits for answers this long.
    ///
    /// # Errors
    /// The flags name no place, or no token.
    pub(crate) fn client(&self, patience: Duration) -> Result<Client, CommandError> {
        let target = match &self.admin {
            Some(text) => parse_target(text).map_err(|error| {
                CommandError::new(Exit::Usage, "the admin API cannot be found").why(error)
            })?,
            None if Path::new(DEFAULT_SOCKET).exists() => Target::Unix(DEFAULT_SOCKET.into()),
            None => Target::Tcp(DEFAULT_ADDRESS.to_owned()),
        };
        let token = read_token(self.admin_token.as_deref(), self.admin_token_file.as_deref())?;
        Ok(Client::new(target, token, patience))
    }
}

/// What is said when nothing usable was answered.
pub(crate) fn unreachable(client: &Client, error: &AskError) -> CommandError {
    let place = client.target().to_string();
    match error {
        AskError::Refused(401 | 403, _) => CommandError::new(Exit::Failed, "the admin API refuses")
            .place(place)
            .why(error)
            .next("show the token with WEIR_ADMIN_TOKEN or --admin-token-file, or use the Unix socket"),
        AskError::Refused(..) => CommandError::new(Exit::Failed, "the admin API refuses")
            .place(place)
            .why(error),
        _ => CommandError::new(Exit::Unreachable, "cannot reach a running weir")
            .place(place)
            .why(error)
            .next("start one with weir run, or say where it is with --admin"),
    }
}

/// Reads what `weir run --admin` reads, and host names; of several places the first.
fn parse_target(text: &str) -> Result<Target, String> {
    let first = text.split(',').next().unwrap_or_default();
    if let Some(path) = first.strip_prefix("unix:") {
        return Ok(Target::Unix(path.into()));
    }
    let (host, port) = first.rsplit_once(':').unwrap_or(("", first));
    if port.parse::<u16>().is_err() {
        return Err(format!("expected HOST:PORT or unix:PATH, got {first:?}"));
    }
    // Where a weir listens on all addresses, it listens on this one too.
    let host = match host {
        "" | "*" | "0.0.0.0" | "[::]" => "127.0.0.1",
        host => host,
    };
    Ok(Target::Tcp(format!("{host}:{port}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn op11_where_a_weir_is_asked() {
        let tcp = |text: &str| Some(Target::Tcp(text.to_owned()));
        for (text, expected) in [
            ("127.0.0.1:19000", tcp("127.0.0.1:19000")),
            (":19000", tcp("127.0.0.1:19000")),
            ("19000", tcp("127.0.0.1:19000")),
            ("0.0.0.0:19000,unix:/a", tcp("127.0.0.1:19000")),
            ("gw.internal:19000", tcp("gw.internal:19000")),
            ("unix:/run/a.sock", Some(Target::Unix("/run/a.sock".into()))),
            ("off", None),
            ("host", None),
        ] {
            assert_eq!(parse_target(text).ok(), expected, "{text}");
        }
    }
}
