//! Finding the match that serves a request.

use std::sync::Arc;

use weir_model::{Listener, Route};

use crate::build::build;
use crate::explain::explain;
use crate::layout::{Candidate, Layout, Node};
use crate::range::Range;
use crate::request::{Hit, Miss, RequestParts};
use crate::trie::NONE;
use crate::verdict::Explanation;

/// The compiled routes of one listener. Immutable; meant to be shared.
///
/// Looking up costs a few hash probes: the section by host, the most specific host of that section, then one per
/// path element. None of them grows with the number of routes. The order of precedence is fixed when building.
#[derive(Debug)]
pub struct Router {
    layout: Layout,
}

impl Router {
    /// Compiles the routes attached to `listener`; `routes` is indexed by [`weir_model::RouteId`].
    ///
    /// An attachment of a route that `routes` does not hold is passed over; a match whose regular expression
    /// [`crate::Pattern::compile`] refuses matches nothing.
    pub fn build(listener: &Listener, routes: &[Arc<Route>]) -> Self {
        Self {
            layout: build(listener, routes),
        }
    }

    /// The match that serves a request.
    ///
    /// Allocates nothing, except when a condition on a header meets several fields of that name, or a condition
    /// on a query parameter meets a percent sign.
    ///
    /// # Errors
    /// [`Miss`] says why nothing does; the client's fault.
    pub fn find(&self, request: &RequestParts<'_>) -> Result<Hit, Miss> {
        let group = self.layout.sections.find(0, request.host).ok_or(Miss::NoHost)?;
        let mut table = self.layout.hosts.find(group, request.host).unwrap_or(NONE);
        // A less specific host of the same section still covers the request: Gateway API's precedence is over all
        // matches of the listener.
        while table != NONE {
            if let Some(candidate) = self.find_in_table(table, request) {
                return Ok(candidate.hit);
            }
            table = self.layout.tables[table as usize].wider;
        }
        Err(Miss::NoRoute)
    }

    /// How [`Router::find`] comes to its answer: the nearest matches in order of precedence and why each lost.
    /// Looks at every match of the listener; for people, not for the request path.
    pub fn explain(&self, request: &RequestParts<'_>) -> Explanation {
        explain(&self.layout, self.find(request), request)
    }

    fn find_in_table(&self, table: u32, request: &RequestParts<'_>) -> Option<&Candidate> {
        let (deepest, whole) = self.layout.trie.walk(table, request.path);
        let node = &self.layout.nodes[deepest as usize];
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
            node = &self.layout.nodes[node.shorter_prefix as usize];
        }
    }

    fn find_in_list(&self, list: Range, split: u32, request: &RequestParts<'_>) -> Option<&Candidate> {
        if split == NONE {
            return self.layout.candidates[list.indexes()]
                .iter()
                .find(|one| self.holds(one, request));
        }
        let holds = |at: u32| self.holds(&self.layout.candidates[at as usize], request);
        self.layout
            .splits
            .find(split, request, holds)
            .map(|at| &self.layout.candidates[at as usize])
    }

    /// The first by precedence of the regular expressions at `node` and above.
    fn find_pattern<'a>(&'a self, mut node: &'a Node, request: &RequestParts<'_>) -> Option<&'a Candidate> {
        let mut best = NONE;
        loop {
            for one in &self.layout.path_patterns[node.patterns.indexes()] {
                if one.candidate >= best {
                    break;
                }
                let candidate = &self.layout.candidates[one.candidate as usize];
                if one.pattern.matches(request.path) && self.holds(candidate, request) {
                    best = one.candidate;
                }
            }
            if node.shorter_patterns == NONE {
                return self.layout.candidates.get(best as usize);
            }
            node = &self.layout.nodes[node.shorter_patterns as usize];
        }
    }

    fn holds(&self, candidate: &Candidate, request: &RequestParts<'_>) -> bool {
        candidate.conditions == NONE || self.layout.conditions[candidate.conditions as usize].hold(request)
    }
}
