//! Heads of requests and responses (RFC 9112 2 to 5): the one representation of a header section in weir.
//!
//! [`RequestHead`] and [`ResponseHead`] are reusable objects. `parse` looks at the bytes from the start of a
//! message and either fills the object with offsets into them or asks for more. Each byte is scanned once for
//! the end of the head however slowly it comes; the field parser runs once, on the complete head.
//!
//! `httparse` is the engine. It takes bare LF, several empty lines, any high byte in a target and `#`; the scan
//! and the checks here do not.

use std::mem::MaybeUninit;

use crate::target::Target;
use crate::token::is_token_byte;
use crate::{Fields, Method, Span, Version};

mod scan;

use scan::Scan;

/// No head may have more fields than this, whatever its limits say.
pub const FIELDS_CEILING: usize = 256;
/// No method may be longer than this, bytes.
pub const METHOD_BYTES: usize = 64;

/// Bounds on a head. All inclusive: a head exactly as large as its limit is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// The whole head with its empty line, bytes; below 4 GiB.
    pub head_bytes: usize,
    /// Number of fields; at most [`FIELDS_CEILING`].
    pub fields: usize,
    /// One field, name and value, bytes.
    pub field_bytes: usize,
    /// The request target, bytes.
    pub target_bytes: usize,
}

/// Is the head complete?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Yes; the object is filled and `length` tells where the body begins.
    Complete,
    /// No; call again with the same bytes and more.
    Partial,
}

/// Why a head was refused. Each is the sender's fault and final for its connection: where the next message
/// begins is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HeadError {
    /// CR or LF that is not part of a CR LF, or too many empty lines before a request (RFC 9112 2.2).
    LineEnding,
    /// Not exactly `method SP target SP version` (RFC 9112 3).
    RequestLine,
    /// Not exactly `version SP status SP reason`, or a status outside 100 to 599 (RFC 9112 4).
    StatusLine,
    /// A target of no known form, with bytes that no target may have, or of a form that the method may not
    /// have (RFC 9112 3.2).
    Target,
    /// A target over the limit.
    TargetTooLong,
    /// Something in the place of the version that is not one (RFC 9112 2.3).
    Version,
    /// A version of HTTP that this codec does not speak.
    VersionUnsupported,
    /// A field name that is no token, space before the colon, or a folded line (RFC 9112 5.1, 5.2).
    FieldName,
    /// A control byte in a field value (RFC 9110 5.5).
    FieldValue,
    /// One field over the limit.
    FieldTooLarge,
    /// More fields than the limit.
    TooManyFields,
    /// The whole head over the limit.
    HeadTooLarge,
}

impl HeadError {
    /// The status to answer a request with. For a response head it is always 502.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::LineEnding
            | Self::RequestLine
            | Self::StatusLine
            | Self::Target
            | Self::Version
            | Self::FieldName
            | Self::FieldValue => 400,
            Self::TargetTooLong => 414,
            Self::FieldTooLarge | Self::TooManyFields | Self::HeadTooLarge => 431,
            Self::VersionUnsupported => 505,
        }
    }

    /// A stable word for logs and metrics.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::LineEnding => "line_ending",
            Self::RequestLine => "request_line",
            Self::StatusLine => "status_line",
            Self::Target => "target",
            Self::TargetTooLong => "target_too_long",
            Self::Version => "version",
            Self::VersionUnsupported => "version_unsupported",
            Self::FieldName => "field_name",
            Self::FieldValue => "field_value",
            Self::FieldTooLarge => "field_too_large",
            Self::TooManyFields => "too_many_fields",
            Self::HeadTooLarge => "head_too_large",
        }
    }
}

impl std::fmt::Display for HeadError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "the message head is refused: {}", self.reason())
    }
}

impl std::error::Error for HeadError {}

/// The head of a request. Offsets are from the start of the slice that was given to `parse`.
#[derive(Clone, Debug)]
pub struct RequestHead {
    /// Its method.
    pub method: Method,
    /// Its whole target as written.
    pub target: Span,
    /// The same, taken apart.
    pub form: Target,
    /// Its version.
    pub version: Version,
    /// Its fields.
    pub fields: Fields,
    /// Bytes of the head with its empty line: the body begins here.
    pub length: usize,
    limits: HeadLimits,
    scan: Scan,
}

impl RequestHead {
    /// An empty head with its limits for good.
    #[must_use]
    pub fn new(limits: HeadLimits) -> Self {
        Self {
            method: Method::Get,
            target: Span::default(),
            form: Target::default(),
            version: Version::Http11,
            fields: Fields::default(),
            length: 0,
            limits,
            scan: Scan::default(),
        }
    }

    /// Parses the head at the start of `bytes`, which may hold more than the head.
    ///
    /// After `Partial` the next call must bring the same bytes and more. After `Complete` or an error the next
    /// call begins a new head.
    pub fn parse(&mut self, bytes: &[u8]) -> Result<Progress, HeadError> {
        if !self.scan.is_begun() {
            self.clear();
        }
        let end = match self.scan.request_end(bytes, &self.limits) {
            Ok(Some(end)) => end,
            Ok(None) => return Ok(Progress::Partial),
            Err(error) => {
                self.clear();
                return Err(error);
            }
        };
        let scan = std::mem::take(&mut self.scan);
        let outcome = self.fill(&bytes[..end], &scan);
        if outcome.is_err() {
            self.clear();
        }
        outcome.map(|()| Progress::Complete)
    }

    /// Forgets everything, also a head that has begun.
    pub fn clear(&mut self) {
        self.fields.clear();
        self.scan = Scan::default();
        self.length = 0;
        self.target = Span::default();
        self.form = Target::default();
        self.method = Method::Get;
        self.version = Version::Http11;
    }

    fn fill(&mut self, head: &[u8], scan: &Scan) -> Result<(), HeadError> {
        let mut storage = [MaybeUninit::uninit(); FIELDS_CEILING];
        let room = self.limits.fields.min(FIELDS_CEILING);
        let mut parsed = httparse::Request::new(&mut []);
        let start = scan.start;
        let status = parsed
            .parse_with_uninit_headers(&head[start..], &mut storage[..room])
            .map_err(|error| self.refine(error, &head[start..scan.first_line_end]))?;
        let (Some(method), Some(target), Some(minor)) = (parsed.method, parsed.path, parsed.version) else {
            return Err(HeadError::RequestLine);
        };
        // RFC 9112 3: one SP on each side of the target, and nothing else in the line.
        let target_start = start + method.len() + 1;
        let target_end = target_start + target.len();
        if target_end + " HTTP/1.1\r\n".len() != scan.first_line_end || method.len() > METHOD_BYTES {
            return Err(HeadError::RequestLine);
        }
        if target.len() > self.limits.target_bytes {
            return Err(HeadError::TargetTooLong);
        }
        let is_end_agreed = status == httparse::Status::Complete(head.len() - start);
        if !is_end_agreed || parsed.headers.len() + 2 != scan.lines {
            return Err(HeadError::LineEnding);
        }
        if has_bad_target_byte(target.as_bytes()) {
            return Err(HeadError::Target);
        }
        self.method = Method::parse(method.as_bytes(), Span::new(start, start + method.len()));
        self.target = Span::new(target_start, target_end);
        self.form = Target::parse(self.method, target.as_bytes(), target_start).ok_or(HeadError::Target)?;
        self.version = if minor == 0 {
            Version::Http10
        } else {
            Version::Http11
        };
        self.length = head.len();
        if self
            .fields
            .fill(head, parsed.headers, head.len() - 2, self.limits.field_bytes)
        {
            Ok(())
        } else {
            Err(HeadError::FieldTooLarge)
        }
    }

    #[cold]
    fn refine(&self, error: httparse::Error, line: &[u8]) -> HeadError {
        match error {
            httparse::Error::Token | httparse::Error::Version | httparse::Error::Status => {
                scan::request_line_problem(line, &self.limits)
            }
            other => field_problem(other),
        }
    }
}

/// The head of a response. Offsets are from the start of the slice that was given to `parse`.
#[derive(Clone, Debug)]
pub struct ResponseHead {
    /// Its version.
    pub version: Version,
    /// Its status, 100 to 599.
    pub status: u16,
    /// Its reason phrase as written; empty when there is none or it has bytes from 0x80.
    pub reason: Span,
    /// Its fields.
    pub fields: Fields,
    /// Bytes of the head with its empty line: the body begins here.
    pub length: usize,
    limits: HeadLimits,
    scan: Scan,
}

impl ResponseHead {
    /// An empty head with its limits for good; `target_bytes` plays no part.
    #[must_use]
    pub fn new(limits: HeadLimits) -> Self {
        Self {
            version: Version::Http11,
            status: 0,
            reason: Span::default(),
            fields: Fields::default(),
            length: 0,
            limits,
            scan: Scan::default(),
        }
    }

    /// Parses the head at the start of `bytes`; the same contract as [`RequestHead::parse`].
    pub fn parse(&mut self, bytes: &[u8]) -> Result<Progress, HeadError> {
        if !self.scan.is_begun() {
            self.clear();
        }
        let end = match self.scan.response_end(bytes, &self.limits) {
            Ok(Some(end)) => end,
            Ok(None) => return Ok(Progress::Partial),
            Err(error) => {
                self.clear();
                return Err(error);
            }
        };
        let scan = std::mem::take(&mut self.scan);
        let outcome = self.fill(&bytes[..end], &scan);
        if outcome.is_err() {
            self.clear();
        }
        outcome.map(|()| Progress::Complete)
    }

    /// Forgets everything, also a head that has begun.
    pub fn clear(&mut self) {
        self.fields.clear();
        self.scan = Scan::default();
        self.length = 0;
        self.status = 0;
        self.reason = Span::default();
        self.version = Version::Http11;
    }

    fn fill(&mut self, head: &[u8], scan: &Scan) -> Result<(), HeadError> {
        let mut storage = [MaybeUninit::uninit(); FIELDS_CEILING];
        let room = self.limits.fields.min(FIELDS_CEILING);
        let mut parsed = httparse::Response::new(&mut []);
        let status = httparse::ParserConfig::default()
            .parse_response_with_uninit_headers(&mut parsed, head, &mut storage[..room])
            .map_err(|error| match error {
                httparse::Error::Version => scan::version_problem(head.get(..8).unwrap_or_default()),
                httparse::Error::Token | httparse::Error::Status => HeadError::StatusLine,
                other => field_problem(other),
            })?;
        let (Some(minor), Some(code), Some(reason)) = (parsed.version, parsed.code, parsed.reason) else {
            return Err(HeadError::StatusLine);
        };
        if status != httparse::Status::Complete(head.len()) || parsed.headers.len() + 2 != scan.lines {
            return Err(HeadError::LineEnding);
        }
        // RFC 9110 15: a status is a number from 100 to 599.
        if !(100..=599).contains(&code) {
            return Err(HeadError::StatusLine);
        }
        self.version = if minor == 0 {
            Version::Http10
        } else {
            Version::Http11
        };
        self.status = code;
        let reason_start = "HTTP/1.1 200 ".len();
        self.reason = match reason {
            "" => Span::default(),
            _ => Span::new(reason_start, reason_start + reason.len()),
        };
        self.length = head.len();
        if self
            .fields
            .fill(head, parsed.headers, head.len() - 2, self.limits.field_bytes)
        {
            Ok(())
        } else {
            Err(HeadError::FieldTooLarge)
        }
    }
}

/// RFC 9112 3.2 and RFC 3986: a target is ASCII, without spaces and controls, and has no fragment. Written
/// without an early exit so that it becomes vector code.
#[inline]
fn has_bad_target_byte(target: &[u8]) -> bool {
    target.iter().fold(false, |bad, &byte| {
        bad | (byte.wrapping_sub(b'!') > b'~' - b'!') | (byte == b'#')
    })
}

#[cold]
pub(crate) fn field_problem(error: httparse::Error) -> HeadError {
    match error {
        httparse::Error::HeaderName => HeadError::FieldName,
        httparse::Error::HeaderValue => HeadError::FieldValue,
        httparse::Error::TooManyHeaders => HeadError::TooManyFields,
        httparse::Error::NewLine => HeadError::LineEnding,
        httparse::Error::Token | httparse::Error::Status | httparse::Error::Version => HeadError::RequestLine,
    }
}

#[inline]
fn is_first_byte(byte: u8) -> bool {
    is_token_byte(byte)
}

#[cfg(test)]
pub(crate) mod tests;
