//! `gateway.networking.k8s.io` `HTTPRoute`.

use std::sync::Arc;
use std::time::Duration;

use weir_model::{HeaderMatch, HostPattern, PathMatch, QueryMatch, Weight};

use super::{BackendReference, HttpFilter, ParentReference};
use crate::yaml::{Span, Spanned};

/// Where requests go.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpRoute {
    /// `spec.parentRefs`.
    pub parents: Vec<ParentReference>,
    /// `spec.hostnames`; empty means the listener's.
    pub hostnames: Vec<Spanned<HostPattern>>,
    /// `spec.rules`. Rules keep their place in the list, so an index here is the index written.
    pub rules: Vec<HttpRule>,
}

/// One entry of `spec.rules`.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpRule {
    /// `name`.
    pub name: Option<Spanned<Arc<str>>>,
    /// The matches that are valid. A rule that names none has one that matches the prefix `/`. Empty only when
    /// all of its matches were refused: then the rule matches nothing.
    pub matches: Vec<HttpMatch>,
    /// `filters` in the order written.
    pub filters: Vec<Spanned<HttpFilter>>,
    /// `backendRefs` in the order written.
    pub backends: Vec<HttpBackendRef>,
    /// `timeouts`.
    pub timeouts: HttpTimeouts,
    /// `retry`, which is not served.
    pub retry: Option<Span>,
    /// `sessionPersistence`, which is not served.
    pub session_persistence: Option<Span>,
    /// Something besides its matches and backends is an error, already reported: requests that match must be
    /// answered 500 instead of being forwarded with a filter or bound left out.
    pub refused: bool,
    /// Where the rule starts.
    pub span: Span,
}

/// One entry of `matches`.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpMatch {
    /// `path`; the prefix `/` when not written.
    pub path: Spanned<PathMatch>,
    /// `method`.
    pub method: Option<Spanned<Arc<str>>>,
    /// `headers`, names in lower case and unique: the first of equal names counts.
    pub headers: Vec<Spanned<HeaderMatch>>,
    /// `queryParams`, names unique: the first of equal names counts.
    pub query: Vec<Spanned<QueryMatch>>,
    /// Where the match starts.
    pub span: Span,
}

/// One entry of `backendRefs`.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpBackendRef {
    /// What it refers to.
    pub backend: BackendReference,
    /// Its share; 1 when not written.
    pub weight: Spanned<Weight>,
    /// Filters of this backendRef only.
    pub filters: Vec<Spanned<HttpFilter>>,
    /// Something in it is an error, already reported: its share of the requests is answered 500.
    pub refused: bool,
}

/// `timeouts`. Zero switches a bound off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HttpTimeouts {
    /// The whole exchange.
    pub request: Option<Spanned<Duration>>,
    /// One try.
    pub backend_request: Option<Spanned<Duration>>,
}
