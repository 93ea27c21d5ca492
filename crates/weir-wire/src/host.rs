//! Host and authority (RFC 9110 7.2, RFC 9112 3.2): which host a request is for.

use std::borrow::Cow;
use std::net::Ipv6Addr;

use crate::{Known, RequestHead, Target, Version};

/// Greatest length of a host name, bytes (RFC 1035 2.3.4).
pub const HOST_BYTES: usize = 253;

/// A host, valid and normalised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host<'a> {
    /// Lower case, without port and without the dot of the root; IPv6 in brackets. Empty only for a request of
    /// HTTP/1.0 that names none. Borrowed when the client wrote it so.
    pub name: Cow<'a, str>,
    /// The port as written, if any.
    pub port: Option<u16>,
}

/// Why a host is refused: the client's fault, 400 (RFC 9112 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostError {
    /// No `Host` in a request of HTTP/1.1.
    Missing,
    /// More than one `Host`.
    Repeated,
    /// Not a host name, an IPv4 or a bracketed IPv6 address.
    Name,
    /// A port that is not a number up to 65535.
    Port,
    /// User information (`user@host`): RFC 9110 4.2.4.
    UserInformation,
    /// The host in the target is not that of the `Host` field.
    Mismatch,
}

impl HostError {
    /// The status to answer with.
    #[must_use]
    pub fn status(self) -> u16 {
        400
    }

    /// A stable word for logs and metrics.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Missing => "host_missing",
            Self::Repeated => "host_repeated",
            Self::Name => "host_name",
            Self::Port => "host_port",
            Self::UserInformation => "host_user_information",
            Self::Mismatch => "host_mismatch",
        }
    }
}

impl std::fmt::Display for HostError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "the host of the request is refused: {}", self.reason())
    }
}

impl std::error::Error for HostError {}

/// The host that a request is for. The authority of an absolute target counts before `Host` (RFC 9112 3.2.2), but
/// both must say the same, ports compared with the default of the scheme; so with `CONNECT`, whose port has no
/// default.
#[inline]
pub fn request_host<'a>(head: &RequestHead, bytes: &'a [u8]) -> Result<Host<'a>, HostError> {
    if head.fields.is_repeated(Known::Host) {
        return Err(HostError::Repeated);
    }
    let field = match head.fields.value(Known::Host, bytes) {
        Some(value) => Some(parse(value)?),
        None if head.version == Version::Http11 => return Err(HostError::Missing),
        None => None,
    };
    let (authority, default_port) = match head.form {
        Target::Origin { .. } | Target::Asterisk => {
            return Ok(field.unwrap_or(Host {
                name: Cow::Borrowed(""),
                port: None,
            }));
        }
        Target::Absolute {
            scheme, authority, ..
        } => (
            authority,
            if scheme.len as usize == "https".len() {
                Some(443)
            } else {
                Some(80)
            },
        ),
        Target::Authority { authority } => (authority, None),
    };
    let host = parse(authority.of(bytes))?;
    match field {
        Some(field)
            if field.name != host.name || field.port.or(default_port) != host.port.or(default_port) =>
        {
            Err(HostError::Mismatch)
        }
        _ => Ok(host),
    }
}

/// Validates and normalises `host` or `host:port`.
///
/// Names are letters, digits, `-`, `_` and single dots, which is narrower than RFC 3986 3.2.2: escapes and
/// sub-delimiters in a host are never meant well.
#[inline]
pub fn parse(authority: &[u8]) -> Result<Host<'_>, HostError> {
    let (name, port) = match authority {
        [b'[', rest @ ..] => {
            let end = rest
                .iter()
                .position(|&byte| byte == b']')
                .ok_or(HostError::Name)?;
            authority.split_at(end + 2)
        }
        _ => {
            let end = memchr::memchr(b':', authority).unwrap_or(authority.len());
            authority.split_at(end)
        }
    };
    if memchr::memchr(b'@', authority).is_some() {
        return Err(HostError::UserInformation);
    }
    let name = if name.first() == Some(&b'[') {
        literal(name)?
    } else {
        registered(name)?
    };
    Ok(Host {
        name,
        port: parse_port(port)?,
    })
}

fn parse_port(text: &[u8]) -> Result<Option<u16>, HostError> {
    match text {
        // RFC 3986 3.2.3: a port may be empty.
        [] | [b':'] => Ok(None),
        [b':', digits @ ..] if digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit) => {
            let port = digits
                .iter()
                .fold(0u32, |port, digit| port * 10 + u32::from(digit - b'0'));
            u16::try_from(port).map(Some).map_err(|_| HostError::Port)
        }
        [b':', ..] => Err(HostError::Port),
        _ => Err(HostError::Name),
    }
}

fn registered(name: &[u8]) -> Result<Cow<'_, str>, HostError> {
    let name = name.strip_suffix(b".").unwrap_or(name);
    let mut has_upper = false;
    let mut previous = b'.';
    for &byte in name {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => {}
            b'A'..=b'Z' => has_upper = true,
            b'.' if previous != b'.' => {}
            _ => return Err(HostError::Name),
        }
        previous = byte;
    }
    // Empty, or two dots at the end.
    if previous == b'.' || name.len() > HOST_BYTES {
        return Err(HostError::Name);
    }
    cased(name, has_upper)
}

fn literal(name: &[u8]) -> Result<Cow<'_, str>, HostError> {
    let address = name
        .strip_prefix(b"[")
        .and_then(|rest| rest.strip_suffix(b"]"))
        .ok_or(HostError::Name)?;
    let text = str::from_utf8(address).map_err(|_| HostError::Name)?;
    let address: Ipv6Addr = text.parse().map_err(|_| HostError::Name)?;
    // One spelling per address (RFC 5952), so that no route is missed by writing it differently.
    let canonical = format!("[{address}]");
    if canonical.as_bytes() == name {
        cased(name, false)
    } else {
        Ok(Cow::Owned(canonical))
    }
}

#[inline]
fn cased(name: &[u8], has_upper: bool) -> Result<Cow<'_, str>, HostError> {
    let text = str::from_utf8(name).map_err(|_| HostError::Name)?;
    Ok(if has_upper {
        Cow::Owned(text.to_ascii_lowercase())
    } else {
        Cow::Borrowed(text)
    })
}

#[cfg(test)]
mod tests;
