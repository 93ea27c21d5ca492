//! The compiled routes of one listener.

use std::sync::Arc;

use weir_model::{HostPattern, Listener, Route};

use crate::condition::Conditions;
use crate::host::HostIndex;
use crate::split::Splits;
use crate::trie::{NONE, Trie};
use crate::{Explanation, Hit, Miss, Pattern, RequestParts, build, explain};

/// The compiled routes of one listener. Immutable; meant to be shared.
///
/// Looking up costs a few hash probes: the section by host, the most specific host of that section, then one per
/// path element. None of them grows with the number of routes. The order of precedence is fixed when building.
#[derive(Debug)]
pub struct Router {
    /// Host to group; one family.
    pub(crate) sections: HostIndex,
    pub(crate) groups: Box<[Group]>,
    /// Host to table; a family for each group.
    pub(crate) hosts: HostIndex,
    pub(crate) tables: Box<[HostTable]>,
    /// The paths of all tables; root N belongs to table N.
    pub(crate) trie: Trie,
    pub(crate) nodes: Box<[Node]>,
    /// By table, then by precedence.
    pub(crate) candidates: Box<[Candidate]>,
    pub(crate) conditions: Box<[Conditions]>,
    pub(crate) splits: Splits,
    /// Regular expressions on paths, by node and then by precedence.
    pub(crate) path_patterns: Box<[PathPattern]>,
    pub(crate) routes: Box<[Arc<Route>]>,
}

/// Sections that share one host pattern; usually one. Gateways that share an address may write the same host:
/// neither precedes, so their routes compete as if they were one section's.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) host: HostPattern,
    pub(crate) sections: Vec<u32>,
}

/// The routes of one group under one host pattern.
#[derive(Debug)]
pub(crate) struct HostTable {
    pub(crate) group: u32,
    pub(crate) host: HostPattern,
    /// The table of the next less specific host that covers all of this one's hosts, or [`NONE`].
    pub(crate) wider: u32,
    pub(crate) candidates: Range,
}

/// A node of the path tree: the matches that end there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node {
    pub(crate) exact: Range,
    /// Index in `splits`, or [`NONE`] when `exact` is searched one by one.
    pub(crate) exact_split: u32,
    pub(crate) prefix: Range,
    /// The same for `prefix`.
    pub(crate) prefix_split: u32,
    /// Regular expressions whose literal start ends here; a range of `path_patterns`.
    pub(crate) patterns: Range,
    /// The nearest node above with a prefix, or [`NONE`].
    pub(crate) shorter_prefix: u32,
    /// The nearest node above with regular expressions, or [`NONE`].
    pub(crate) shorter_patterns: u32,
}

/// A match under one host.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    pub(crate) hit: Hit,
    /// Index in `conditions`, or [`NONE`].
    pub(crate) conditions: u32,
}

/// A regular expression on the path.
#[derive(Debug)]
pub(crate) struct PathPattern {
    pub(crate) pattern: Arc<Pattern>,
    pub(crate) candidate: u32,
}

/// Part of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl Router {
    /// Compiles the routes attached to `listener`; `routes` is indexed by [`weir_model::RouteId`].
    ///
    /// An attachment of a route that `routes` does not hold is passed over; a match whose regular expression
    /// [`Pattern::compile`] refuses matches nothing.
    pub fn build(listener: &Listener, routes: &[Arc<Route>]) -> Self {
        build::build(listener, routes)
    }

    /// The match that serves a request.
    ///
    /// Allocates nothing, except when a condition on a header meets several fields of that name, or a condition
    /// on a query parameter meets a percent sign.
    ///
    /// # Errors
    /// [`Miss`] says why nothing does; the client's fault.
    pub fn find(&self, request: &RequestParts<'_>) -> Result<Hit, Miss> {
        let group = self.sections.find(0, request.host).ok_or(Miss::NoHost)?;
        let mut table = self.hosts.find(group, request.host).unwrap_or(NONE);
        // A less specific host of the same section still covers the request: Gateway API's precedence is over all
        // matches of the listener.
        while table != NONE {
            if let Some(candidate) = self.find_in_table(table, request) {
                return Ok(candidate.hit);
            }
            table = self.tables[table as usize].wider;
        }
        Err(Miss::NoRoute)
    }

    /// How [`Router::find`] comes to its answer: the nearest matches in order of precedence and why each lost.
    /// Looks at every match of the listener; for people, not for the request path.
    pub fn explain(&self, request: &RequestParts<'_>) -> Explanation {
        explain::explain(self, request)
    }

    fn find_in_table(&self, table: u32, request: &RequestParts<'_>) -> Option<&Candidate> {
        let (deepest, whole) = self.trie.walk(table, request.path);
        let node = &self.nodes[deepest as usize];
        if whole && let Some(found) = self.find_in_list(node.exact, node.exact_split, request) {
            return Some(found);
        }
        if let Some(found) = self.find_pattern(node, request) {
            return Some(found);
        }
        if !request.path.starts_with('/') {
            return None;
        }
        let mut node = node;
        loop {
            if let Some(found) = self.find_in_list(node.prefix, node.prefix_split, request) {
                return Some(found);
            }
            if node.shorter_prefix == NONE {
                return None;
            }
            node = &self.nodes[node.shorter_prefix as usize];
        }
    }

    fn find_in_list(&self, list: Range, split: u32, request: &RequestParts<'_>) -> Option<&Candidate> {
        if split == NONE {
            return self.candidates[list.indexes()]
                .iter()
                .find(|one| self.holds(one, request));
        }
        let holds = |at: u32| self.holds(&self.candidates[at as usize], request);
        self.splits
            .find(split, request, holds)
            .map(|at| &self.candidates[at as usize])
    }

    /// The first by precedence of the regular expressions at `node` and above.
    fn find_pattern<'a>(&'a self, mut node: &'a Node, request: &RequestParts<'_>) -> Option<&'a Candidate> {
        let mut best = NONE;
        loop {
            for one in &self.path_patterns[node.patterns.indexes()] {
                if one.candidate >= best {
                    break;
                }
                let candidate = &self.candidates[one.candidate as usize];
                if one.pattern.matches(request.path) && self.holds(candidate, request) {
                    best = one.candidate;
                }
            }
            if node.shorter_patterns == NONE {
                return self.candidates.get(best as usize);
            }
            node = &self.nodes[node.shorter_patterns as usize];
        }
    }

    fn holds(&self, candidate: &Candidate, request: &RequestParts<'_>) -> bool {
        candidate.conditions == NONE || self.conditions[candidate.conditions as usize].hold(request)
    }
}

impl Range {
    pub(crate) fn indexes(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }

    pub(crate) fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// Takes in the index `at`, which follows the last one when there is one.
    pub(crate) fn extend_to(&mut self, at: u32) {
        debug_assert!(
            self.is_empty() || self.end == at,
            "{self:?} and {at} are not contiguous"
        );
        if self.is_empty() {
            self.start = at;
        }
        self.end = at + 1;
    }
}
