//! Opening a connection to an endpoint.

use std::io;
use std::num::NonZeroU32;

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

/// What to connect to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dial<'a> {
    pub(crate) address: &'a EndpointAddress,
    /// Size of each socket buffer, if it is not weir's own.
    pub(crate) buffer_bytes: Option<NonZeroU32>,
    /// What the connection begins with; mostly nothing.
    pub(crate) preface: &'a [u8],
    pub(crate) deadline_ms: u64,
}

/// Connects before the deadline. When the system has nothing left for another connection, unused ones in `pools`, if it is
/// given any, are closed and the attempt is made once more.
pub(crate) async fn connect(
    event_loop: &EventLoop,
    pools: Option<&Pools>,
    alarm: Alarm<'_>,
    dial: Dial<'_>,
) -> Result<Stream, ConnectFailure> {
    let mut is_retried = false;
    let mut stream = loop {
        let mut attempt = std::pin::pin!(weir_net::connect(event_loop, dial.address, dial.buffer_bytes));
        match alarm
            .until(dial.deadline_ms, |task| attempt.as_mut().poll(task))
            .await
        {
            Ok(Ok(stream)) => break stream,
            Ok(Err(error)) if !is_exhaustion(&error) => return Err(ConnectFailure::Refused),
            Ok(Err(_)) => match pools {
                Some(pools) if !is_retried => pools.close_unused(),
                _ => return Err(ConnectFailure::Exhausted),
            },
            Err(Expired) => return Err(ConnectFailure::TimedOut),
        }
        is_retried = true;
    };
    let mut left = dial.preface;
    while !left.is_empty() {
        match alarm
            .until(dial.deadline_ms, |task| stream.poll_write(task, left))
            .await
        {
            Ok(Ok(length @ 1..)) => left = left.get(length..).unwrap_or_default(),
            Ok(Ok(0) | Err(_)) => return Err(ConnectFailure::Refused),
            Err(Expired) => return Err(ConnectFailure::TimedOut),
        }
    }
    Ok(stream)
}

/// Whether the system, not the endpoint, is why there is no connection.
pub(super) fn is_exhaustion(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::OutOfMemory
    ) || weir_net::is_out_of_files(error)
}
