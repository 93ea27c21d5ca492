//! Finding the end of a head while it arrives, each byte looked at once.

use super::{HeadLimits, METHOD_BYTES};
use crate::HeadError;
use crate::token::{is_token, is_token_byte};

/// How far the search for the empty line has come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Scan {
    /// Offset of the start line: 2 after an empty line, else 0.
    pub(super) start: usize,
    /// Offset behind the start line; 0 while it has not ended.
    first_line_end: usize,
    line_start: usize,
    scanned: usize,
}

impl Scan {
    /// Has a head begun that is not complete?
    #[inline]
    pub(super) fn is_begun(&self) -> bool {
        self.scanned > 0
    }

    #[cfg(test)]
    pub(super) fn scanned(&self) -> usize {
        self.scanned
    }

    /// The offset behind the empty line that ends a request head.
    #[inline]
    pub(super) fn request_end(
        &mut self,
        bytes: &[u8],
        limits: &HeadLimits,
    ) -> Result<Option<usize>, HeadError> {
        if self.start == 0 && bytes.first() == Some(&b'\r') {
            match bytes.get(1) {
                // RFC 9112 2.2: a server ignores an empty line before a request line. One, not many.
                Some(b'\n') => {
                    self.start = 2;
                    self.line_start = 2;
                    self.scanned = 2;
                }
                Some(_) => return Err(HeadError::LineEnding),
                None => return Ok(None),
            }
        }
        if let Some(&first) = bytes.get(self.start)
            && !is_token_byte(first)
        {
            let is_line_end = first == b'\r' || first == b'\n';
            return Err(if is_line_end {
                HeadError::LineEnding
            } else {
                HeadError::RequestLine
            });
        }
        match self.end(bytes)? {
            Some(end) if end <= limits.head_bytes => Ok(Some(end)),
            None if bytes.len() < limits.head_bytes => {
                let is_line_long = bytes.len() - self.start.min(bytes.len()) > limits.target_bytes;
                if self.first_line_end == 0 && is_line_long {
                    self.check_open_line(bytes, limits)?;
                }
                Ok(None)
            }
            _ => Err(self.too_large(bytes, limits)),
        }
    }

    /// The offset behind the empty line that ends a response head.
    #[inline]
    pub(super) fn response_end(
        &mut self,
        bytes: &[u8],
        limits: &HeadLimits,
    ) -> Result<Option<usize>, HeadError> {
        if bytes.first().is_some_and(|&first| first != b'H') {
            return Err(HeadError::StatusLine);
        }
        match self.end(bytes)? {
            Some(end) if end <= limits.head_bytes => Ok(Some(end)),
            None if bytes.len() < limits.head_bytes => Ok(None),
            _ => Err(HeadError::HeadTooLarge),
        }
    }

    #[inline]
    fn end(&mut self, bytes: &[u8]) -> Result<Option<usize>, HeadError> {
        let scanned = self.scanned.min(bytes.len());
        for offset in memchr::memchr_iter(b'\n', &bytes[scanned..]) {
            let position = scanned + offset;
            // RFC 9112 2.2: bare LF is refused though a recipient may take it; two readings, one smuggled head.
            if position == 0 || bytes[position - 1] != b'\r' {
                return Err(HeadError::LineEnding);
            }
            if self.first_line_end == 0 {
                self.first_line_end = position + 1;
            } else if position == self.line_start + 1 {
                return Ok(Some(position + 1));
            }
            self.line_start = position + 1;
        }
        self.scanned = bytes.len();
        Ok(None)
    }

    /// The request line has no end yet and is longer than any good one.
    #[cold]
    fn check_open_line(&self, bytes: &[u8], limits: &HeadLimits) -> Result<(), HeadError> {
        let line = bytes.get(self.start..).unwrap_or_default();
        let method = &line[..line.len().min(METHOD_BYTES + 1)];
        let Some(space) = method.iter().position(|&byte| byte == b' ') else {
            return Err(HeadError::RequestLine);
        };
        let rest = &line[space + 1..];
        let target = rest.get(..=limits.target_bytes).unwrap_or(rest);
        let is_ended = target.contains(&b' ');
        if !is_ended && rest.len() > limits.target_bytes {
            return Err(HeadError::TargetTooLong);
        }
        Ok(())
    }

    /// What is wrong with a request line that the parser refused.
    #[cold]
    pub(super) fn request_line_problem(&self, bytes: &[u8], limits: &HeadLimits) -> HeadError {
        let line_end = if self.first_line_end == 0 {
            bytes.len()
        } else {
            self.first_line_end
        };
        let line = bytes.get(self.start..line_end).unwrap_or_default();
        let line = line.strip_suffix(b"\r\n").unwrap_or(line);
        if line.contains(&b'\r') {
            return HeadError::LineEnding;
        }
        let mut parts = line.split(|&byte| byte == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return HeadError::RequestLine;
        };
        if !is_token(method) || method.len() > METHOD_BYTES {
            return HeadError::RequestLine;
        }
        if target.len() > limits.target_bytes {
            return HeadError::TargetTooLong;
        }
        if target.is_empty() || super::has_bad_target_byte(target) {
            return HeadError::Target;
        }
        version_problem(version)
    }

    /// Which limit a head that is too large breaks first: a long target is told as such.
    #[cold]
    fn too_large(&self, bytes: &[u8], limits: &HeadLimits) -> HeadError {
        let line_end = if self.first_line_end == 0 {
            bytes.len()
        } else {
            self.first_line_end
        };
        let line = bytes.get(self.start..line_end).unwrap_or_default();
        let target = line.splitn(3, |&byte| byte == b' ').nth(1).unwrap_or_default();
        if target.len() > limits.target_bytes {
            HeadError::TargetTooLong
        } else {
            HeadError::HeadTooLarge
        }
    }
}

/// What is wrong with a status line that the parser refused.
#[cold]
pub(super) fn status_line_problem(bytes: &[u8]) -> HeadError {
    let version = bytes.get(..8).unwrap_or(bytes);
    if version.starts_with(b"HTTP/1.0") || version.starts_with(b"HTTP/1.1") {
        return HeadError::StatusLine;
    }
    version_problem(version)
}

/// RFC 9112 2.3: `HTTP/` DIGIT `.` DIGIT, and case matters. A version that reads as one is answered 505.
#[cold]
fn version_problem(version: &[u8]) -> HeadError {
    match version {
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            HeadError::VersionUnsupported
        }
        _ => HeadError::Version,
    }
}
