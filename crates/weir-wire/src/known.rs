//! Field names that weir looks for, recognised once while a head is parsed.

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
    /// Recognises `name`, in any case. One length switch, then one or two comparisons.
    #[inline]
    #[must_use]
    pub fn of(name: &[u8]) -> Self {
        let candidate = match (name.len(), name.first().map(u8::to_ascii_lowercase)) {
            (2, _) => Self::Te,
            (3, _) => Self::Via,
            (4, Some(b'h')) => Self::Host,
            (4, Some(b'd')) => Self::Date,
            (4, Some(b'e')) => Self::Etag,
            (4, Some(b'v')) => Self::Vary,
            (5, _) => Self::Range,
            (6, Some(b'a')) => Self::Accept,
            (6, Some(b'c')) => Self::Cookie,
            (6, Some(b'e')) => Self::Expect,
            (6, Some(b'o')) => Self::Origin,
            (6, Some(b's')) => Self::Server,
            (7, Some(b'r')) => Self::Referer,
            (7, Some(b't')) => Self::Trailer,
            (7, Some(b'u')) => Self::Upgrade,
            (8, _) => Self::Location,
            (9, Some(b'f')) => Self::Forwarded,
            (9, Some(b'x')) => Self::XRealIp,
            (10, Some(b'c')) => Self::Connection,
            (10, Some(b'k')) => Self::KeepAlive,
            (10, Some(b's')) => Self::SetCookie,
            (10, Some(b't')) => Self::Tracestate,
            (10, Some(b'u')) => Self::UserAgent,
            (11, Some(b'r')) => Self::RetryAfter,
            (11, Some(b't')) => Self::Traceparent,
            (12, Some(b'c')) => Self::ContentType,
            (12, Some(b'm')) => Self::MaxForwards,
            (12, Some(b'x')) => Self::XRequestId,
            (13, Some(b'a')) => Self::Authorization,
            (13, Some(b'c')) => Self::CacheControl,
            (14, Some(b'c')) => Self::ContentLength,
            (14, Some(b'h')) => Self::Http2Settings,
            (15, Some(b'a')) => Self::AcceptEncoding,
            (15, Some(b'x')) => Self::XForwardedFor,
            (16, Some(b'c')) => Self::ContentEncoding,
            (16, Some(b'p')) => Self::ProxyConnection,
            (16, Some(b'x')) if name[12] | 0x20 == b'h' => Self::XForwardedHost,
            (16, Some(b'x')) => Self::XForwardedPort,
            (17, Some(b't')) => Self::TransferEncoding,
            (17, Some(b'x')) => Self::XForwardedProto,
            (18, _) => Self::ProxyAuthenticate,
            (19, _) => Self::ProxyAuthorization,
            (29, _) => Self::AccessControlRequestMethod,
            (30, _) => Self::AccessControlRequestHeaders,
            _ => Self::Other,
        };
        if candidate != Self::Other && name.eq_ignore_ascii_case(candidate.name().as_bytes()) {
            return candidate;
        }
        if name.contains(&b'_') {
            Self::Underscore
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

const NAMES: [&str; COUNT] = [
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_name_is_recognised_in_any_case_and_its_neighbours_are_not() {
        for name in &NAMES[2..] {
            let known = Known::of(name.as_bytes());
            assert_eq!(known.name(), *name);
            assert_eq!(Known::of(name.to_ascii_uppercase().as_bytes()), known);
            let mut twisted = name.as_bytes().to_vec();
            *twisted.last_mut().unwrap() = b'~';
            assert_eq!(Known::of(&twisted), Known::Other, "{name}");
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
