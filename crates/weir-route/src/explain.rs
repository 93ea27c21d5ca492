//! Why a request is served by one rule and not by another.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use weir_model::{HostPattern, Match, PathMatch, Route};

use crate::precedence::MatchRank;
use crate::router::{Candidate, HostTable, Router};
use crate::trie::NONE;
use crate::{Hit, Miss, Pattern, RequestParts};

/// Candidates that an explanation shows at most.
const SHOWN: usize = 20;

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

/// Explains the answer of `router`.
pub(crate) fn explain(router: &Router, request: &RequestParts<'_>) -> Explanation {
    let outcome = router.find(request);
    let group = router.sections.find(0, request.host);
    let mut judged = judge_all(router, group, request);
    judged.sort_by_key(|one| (Reverse(one.table.host.specificity()), one.index));
    let chosen = judged.iter().position(|one| one.refusals.is_empty());
    debug_assert_eq!(chosen.map(|at| judged[at].candidate.hit), outcome.ok());

    let mut nearest: Vec<usize> = (0..judged.len()).collect();
    nearest.sort_by_key(|at| (judged[*at].distance(), at.abs_diff(chosen.unwrap_or(0))));
    nearest.truncate(SHOWN);
    nearest.sort_unstable();
    let candidates = nearest.iter().map(|at| {
        let one = &judged[*at];
        let verdict = match chosen {
            _ if !one.refusals.is_empty() => Verdict::Refused(one.refusals.clone()),
            Some(chosen) if chosen != *at => Verdict::Outranked(outranked(&judged[chosen], one)),
            _ => Verdict::Chosen,
        };
        Considered {
            at: one.candidate.hit,
            host: one.table.host.clone(),
            verdict,
        }
    });
    let group = group.map(|group| &router.groups[group as usize]);
    Explanation {
        sections: group.map(|group| group.sections.clone()).unwrap_or_default(),
        section_host: group.map(|group| group.host.clone()),
        outcome,
        candidates: candidates.collect(),
        omitted: judged.len() - nearest.len(),
    }
}

/// A match with everything that speaks against it.
struct Judged<'a> {
    table: &'a HostTable,
    /// Index in `Router::candidates`, which is the order of precedence inside a table.
    index: usize,
    candidate: Candidate,
    route: &'a Route,
    one: &'a Match,
    refusals: Vec<Refusal>,
    /// Leading path elements that the match shares with the request.
    shared_elements: usize,
}

impl Judged<'_> {
    /// How far the match is from serving the request; least first.
    fn distance(&self) -> (bool, bool, bool, Reverse<usize>) {
        let refused = |refusal| self.refusals.contains(&refusal);
        let elements = if refused(Refusal::Path) {
            self.shared_elements
        } else {
            0
        };
        (
            refused(Refusal::Host),
            refused(Refusal::Path),
            refused(Refusal::Isolated),
            Reverse(elements),
        )
    }
}

fn judge_all<'a>(router: &'a Router, group: Option<u32>, request: &RequestParts<'_>) -> Vec<Judged<'a>> {
    let patterns = router
        .path_patterns
        .iter()
        .map(|one| (one.candidate as usize, &*one.pattern));
    let patterns: BTreeMap<usize, &Pattern> = patterns.collect();
    let mut judged = Vec::with_capacity(router.candidates.len());
    for table in &router.tables {
        let host = match table.host.matches(request.host) {
            false => Some(Refusal::Host),
            true => (group != Some(table.group)).then_some(Refusal::Isolated),
        };
        for index in table.candidates.indexes() {
            let candidate = router.candidates[index];
            let route = &*router.routes[candidate.hit.route.0 as usize];
            let one = &route.rules[candidate.hit.rule as usize].matches[candidate.hit.match_index as usize];
            let mut refusals = Vec::from_iter(host.clone());
            refusals.extend(path_refusal(
                &one.path,
                patterns.get(&index).copied(),
                request.path,
            ));
            if candidate.conditions != NONE {
                refusals.extend(router.conditions[candidate.conditions as usize].refusals(request));
            }
            let shared_elements = shared_elements(&one.path, request.path);
            judged.push(Judged {
                table,
                index,
                candidate,
                route,
                one,
                refusals,
                shared_elements,
            });
        }
    }
    judged
}

fn path_refusal(expected: &PathMatch, pattern: Option<&Pattern>, path: &str) -> Option<Refusal> {
    let holds = match (expected, pattern) {
        (PathMatch::Exact(text), _) => path.starts_with('/') && **text == *path,
        (PathMatch::Prefix(text), _) => {
            let rest = path.strip_prefix(&**text).filter(|_| path.starts_with('/'));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        }
        (PathMatch::Regex(_), Some(pattern)) => pattern.matches(path),
        (PathMatch::Regex(text), None) => return Some(Refusal::Pattern(text.clone())),
    };
    (!holds).then_some(Refusal::Path)
}

fn shared_elements(expected: &PathMatch, path: &str) -> usize {
    let (PathMatch::Exact(text) | PathMatch::Prefix(text) | PathMatch::Regex(text)) = expected;
    text.split('/')
        .zip(path.split('/'))
        .take_while(|(left, right)| left == right)
        .count()
}

/// The first step of the order of precedence in which `one` lost to `chosen`.
fn outranked(chosen: &Judged<'_>, one: &Judged<'_>) -> Outranked {
    let (winner, loser) = (MatchRank::of(chosen.one), MatchRank::of(one.one));
    let same_object = chosen.route.object == one.route.object;
    let hit = |judged: &Judged<'_>| (judged.candidate.hit.route, judged.candidate.hit.rule);
    if chosen.table.host != one.table.host {
        Outranked::Host
    } else if winner.path.kind != loser.path.kind {
        Outranked::PathKind
    } else if winner.path.length != loser.path.length {
        Outranked::PathLength
    } else if winner.conditions.names_method != loser.conditions.names_method {
        Outranked::Method
    } else if winner.conditions.headers != loser.conditions.headers {
        Outranked::HeaderCount
    } else if winner.conditions.query != loser.conditions.query {
        Outranked::QueryCount
    } else if chosen.route.created != one.route.created {
        Outranked::Created
    } else if !same_object {
        Outranked::Name
    } else if hit(chosen).0 != hit(one).0 {
        Outranked::Attachment
    } else if hit(chosen).1 != hit(one).1 {
        Outranked::RuleOrder
    } else if chosen.candidate.hit.match_index != one.candidate.hit.match_index {
        Outranked::MatchOrder
    } else {
        Outranked::Attachment
    }
}
