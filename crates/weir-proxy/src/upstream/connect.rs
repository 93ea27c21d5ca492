//! Opening a connection to an endpoint.

use weir_model::EndpointAddress;
use weir_net::Stream;

use crate::time::{Alarm, Expired};

/// Why there is no connection. The endpoint's fault; nothing was sent, so another endpoint may be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConnectFailure {
    /// The endpoint refused, or the system could not try.
    Refused,
    /// The endpoint did not answer in time.
    TimedOut,
}

/// Connects before `deadline_ms`.
pub(crate) async fn connect(
    address: &EndpointAddress,
    alarm: Alarm<'_>,
    deadline_ms: u64,
) -> Result<Stream, ConnectFailure> {
    let mut attempt = std::pin::pin!(weir_net::connect(address));
    match alarm.until(deadline_ms, |task| attempt.as_mut().poll(task)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(_)) => Err(ConnectFailure::Refused),
        Err(Expired) => Err(ConnectFailure::TimedOut),
    }
}
