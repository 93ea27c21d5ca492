//! Why a request is served by one rule and not by another: the answer.

use std::sync::Arc;

use weir_model::HostPattern;

use crate::request::{Hit, Miss};

/// How the router came to its answer for one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// Indexes of the chosen section and of the others that share its host exactly; empty when no section covers
    /// the request's host.
    pub sections: Vec<u32>,
    /// The host pattern of the chosen section.
    pub section_host: Option<HostPattern>,
    /// The same as [`crate::Router::find`] says.
    pub outcome: Result<Hit, Miss>,
    /// The nearest matches in order of precedence, also those that lost.
    pub candidates: Vec<Considered>,
    /// How many more matches the listener holds that are not in `candidates`.
    pub omitted: usize,
}

/// One match that was considered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Considered {
    /// Which match.
    pub at: Hit,
    /// The host it is attached under (route and listener hosts intersected).
    pub host: HostPattern,
    /// What became of it.
    pub verdict: Verdict,
}

/// What became of a considered match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It serves the request.
    Chosen,
    /// All its conditions hold, but the chosen one precedes it for this reason.
    Outranked(Outranked),
    /// These conditions do not hold, in the order host, path, method, headers, query. Never empty.
    Refused(Vec<Refusal>),
}

/// The first step of Gateway API's order of precedence in which a match lost to the chosen one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outranked {
    /// Its host is less specific.
    Host,
    /// Exact paths precede regular expressions, which precede prefixes.
    PathKind,
    /// Its prefix (or its expression) is shorter.
    PathLength,
    /// The chosen one names the method.
    Method,
    /// It has fewer conditions on headers.
    HeaderCount,
    /// It has fewer conditions on query parameters.
    QueryCount,
    /// Its object is younger, or its age is unknown.
    Created,
    /// The same age; its `NAMESPACE/NAME` comes later in the alphabet.
    Name,
    /// The same object under another set of policies, attached later.
    Attachment,
    /// The same object; its rule comes later.
    RuleOrder,
    /// The same rule; it comes later.
    MatchOrder,
}

/// A condition that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The request's host belongs to a more specific section, and the match is not attached there (listener isolation).
    Isolated,
    /// The host is another.
    Host,
    /// The path is another.
    Path,
    /// The method is another.
    Method,
    /// The request lacks this header.
    HeaderMissing(Arc<str>),
    /// The header of this name has another value.
    HeaderDiffers(Arc<str>),
    /// The request lacks this query parameter.
    QueryMissing(Arc<str>),
    /// The first query parameter of this name has another value.
    QueryDiffers(Arc<str>),
    /// This regular expression of the match cannot be compiled within the limits, so it matches nothing.
    Pattern(Arc<str>),
}
