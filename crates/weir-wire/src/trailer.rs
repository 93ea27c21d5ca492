//! Trailers (RFC 9110 6.5): who wants them and which fields may be one.

use crate::token::list;
use crate::{Field, Fields, Known, KnownSet, connection};

/// Does the recipient say that it takes trailers: `TE: trailers` (RFC 9110 10.1.4)?
#[inline]
#[must_use]
pub fn accepts_trailers(fields: &Fields, bytes: &[u8]) -> bool {
    fields
        .values(Known::Te, bytes)
        .flat_map(list)
        .any(|member| member.eq_ignore_ascii_case(b"trailers"))
}

/// May `field` not be passed on in a trailer section? RFC 9110 6.5.1: fields that frame, route, authenticate,
/// modify the request or tell how to read the content must not be trailers. weir drops them, and never merges a
/// trailer into the header.
#[must_use]
pub fn is_forbidden(field: &Field, bytes: &[u8]) -> bool {
    if FORBIDDEN.contains(field.known) {
        return true;
    }
    let name = field.name.of(bytes);
    let has_prefix = |prefix: &str| {
        name.get(..prefix.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
    };
    field.known == Known::Other
        && (FORBIDDEN_PREFIXES.into_iter().any(has_prefix)
            || FORBIDDEN_NAMES
                .into_iter()
                .any(|other| name.eq_ignore_ascii_case(other.as_bytes())))
}

const FORBIDDEN: KnownSet = connection::HOP_BY_HOP
    .union(connection::UNDELETABLE)
    .union(KnownSet::of(&[
        Known::Underscore,
        Known::Accept,
        Known::AcceptEncoding,
        Known::AccessControlRequestHeaders,
        Known::AccessControlRequestMethod,
        Known::Referer,
        Known::RetryAfter,
        Known::UserAgent,
    ]));

const FORBIDDEN_PREFIXES: [&str; 6] = [
    "content-",
    "if-",
    "proxy-",
    "x-forwarded-",
    "x-envoy-",
    "access-control-",
];

const FORBIDDEN_NAMES: [&str; 8] = [
    "age",
    "expires",
    "pragma",
    "warning",
    "www-authenticate",
    "cookie2",
    "set-cookie2",
    "x-http-method-override",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::tests::request;

    fn head_with(lines: &str) -> (String, crate::RequestHead) {
        let text = format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
        let head = request(text.as_bytes()).unwrap();
        (text, head)
    }

    #[test]
    fn row13_trailers_are_wanted_only_when_te_says_so() {
        for (lines, expected) in [
            ("", false),
            ("TE: trailers\r\n", true),
            ("te: gzip;q=0.5, Trailers\r\n", true),
            ("TE: gzip\r\nTE: trailers\r\n", true),
            ("TE: trailers;q=1\r\n", false),
            ("TE: trailersx\r\n", false),
        ] {
            let (text, head) = head_with(lines);
            assert_eq!(
                accepts_trailers(&head.fields, text.as_bytes()),
                expected,
                "{lines}"
            );
        }
    }

    #[test]
    fn row13_forbidden_trailer_names() {
        for (name, forbidden) in [
            ("Content-Length", true),
            ("transfer-encoding", true),
            ("Host", true),
            ("Authorization", true),
            ("proxy-authorization", true),
            ("Proxy-Foo", true),
            ("www-authenticate", true),
            ("Set-Cookie", true),
            ("cookie", true),
            ("content-type", true),
            ("Content-Anything", true),
            ("X-Forwarded-For", true),
            ("x-forwarded-client-cert", true),
            ("If-Match", true),
            ("Connection", true),
            ("TE", true),
            ("Trailer", true),
            ("Upgrade", true),
            ("cache-control", true),
            ("content_length", true),
            ("grpc-status", false),
            ("grpc-message", false),
            ("Server-Timing", false),
            ("ETag", false),
            ("x-checksum", false),
            ("contentx", false),
        ] {
            let (text, head) = head_with(&format!("{name}: v\r\n"));
            assert_eq!(
                is_forbidden(&head.fields.as_slice()[1], text.as_bytes()),
                forbidden,
                "{name}"
            );
        }
    }
}
