//! `requestLimits`: how large requests may be, and how many there may be at once. Weir's own.

use std::ops::RangeInclusive;
use std::sync::Arc;

use weir_model::{ObjectName, ParallelLimit, RequestLimits, limits};

use super::values::{count, quantity, read};
use crate::resource::decode::{Decoder, Field};

/// Decodes the block. The counter of requests in flight has the policy's key.
pub(super) fn request_limits(
    decoder: &mut Decoder,
    block: Field<'_>,
    policy: &ObjectName,
) -> Option<RequestLimits> {
    let known = ["body", "headers", "target", "parallelRequests"];
    let fields = decoder.fields_with_vital(block, &known, known)?;
    let mut bytes = |name, range: RangeInclusive<u64>| {
        read(decoder, fields, name, |decoder, field| {
            quantity(decoder, field, range).map(|bytes| bytes.value)
        })
    };
    let narrow = |bytes: u64| u32::try_from(bytes).unwrap_or(u32::MAX);
    Some(RequestLimits {
        body_bytes: bytes("body", 0..=1 << 50),
        head_bytes: bytes("headers", 1..=limits::HEAD_BYTES as u64).map(narrow),
        target_bytes: bytes("target", 1..=limits::TARGET_BYTES as u64).map(narrow),
        parallel: read(decoder, fields, "parallelRequests", count).map(|requests| ParallelLimit {
            key: key(policy),
            requests,
        }),
    })
}

fn key(policy: &ObjectName) -> Arc<str> {
    let kind = policy.kind.to_ascii_lowercase();
    format!("{kind}/{}/{}", policy.namespace, policy.name).into()
}
