//! What is remembered of a request that was let in, or was not.

use std::sync::Arc;

use weir_balance::{Counters, Level, Permit};
use weir_wire::h1::encode;

use super::super::super::Exchange;
use crate::transit::Output;

/// Kept until the exchange ends.
#[derive(Debug, Default)]
pub(in crate::exchange) struct Admitted {
    /// Its place among the requests in flight.
    pub(super) place: Option<Permit<Arc<Counters>>>,
    /// What the rate limit has left, if clients are to know.
    pub(super) quota: Option<Quota>,
    /// When asking again may help, seconds.
    pub(super) retry_after_s: Option<u64>,
    /// The realm that the client is to name itself to.
    pub(super) challenge: Option<Arc<str>>,
    /// The whole body, received before the request is forwarded.
    pub(super) body: Option<Output>,
}

/// What one bucket has left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quota {
    pub(super) tokens: u32,
    pub(super) level: Level,
}

/// Writes what an answer says of how the request was let in. The names of the rate limit are Envoy Gateway's.
pub(in crate::exchange) fn write_fields(exchange: &Exchange<'_>, out: &mut Vec<u8>) {
    if let Some(admitted) = &exchange.admitted {
        admitted.write(out);
    }
}

impl Admitted {
    #[cold]
    fn write(&self, out: &mut Vec<u8>) {
        if let Some(Quota { tokens, level }) = self.quota {
            encode::field_number(out, b"x-ratelimit-limit", tokens.into());
            encode::field_number(out, b"x-ratelimit-remaining", level.remaining.into());
            encode::field_number(out, b"x-ratelimit-reset", seconds(level.next_ns));
        }
        // RFC 9110 10.2.3.
        if let Some(retry_after_s) = self.retry_after_s {
            encode::field_number(out, b"retry-after", retry_after_s);
        }
        if let Some(realm) = &self.challenge {
            // RFC 7617 2. A realm that cannot be a value comes from the configuration; the answer goes without.
            let challenge = format!("Basic realm=\"{realm}\", charset=\"UTF-8\"");
            let _ = encode::field_checked(out, b"www-authenticate", challenge.as_bytes());
        }
    }
}

/// Whole seconds, rounded up.
pub(super) fn seconds(nanoseconds: u64) -> u64 {
    nanoseconds.div_ceil(1_000_000_000)
}
