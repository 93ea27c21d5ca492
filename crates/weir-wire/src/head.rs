//! Heads of requests and responses (RFC 9112 2 to 5): the one representation of a header section in weir.
//!
//! [`RequestHead`] and [`ResponseHead`] are reusable objects. `parse` looks at the bytes from the start of a
//! message and either fills the object with offsets into them or asks for more. The parser runs on the first
//! bytes, which mostly are the whole head, and if not then once more on the complete head; in between each byte is
//! scanned once for the end, however slowly the bytes come.
//!
//! The lines themselves are read by [`lines`], strictly and once. `httparse` read them before; it takes bare LF,
//! several empty lines, any high byte in a target and `#`, so that each line had to be looked at again. It still
//! checks this parser in tests: what this one takes, that one takes too, with the same parts.

use crate::target::Target;
use crate::{Fields, HeadError, Method, Span, Version};

pub(crate) mod lines;
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
            fields: Fields::roomy(),
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
        let Some(line) = lines::request_line(bytes, start)? else {
            return Ok(false);
        };
        if line.target.len() > self.limits.target_bytes {
            return Err(HeadError::TargetTooLong);
        }
        if line.method.len() > METHOD_BYTES {
            return Err(HeadError::RequestLine);
        }
        let room = self.limits.fields.min(FIELDS_CEILING);
        let end = lines::field_lines(&mut self.fields, bytes, line.end, room, self.limits.field_bytes)?;
        let Some(length) = end else {
            self.fields.clear();
            return Ok(false);
        };
        if length > self.limits.head_bytes {
            return Err(HeadError::HeadTooLarge);
        }
        let (method, target) = (Span::new(line.method.start, line.method.end), line.target);
        self.method = Method::parse(method.of(bytes), method);
        self.target = Span::new(target.start, target.end);
        self.form =
            Target::parse(self.method, &bytes[target.clone()], target.start).ok_or(HeadError::Target)?;
        self.version = line.version;
        self.length = length;
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
            fields: Fields::roomy(),
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
        let Some(line) = lines::status_line(bytes)? else {
            return Ok(false);
        };
        let room = self.limits.fields.min(FIELDS_CEILING);
        let end = lines::field_lines(&mut self.fields, bytes, line.end, room, self.limits.field_bytes)?;
        let Some(length) = end else {
            self.fields.clear();
            return Ok(false);
        };
        if length > self.limits.head_bytes {
            return Err(HeadError::HeadTooLarge);
        }
        self.version = line.version;
        self.status = line.status;
        self.reason = if line.reason.is_empty() {
            Span::default()
        } else {
            Span::new(line.reason.start, line.reason.end)
        };
        self.length = length;
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

#[cfg(test)]
pub(crate) mod tests;
