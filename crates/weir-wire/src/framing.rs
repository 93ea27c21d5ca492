//! Where a message ends (RFC 9112 6.3): the guard against request smuggling.
//!
//! One reading or none. A message whose end two implementations could see at two places is refused, also where
//! the RFC lets a recipient repair it: `Transfer-Encoding` beside `Content-Length`, several equal lengths, codings
//! other than `chunked`. After any error here the connection must be closed, for nobody knows where the next
//! message begins.

use crate::{Fields, Known, KnownSet, Method, RequestHead, ResponseHead, Version};

/// How long a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    /// There is none. The length is not announced or announces nothing (a response to `HEAD`).
    Empty,
    /// Exactly this many bytes, as announced by `Content-Length`; may be 0.
    Length(u64),
    /// Chunks, to be read with [`crate::h1::chunked`].
    Chunked,
    /// All bytes until the connection closes. Only responses.
    UntilClose,
}

/// Why the end of a message cannot be told. A request is answered 400, a response becomes 502; either way the
/// connection is closed and the request is not sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FramingError {
    /// `Content-Length` and `Transfer-Encoding` in one message (RFC 9112 6.1).
    LengthAndEncoding,
    /// More than one `Content-Length` line, equal or not.
    LengthRepeated,
    /// A `Content-Length` that is not a plain decimal number of at most 19 digits.
    LengthInvalid,
    /// More than one `Transfer-Encoding` line.
    EncodingRepeated,
    /// A `Transfer-Encoding` other than exactly `chunked`.
    EncodingUnknown,
    /// `Transfer-Encoding` in a message of HTTP/1.0 (RFC 9112 6.1).
    EncodingInHttp10,
}

impl FramingError {
    /// The status to answer a request with. For a response it is always 502.
    #[must_use]
    pub fn status(self) -> u16 {
        400
    }

    /// A stable word for logs and metrics.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::LengthAndEncoding => "length_and_encoding",
            Self::LengthRepeated => "length_repeated",
            Self::LengthInvalid => "length_invalid",
            Self::EncodingRepeated => "encoding_repeated",
            Self::EncodingUnknown => "encoding_unknown",
            Self::EncodingInHttp10 => "encoding_in_http10",
        }
    }
}

impl std::fmt::Display for FramingError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "the end of the message is ambiguous: {}",
            self.reason()
        )
    }
}

impl std::error::Error for FramingError {}

/// The body of a request. Never `UntilClose`: without both fields a request has no body (RFC 9112 6.3 rule 7).
#[inline]
pub fn request_body(head: &RequestHead, bytes: &[u8]) -> Result<BodyLength, FramingError> {
    Ok(announced(&head.fields, head.version, bytes)?.unwrap_or(BodyLength::Empty))
}

/// The body of a response to a request with `method`.
///
/// The fields are checked also where they do not count, because they are passed on. `Empty` for a 2xx answer to
/// `CONNECT` and for 101 means: what follows is no HTTP.
#[inline]
pub fn response_body(head: &ResponseHead, bytes: &[u8], method: &Method) -> Result<BodyLength, FramingError> {
    let announced = announced(&head.fields, head.version, bytes)?;
    let is_bodiless = match head.status {
        // RFC 9112 6.3 rule 1.
        100..=199 | 204 | 304 => true,
        // RFC 9112 6.3 rule 2.
        200..=299 if *method == Method::Connect => true,
        _ => *method == Method::Head,
    };
    Ok(match announced {
        _ if is_bodiless => BodyLength::Empty,
        Some(length) => length,
        // RFC 9112 6.3 rule 8.
        None => BodyLength::UntilClose,
    })
}

/// A `Content-Length` value (RFC 9110 8.6): digits alone, at most 19, no zero in front. The grammar allows zeros
/// in front; some implementations read them as octal, so they are refused.
pub fn content_length(value: &[u8]) -> Result<u64, FramingError> {
    if !matches!(value, [b'0'] | [b'1'..=b'9', ..]) || value.len() > 19 {
        return Err(FramingError::LengthInvalid);
    }
    value.iter().try_fold(0, |length, digit| {
        digit
            .is_ascii_digit()
            .then(|| length * 10 + u64::from(digit - b'0'))
            .ok_or(FramingError::LengthInvalid)
    })
}

#[inline]
fn announced(fields: &Fields, version: Version, bytes: &[u8]) -> Result<Option<BodyLength>, FramingError> {
    const FRAMING: KnownSet = KnownSet::of(&[Known::ContentLength, Known::TransferEncoding]);
    if !fields.present().intersects(FRAMING) {
        return Ok(None);
    }
    if let Some(coding) = fields.value(Known::TransferEncoding, bytes) {
        // RFC 9112 6.1: a server may refuse both together, and weir does; close-delimited reading is no answer.
        if fields.has(Known::ContentLength) {
            return Err(FramingError::LengthAndEncoding);
        }
        if version == Version::Http10 {
            return Err(FramingError::EncodingInHttp10);
        }
        if fields.is_repeated(Known::TransferEncoding) {
            return Err(FramingError::EncodingRepeated);
        }
        // RFC 9112 7: coding names have no case. Lists, parameters and other codings are refused.
        if !coding.eq_ignore_ascii_case(b"chunked") {
            return Err(FramingError::EncodingUnknown);
        }
        return Ok(Some(BodyLength::Chunked));
    }
    if fields.is_repeated(Known::ContentLength) {
        return Err(FramingError::LengthRepeated);
    }
    match fields.value(Known::ContentLength, bytes) {
        Some(value) => content_length(value).map(|length| Some(BodyLength::Length(length))),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests;
