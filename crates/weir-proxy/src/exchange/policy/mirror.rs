//! Copies of requests (Gateway API `HTTPRequestMirrorFilter`).

use super::super::Exchange;
use super::super::route::{Found, Way};
use crate::compile::Snapshot;

/// Sends copies on their way.
pub(in crate::exchange) fn mirror(
    _exchange: &mut Exchange<'_>,
    _snapshot: &Snapshot,
    _found: &Found<'_>,
    _way: &Way<'_>,
) {
}
