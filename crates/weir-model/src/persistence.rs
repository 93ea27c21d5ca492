//! Session persistence: a signed token that names the endpoint (HTTPRoute `sessionPersistence`, GEP-1619).

use std::sync::Arc;

use crate::Period;

/// How the requests of a session come to one endpoint. Tokens are bound to the rule, and name an endpoint of any
/// destination: persistence beats weights, also a weight of 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Persistence {
    /// Name of the cookie (case-sensitive) or of the header (lower case).
    pub name: Arc<str>,
    /// What carries the token.
    pub carrier: TokenCarrier,
    /// A session ends this long after it began, whatever its carrier says; `None`: never.
    pub absolute_timeout: Option<Period>,
    /// What holds when endpoints are added.
    pub mode: PersistenceMode,
}

/// What carries a session's token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenCarrier {
    /// A cookie.
    Cookie(TokenCookie),
    /// A header, in the request and in the response.
    Header,
}

/// The cookie of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenCookie {
    /// Its `Path`.
    pub path: CookiePath,
    /// Whether it outlives the browser.
    pub lifetime: CookieLifetime,
    /// Further attributes in the order in which they are sent, for example `Secure` or `SameSite`; an empty value is
    /// sent as a bare name. `Path`, `Max-Age` and `HttpOnly` are none of them: weir writes those itself.
    pub attributes: Vec<(Arc<str>, Arc<str>)>,
}

/// The `Path` of a session's cookie.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum CookiePath {
    /// The path of the match that the request met; of a regular expression its longest literal prefix (row CH13).
    #[default]
    OfMatch,
    /// This one; begins with `/`.
    Fixed(Arc<str>),
}

/// Whether a cookie outlives the browser (Gateway API `cookieConfig.lifetimeType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum CookieLifetime {
    /// No `Max-Age`.
    #[default]
    Session,
    /// `Max-Age` is [`Persistence::absolute_timeout`], which is given.
    Permanent,
}

/// What holds when endpoints are added (row CH15; ingress-nginx `affinity-mode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum PersistenceMode {
    /// A session stays where it is.
    #[default]
    Persistent,
    /// Some sessions move, so that the new endpoints get their share.
    Balanced,
}
