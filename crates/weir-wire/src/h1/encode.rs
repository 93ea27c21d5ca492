//! Writing heads (RFC 9112 2 to 5) into a buffer.
//!
//! Two paths. What a parser of this crate has checked is copied ([`fields`], [`field_line`]), whole lines at a
//! time where they are written as weir writes them. What comes from elsewhere - configuration, templates,
//! redirects, cookies - goes through the `*_checked` functions, which refuse what could end a line and so split
//! the message (RFC 9112 11.1); nothing is written then.

use super::status::reason_phrase;
use crate::token::{is_token, is_value_byte};
use crate::{Field, Fields};

/// Why a piece of a head may not be written. weir's or its configuration's fault, never the client's: answer 500.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodeError {
    /// A field name that is no token.
    Name,
    /// A field value with a control byte, or with space at its ends.
    Value,
    /// A method that is no token.
    Method,
    /// A request target that is empty or has bytes that no target may have.
    Target,
}

impl std::fmt::Display for EncodeError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Name => "a field name is no token",
            Self::Value => "a field value has a control byte, or space at its ends",
            Self::Method => "a method is no token",
            Self::Target => "a request target is empty or has a byte that no target may have",
        })
    }
}

impl std::error::Error for EncodeError {}

/// `method SP target SP HTTP/1.1`, from checked parts.
#[inline]
pub fn request_line(out: &mut Vec<u8>, method: &[u8], target: &[u8]) {
    debug_assert!(
        is_token(method) && is_target(target),
        "the parts of a request line are checked before"
    );
    out.reserve(method.len() + target.len() + 12);
    out.extend_from_slice(method);
    out.push(b' ');
    out.extend_from_slice(target);
    out.extend_from_slice(b" HTTP/1.1\r\n");
}

/// The same from parts that nobody has checked.
pub fn request_line_checked(out: &mut Vec<u8>, method: &[u8], target: &[u8]) -> Result<(), EncodeError> {
    if !is_token(method) {
        return Err(EncodeError::Method);
    }
    if !is_target(target) {
        return Err(EncodeError::Target);
    }
    request_line(out, method, target);
    Ok(())
}

/// `HTTP/1.1 SP status SP reason`. The upstream's own phrase is not passed on (RFC 9112 4: it means nothing).
#[inline]
pub fn status_line(out: &mut Vec<u8>, status: u16) {
    debug_assert!((100..=999).contains(&status), "a status has three digits");
    if status == 200 {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        return;
    }
    let digit = |value: u16| b'0' + (value % 10) as u8;
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(&[digit(status / 100), digit(status / 10), digit(status), b' ']);
    out.extend_from_slice(reason_phrase(status).as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// `name: value`, from checked parts.
#[inline]
pub fn field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    debug_assert!(
        is_token(name) && is_value(value),
        "the parts of a field are checked before"
    );
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// The same from parts that nobody has checked. On an error nothing is written.
pub fn field_checked(out: &mut Vec<u8>, name: &[u8], value: &[u8]) -> Result<(), EncodeError> {
    if !is_token(name) {
        return Err(EncodeError::Name);
    }
    if !is_value(value) {
        return Err(EncodeError::Value);
    }
    field(out, name, value);
    Ok(())
}

/// `name: number`.
#[inline]
pub fn field_number(out: &mut Vec<u8>, name: &[u8], number: u64) {
    let mut digits = [0; 20];
    field(out, name, decimal(number, &mut digits));
}

/// One parsed field; `bytes` is the slice it was parsed from.
#[inline]
pub fn field_line(out: &mut Vec<u8>, bytes: &[u8], parsed: &Field) {
    field(out, parsed.name.of(bytes), parsed.value.of(bytes));
}

/// All parsed fields, in order.
#[inline]
pub fn all_fields(out: &mut Vec<u8>, bytes: &[u8], parsed: &Fields) {
    let list = parsed.as_slice();
    if let (Some(first), Some(last)) = (list.first(), list.last())
        && parsed.are_canonical()
    {
        let run = first.name.start as usize..line_end(last);
        out.extend_from_slice(bytes.get(run).unwrap_or_default());
    } else {
        fields(out, bytes, parsed, |_| true);
    }
}

/// The parsed fields that `keep` wants, in order. Neighbours that are written as weir writes them are copied in
/// one piece.
#[inline]
pub fn fields(out: &mut Vec<u8>, bytes: &[u8], parsed: &Fields, mut keep: impl FnMut(&Field) -> bool) {
    // The run of canonical lines not written yet.
    let mut run = 0..0;
    for one in parsed {
        let start = one.name.start as usize;
        let is_kept = keep(one);
        if is_kept && one.is_canonical && run.end == start {
            run.end = line_end(one);
            continue;
        }
        out.extend_from_slice(bytes.get(run.clone()).unwrap_or_default());
        run = 0..0;
        if is_kept && one.is_canonical {
            run = start..line_end(one);
        } else if is_kept {
            field_line(out, bytes, one);
        }
    }
    out.extend_from_slice(bytes.get(run).unwrap_or_default());
}

/// The empty line that ends a head.
#[inline]
pub fn end(out: &mut Vec<u8>) {
    out.extend_from_slice(b"\r\n");
}

/// A whole answer that weir makes itself: status line, `content-type` (when there is a body), `content-length`,
/// `connection: close` when the connection ends, and the body unless the request was `HEAD`.
pub fn answer(out: &mut Vec<u8>, status: u16, body: &str, is_close: bool, is_head: bool) {
    status_line(out, status);
    // RFC 9110 8.6: no length in 1xx and 204.
    if status >= 200 && status != 204 {
        if !body.is_empty() {
            field(out, b"content-type", b"text/plain; charset=utf-8");
        }
        field_number(out, b"content-length", body.len() as u64);
    }
    if is_close {
        field(out, b"connection", b"close");
    }
    end(out);
    if !is_head && status >= 200 && status != 204 && status != 304 {
        out.extend_from_slice(body.as_bytes());
    }
}

/// `HTTP/1.1 100 Continue` with its empty line.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Is `value` good as a field value: no control bytes, no space or tab at its ends (RFC 9110 5.5)?
#[must_use]
pub fn is_value(value: &[u8]) -> bool {
    let is_space = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    value.iter().all(|&byte| is_value_byte(byte)) && !is_space(value.first()) && !is_space(value.last())
}

/// Is `target` good as a request target: visible ASCII without `#` (RFC 9112 3.2), and not empty?
#[must_use]
pub fn is_target(target: &[u8]) -> bool {
    !target.is_empty() && target.iter().all(|&byte| byte.is_ascii_graphic() && byte != b'#')
}

#[inline]
fn line_end(parsed: &Field) -> usize {
    parsed.value.end() + 2
}

#[inline]
fn decimal(mut number: u64, digits: &mut [u8; 20]) -> &[u8] {
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return &digits[start..];
        }
    }
}

#[cfg(test)]
mod tests;
