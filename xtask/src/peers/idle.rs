//! Memory of idle keep-alive connections.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use super::kernel;
use super::probe::Probe;
use super::process::{Conversation, Leashed};

/// How long a proxy may settle before its memory is read.
const SETTLE: Duration = Duration::from_secs(2);

/// What idle connections of one proxy cost.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Idle {
    /// Resident memory of all processes that came with the connections, bytes per connection.
    pub(crate) bytes_per_connection: f64,
    /// Connections that the proxy still held when the memory was read.
    pub(crate) open: u64,
    /// Resident memory before, bytes.
    pub(crate) resident_before: u64,
}

/// Measures a freshly started proxy that has served nothing but a few requests.
pub(crate) fn measure(
    program: &Leashed,
    address: SocketAddr,
    idle_program: &Path,
    count: u32,
) -> Result<Idle, String> {
    let mut probe = Probe::connect(address).map_err(|error| error.to_string())?;
    for _ in 0..200 {
        probe.request("/").map_err(|error| error.to_string())?;
    }
    std::thread::sleep(SETTLE);
    let processes = program.processes();
    let before = kernel::resident_bytes(&processes);
    let arguments = [
        "--to".to_owned(),
        address.to_string(),
        "--count".to_owned(),
        count.to_string(),
    ];
    let mut clients = Conversation::start(idle_program, &arguments)?;
    let ready = clients.line()?;
    if ready != format!("ready {count}") {
        return Err(format!("idle clients said {ready}"));
    }
    std::thread::sleep(SETTLE);
    let after = kernel::resident_bytes(&program.processes());
    let answer = clients.ask("open?")?;
    let open = answer
        .strip_prefix("open ")
        .and_then(|number| number.parse().ok());
    Ok(Idle {
        bytes_per_connection: after.saturating_sub(before) as f64 / f64::from(count),
        open: open.ok_or_else(|| format!("idle clients said {answer}"))?,
        resident_before: before,
    })
}
