//! `weir demo`.

use std::io::{self, IsTerminal};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use weir_echo::{Echo, Identity, Options};
use weir_model::EndpointAddress;

use crate::demo::{self, BACKEND_PORTS, Backend, Example, GATEWAY_PORT, HOST, Row, Screen};
use crate::error::{CommandError, Exit};
use crate::flags::Global;
use crate::flags::PlaneArgs;
use crate::log::Log;
use crate::run::Plane;
use crate::runtime::{self, Signals};
use crate::{config, output};

/// Time between two looks at the counters.
const REFRESH: Duration = Duration::from_secs(1);
/// Time for requests in progress at the end.
const GRACE: Duration = Duration::from_secs(5);

/// Start four backends and a gateway that balances over them in every way
///
/// Everything runs in this process, on loopback. Shows how requests spread while you send them.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  weir demo
  weir demo --port 0                 any free port
  weir demo --write my-gateway       the configuration it uses, to start from")]
pub(crate) struct DemoArgs {
    /// Port of the gateway; 0 takes a free one. Default: 8080, or a free one when that is taken
    #[arg(long, value_name = "PORT", env = "WEIR_DEMO_PORT")]
    port: Option<u16>,

    /// Write the configuration into this folder and end
    #[arg(long, value_name = "DIR")]
    write: Option<PathBuf>,

    /// Worker threads. Default: one per core
    #[arg(long, value_name = "N", env = "WEIR_THREADS", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

impl DemoArgs {
    /// Runs the demonstration until a signal, or writes its configuration.
    pub(crate) fn execute(&self, global: &Global) -> Result<Exit, CommandError> {
        if let Some(folder) = &self.write {
            return write_example(folder, self.port.unwrap_or(GATEWAY_PORT));
        }
        let runtime = runtime::single()?;
        let ended = runtime.block_on(self.run(global));
        // A draining thread may still wait after a second signal; the process does not.
        runtime.shutdown_background();
        ended
    }

    async fn run(&self, global: &Global) -> Result<Exit, CommandError> {
        let mut signals = Signals::new()?;
        let echoes = start_backends().await?;
        let (port, note) = self.gateway_port()?;
        let mut backend_ports = BACKEND_PORTS;
        for (port, echo) in backend_ports.iter_mut().zip(&echoes) {
            *port = echo.address().port();
        }
        let example = Example::new(port, backend_ports);
        let plane = Arc::new(start_plane(&example, self.threads, Log::for_warnings(global))?);
        let backends: Vec<_> = echoes
            .iter()
            .map(|echo| Backend {
                name: echo.identity().pod.clone(),
                address: EndpointAddress::Tcp(echo.address()),
            })
            .collect();
        output::print(&introduction(&example, port, &backend_ports, note.as_deref()))?;
        tokio::select! {
            shown = show(&plane, &backends, global) => shown?,
            _ = signals.end() => {}
        }
        let rows = demo::rows(&plane.stats(), &backends);
        let total: u64 = rows.iter().map(|row| row.requests).sum();
        output::print(&format!("weir demo: stopping after {total} requests\n"))?;
        let drain = tokio::task::spawn_blocking(move || plane.drain(GRACE));
        let finished = async {
            let mut finished = drain.await.unwrap_or(false);
            for echo in echoes {
                finished &= echo.stop(GRACE).await;
            }
            finished
        };
        tokio::select! {
            finished = finished => Ok(if finished { Exit::Ok } else { Exit::Forced }),
            _ = signals.end() => Ok(Exit::Forced),
        }
    }

    /// The gateway's port, and what to say when it is not the usual one.
    fn gateway_port(&self) -> Result<(u16, Option<String>), CommandError> {
        let cannot = |port: u16, error: io::Error| {
            CommandError::new(Exit::Failed, "cannot listen")
                .place(format!("127.0.0.1:{port}"))
                .why(error)
                .next("stop what uses the port, or take any free one: weir demo --port 0")
        };
        match self.port {
            Some(port) => Ok((probe(port).map_err(|error| cannot(port, error))?, None)),
            None => match probe(GATEWAY_PORT) {
                Ok(port) => Ok((port, None)),
                Err(error) => {
                    let port = probe(0).map_err(|error| cannot(0, error))?;
                    Ok((
                        port,
                        Some(format!(
                            "port {GATEWAY_PORT} is taken ({error}), so this is a free one"
                        )),
                    ))
                }
            },
        }
    }
}

/// A port that can be listened on: `port`, or a free one for 0. The listening sockets of weir share their port with
/// others of the same user, so that only this shows whether somebody has it already.
fn probe(port: u16) -> io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    Ok(listener.local_addr()?.port())
}

/// The example's backends, on its ports or on free ones.
async fn start_backends() -> Result<Vec<Echo>, CommandError> {
    let mut echoes = Vec::with_capacity(BACKEND_PORTS.len());
    for (number, port) in (1..).zip(BACKEND_PORTS) {
        let options = Options {
            identity: Identity {
                namespace: "default".to_owned(),
                service: "backend".to_owned(),
                pod: format!("backend-{number}"),
                ..Identity::default()
            },
            ..Options::default()
        };
        let address = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let echo = match Echo::bind(address(port), options.clone()).await {
            Ok(echo) => Ok(echo),
            Err(_taken) => Echo::bind(address(0), options).await,
        };
        echoes.push(
            echo.map_err(|error| CommandError::new(Exit::Failed, "cannot start a backend").why(error))?,
        );
    }
    Ok(echoes)
}

fn start_plane(example: &Example, threads: Option<u16>, log: Log) -> Result<Plane, CommandError> {
    let read = config::of_text("(demo)", &example.text());
    debug_assert!(!read.has_errors(), "the example has errors: {:?}", read.problems);
    let flags = PlaneArgs {
        drain_delay: Duration::ZERO,
        threads,
        drain_timeout: GRACE,
        seed: None,
        access_log: "off".to_owned(),
        access_log_format: weir_proxy::LogFormat::Json,
        access_log_sample: None,
        access_log_errors_only: false,
        name_server: Vec::new(),
        reason_header: true,
        session_key_file: None,
    };
    let plane = Plane::start(&flags, log)?;
    plane.publish(&read.translation.config);
    if plane.addresses().is_empty() {
        return Err(CommandError::new(Exit::Failed, "the gateway cannot listen")
            .next("take any free port: weir demo --port 0"));
    }
    Ok(plane)
}

fn introduction(example: &Example, port: u16, backend_ports: &[u16; 4], note: Option<&str>) -> String {
    let ports: Vec<_> = backend_ports.iter().map(u16::to_string).collect();
    let note = note.map(|note| format!("({note})\n")).unwrap_or_default();
    format!(
        "weir demo: a gateway on http://127.0.0.1:{port} over four backends on ports {}\n{note}\n\
         {}\n\
         many at once\n  \
         seq 200 | xargs -P 20 -I{{}} curl -s -o /dev/null -H 'Host: {HOST}' http://127.0.0.1:{port}/round\n\n\
         Ctrl-C stops. The configuration: weir demo --write DIR\n\n",
        ports.join(", "),
        example.curl_lines(),
    )
}

/// Shows the counters until the terminal is gone.
async fn show(plane: &Plane, backends: &[Backend], global: &Global) -> Result<(), CommandError> {
    let gone = |error| CommandError::new(Exit::Failed, "cannot write to standard output").why(error);
    let mut screen = match io::stdout().is_terminal() {
        true => Some(Screen::new(io::stdout()).map_err(gone)?),
        false => None,
    };
    let color = output::color_stdout(global.color);
    let mut before: Vec<Row> = Vec::new();
    loop {
        let rows = demo::rows(&plane.stats(), backends);
        if rows != before {
            match &mut screen {
                Some(screen) => screen
                    .draw(&demo::table_text(backends, &rows, color))
                    .map_err(gone)?,
                None => output::print(&demo::plain_lines(backends, &before, &rows))?,
            }
        }
        before = rows;
        tokio::time::sleep(REFRESH).await;
    }
}

fn write_example(folder: &Path, port: u16) -> Result<Exit, CommandError> {
    let path = folder.join("weir.yaml");
    let shown = path.display().to_string();
    let cannot = |error| {
        CommandError::new(Exit::Failed, "cannot write the configuration")
            .place(&shown)
            .why(error)
    };
    if path.exists() {
        return Err(
            CommandError::new(Exit::Failed, "there is a configuration already")
                .place(&shown)
                .next("choose another folder, or remove the file"),
        );
    }
    std::fs::create_dir_all(folder).map_err(cannot)?;
    std::fs::write(&path, Example::new(port, BACKEND_PORTS).text()).map_err(cannot)?;
    output::print(&format!(
        "wrote {shown}; now\n  weir echo --listen 127.0.0.1:9001-9004 --service backend\n  weir run -c {shown}\n  \
         curl -H 'Host: {HOST}' http://127.0.0.1:{port}/round\n"
    ))?;
    Ok(Exit::Ok)
}
