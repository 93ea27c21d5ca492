//! Who may ask what.
//!
//! The rules, in order: health and, where a door is for them, metrics are for everybody. A token that is wrong is refused
//! wherever it is shown. A right one opens everything. Without one, only local doors answer, and of those over TCP only
//! what changes nothing: any program of any user of this machine, and any web page in a browser on it, can reach a
//! loopback port. Against pages, `Host` must be an address or `localhost` (a name may be rebound to 127.0.0.1), and a
//! foreign `Origin` is refused.

use std::fmt;
use std::net::IpAddr;

use hyper::header::{AUTHORIZATION, HOST, HeaderMap, HeaderName, ORIGIN};
use hyper::http::uri::Authority;
use hyper::{Method, StatusCode, Uri};

use crate::door::{Place, Scope};

/// A secret shorter than this could be guessed.
const TOKEN_BYTES_MIN: usize = 16;

/// What opens everything.
#[derive(Clone)]
pub struct Token(Box<[u8]>);

/// A text cannot be a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenError {
    /// It is too short.
    Short,
    /// It has characters that cannot stand in a header: visible ASCII is what may.
    Characters,
}

/// Why a request is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denial {
    /// This door does not know the path.
    NotHere,
    /// It needs a token.
    TokenNeeded,
    /// The token is not the right one.
    TokenWrong,
    /// `Host` is a name that anybody could have made point here.
    Host,
    /// It comes from a page of another origin.
    Origin,
    /// Over TCP, changes need a token.
    ReadOnly,
}

/// What a request shows of itself.
#[derive(Debug)]
pub(crate) struct Visit<'a> {
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
}

impl fmt::Debug for Token {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Token(…)")
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => write!(out, "a token has at least {TOKEN_BYTES_MIN} characters"),
            Self::Characters => {
                out.write_str("a token has no spaces, control characters or letters with accents")
            }
        }
    }
}

impl std::error::Error for TokenError {}

impl Token {
    /// The token of a text; spaces and line ends around it do not count.
    ///
    /// # Errors
    /// It is too short, or cannot stand in a header.
    pub fn new(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(TokenError::Characters);
        }
        if text.len() < TOKEN_BYTES_MIN {
            return Err(TokenError::Short);
        }
        Ok(Self(text.as_bytes().into()))
    }

    /// Compares without telling by the time it takes how much was right.
    fn is(&self, shown: &[u8]) -> bool {
        let differences = self
            .0
            .iter()
            .zip(shown)
            .fold(0, |sum, (one, other)| sum | (one ^ other));
        self.0.len() == shown.len() && std::hint::black_box(differences) == 0
    }

    /// As a client shows it.
    pub(crate) fn header(&self) -> String {
        format!("Bearer {}", String::from_utf8_lossy(&self.0))
    }
}

impl Denial {
    /// The status of the answer.
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::NotHere => StatusCode::NOT_FOUND,
            Self::TokenNeeded | Self::TokenWrong => StatusCode::UNAUTHORIZED,
            Self::Host => StatusCode::MISDIRECTED_REQUEST,
            Self::Origin | Self::ReadOnly => StatusCode::FORBIDDEN,
        }
    }

    /// A stable word, and the same for people.
    pub(crate) fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::NotHere => ("not_found", "nothing is served here"),
            Self::TokenNeeded => (
                "token_needed",
                "show the admin token: Authorization: Bearer TOKEN",
            ),
            Self::TokenWrong => ("token_wrong", "this is not the admin token"),
            Self::Host => (
                "host_not_allowed",
                "ask for an address or localhost: without a token, names are not answered",
            ),
            Self::Origin => ("origin_not_allowed", "pages of other origins are not answered"),
            Self::ReadOnly => (
                "read_only",
                "over TCP, changes need the admin token; on this machine the Unix socket needs none",
            ),
        }
    }
}

/// Whether the path says only whether weir is alive and ready.
pub(crate) fn is_health(path: &str) -> bool {
    matches!(path, "/livez" | "/healthz" | "/readyz")
}

/// Whether a request that came through such a door is answered.
pub(crate) fn admit(
    visit: &Visit<'_>,
    place: &Place,
    scope: Scope,
    token: Option<&Token>,
) -> Result<(), Denial> {
    let path = visit.uri.path();
    let is_open = match scope {
        Scope::Health => is_health(path),
        Scope::Metrics => is_health(path) || path == "/metrics",
        Scope::Everything => is_health(path) && visit.uri.query().is_none(),
    };
    let is_reading = matches!(*visit.method, Method::GET | Method::HEAD);
    if is_open && is_reading {
        return Ok(());
    }
    if scope != Scope::Everything {
        return Err(Denial::NotHere);
    }
    if !is_same_origin(visit) {
        return Err(Denial::Origin);
    }
    match (shown(visit.headers), token) {
        (Some(shown), Some(token)) if token.is(shown) => return Ok(()),
        (Some(_), _) => return Err(Denial::TokenWrong),
        (None, _) => {}
    }
    match place {
        Place::Unix(_) => Ok(()),
        Place::Tcp(_) if !place.is_local() => Err(Denial::TokenNeeded),
        Place::Tcp(_) if !is_address(visit) => Err(Denial::Host),
        Place::Tcp(_) if is_reading => Ok(()),
        Place::Tcp(_) => Err(Denial::ReadOnly),
    }
}

/// The token that a request shows (RFC 6750 2.1).
fn shown(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    match value.split_at_checked(7) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"bearer ") => Some(token.trim_ascii()),
        // Another scheme is a wrong token, not none.
        _ => Some(b""),
    }
}

/// The host and port that a request is for: of its target, else of its only `Host` (RFC 9112 3.2.2).
fn authority(visit: &Visit<'_>) -> Option<Authority> {
    if let Some(authority) = visit.uri.authority() {
        return Some(authority.clone());
    }
    let mut hosts = visit.headers.get_all(HOST).iter();
    let host = hosts.next()?.to_str().ok()?.parse().ok()?;
    hosts.next().is_none().then_some(host)
}

/// Whether the host is an address or `localhost`: no foreign page can have such a name.
fn is_address(visit: &Visit<'_>) -> bool {
    authority(visit).is_some_and(|authority| {
        let host = authority.host();
        let bare = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(host);
        bare.parse::<IpAddr>().is_ok() || host.eq_ignore_ascii_case("localhost")
    })
}

/// Whether a request that a page made is from a page of this very place. `Sec-Fetch-Site` is checked too: browsers leave
/// `Origin` out of some reads.
fn is_same_origin(visit: &Visit<'_>) -> bool {
    const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
    let is_near = visit
        .headers
        .get(SITE)
        .is_none_or(|site| matches!(site.as_bytes(), b"same-origin" | b"none"));
    let is_ours = |origin: &[u8]| {
        let origin = std::str::from_utf8(origin).unwrap_or_default();
        let host = origin.strip_prefix("http://").or(origin.strip_prefix("https://"));
        host.is_some() && host == authority(visit).as_ref().map(Authority::as_str)
    };
    is_near
        && visit
            .headers
            .get(ORIGIN)
            .is_none_or(|origin| is_ours(origin.as_bytes()))
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    fn place(text: &str) -> Place {
        match text.strip_prefix("unix:") {
            Some(path) => Place::Unix(path.into()),
            None => Place::Tcp(text.parse().expect("an address")),
        }
    }

    fn verdict(
        scope: Scope,
        at: &str,
        token: Option<&Token>,
        request: &str,
        headers: &[(&str, &str)],
    ) -> Option<Denial> {
        let (method, path) = request.split_once(' ').expect("a method and a path");
        let mut built = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            built = built.header(*name, *value);
        }
        let request = built.body(()).expect("a request");
        let visit = Visit {
            method: request.method(),
            uri: request.uri(),
            headers: request.headers(),
        };
        admit(&visit, &place(at), scope, token).err()
    }

    #[test]
    fn op04_who_may_ask_what_of_the_whole_api() {
        use Denial::{Host, Origin, ReadOnly, TokenNeeded, TokenWrong};
        let token = Token::new(TOKEN).expect("long enough");
        let bearer = format!("Bearer {TOKEN}");
        let (local, far, socket) = ("127.0.0.1:19000", "10.0.0.1:19000", "unix:/run/weir/admin.sock");
        let (here, there) = (("host", "127.0.0.1:19000"), ("host", "evil.example"));
        let (right, wrong) = (
            ("authorization", &*bearer),
            ("authorization", "Bearer 0123456789abcdeX"),
        );
        let page = ("origin", "http://evil.example");
        let own = ("origin", "http://127.0.0.1:19000");
        for (name, at, request, headers, expected) in [
            ("loopback reads", local, "GET /status", vec![here], None),
            (
                "localhost reads",
                local,
                "GET /status",
                vec![("host", "localhost:19000")],
                None,
            ),
            (
                "IPv6 reads",
                "[::1]:19000",
                "GET /status",
                vec![("host", "[::1]:19000")],
                None,
            ),
            (
                "loopback does not write",
                local,
                "POST /reload",
                vec![here],
                Some(ReadOnly),
            ),
            (
                "DELETE is a write",
                local,
                "DELETE /x",
                vec![here],
                Some(ReadOnly),
            ),
            ("the token writes", local, "POST /reload", vec![here, right], None),
            (
                "scheme in any case",
                local,
                "POST /reload",
                vec![here, ("authorization", "bEARER 0123456789abcdef")],
                None,
            ),
            (
                "a wrong token does not",
                local,
                "POST /reload",
                vec![here, wrong],
                Some(TokenWrong),
            ),
            (
                "a wrong token reads nothing",
                local,
                "GET /status",
                vec![here, wrong],
                Some(TokenWrong),
            ),
            (
                "another scheme",
                local,
                "GET /status",
                vec![here, ("authorization", "Basic eDp5")],
                Some(TokenWrong),
            ),
            ("a rebound name", local, "GET /status", vec![there], Some(Host)),
            ("no host", local, "GET /status", vec![], Some(Host)),
            ("two hosts", local, "GET /status", vec![here, there], Some(Host)),
            (
                "the target's host counts",
                local,
                "GET http://evil.example/status",
                vec![here],
                Some(Host),
            ),
            (
                "a name with the token",
                local,
                "GET /status",
                vec![there, right],
                None,
            ),
            ("a page", local, "GET /status", vec![here, page], Some(Origin)),
            (
                "a page with the token",
                local,
                "POST /reload",
                vec![here, page, right],
                Some(Origin),
            ),
            (
                "a sandboxed page",
                local,
                "GET /status",
                vec![here, ("origin", "null")],
                Some(Origin),
            ),
            ("its own page", local, "GET /status", vec![here, own], None),
            (
                "a foreign picture",
                local,
                "GET /status",
                vec![here, ("sec-fetch-site", "cross-site")],
                Some(Origin),
            ),
            (
                "typed in",
                local,
                "GET /status",
                vec![here, ("sec-fetch-site", "none")],
                None,
            ),
            (
                "from afar",
                far,
                "GET /status",
                vec![("host", "10.0.0.1:19000")],
                Some(TokenNeeded),
            ),
            (
                "from afar with the token",
                far,
                "POST /reload",
                vec![("host", "gw.example"), right],
                None,
            ),
            (
                "metrics from afar",
                far,
                "GET /metrics",
                vec![("host", "gw")],
                Some(TokenNeeded),
            ),
            ("health from afar", far, "GET /readyz", vec![("host", "gw")], None),
            (
                "details of health from afar",
                far,
                "GET /readyz?verbose",
                vec![("host", "gw")],
                Some(TokenNeeded),
            ),
            ("the socket", socket, "POST /reload", vec![("host", "weir")], None),
            (
                "the socket with a wrong token",
                socket,
                "POST /reload",
                vec![wrong],
                Some(TokenWrong),
            ),
        ] {
            let scope = Scope::Everything;
            assert_eq!(
                verdict(scope, at, Some(&token), request, &headers),
                expected,
                "{name}"
            );
        }
        // Nothing is the right token where there is none.
        let none = verdict(Scope::Everything, local, None, "POST /reload", &[here, right]);
        assert_eq!(none, Some(TokenWrong));
    }

    #[test]
    fn op04_narrow_doors_answer_everybody_and_nothing_else() {
        let far = "0.0.0.0:8081";
        for (scope, request, expected) in [
            (Scope::Health, "GET /readyz?verbose", None),
            (Scope::Health, "HEAD /livez", None),
            (Scope::Health, "GET /metrics", Some(Denial::NotHere)),
            (Scope::Health, "POST /readyz", Some(Denial::NotHere)),
            (Scope::Metrics, "GET /metrics", None),
            (Scope::Metrics, "GET /healthz", None),
            (Scope::Metrics, "GET /config", Some(Denial::NotHere)),
            (Scope::Metrics, "POST /reload", Some(Denial::NotHere)),
        ] {
            assert_eq!(
                verdict(scope, far, None, request, &[("host", "x")]),
                expected,
                "{request}"
            );
        }
    }

    #[test]
    fn tokens_are_long_visible_and_not_shown() {
        assert_eq!(Token::new("short").err(), Some(TokenError::Short));
        assert_eq!(
            Token::new("0123456789 abcdef").err(),
            Some(TokenError::Characters)
        );
        let token = Token::new(&format!(" {TOKEN}\n")).expect("a token with a line end");
        assert!(token.is(TOKEN.as_bytes()) && !token.is(b"") && !token.is(&TOKEN.as_bytes()[..15]));
        assert_eq!(format!("{token:?}"), "Token(…)");
        assert_eq!(token.header(), format!("Bearer {TOKEN}"));
    }
}
