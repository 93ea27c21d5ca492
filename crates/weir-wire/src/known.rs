//! Field names that weir looks for, recognised once while a head is parsed.

use crate::token::token_without_underscore;

/// A field name as far as weir cares. Names compare without regard to case (RFC 9110 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Known {
    /// Any other name.
    Other,
    /// Any name with `_` in it: many servers cannot tell it from the same name with `-`, so that it could
    /// stand for a field that weir guards. Dropped unless a listener allows such names.
    Underscore,
    /// `Accept`
    Accept,
    /// `Accept-Encoding`
    AcceptEncoding,
    /// `Access-Control-Request-Headers`
    AccessControlRequestHeaders,
    /// `Access-Control-Request-Method`
    AccessControlRequestMethod,
    /// `Authorization`
    Authorization,
    /// `Cache-Control`
    CacheControl,
    /// `Connection`
    Connection,
    /// `Content-Encoding`
    ContentEncoding,
    /// `Content-Length`
    ContentLength,
    /// `Content-Type`
    ContentType,
    /// `Cookie`
    Cookie,
    /// `Date`
    Date,
    /// `ETag`
    Etag,
    /// `Expect`
    Expect,
    /// `Forwarded`
    Forwarded,
    /// `Host`
    Host,
    /// `HTTP2-Settings`
    Http2Settings,
    /// `Keep-Alive`
    KeepAlive,
    /// `Location`
    Location,
    /// `Max-Forwards`
    MaxForwards,
    /// `Origin`
    Origin,
    /// `Proxy-Authenticate`
    ProxyAuthenticate,
    /// `Proxy-Authorization`
    ProxyAuthorization,
    /// `Proxy-Connection`
    ProxyConnection,
    /// `Range`
    Range,
    /// `Referer`
    Referer,
    /// `Retry-After`
    RetryAfter,
    /// `Server`
    Server,
    /// `Set-Cookie`
    SetCookie,
    /// `TE`
    Te,
    /// `Traceparent`
    Traceparent,
    /// `Tracestate`
    Tracestate,
    /// `Trailer`
    Trailer,
    /// `Transfer-Encoding`
    TransferEncoding,
    /// `Upgrade`
    Upgrade,
    /// `User-Agent`
    UserAgent,
    /// `Vary`
    Vary,
    /// `Via`
    Via,
    /// `X-Forwarded-For`
    XForwardedFor,
    /// `X-Forwarded-Host`
    XForwardedHost,
    /// `X-Forwarded-Port`
    XForwardedPort,
    /// `X-Forwarded-Proto`
    XForwardedProto,
    /// `X-Real-IP`
    XRealIp,
    /// `X-Request-Id`
    XRequestId,
}

impl Known {
    /// Recognises `name`, a token in any case: one look into a table, then one comparison by words.
    #[inline]
    #[must_use]
    pub fn of(name: &[u8]) -> Self {
        let known = Self::looked_for(name);
        if known == Self::Other && memchr::memchr(b'_', name).is_some() {
            Self::Underscore
        } else {
            known
        }
    }

    /// The same for bytes that may be no token: then `None`.
    #[inline]
    pub(crate) fn of_token(name: &[u8]) -> Option<Self> {
        match Self::looked_for(name) {
            Self::Other => token_without_underscore(name).map(|has_none| match has_none {
                true => Self::Other,
                false => Self::Underscore,
            }),
            // A known name is a token.
            known => Some(known),
        }
    }

    /// The name, if it is one that weir looks for; `Other` also for what is no token.
    #[inline]
    fn looked_for(name: &[u8]) -> Self {
        let [first, ..] = *name else {
            return Self::Other;
        };
        let fourth_last = name.len().checked_sub(4).map_or(first, |index| name[index]);
        let candidate = SLOTS[slot(name.len(), first, fourth_last)];
        if is_same(name, candidate.name().as_bytes()) {
            candidate
        } else {
            Self::Other
        }
    }

    /// The name as weir writes it, lower case; empty for `Other` and `Underscore`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        NAMES[self as usize]
    }

    /// The set of just this name.
    #[inline]
    #[must_use]
    pub const fn set(self) -> KnownSet {
        KnownSet(1 << self as u8)
    }
}

/// A set of known names, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct KnownSet(u64);

impl KnownSet {
    /// No name.
    pub const EMPTY: Self = Self(0);

    /// The set of these names.
    #[must_use]
    pub const fn of(names: &[Known]) -> Self {
        let mut bits = 0;
        let mut index = 0;
        while index < names.len() {
            bits |= names[index].set().0;
            index += 1;
        }
        Self(bits)
    }

    /// Is `name` in it?
    #[inline]
    #[must_use]
    pub const fn contains(self, name: Known) -> bool {
        self.0 & name.set().0 != 0
    }

    /// Does it share a name with `other`?
    #[inline]
    #[must_use]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Both together.
    #[inline]
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// This one without `other`.
    #[inline]
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Has it no name?
    #[inline]
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

const COUNT: usize = 46;
const _: () = assert!(COUNT == Known::XRequestId as usize + 1 && COUNT <= 64);

const ALL: [Known; COUNT - 2] = [
    Known::Accept,
    Known::AcceptEncoding,
    Known::AccessControlRequestHeaders,
    Known::AccessControlRequestMethod,
    Known::Authorization,
    Known::CacheControl,
    Known::Connection,
    Known::ContentEncoding,
    Known::ContentLength,
    Known::ContentType,
    Known::Cookie,
    Known::Date,
    Known::Etag,
    Known::Expect,
    Known::Forwarded,
    Known::Host,
    Known::Http2Settings,
    Known::KeepAlive,
    Known::Location,
    Known::MaxForwards,
    Known::Origin,
    Known::ProxyAuthenticate,
    Known::ProxyAuthorization,
    Known::ProxyConnection,
    Known::Range,
    Known::Referer,
    Known::RetryAfter,
    Known::Server,
    Known::SetCookie,
    Known::Te,
    Known::Traceparent,
    Known::Tracestate,
    Known::Trailer,
    Known::TransferEncoding,
    Known::Upgrade,
    Known::UserAgent,
    Known::Vary,
    Known::Via,
    Known::XForwardedFor,
    Known::XForwardedHost,
    Known::XForwardedPort,
    Known::XForwardedProto,
    Known::XRealIp,
    Known::XRequestId,
];

static NAMES: [&str; COUNT] = [
    "",
    "",
    "accept",
    "accept-encoding",
    "access-control-request-headers",
    "access-control-request-method",
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "date",
    "etag",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "location",
    "max-forwards",
    "origin",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "referer",
    "retry-after",
    "server",
    "set-cookie",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "vary",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-real-ip",
    "x-request-id",
];

const SLOT_COUNT: usize = 128;

/// A perfect hash over the known names. The factors were found by trying; a new name may need others, and then
/// the build says so.
const fn slot(length: usize, first: u8, fourth_last: u8) -> usize {
    (length + (first | 0x20) as usize * 26 + (fourth_last | 0x20) as usize * 24) % SLOT_COUNT
}

static SLOTS: [Known; SLOT_COUNT] = {
    let mut slots = [Known::Other; SLOT_COUNT];
    let mut index = 0;
    while index < ALL.len() {
        let known = ALL[index];
        let name = known.name().as_bytes();
        let fourth_last = if name.len() < 4 {
            name[0]
        } else {
            name[name.len() - 4]
        };
        let slot = slot(name.len(), name[0], fourth_last);
        assert!(
            matches!(slots[slot], Known::Other),
            "two known names share a slot: choose other factors"
        );
        slots[slot] = known;
        index += 1;
    }
    slots
};

/// Is `name` the lower-case `known`, which has letters, digits and `-` only? No other byte may pass for one of them:
/// callers take a known name for a token.
#[inline]
fn is_same(name: &[u8], known: &[u8]) -> bool {
    if name.len() != known.len() {
        return false;
    }
    let word = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes);
    let half = |bytes: &[u8; 4]| u64::from(u32::from_le_bytes(*bytes));
    if let (Some(name_end), Some(known_end)) = (name.last_chunk(), known.last_chunk()) {
        let chunks = name.chunks_exact(8).zip(known.chunks_exact(8));
        let difference = chunks
            .filter_map(|(one, other)| Some((one.first_chunk()?, other.first_chunk()?)))
            .fold(0, |bits, (one, other)| bits | (lower(word(one)) ^ word(other)));
        return difference | (lower(word(name_end)) ^ word(known_end)) == 0;
    }
    match (
        name.first_chunk(),
        name.last_chunk(),
        known.first_chunk(),
        known.last_chunk(),
    ) {
        (Some(name), Some(name_end), Some(known), Some(known_end)) => {
            let difference = (lower(half(name)) ^ half(known)) | (lower(half(name_end)) ^ half(known_end));
            difference & u64::from(u32::MAX) == 0
        }
        _ => name.eq_ignore_ascii_case(known),
    }
}

/// Sets bit 5 in the bytes that have bit 6, as letters do. Set everywhere it would make `-` of CR and digits of other
/// controls.
#[inline]
const fn lower(word: u64) -> u64 {
    word | ((word & 0x4040_4040_4040_4040) >> 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_name_is_recognised_in_any_case_and_its_neighbours_are_not() {
        for name in &NAMES[2..] {
            let known = Known::of(name.as_bytes());
            assert_eq!(known.name(), *name);
            assert!(ALL.contains(&known));
            assert_eq!(Known::of(name.to_ascii_uppercase().as_bytes()), known);
            for (index, byte) in (0..name.len()).flat_map(|index| (0..=255).map(move |byte| (index, byte))) {
                let mut twisted = name.as_bytes().to_vec();
                twisted[index] = byte;
                let expected = match byte {
                    b'_' => Known::Underscore,
                    _ => *ALL
                        .iter()
                        .find(|one| twisted.eq_ignore_ascii_case(one.name().as_bytes()))
                        .unwrap_or(&Known::Other),
                };
                assert_eq!(Known::of(&twisted), expected, "{}", twisted.escape_ascii());
            }
            assert_eq!(Known::of(format!("{name}x").as_bytes()), Known::Other, "{name}");
        }
    }

    #[test]
    fn row23_underscores_are_flagged() {
        for name in ["content_length", "_", "x_forwarded_for", "X-Forwarded_For", "a_b"] {
            assert_eq!(Known::of(name.as_bytes()), Known::Underscore, "{name}");
        }
        assert_eq!(Known::of(b"x-custom"), Known::Other);
        assert_eq!(Known::of(b""), Known::Other);
    }

    #[test]
    fn sets_hold_what_was_put_in() {
        let set = KnownSet::of(&[Known::Host, Known::XRequestId]);
        assert!(set.contains(Known::Host) && set.contains(Known::XRequestId) && !set.contains(Known::Te));
        assert!(
            set.without(Known::Host.set())
                .union(Known::Te.set())
                .contains(Known::Te)
        );
        assert!(set.without(set).is_empty() && !set.intersects(KnownSet::EMPTY));
    }
}
