//! Normalising a path (RFC 3986 6.2.2), so that what weir matches is what the backend gets.
//!
//! Repeated slashes are merged, then dot segments resolved (so `/a//../b` is `/b`), escapes of unreserved
//! characters decoded, the hex digits of the other escapes made upper case. Refused is what backends read in
//! different ways, because a route could be passed by it: escaped slashes, backslashes and NUL, dot segments that
//! climb above the root (RFC 3986 5.2.4 would ignore them; only attacks need that), dot segments with a parameter
//! (`/..;x/`, which some servers resolve after routing), and `%` without two hex digits. Other escapes stay as
//! they are, also those of bytes that are no UTF-8: nothing here decodes them.

use std::borrow::Cow;

/// A path and a query, ready to be matched and forwarded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NormalPath<'a> {
    /// Begins with `/`. Borrowed when the client wrote it so.
    pub path: Cow<'a, str>,
    /// What follows the first `?`, as written; `None` without `?`.
    pub query: Option<&'a str>,
}

/// Why a path is refused: the client's fault, 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathError {
    /// It does not begin with `/`.
    Form,
    /// A control byte, a space, a byte from 0x80, `#` or `\`.
    Byte,
    /// `%` without two hex digits.
    Escape,
    /// `%00`, `%2F` or `%5C`.
    EscapeForbidden,
    /// `..` above the root.
    AboveRoot,
    /// `.` or `..` with a parameter: `..;x`.
    DotParameter,
}

impl PathError {
    /// The status to answer with.
    #[must_use]
    pub fn status(self) -> u16 {
        400
    }

    /// A stable word for logs and metrics.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Form => "path_form",
            Self::Byte => "path_byte",
            Self::Escape => "path_escape",
            Self::EscapeForbidden => "path_escape_forbidden",
            Self::AboveRoot => "path_above_root",
            Self::DotParameter => "path_dot_parameter",
        }
    }
}

impl std::fmt::Display for PathError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "the path is refused: {}", self.reason())
    }
}

impl std::error::Error for PathError {}

/// Normalises path and query of an origin-form or absolute-form target ([`crate::Target::path`]). An empty path
/// becomes `/` (RFC 9112 3.2.1); an empty `target` too.
#[inline]
pub fn normalise(target: &[u8]) -> Result<NormalPath<'_>, PathError> {
    let Scan { path_end, is_clean } = scan(target)?;
    let (path, rest) = target.split_at(path_end);
    let query = match rest {
        [b'?', query @ ..] => Some(text(query)?),
        _ => None,
    };
    let path = match path {
        [] => Cow::Borrowed("/"),
        _ if is_clean => Cow::Borrowed(text(path)?),
        _ => Cow::Owned(rewrite(path)?),
    };
    Ok(NormalPath { path, query })
}

struct Scan {
    path_end: usize,
    is_clean: bool,
}

/// One pass over all bytes. Clean means: no escape, no empty segment, no segment that begins with a dot.
#[inline]
fn scan(target: &[u8]) -> Result<Scan, PathError> {
    match target.first() {
        None | Some(b'?' | b'/') => {}
        Some(_) => return Err(PathError::Form),
    }
    let mut is_clean = true;
    let mut path_end = target.len();
    let mut is_after_slash = false;
    for (index, &byte) in target.iter().enumerate() {
        match CLASSES[usize::from(byte)] {
            Class::Plain => is_after_slash = false,
            Class::Slash => {
                is_clean &= !is_after_slash;
                is_after_slash = true;
            }
            Class::Dot => {
                is_clean &= !is_after_slash;
                is_after_slash = false;
            }
            Class::Percent => {
                is_clean = false;
                is_after_slash = false;
            }
            Class::Question => {
                path_end = index;
                break;
            }
            Class::Bad => return Err(PathError::Byte),
        }
    }
    let query = &target[path_end..];
    // Unlike in a path, a backslash in a query steers nothing.
    let is_bad = query.iter().fold(false, |bad, &byte| {
        bad | !byte.is_ascii_graphic() | (byte == b'#')
    });
    if is_bad {
        Err(PathError::Byte)
    } else {
        Ok(Scan { path_end, is_clean })
    }
}

#[cold]
fn rewrite(path: &[u8]) -> Result<String, PathError> {
    let decoded = decode_unreserved(path)?;
    let mut out = Vec::with_capacity(decoded.len());
    let mut segments = decoded.split(|&byte| byte == b'/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            b"" if is_last => out.push(b'/'),
            b"" => {}
            // RFC 3986 5.2.4: a last dot segment leaves its slash.
            b"." if is_last => out.push(b'/'),
            b"." => {}
            b".." => {
                let parent = out
                    .iter()
                    .rposition(|&byte| byte == b'/')
                    .ok_or(PathError::AboveRoot)?;
                out.truncate(parent);
                if is_last {
                    out.push(b'/');
                }
            }
            [b'.', b';', ..] | [b'.', b'.', b';', ..] => return Err(PathError::DotParameter),
            _ => {
                out.push(b'/');
                out.extend_from_slice(segment);
            }
        }
    }
    String::from_utf8(out).map_err(|_| PathError::Byte)
}

/// RFC 3986 6.2.2.1 and 6.2.2.2. Done before segments are looked at, so that `%2e` is a dot.
fn decode_unreserved(path: &[u8]) -> Result<Vec<u8>, PathError> {
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path;
    while let [byte, tail @ ..] = rest {
        rest = tail;
        if *byte != b'%' {
            out.push(*byte);
            continue;
        }
        let [high, low, tail @ ..] = rest else {
            return Err(PathError::Escape);
        };
        rest = tail;
        let value = hex(*high)? << 4 | hex(*low)?;
        match value {
            0 | b'/' | b'\\' => return Err(PathError::EscapeForbidden),
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(value),
            _ => out.extend([b'%', high.to_ascii_uppercase(), low.to_ascii_uppercase()]),
        }
    }
    Ok(out)
}

fn hex(digit: u8) -> Result<u8, PathError> {
    char::from(digit)
        .to_digit(16)
        .map(|value| value as u8)
        .ok_or(PathError::Escape)
}

#[inline]
fn text(bytes: &[u8]) -> Result<&str, PathError> {
    str::from_utf8(bytes).map_err(|_| PathError::Byte)
}

#[derive(Clone, Copy)]
enum Class {
    Plain,
    Slash,
    Dot,
    Percent,
    Question,
    Bad,
}

const CLASSES: [Class; 256] = {
    let mut classes = [Class::Bad; 256];
    let mut byte = 0x21;
    while byte < 0x7f {
        classes[byte] = match byte as u8 {
            b'/' => Class::Slash,
            b'.' => Class::Dot,
            b'%' => Class::Percent,
            b'?' => Class::Question,
            b'#' | b'\\' => Class::Bad,
            _ => Class::Plain,
        };
        byte += 1;
    }
    classes
};

#[cfg(test)]
mod tests;
