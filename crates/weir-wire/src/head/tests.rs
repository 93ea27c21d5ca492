//! Tests of heads.

use super::*;

pub(crate) const LIMITS: HeadLimits = HeadLimits {
    head_bytes: 32 * 1024,
    fields: 100,
    field_bytes: 16 * 1024,
    target_bytes: 8 * 1024,
};

/// Parses a whole request head.
pub(crate) fn request(bytes: &[u8]) -> Result<RequestHead, HeadError> {
    let mut head = RequestHead::new(LIMITS);
    assert_eq!(head.parse(bytes)?, Progress::Complete);
    Ok(head)
}

/// Parses a whole response head.
pub(crate) fn response(bytes: &[u8]) -> Result<ResponseHead, HeadError> {
    let mut head = ResponseHead::new(LIMITS);
    assert_eq!(head.parse(bytes)?, Progress::Complete);
    Ok(head)
}
