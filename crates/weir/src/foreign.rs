//! Flags of the programs that weir takes the place of which have no effect on it (row OP15): they are accepted, so that
//! manifests go on working, and it is said that they do nothing.

use clap::Args;

/// Accepted and noted.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ForeignArgs {
    #[arg(long, hide = true, alias = "extension-grpc-port", value_name = "PORT")]
    grpc_port: Option<String>,

    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    enable_extension_server: Option<String>,

    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    leader_elect: Option<String>,

    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    metrics_secure: Option<String>,

    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    enable_http2: Option<String>,
}

impl ForeignArgs {
    /// One line for each that was given.
    pub(crate) fn notes(&self) -> Vec<String> {
        let extension = "weir has no extension server yet";
        let all = [
            ("--grpc-port", &self.grpc_port, extension),
            (
                "--enable-extension-server",
                &self.enable_extension_server,
                extension,
            ),
            (
                "--leader-elect",
                &self.leader_elect,
                "every weir that reads files serves; there is nothing to elect",
            ),
            (
                "--metrics-secure",
                &self.metrics_secure,
                "metrics are served without TLS",
            ),
            (
                "--enable-http2",
                &self.enable_http2,
                "metrics are served over HTTP/1.1",
            ),
        ];
        all.iter()
            .filter(|(_, value, _)| value.is_some())
            .map(|(flag, _, why)| format!("{flag} has no effect: {why}"))
            .collect()
    }
}
