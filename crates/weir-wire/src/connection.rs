//! What `Connection` says (RFC 9110 7.6.1): whether the connection lives on, and which fields end at this hop.
//!
//! To copy fields to the other side, drop [`Connection::dropped`] by one bit test per field, and ask
//! [`Connection::nominates`] for the rest (free unless the sender nominated names that weir does not know).

use crate::token::{is_token, list};
use crate::{Field, Fields, Known, KnownSet, Version};

/// Fields that never cross a hop (RFC 9110 7.6.1), with `HTTP2-Settings` (RFC 9113 3.2.1), whoever nominated them.
pub const HOP_BY_HOP: KnownSet = KnownSet::of(&[
    Known::Connection,
    Known::Http2Settings,
    Known::KeepAlive,
    Known::ProxyConnection,
    Known::Te,
    Known::TransferEncoding,
    Known::Upgrade,
]);

/// Fields that a sender cannot have removed by nominating them in `Connection`: they frame or route the message,
/// or tell the next hop who the client is. RFC 9110 7.6.1 forbids senders to nominate such fields.
pub const UNDELETABLE: KnownSet = KnownSet::of(&[
    Known::Authorization,
    Known::CacheControl,
    Known::ContentEncoding,
    Known::ContentLength,
    Known::ContentType,
    Known::Cookie,
    Known::Date,
    Known::Expect,
    Known::Forwarded,
    Known::Host,
    Known::Location,
    Known::MaxForwards,
    Known::Origin,
    Known::ProxyAuthenticate,
    Known::ProxyAuthorization,
    Known::Range,
    Known::SetCookie,
    Known::Traceparent,
    Known::Tracestate,
    Known::Trailer,
    Known::Vary,
    Known::Via,
    Known::XForwardedFor,
    Known::XForwardedHost,
    Known::XForwardedPort,
    Known::XForwardedProto,
    Known::XRealIp,
    Known::XRequestId,
]);

/// A message may nominate at most this many names. More would make every field expensive to copy.
pub const NOMINATIONS_MAX: usize = 32;

/// What the `Connection` fields of one message say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// `close`: the sender ends the connection after this message.
    pub is_close: bool,
    /// `keep-alive`: a sender of HTTP/1.0 would like to go on.
    pub is_keep_alive: bool,
    /// `upgrade`: the `Upgrade` field counts.
    pub is_upgrade: bool,
    dropped: KnownSet,
    has_other: bool,
}

/// A message nominates more names than [`NOMINATIONS_MAX`]. The sender's fault: answer 400 (a response: 502).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyNominations;

impl std::fmt::Display for TooManyNominations {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "`connection` lists more than {NOMINATIONS_MAX} names")
    }
}

impl std::error::Error for TooManyNominations {}

impl Connection {
    /// A message without a `Connection` field.
    pub const ABSENT: Self = Self {
        is_close: false,
        is_keep_alive: false,
        is_upgrade: false,
        dropped: HOP_BY_HOP,
        has_other: false,
    };

    /// Reads all `Connection` fields.
    #[inline]
    pub fn of(fields: &Fields, bytes: &[u8]) -> Result<Self, TooManyNominations> {
        if !fields.has(Known::Connection) {
            return Ok(Self::ABSENT);
        }
        Self::read(fields, bytes)
    }

    /// Will the connection carry another message after this one (RFC 9112 9.3)?
    #[inline]
    #[must_use]
    pub fn is_persistent(&self, version: Version) -> bool {
        match version {
            _ if self.is_close => false,
            Version::Http11 => true,
            Version::Http10 => self.is_keep_alive,
        }
    }

    /// The known names that must not be copied: the hop-by-hop ones and those nominated.
    #[inline]
    #[must_use]
    pub fn dropped(&self) -> KnownSet {
        self.dropped
    }

    /// Is `field`, whose name is not a known one, nominated? Always `false` for known names.
    #[inline]
    #[must_use]
    pub fn nominates(&self, field: &Field, fields: &Fields, bytes: &[u8]) -> bool {
        self.has_other && is_unknown(field.known) && is_listed(field.name.of(bytes), fields, bytes)
    }

    /// Could [`Self::nominates`] be true of any field?
    #[inline]
    #[must_use]
    pub fn nominates_unknown(&self) -> bool {
        self.has_other
    }

    fn read(fields: &Fields, bytes: &[u8]) -> Result<Self, TooManyNominations> {
        let mut connection = Self::ABSENT;
        let mut count = 0;
        for member in fields.values(Known::Connection, bytes).flat_map(list) {
            if member.eq_ignore_ascii_case(b"keep-alive") {
                connection.is_keep_alive = true;
                continue;
            }
            if member.eq_ignore_ascii_case(b"close") {
                connection.is_close = true;
                continue;
            }
            count += 1;
            if count > NOMINATIONS_MAX {
                return Err(TooManyNominations);
            }
            let known = Known::of(member);
            connection.is_upgrade |= known == Known::Upgrade;
            if is_unknown(known) {
                connection.has_other |= is_token(member);
            } else {
                connection.dropped = connection.dropped.union(known.set().without(UNDELETABLE));
            }
        }
        Ok(connection)
    }
}

fn is_unknown(known: Known) -> bool {
    matches!(known, Known::Other | Known::Underscore)
}

#[cold]
fn is_listed(name: &[u8], fields: &Fields, bytes: &[u8]) -> bool {
    fields
        .values(Known::Connection, bytes)
        .flat_map(list)
        .any(|member| member.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests;
