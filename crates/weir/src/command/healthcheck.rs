//! `weir healthcheck`.

use std::time::Duration;

use clap::Args;
use weir_admin::{Client, Target};

use crate::ask::AskArgs;
use crate::error::{CommandError, Exit};
use crate::flags::Global;
use crate::output;

/// Say whether a running weir is ready; for containers
#[derive(Args, Debug)]
#[command(after_help = "\
Exit codes: 0 ready, 1 not ready or not reachable.

Examples:
  weir healthcheck
  weir healthcheck --url http://127.0.0.1:8081/livez")]
pub(crate) struct HealthcheckArgs {
    /// What to ask in place of the admin API's /readyz
    #[arg(long, value_name = "URL", value_parser = parse_url)]
    url: Option<Url>,

    #[command(flatten)]
    ask: AskArgs,
}

/// Host, port and path.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Url {
    authority: String,
    path: String,
}

impl HealthcheckArgs {
    /// Asks once.
    pub(crate) fn execute(&self, global: &Global) -> Result<Exit, CommandError> {
        let patience = Duration::from_secs(5);
        let (client, path) = match &self.url {
            Some(url) => {
                let target = Target::Tcp(url.authority.clone());
                (Client::new(target, None, patience), &*url.path)
            }
            None => (self.ask.client(patience)?, "/readyz"),
        };
        let place = format!("{}{path}", client.target());
        let (exit, text) = match client.get(path) {
            Ok(answer) if answer.status == 200 => (Exit::Ok, format!("ok: {place}\n")),
            Ok(answer) => {
                let body = String::from_utf8_lossy(&answer.body);
                (
                    Exit::Failed,
                    format!("{}: {place} (status {})\n", body.trim(), answer.status),
                )
            }
            Err(error) => (Exit::Failed, format!("not reachable: {place}: {error}\n")),
        };
        if !global.quiet || exit != Exit::Ok {
            output::print(&text)?;
        }
        Ok(exit)
    }
}

/// Reads `http://HOST[:PORT]/PATH`.
fn parse_url(text: &str) -> Result<Url, String> {
    let expected = || format!("expected http://HOST:PORT/PATH, got {text:?}");
    let rest = text.strip_prefix("http://").ok_or_else(expected)?;
    let (authority, path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, "/"),
    };
    if authority.is_empty() || authority.contains(['@', '?', '#', ' ']) {
        return Err(expected());
    }
    let has_port = authority
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    Ok(Url {
        authority: if has_port {
            authority.to_owned()
        } else {
            format!("{authority}:80")
        },
        path: path.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn op11_urls_have_a_host_a_port_and_a_path() {
        for (text, expected) in [
            ("http://127.0.0.1:8081/livez", Some(("127.0.0.1:8081", "/livez"))),
            ("http://localhost", Some(("localhost:80", "/"))),
            ("http://[::1]/x", Some(("[::1]:80", "/x"))),
            ("https://h/", None),
            ("http:///x", None),
            ("http://u@h/", None),
        ] {
            let found = parse_url(text).ok();
            let found = found.as_ref().map(|url| (&*url.authority, &*url.path));
            assert_eq!(found, expected, "{text}");
        }
    }
}
