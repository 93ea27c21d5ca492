//! Heads of requests and responses (RFC 9112 2 to 5): the one representation of a header section in weir.
//!
//! [`RequestHead`] and [`ResponseHead`] are reusable objects. `parse` looks at the bytes from the start of a
//! message and either fills the object with offsets into them or asks for more. The parser runs on the first
//! bytes, which mostly are the whole head, and if not then once more on the complete head; in between each byte is
//! scanned once for the end, however slowly the bytes come.
//!
//! `httparse` is the engine. It takes bare LF, several empty lines, any high byte in a target and `#`. What
//! follows it accounts for every byte between the pieces that it has found, and refuses the rest.

use std::mem::MaybeUninit;

use crate::target::Target;
use crate::{Fields, HeadError, Method, Span, Version};

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
        if self.scan.is_begun() {
            return self.resume(bytes);
        }
        self.clear();
        let start = if bytes.starts_with(b"\r\n") { 2 } else { 0 };
        // Most heads are complete at first sight: then nothing but the parser looks at all bytes.
        match self.fill(bytes, start) {
            Ok(true) => Ok(Progress::Complete),
            Ok(false) => self.resume(bytes),
            Err(error) => Err(self.refuse(error, bytes)),
        }
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

    /// Goes on looking for the end of a head that was not complete before, and parses it once it is there.
    #[inline(never)]
    fn resume(&mut self, bytes: &[u8]) -> Result<Progress, HeadError> {
        let outcome = match self.scan.request_end(bytes, &self.limits) {
            Ok(None) => return Ok(Progress::Partial),
            Ok(Some(end)) => self.fill(&bytes[..end], self.scan.start),
            Err(error) => {
                self.clear();
                return Err(error);
            }
        };
        match outcome {
            Ok(true) => {
                self.scan = Scan::default();
                Ok(Progress::Complete)
            }
            // The scan has seen an empty line where the parser sees none.
            Ok(false) => Err(self.refuse(HeadError::LineEnding, bytes)),
            Err(error) => Err(self.refuse(error, bytes)),
        }
    }

    /// Says as exactly as can be told what is wrong, and forgets the head.
    #[cold]
    fn refuse(&mut self, error: HeadError, bytes: &[u8]) -> HeadError {
        self.clear();
        let mut scan = Scan::default();
        match scan.request_end(bytes, &self.limits) {
            Err(scanned) => scanned,
            Ok(_) if error == HeadError::RequestLine => scan.request_line_problem(bytes, &self.limits),
            Ok(_) => error,
        }
    }

    /// `false` when the head is not complete. On an error the object may be half filled.
    #[inline]
    fn fill(&mut self, bytes: &[u8], start: usize) -> Result<bool, HeadError> {
        let mut storage = [MaybeUninit::uninit(); FIELDS_CEILING];
        let room = self.limits.fields.min(FIELDS_CEILING);
        let mut parsed = httparse::Request::new(&mut []);
        let length = match parsed.parse_with_uninit_headers(&bytes[start..], &mut storage[..room]) {
            Ok(httparse::Status::Complete(length)) => start + length,
            Ok(httparse::Status::Partial) => return Ok(false),
            Err(error) => return Err(parser_problem(error, HeadError::RequestLine)),
        };
        let (Some(method), Some(target), Some(minor)) = (parsed.method, parsed.path, parsed.version) else {
            return Err(HeadError::RequestLine);
        };
        if target.len() > self.limits.target_bytes {
            return Err(HeadError::TargetTooLong);
        }
        if length > self.limits.head_bytes {
            return Err(HeadError::HeadTooLarge);
        }
        // RFC 9112 3: one SP on each side of the target, and nothing else in the line.
        let target_start = start + method.len() + 1;
        let target_end = target_start + target.len();
        let line_end = target_end + " HTTP/1.1\r\n".len();
        let is_line_whole = bytes.get(line_end - 2..line_end) == Some(b"\r\n");
        if !is_line_whole || is_elsewhere(target, bytes, target_start) {
            return Err(HeadError::LineEnding);
        }
        if method.len() > METHOD_BYTES {
            return Err(HeadError::RequestLine);
        }
        if has_bad_target_byte(target.as_bytes()) {
            return Err(HeadError::Target);
        }
        self.method = Method::parse(method.as_bytes(), Span::new(start, target_start - 1));
        self.target = Span::new(target_start, target_end);
        self.form = Target::parse(self.method, target.as_bytes(), target_start).ok_or(HeadError::Target)?;
        self.version = if minor == 0 {
            Version::Http10
        } else {
            Version::Http11
        };
        self.length = length;
        self.fields.fill(
            &bytes[..length],
            line_end,
            parsed.headers,
            self.limits.field_bytes,
        )?;
        Ok(true)
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
        if self.scan.is_begun() {
            return self.resume(bytes);
        }
        self.clear();
        match self.fill(bytes) {
            Ok(true) => Ok(Progress::Complete),
            Ok(false) => self.resume(bytes),
            Err(error) => Err(self.refuse(error, bytes)),
        }
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

    #[inline(never)]
    fn resume(&mut self, bytes: &[u8]) -> Result<Progress, HeadError> {
        let outcome = match self.scan.response_end(bytes, &self.limits) {
            Ok(None) => return Ok(Progress::Partial),
            Ok(Some(end)) => self.fill(&bytes[..end]),
            Err(error) => {
                self.clear();
                return Err(error);
            }
        };
        match outcome {
            Ok(true) => {
                self.scan = Scan::default();
                Ok(Progress::Complete)
            }
            Ok(false) => Err(self.refuse(HeadError::LineEnding, bytes)),
            Err(error) => Err(self.refuse(error, bytes)),
        }
    }

    #[cold]
    fn refuse(&mut self, error: HeadError, bytes: &[u8]) -> HeadError {
        self.clear();
        match Scan::default().response_end(bytes, &self.limits) {
            Err(scanned) => scanned,
            Ok(_) if error == HeadError::StatusLine => scan::status_line_problem(bytes),
            Ok(_) => error,
        }
    }

    /// `false` when the head is not complete. On an error the object may be half filled.
    #[inline]
    fn fill(&mut self, bytes: &[u8]) -> Result<bool, HeadError> {
        let mut storage = [MaybeUninit::uninit(); FIELDS_CEILING];
        let room = self.limits.fields.min(FIELDS_CEILING);
        let mut parsed = httparse::Response::new(&mut []);
        let config = httparse::ParserConfig::default();
        let outcome = config.parse_response_with_uninit_headers(&mut parsed, bytes, &mut storage[..room]);
        let length = match outcome {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(false),
            Err(error) => return Err(parser_problem(error, HeadError::StatusLine)),
        };
        let (Some(minor), Some(code), Some(reason)) = (parsed.version, parsed.code, parsed.reason) else {
            return Err(HeadError::StatusLine);
        };
        if length > self.limits.head_bytes {
            return Err(HeadError::HeadTooLarge);
        }
        // RFC 9110 15: a status is a number from 100 to 599.
        if !(100..=599).contains(&code) || !bytes.starts_with(b"HTTP/1.") {
            return Err(HeadError::StatusLine);
        }
        let line_end = memchr::memchr(b'\n', bytes).map_or(0, |line_feed| line_feed + 1);
        if !bytes[..line_end].ends_with(b"\r\n") {
            return Err(HeadError::LineEnding);
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
        self.length = length;
        self.fields.fill(
            &bytes[..length],
            line_end,
            parsed.headers,
            self.limits.field_bytes,
        )?;
        Ok(true)
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

/// Is `part` not the piece of `bytes` that begins at `start`?
#[inline]
fn is_elsewhere(part: &str, bytes: &[u8], start: usize) -> bool {
    part.as_ptr() as usize != bytes.as_ptr() as usize + start
}

/// What the parser's complaint means; `first_line` when it is about the first line.
#[cold]
pub(crate) fn parser_problem(error: httparse::Error, first_line: HeadError) -> HeadError {
    match error {
        httparse::Error::HeaderName => HeadError::FieldName,
        httparse::Error::HeaderValue => HeadError::FieldValue,
        httparse::Error::TooManyHeaders => HeadError::TooManyFields,
        httparse::Error::NewLine => HeadError::LineEnding,
        httparse::Error::Token | httparse::Error::Status | httparse::Error::Version => first_line,
    }
}

#[cfg(test)]
pub(crate) mod tests;
