//! How large requests may be, and how many there may be at once (row KT26).

use std::sync::Arc;

use weir_balance::{Counted, Counters, Permit};
use weir_model::RequestLimits;
use weir_wire::BodyLength;

use super::super::super::{Exchange, Failure};
use super::Admitted;

/// Time after which a place may be free, seconds.
const RETRY_AFTER_S: u64 = 1;

/// Refuses what is too large as far as it is known; a body in chunks is counted as it comes.
pub(super) fn check(exchange: &mut Exchange<'_>, limits: &RequestLimits) -> Result<(), Failure> {
    let head = &exchange.scratch.head;
    // RFC 9110 15.5.15.
    if limits.target_bytes.is_some_and(|limit| head.target.len > limit) {
        return Err(Failure::answered(414, "target_too_long"));
    }
    // RFC 6585 5. The fields are all of the head behind the request line and before the empty line.
    let fields_bytes = head
        .fields
        .as_slice()
        .first()
        .map_or(0, |first| head.length - first.name.start as usize - "\r\n".len());
    if limits
        .head_bytes
        .is_some_and(|limit| fields_bytes as u64 > u64::from(limit))
    {
        return Err(Failure::answered(431, "head_too_large"));
    }
    match limits.body_bytes {
        Some(limit) => check_body(exchange, limit),
        None => Ok(()),
    }
}

/// RFC 9110 15.5.14.
pub(super) fn check_body(exchange: &mut Exchange<'_>, limit: u64) -> Result<(), Failure> {
    match exchange.request.body {
        BodyLength::Length(length) if length > limit => Err(Failure::answered(413, "body_too_large")),
        BodyLength::Length(_) | BodyLength::Empty => Ok(()),
        BodyLength::Chunked | BodyLength::UntilClose => {
            exchange.scratch.upload.bound(limit);
            Ok(())
        }
    }
}

/// Takes a place among the requests in flight.
pub(super) fn enter(admitted: &mut Admitted, counters: &Arc<Counters>, limit: u32) -> Result<(), Failure> {
    match Permit::take(Arc::clone(counters), Counted::ParallelRequests, limit) {
        Ok(place) => {
            admitted.place = Some(place);
            Ok(())
        }
        Err(_) => {
            admitted.retry_after_s = Some(RETRY_AFTER_S);
            Err(Failure::answered(503, "parallel_requests_full"))
        }
    }
}
