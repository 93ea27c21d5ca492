//! Why a request is served by one rule and not by another: how the answer is found.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use weir_model::{Match, PathMatch, Route};

use crate::layout::{Candidate, HostTable, Layout};
use crate::pattern::Pattern;
use crate::precedence::MatchRank;
use crate::request::{Hit, Miss, RequestParts};
use crate::trie::NONE;
use crate::verdict::{Considered, Explanation, Outranked, Refusal, Verdict};

/// Candidates that an explanation shows at most.
const SHOWN: usize = 20;

/// Explains `outcome`, which is what the router found for `request`.
pub(crate) fn explain(
    layout: &Layout,
    outcome: Result<Hit, Miss>,
    request: &RequestParts<'_>,
) -> Explanation {
    let group = layout.sections.find(0, request.host);
    let mut judged = judge_all(layout, group, request);
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
    let group = group.map(|group| &layout.groups[group as usize]);
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
    /// Index in `Layout::candidates`, which is the order of precedence inside a table.
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

fn judge_all<'a>(layout: &'a Layout, group: Option<u32>, request: &RequestParts<'_>) -> Vec<Judged<'a>> {
    let patterns = layout
        .path_patterns
        .iter()
        .map(|one| (one.candidate as usize, &*one.pattern));
    let patterns: BTreeMap<usize, &Pattern> = patterns.collect();
    let mut judged = Vec::with_capacity(layout.candidates.len());
    for table in &layout.tables {
        let host = match table.host.matches(request.host) {
            false => Some(Refusal::Host),
            true => (group != Some(table.group)).then_some(Refusal::Isolated),
        };
        for index in table.candidates.indexes() {
            let candidate = layout.candidates[index];
            let route = &*layout.routes[candidate.hit.route.0 as usize];
            let one = &route.rules[candidate.hit.rule as usize].matches[candidate.hit.match_index as usize];
            let mut refusals = Vec::from_iter(host.clone());
            refusals.extend(path_refusal(
                &one.path,
                patterns.get(&index).copied(),
                request.path,
            ));
            if candidate.conditions != NONE {
                refusals.extend(layout.conditions[candidate.conditions as usize].refusals(request));
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
