//! Flags that several commands share.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::value::{AdminPlace, LogFilter, parse_admin, parse_duration, parse_name_server, parse_percent};
use weir_proxy::LogFormat;

/// Flags that every command understands.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Configuration file or folder, or - for standard input; may be repeated.
    /// Default: ./weir.yaml, else /etc/weir
    #[arg(
        short,
        long,
        global = true,
        value_name = "PATH",
        env = "WEIR_CONFIG",
        value_delimiter = ','
    )]
    pub(crate) config: Vec<PathBuf>,

    /// How to print results
    #[arg(
        short,
        long,
        global = true,
        value_name = "FORMAT",
        env = "WEIR_OUTPUT",
        default_value = "text"
    )]
    pub(crate) output: Output,

    /// Say only what is wrong
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,

    /// Say more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,

    /// What to log to standard error: error, warn, info or debug; with ",json" as JSON lines
    #[arg(
        long,
        global = true,
        alias = "log-level",
        value_name = "LEVEL[,json]",
        env = "WEIR_LOG"
    )]
    pub(crate) log: Option<LogFilter>,

    /// When to use colour; NO_COLOR is honoured
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        env = "WEIR_COLOR",
        default_value = "auto"
    )]
    pub(crate) color: Color,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Text,
    /// One JSON document with a `schema` field.
    Json,
    /// GitHub workflow commands (`weir check` only).
    Github,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Where a serving process answers questions about itself.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Admin options")]
pub(crate) struct AdminArgs {
    /// Where the admin API is served: addresses, Unix sockets as unix:PATH, or off. An address that other machines reach
    /// needs a token. Default: 127.0.0.1:19000, and /run/weir/admin.sock where there is /run/weir
    #[arg(long, value_name = "ADDRESS|off", env = "WEIR_ADMIN", hide_env_values = true, value_delimiter = ',', value_parser = parse_admin)]
    pub(crate) admin: Vec<AdminPlace>,

    /// File with the token that opens the admin API to other machines, and to changes over TCP
    #[arg(
        long,
        value_name = "PATH",
        env = "WEIR_ADMIN_TOKEN_FILE",
        conflicts_with = "admin_token"
    )]
    pub(crate) admin_token_file: Option<PathBuf>,

    /// The token itself; other users of this machine can see it in the list of processes, not in the environment
    #[arg(long, value_name = "TOKEN", env = "WEIR_ADMIN_TOKEN", hide_env_values = true)]
    pub(crate) admin_token: Option<String>,

    /// Where only /livez, /readyz and /healthz are served, to everybody
    #[arg(
        long,
        alias = "health-probe-bind-address",
        value_name = "[ADDRESS]:PORT",
        env = "WEIR_HEALTH_ADDRESS",
        value_parser = parse_admin
    )]
    pub(crate) health_address: Option<AdminPlace>,

    /// Where only these and /metrics are served, to everybody
    #[arg(
        long,
        alias = "metrics-bind-address",
        value_name = "[ADDRESS]:PORT",
        env = "WEIR_METRICS_ADDRESS",
        value_parser = parse_admin
    )]
    pub(crate) metrics_address: Option<AdminPlace>,
}

/// Flags of the data plane, shared by the commands that have one.
#[derive(Args, Clone, Debug)]
pub(crate) struct PlaneArgs {
    /// Worker threads. Default: one per core
    #[arg(long, value_name = "N", env = "WEIR_THREADS", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,

    /// Longest time for requests in progress to finish at the end
    #[arg(long, value_name = "TIME", env = "WEIR_DRAIN_TIMEOUT", default_value = "30s", value_parser = parse_duration)]
    pub(crate) drain_timeout: Duration,

    /// Time between the signal to end and the moment when new connections are refused: /readyz says no already, so that
    /// whoever sends requests here can look elsewhere
    #[arg(long, value_name = "TIME", env = "WEIR_DRAIN_DELAY", default_value = "0s", value_parser = parse_duration)]
    pub(crate) drain_delay: Duration,

    /// Seed of every random choice; the same seed makes the same choices. Default: from the kernel
    #[arg(long, value_name = "NUMBER", env = "WEIR_SEED")]
    pub(crate) seed: Option<u64>,

    /// Where to write one line per request
    #[arg(
        long,
        value_name = "off|stdout|PATH",
        env = "WEIR_ACCESS_LOG",
        default_value = "off"
    )]
    pub(crate) access_log: String,

    /// How these lines are written: json, envoy, combined, or a template such as '{method} {path} {status} {duration_ms}'
    #[arg(
        long,
        value_name = "FORMAT",
        env = "WEIR_ACCESS_LOG_FORMAT",
        default_value = "json",
        value_parser = |text: &str| LogFormat::parse(text)
    )]
    pub(crate) access_log_format: LogFormat,

    /// Write only this part of them; what went wrong is always written
    #[arg(long, value_name = "PERCENT", env = "WEIR_ACCESS_LOG_SAMPLE", value_parser = parse_percent)]
    pub(crate) access_log_sample: Option<f64>,

    /// Write only what went wrong: answers of 5xx, none, and those that weir gave itself
    #[arg(long, env = "WEIR_ACCESS_LOG_ERRORS_ONLY")]
    pub(crate) access_log_errors_only: bool,

    /// Name server that is asked for addresses of backends, instead of those of /etc/resolv.conf; may be repeated
    #[arg(
        long,
        value_name = "ADDRESS[:PORT]",
        env = "WEIR_NAME_SERVER",
        value_delimiter = ',',
        value_parser = parse_name_server
    )]
    pub(crate) name_server: Vec<SocketAddr>,

    /// Say in x-weir-reason why an answer did not come from a backend
    #[arg(long, env = "WEIR_REASON_HEADER")]
    pub(crate) reason_header: bool,

    /// File with the key that session tokens are signed with, the same for all replicas; older keys in further lines.
    /// Without it that of WEIR_SESSION_KEY, else one that is drawn anew at each start
    #[arg(long, value_name = "PATH", env = "WEIR_SESSION_KEY_FILE")]
    pub(crate) session_key_file: Option<PathBuf>,
}
