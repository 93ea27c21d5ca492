//! Filters: what a rule does to a request or a response besides forwarding it (Gateway API `HTTPRouteFilter`).

use std::sync::Arc;
use std::time::Duration;

use crate::{BackendId, Fraction, HostPattern, Port};

/// One filter of a rule or of a destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Changes request headers.
    RequestHeaders(HeaderChange),
    /// Changes response headers.
    ResponseHeaders(HeaderChange),
    /// Changes host or path before forwarding.
    Rewrite(Rewrite),
    /// Sends a copy elsewhere and ignores the answer.
    Mirror(Mirror),
    /// Answers preflights and adds the CORS headers.
    Cors(Arc<Cors>),
    /// Tells endpoint and client more about each other than every request says.
    Identity(IdentityFields),
}

/// What is said besides `X-Forwarded-For`, `X-Forwarded-Proto` and `X-Request-Id` to the endpoint (rows KT15, KT16). What
/// a trusted peer says of it stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IdentityFields {
    /// `X-Forwarded-Host`: the host that the client asked for.
    pub forwarded_host: bool,
    /// `X-Forwarded-Port`: the port that the client reached.
    pub forwarded_port: bool,
    /// `X-Real-IP`: the client's address.
    pub real_ip: bool,
    /// `Forwarded` (RFC 7239) with `for`, `host` and `proto`.
    pub forwarded: bool,
    /// `X-Forwarded-For` of a peer that is not trusted is forgotten, not continued.
    pub resets_untrusted: bool,
    /// The response carries the request's id too.
    pub response_request_id: bool,
}

/// Header names are lower case and valid tokens; values are valid field values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderChange {
    /// Overwrites.
    pub set: Vec<(Arc<str>, Arc<str>)>,
    /// Appends: joined to an existing value with a comma (Gateway API `HTTPHeaderFilter.add`).
    pub add: Vec<(Arc<str>, Arc<str>)>,
    /// Removes.
    pub remove: Vec<Arc<str>>,
}

impl HeaderChange {
    /// Headers that frame or route a message: weir alone writes them, so that configuration cannot make two servers
    /// disagree about where a message ends (RFC 9112 11.2) or whom it is for.
    pub const GUARDED: [&str; 9] = [
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "transfer-encoding",
        "upgrade",
    ];

    /// Must no filter change the header `name` (lower case)?
    #[must_use]
    pub fn is_guarded(name: &str) -> bool {
        Self::GUARDED.contains(&name)
    }
}

/// Gateway API `HTTPRequestRedirectFilter`. Absent parts are the request's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// `http` or `https`.
    pub scheme: Option<Arc<str>>,
    /// The new host.
    pub host: Option<Arc<str>>,
    /// The new path.
    pub path: Option<PathRewrite>,
    /// The new port; when absent, the scheme's well-known port if a scheme is given, else the listener's.
    pub port: Option<Port>,
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
    /// Answer with the path alone (RFC 9110 10.2.2), which stays right behind a proxy on another port. Nothing but
    /// [`Self::path`] counts then.
    pub is_relative: bool,
}

/// Gateway API `HTTPURLRewriteFilter`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewrite {
    /// The new `Host`.
    pub host: Option<Arc<str>>,
    /// The new path.
    pub path: Option<PathRewrite>,
    /// A query that goes before the request's own, joined with `&` (tenants: the query of a service's URL).
    pub query: Option<Arc<str>>,
}

/// How a path changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathRewrite {
    /// The whole path.
    Full(Arc<str>),
    /// The matched prefix; drops exactly one joining slash (Gateway API `ReplacePrefixMatch`).
    Prefix(Arc<str>),
    /// A literal start of the path, whatever matched it; joined like [`Self::Prefix`]. A path that does not begin
    /// with it gets the new start before it.
    Start {
        /// What goes; without slash at its end, so that it is empty for the root.
        from: Arc<str>,
        /// What comes in its place.
        to: Arc<str>,
    },
}

/// Gateway API `HTTPRequestMirrorFilter`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    /// Where the copies go.
    pub backend: BackendId,
    /// Which part of the requests is copied.
    pub fraction: Fraction,
}

/// Gateway API `HTTPCORSFilter`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cors {
    /// Origins that may read the answer.
    pub allow_origins: Vec<OriginPattern>,
    /// Methods; `*` for all.
    pub allow_methods: Vec<Arc<str>>,
    /// Request headers, lower case; `*` for all.
    pub allow_headers: Vec<Arc<str>>,
    /// Response headers that scripts may read.
    pub expose_headers: Vec<Arc<str>>,
    /// Whether credentials are allowed.
    pub allow_credentials: bool,
    /// How long a preflight's answer may be kept; 5 s by default.
    pub max_age: Duration,
}

/// An origin such as `https://*.example.com`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OriginPattern {
    /// Every origin.
    Any,
    /// Scheme, host pattern and port; an absent port is the scheme's well-known one.
    Of {
        /// Lower case.
        scheme: Arc<str>,
        /// The host; a wildcard is greedy to the left.
        host: HostPattern,
        /// The port; well-known ports are filled in by the translator.
        port: Option<Port>,
    },
}
