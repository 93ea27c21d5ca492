//! The lines of a head (RFC 9112 3 to 5), each byte looked at once.
//!
//! One grammar: lines end in CR LF and in nothing else, one space where the grammar has SP, no folding. Functions
//! return `None` where the bytes end before the line does.

use std::ops::Range;

use crate::token::{is_token_byte, is_value_byte};
use crate::{Field, Fields, HeadError, Known, Span, Version};

/// The parts of a request line; `end` is behind its CR LF.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RequestLine {
    pub(super) method: Range<usize>,
    pub(super) target: Range<usize>,
    pub(super) version: Version,
    pub(super) end: usize,
}

/// The parts of a status line; `end` is behind its CR LF.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StatusLine {
    pub(super) version: Version,
    pub(super) status: u16,
    /// Empty also when the phrase has bytes from 0x80.
    pub(super) reason: Range<usize>,
    pub(super) end: usize,
}

/// `method SP target SP version CR LF` (RFC 9112 3). What exactly is wrong with a line that is refused is found
/// out elsewhere.
#[inline]
pub(super) fn request_line(bytes: &[u8], start: usize) -> Result<Option<RequestLine>, HeadError> {
    let method = start..start + token_length(bytes.get(start..).unwrap_or_default());
    let target_start = method.end + 1;
    match bytes.get(method.end) {
        None => return Ok(None),
        Some(b' ') if !method.is_empty() => {}
        // The first half of an empty line in front.
        Some(b'\r') if bytes.len() == 1 => return Ok(None),
        Some(_) => return Err(HeadError::RequestLine),
    }
    let rest = bytes.get(target_start..).unwrap_or_default();
    let target = target_start..target_start + rest.iter().take_while(|byte| is_target_byte(**byte)).count();
    let version_end = target.end + " HTTP/1.1\r\n".len();
    let version = match bytes.get(target.end..version_end) {
        None => return Ok(None),
        // Compared, not matched: a pattern is tested byte by byte.
        Some(rest) if rest == b" HTTP/1.1\r\n" && !target.is_empty() => Version::Http11,
        Some(rest) if rest == b" HTTP/1.0\r\n" && !target.is_empty() => Version::Http10,
        Some([b' ', b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0' | b'1', ..]) => {
            return Err(HeadError::LineEnding);
        }
        Some(_) => return Err(HeadError::RequestLine),
    };
    Ok(Some(RequestLine {
        method,
        target,
        version,
        end: version_end,
    }))
}

/// `version SP status [SP reason] CR LF`. RFC 9112 4 wants the second SP also before an empty phrase; many servers
/// leave it out, and nothing can be read differently without it.
#[inline]
pub(super) fn status_line(bytes: &[u8]) -> Result<Option<StatusLine>, HeadError> {
    const USUAL: &[u8] = b"HTTP/1.1 200 OK\r\n";
    if bytes.starts_with(USUAL) {
        return Ok(Some(StatusLine {
            version: Version::Http11,
            status: 200,
            reason: USUAL.len() - 4..USUAL.len() - 2,
            end: USUAL.len(),
        }));
    }
    let version = match bytes.get(..9) {
        None => return Ok(None),
        Some(b"HTTP/1.1 ") => Version::Http11,
        Some(b"HTTP/1.0 ") => Version::Http10,
        Some(_) => return Err(HeadError::StatusLine),
    };
    let Some(
        [
            hundreds @ b'1'..=b'5',
            tens @ b'0'..=b'9',
            ones @ b'0'..=b'9',
            behind,
        ],
    ) = bytes.get(9..13)
    else {
        return if bytes.len() < 13 {
            Ok(None)
        } else {
            Err(HeadError::StatusLine)
        };
    };
    let digit = |byte: &u8| u16::from(byte - b'0');
    let status = digit(hundreds) * 100 + digit(tens) * 10 + digit(ones);
    let reason_start = match behind {
        b' ' => 13,
        b'\r' => 12,
        _ => return Err(HeadError::StatusLine),
    };
    let reason_end = reason_start + value_length(bytes.get(reason_start..).unwrap_or_default());
    match bytes.get(reason_end..reason_end + 2) {
        Some(b"\r\n") => {}
        Some(_) => return Err(HeadError::StatusLine),
        None if matches!(bytes.get(reason_end), None | Some(b'\r')) => return Ok(None),
        None => return Err(HeadError::StatusLine),
    }
    let reason = reason_start..reason_end;
    let is_ascii = bytes.get(reason.clone()).is_some_and(<[u8]>::is_ascii);
    let reason = if is_ascii { reason } else { 0..0 };
    Ok(Some(StatusLine {
        version,
        status,
        reason,
        end: reason_end + 2,
    }))
}

/// Field lines (RFC 9112 5) from `start` up to and with the empty line; the offset behind it.
#[inline]
pub(crate) fn field_lines(
    fields: &mut Fields,
    bytes: &[u8],
    start: usize,
    fields_max: usize,
    field_bytes_max: usize,
) -> Result<Option<usize>, HeadError> {
    let mut at = start;
    loop {
        let Some(rest) = bytes.get(at..) else {
            return Ok(None);
        };
        match rest {
            [b'\r', b'\n', ..] => return Ok(Some(at + 2)),
            [] | [b'\r'] => return Ok(None),
            [b'\r', ..] => return Err(HeadError::LineEnding),
            // Also what a folded line begins with (RFC 9112 5.2).
            [first, ..] if !is_token_byte(*first) => return Err(HeadError::FieldName),
            _ if fields.len() == fields_max => return Err(HeadError::TooManyFields),
            _ => {}
        }
        let Some(name_length) = colon(rest) else {
            let is_open = token_length(rest) == rest.len();
            return if is_open {
                Ok(None)
            } else {
                Err(HeadError::FieldName)
            };
        };
        // RFC 9112 5.1: no space between name and colon.
        let Some(known) = Known::of_token(&rest[..name_length]) else {
            return Err(HeadError::FieldName);
        };
        let behind = &rest[name_length + 1..];
        let space = space_length(behind);
        let value = &behind[space..];
        let line_length = value_length(value);
        match value[line_length..] {
            [b'\r', b'\n', ..] => {}
            [] | [b'\r'] => return Ok(None),
            _ => return Err(HeadError::FieldValue),
        }
        let length = trimmed_length(&value[..line_length]);
        if name_length + length > field_bytes_max {
            return Err(HeadError::FieldTooLarge);
        }
        let value_start = at + name_length + 1 + space;
        fields.push(Field {
            known,
            is_canonical: space == 1 && behind[0] == b' ' && length == line_length,
            name: Span::new(at, at + name_length),
            value: Span::new(value_start, value_start + length),
        });
        at = value_start + line_length + 2;
    }
}

/// Length of the token at the start of `bytes`.
#[inline]
fn token_length(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| is_token_byte(**byte)).count()
}

/// RFC 9112 3.2 and RFC 3986: a target is visible ASCII and has no fragment.
#[inline]
fn is_target_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'#'
}

/// Length of the run of spaces and tabs at the start of `bytes`; mostly there is one.
#[inline]
fn space_length(bytes: &[u8]) -> usize {
    match bytes {
        [b' ', second, ..] if !is_space(second) => 1,
        _ => bytes.iter().take_while(|byte| is_space(byte)).count(),
    }
}

/// Length of `value` without the spaces and tabs at its end.
#[inline]
fn trimmed_length(value: &[u8]) -> usize {
    match value {
        [.., last] if is_space(last) => value
            .iter()
            .rposition(|byte| !is_space(byte))
            .map_or(0, |last| last + 1),
        _ => value.len(),
    }
}

#[inline]
fn is_space(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Length of the run of value bytes (RFC 9110 5.5) at the start of `bytes`. Looks for controls in eight bytes at a
/// time; only behind a tab, the one control that may stand in a value, it goes on byte by byte.
#[inline]
fn value_length(bytes: &[u8]) -> usize {
    let (words, tail) = bytes.as_chunks();
    let mut length = bytes.len() - tail.len();
    for (index, word) in words.iter().enumerate() {
        let offset = first_control(u64::from_le_bytes(*word));
        if offset < 8 {
            length = index * 8 + offset;
            if bytes[length] != b'\t' {
                return length;
            }
            break;
        }
    }
    let rest = &bytes[length..];
    length + rest.iter().take_while(|byte| is_value_byte(**byte)).count()
}

/// Offset of the first colon.
#[inline]
fn colon(bytes: &[u8]) -> Option<usize> {
    let (words, tail) = bytes.as_chunks();
    for (index, word) in words.iter().enumerate() {
        let others = u64::from_le_bytes(*word) ^ (ONES * b':' as u64);
        let found = others.wrapping_sub(ONES) & !others & HIGH;
        if found != 0 {
            return Some(index * 8 + (found.trailing_zeros() / 8) as usize);
        }
    }
    tail.iter()
        .position(|byte| *byte == b':')
        .map(|offset| bytes.len() - tail.len() + offset)
}

const ONES: u64 = u64::MAX / 0xff;
const HIGH: u64 = ONES << 7;

/// Offset of the first byte in `word` that is below 0x20 or 0x7f; 8 when there is none. The borrow of a byte that is
/// found disturbs only those behind it, so the first one is exact.
#[inline]
fn first_control(word: u64) -> usize {
    let below = word.wrapping_sub(ONES * 0x20) & !word;
    let deleted = word ^ (ONES * 0x7f);
    let is_deleted = deleted.wrapping_sub(ONES) & !deleted;
    (((below | is_deleted) & HIGH).trailing_zeros() / 8) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_value_bytes_end_exactly() {
        for length in 0..40 {
            for stop in 0..=255_u8 {
                let mut bytes = vec![b'v'; length];
                bytes.push(stop);
                bytes.extend_from_slice(b"more and more and more");
                let expected = if is_value_byte(stop) { bytes.len() } else { length };
                assert_eq!(value_length(&bytes), expected, "{stop:#x} behind {length}");
            }
        }
        assert_eq!(value_length("\u{e9}\t\u{e9}\t".repeat(5).as_bytes()), 30);
    }

    #[test]
    fn a_line_that_goes_on_is_told_from_one_that_is_wrong() {
        let line = b"GET /a HTTP/1.0\r\n";
        for end in 0..line.len() {
            assert_eq!(request_line(&line[..end], 0), Ok(None), "{end}");
        }
        let parts = request_line(line, 0).unwrap().unwrap();
        assert_eq!((parts.method, parts.target, parts.end), (0..3, 4..6, line.len()));
        let line = b"HTTP/1.1 404 Not Found\r\n";
        for end in 0..line.len() {
            assert_eq!(status_line(&line[..end]), Ok(None), "{end}");
        }
        assert_eq!(status_line(line).unwrap().unwrap().reason, 13..22);
        let lines = b"a: b\r\nc:d\r\n\r\n";
        for end in 0..lines.len() {
            assert_eq!(
                field_lines(&mut Fields::default(), &lines[..end], 0, 9, 99),
                Ok(None),
                "{end}"
            );
        }
    }
}
