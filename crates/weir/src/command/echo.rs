//! `weir echo`.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::json;
use weir_echo::{Echo, Identity, Journal, Options};

use crate::error::{CommandError, Exit};
use crate::flags::{Global, Output};
use crate::log::Log;
use crate::output;
use crate::runtime::{self, Asked, Signals};
use crate::value::{ListenRange, duration_text, parse_duration, parse_listen_range, parse_percent};

/// Time for requests in progress to be answered after a signal, on top of `--delay`.
const GRACE: Duration = Duration::from_secs(5);

/// Serve backends that answer what they received
///
/// Every port is a backend of its own. It answers JSON with path, host, method, proto, headers, namespace,
/// ingress, service and pod, in the shape of Gateway API's echo-basic.
#[derive(Args, Debug)]
#[command(after_help = "\
A request may ask for something else in its query:
  ?size=BYTES   that many bytes instead of the JSON (1024, 64k, 10m)
  ?t=TIME       wait before answering (250ms, 2s)
  ?r=STATUS     that status
  ?chunk=BYTES  chunked, in pieces of that size

Examples:
  weir echo --listen 127.0.0.1:9001-9004
  weir echo --listen :9000 --delay 10ms --error-rate 1%
  curl -i 'http://127.0.0.1:9001/any/path?t=50ms&r=503'")]
pub(crate) struct EchoArgs {
    /// Address and port or ports; may be repeated. Port 0 takes a free one
    #[arg(
        long,
        value_name = "ADDRESS:PORT[-PORT]",
        env = "WEIR_ECHO_LISTEN",
        default_value = "127.0.0.1:9001-9004",
        value_delimiter = ',',
        value_parser = parse_listen_range
    )]
    listen: Vec<ListenRange>,

    /// Time between a request and its answer
    #[arg(long, value_name = "TIME", env = "WEIR_ECHO_DELAY", default_value = "0s", value_parser = parse_duration)]
    delay: Duration,

    /// Part of the requests that are answered with 500
    #[arg(long, value_name = "PERCENT", env = "WEIR_ECHO_ERROR_RATE", default_value = "0%", value_parser = parse_percent)]
    error_rate: f64,

    /// Status of the other answers
    #[arg(long, value_name = "STATUS", default_value_t = 200, value_parser = clap::value_parser!(u16).range(200..=599))]
    status: u16,

    /// Which requests fail: the same seed fails the same ones
    #[arg(long, value_name = "NUMBER", env = "WEIR_SEED", default_value_t = 1)]
    seed: u64,

    /// The pod to answer; -PORT is appended when there are several ports. Default: echo-PORT
    #[arg(long, value_name = "NAME", env = "POD_NAME")]
    name: Option<String>,

    /// The namespace to answer
    #[arg(long, value_name = "NAME", env = "NAMESPACE", default_value = "default")]
    namespace: String,

    /// The ingress to answer
    #[arg(long, value_name = "NAME", env = "INGRESS_NAME", default_value = "")]
    ingress: String,

    /// The service to answer
    #[arg(long, value_name = "NAME", env = "SERVICE_NAME", default_value = "")]
    service: String,

    /// Write a line "PORT METHOD TARGET" to this file for every request, before it is answered
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
}

impl EchoArgs {
    /// Serves until a signal.
    pub(crate) fn execute(&self, global: &Global) -> Result<Exit, CommandError> {
        let log = Log::new(global);
        runtime::single()?.block_on(async {
            let mut signals = Signals::new()?;
            let backends = self.bind().await?;
            output::print(&self.announcement(&backends, global.output))?;
            if signals.end().await == Asked::Stop {
                return Ok(Exit::Ok);
            }
            let requests: u64 = backends.iter().map(|backend| backend.counters().requests()).sum();
            log.info(&format!("echo: stopping after {requests} requests"));
            let stopped = async {
                let mut all = true;
                for backend in backends {
                    all &= backend.stop(self.delay + GRACE).await;
                }
                all
            };
            tokio::select! {
                all = stopped => Ok(if all { Exit::Ok } else { Exit::Forced }),
                _ = signals.end() => Ok(Exit::Forced),
            }
        })
    }

    async fn bind(&self) -> Result<Vec<Echo>, CommandError> {
        let addresses: Vec<_> = self.listen.iter().flat_map(ListenRange::addresses).collect();
        let journal = self.open_journal()?;
        let mut backends = Vec::with_capacity(addresses.len());
        for address in &addresses {
            let pod = match &self.name {
                None => String::new(),
                Some(name) if addresses.len() == 1 => name.clone(),
                Some(name) => format!("{name}-{}", address.port()),
            };
            let options = Options {
                identity: Identity {
                    pod,
                    namespace: self.namespace.clone(),
                    ingress: self.ingress.clone(),
                    service: self.service.clone(),
                },
                delay: self.delay,
                error_rate_percent: self.error_rate,
                // Backends of one command fail different requests.
                seed: self.seed.wrapping_add(backends.len() as u64),
                status: self.status,
                journal: journal.clone(),
            };
            backends.push(Echo::bind(*address, options).await.map_err(|error| {
                CommandError::new(Exit::Failed, "cannot listen")
                    .place(address.to_string())
                    .why(error)
                    .next("stop what uses the port, or choose another with --listen")
            })?);
        }
        Ok(backends)
    }

    fn open_journal(&self) -> Result<Option<Journal>, CommandError> {
        let Some(path) = &self.journal else {
            return Ok(None);
        };
        Journal::open(path).map(Some).map_err(|error| {
            CommandError::new(Exit::Failed, "cannot write the journal")
                .place(path.display().to_string())
                .why(error)
                .next("choose another file with --journal")
        })
    }

    fn announcement(&self, backends: &[Echo], form: Output) -> String {
        if form == Output::Json {
            let list: Vec<_> = backends
                .iter()
                .map(|backend| json!({"address": backend.address(), "pod": backend.identity().pod}))
                .collect();
            return format!("{}\n", json!({"schema": "weir.echo/v1", "backends": list}));
        }
        let mut text = String::new();
        for backend in backends {
            // Writing into a string cannot fail.
            let _written = writeln!(
                text,
                "echo: http://{}/ is {}",
                backend.address(),
                backend.identity().pod
            );
        }
        if !self.delay.is_zero() || self.error_rate > 0.0 {
            let delay = duration_text(self.delay);
            let _written = writeln!(
                text,
                "echo: every answer takes {delay}, {}% fail",
                self.error_rate
            );
        }
        text
    }
}
