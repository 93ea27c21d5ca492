//! The order of precedence, stated once.
//!
//! Gateway API (`HTTPRouteRule.matches`): among all matches of all routes of a listener that cover a request, the
//! first by this order serves it.
//!
//! 1. the most specific host: an exact name, then the wildcard with the longest suffix, then any host. A match
//!    under a less specific host serves only when none under a more specific one does;
//! 2. an exact path, then a regular expression (the longer text first), then the prefix with the most characters.
//!    Gateway API leaves the place of regular expressions open; this is Envoy Gateway's;
//! 3. a condition on the method before none;
//! 4. more conditions on headers before fewer;
//! 5. more conditions on query parameters before fewer;
//! 6. the older object, by `creationTimestamp`; an object without comes last;
//! 7. the object whose `NAMESPACE/NAME` comes first in the alphabet;
//! 8. the rule written first, then the match written first.
//!
//! Of conditions that name one header or one parameter several times, only the first counts.

use std::cmp::{Ordering, Reverse};

use weir_model::{HeaderMatch, Match, PathMatch, QueryMatch, Route};

/// How a path is matched, in order of precedence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum PathKind {
    Exact,
    Regex,
    Prefix,
}

/// Steps 2 to 5 of the order: what a match's own text decides. The smaller precedes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct MatchRank {
    pub(crate) path: PathRank,
    pub(crate) conditions: ConditionRank,
}

/// Step 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PathRank {
    pub(crate) kind: PathKind,
    /// In characters; 0 for an exact path, of which only one covers a request.
    pub(crate) length: Reverse<u32>,
}

/// Steps 3 to 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ConditionRank {
    pub(crate) names_method: Reverse<bool>,
    pub(crate) headers: Reverse<u32>,
    pub(crate) query: Reverse<u32>,
}

impl MatchRank {
    pub(crate) fn of(one: &Match) -> Self {
        let (kind, length) = match &one.path {
            PathMatch::Exact(_) => (PathKind::Exact, 0),
            PathMatch::Regex(text) => (PathKind::Regex, text.chars().count()),
            PathMatch::Prefix(text) => (PathKind::Prefix, text.chars().count()),
        };
        Self {
            path: PathRank {
                kind,
                length: Reverse(length as u32),
            },
            conditions: ConditionRank {
                names_method: Reverse(one.method.is_some()),
                headers: Reverse(effective_headers(one).count() as u32),
                query: Reverse(effective_query(one).count() as u32),
            },
        }
    }
}

/// Steps 6 and 7: which of two routes precedes.
pub(crate) fn route_order(left: &Route, right: &Route) -> Ordering {
    let age = |route: &Route| (route.created.is_none(), route.created);
    age(left).cmp(&age(right)).then_with(|| name_order(left, right))
}

/// Whether routers choose `left` and `right` for the same requests and before the same others: they differ in nothing
/// but what happens then.
pub fn are_chosen_alike(left: &Route, right: &Route) -> bool {
    left.object == right.object
        && left.created == right.created
        && left.rules.len() == right.rules.len()
        && left
            .rules
            .iter()
            .zip(&right.rules)
            .all(|(left, right)| left.matches == right.matches)
}

/// Step 7 alone. The slash is part of what is compared: `a-b/x` precedes `a/x`.
fn name_order(left: &Route, right: &Route) -> Ordering {
    let (left, right) = (&left.object, &right.object);
    let joined = left.namespace.bytes().chain([b'/']).chain(left.name.bytes());
    joined.cmp(right.namespace.bytes().chain([b'/']).chain(right.name.bytes()))
}

/// The conditions on headers that count.
pub(crate) fn effective_headers(one: &Match) -> impl Iterator<Item = &HeaderMatch> {
    let earlier = |at: usize, name: &str| one.headers[..at].iter().any(|other| *other.name == *name);
    one.headers
        .iter()
        .enumerate()
        .filter(move |(at, header)| !earlier(*at, &header.name))
        .map(|(_, header)| header)
}

/// The conditions on query parameters that count.
pub(crate) fn effective_query(one: &Match) -> impl Iterator<Item = &QueryMatch> {
    let earlier = |at: usize, name: &str| one.query[..at].iter().any(|other| *other.name == *name);
    one.query
        .iter()
        .enumerate()
        .filter(move |(at, query)| !earlier(*at, &query.name))
        .map(|(_, query)| query)
}
