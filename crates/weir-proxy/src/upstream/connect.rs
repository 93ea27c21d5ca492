//! Opening a connection to an endpoint.

use std::io;

use weir_model::EndpointAddress;
use weir_net::{EventLoop, Stream};

use super::Pools;
use crate::time::{Alarm, Expired};

/// Why there is no connection. Nothing was sent, so another endpoint may be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConnectFailure {
    /// The endpoint refused.
    Refused,
    /// The system has no files, ports or memory for another connection: weir's own fault (reliability row 30).
    Exhausted,
    /// The endpoint did not answer in time.
    TimedOut,
}

/// Connects before `deadline_ms`. When the system has nothing left for another connection, unused ones in `pools`
/// are closed and the attempt is made once more.
pub(crate) async fn connect(
    event_loop: &EventLoop,
    address: &EndpointAddress,
    pools: &Pools,
    alarm: Alarm<'_>,
    deadline_ms: u64,
) -> Result<Stream, ConnectFailure> {
    let mut is_retried = false;
    loop {
        let mut attempt = std::pin::pin!(weir_net::connect(event_loop, address));
        match alarm.until(deadline_ms, |task| attempt.as_mut().poll(task)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) if !is_exhaustion(&error) => return Err(ConnectFailure::Refused),
            Ok(Err(_)) if is_retried => return Err(ConnectFailure::Exhausted),
            Ok(Err(_)) => pools.close_unused(),
            Err(Expired) => return Err(ConnectFailure::TimedOut),
        }
        is_retried = true;
    }
}

/// Whether the system, not the endpoint, is why there is no connection.
pub(super) fn is_exhaustion(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::OutOfMemory
    ) || weir_net::is_out_of_files(error)
}
