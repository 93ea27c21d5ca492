//! Compiling routes: everything that `find` would otherwise decide again for each request.

use std::collections::BTreeMap;
use std::sync::Arc;

use weir_model::{HostPattern, Listener, PathMatch, Route, RouteId};

use crate::condition::{Conditions, PatternCache};
use crate::host::HostIndex;
use crate::layout::{Candidate, Group, HostTable, Layout, Node, PathPattern};
use crate::pattern::Pattern;
use crate::precedence::{ConditionRank, MatchRank, PathKind, PathRank, route_order};
use crate::range::Range;
use crate::request::Hit;
use crate::split::SplitBuilder;
use crate::trie::{NONE, TrieBuilder};

/// Compiles the routes attached to a listener.
pub(crate) fn build(listener: &Listener, routes: &[Arc<Route>]) -> Layout {
    let (groups, group_of_section) = group_sections(listener);
    let (mut tables, attached) = lay_out_tables(listener, &group_of_section, routes.len());
    let sections = HostIndex::build(1, groups.iter().zip(0..).map(|(group, at)| (0, &group.host, at)));
    let hosts = index_hosts(groups.len() as u32, &mut tables);

    let compiled = CompiledRoutes::new(routes, &attached);
    let mut trie = TrieBuilder::new(tables.len() as u32);
    let mut drafts = compiled.draft(&attached, &mut trie);
    drafts.sort_unstable();
    drafts.dedup();
    for (draft, at) in drafts.iter().zip(0..) {
        tables[draft.table as usize].candidates.extend_to(at);
    }
    let (mut nodes, path_patterns) = lay_out_nodes(&drafts, &compiled, trie.parents());
    let candidates: Vec<Candidate> = drafts.iter().map(|draft| compiled.candidate(draft)).collect();
    let mut splits = SplitBuilder::default();
    let conditions_of = |at: u32| {
        compiled
            .conditions
            .get(candidates[at as usize].conditions as usize)
    };
    for node in &mut nodes {
        node.exact_split = splits.split(node.exact, conditions_of);
        node.prefix_split = splits.split(node.prefix, conditions_of);
    }
    Layout {
        sections,
        groups: groups.into(),
        hosts,
        tables: tables.into(),
        trie: trie.finish(),
        nodes,
        candidates: candidates.into(),
        conditions: compiled.conditions.into(),
        splits: splits.finish(),
        path_patterns,
        routes: routes.into(),
    }
}

/// A route attached under one host of one section.
struct Attached {
    table: u32,
    section: u32,
    route: u32,
}

/// The matches of all attached routes, each compiled once for all its hosts.
struct CompiledRoutes {
    /// By route; empty for a route that is not attached.
    matches_of_route: Vec<Range>,
    /// Where each route stands in the order of precedence.
    place_of_route: Vec<u32>,
    matches: Vec<CompiledMatch>,
    conditions: Vec<Conditions>,
}

struct CompiledMatch {
    hit: Hit,
    rank: MatchRank,
    /// The exact path, the prefix, or the literal start of the regular expression by whole elements.
    path: Arc<str>,
    pattern: Option<Arc<Pattern>>,
    conditions: u32,
}

/// A match under one host. The order of fields is the order of candidates: by table, then by precedence.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Draft {
    table: u32,
    path: PathRank,
    /// The node, which keeps the matches of one path together (another path of the same rank does not compete);
    /// 0 for regular expressions, which do compete with each other.
    place: u32,
    conditions: ConditionRank,
    route_place: u32,
    /// Index in [`CompiledRoutes::matches`]: rules and matches in the order written.
    compiled: u32,
    section: u32,
    node: u32,
}

/// The sections by host pattern, and the group of each section.
fn group_sections(listener: &Listener) -> (Vec<Group>, Vec<u32>) {
    let mut groups: Vec<Group> = Vec::new();
    let mut known = BTreeMap::new();
    let mut group_of_section = Vec::with_capacity(listener.sections.len());
    for (section, at) in listener.sections.iter().zip(0..) {
        let group = *known.entry(&section.host).or_insert(groups.len());
        if group == groups.len() {
            groups.push(Group {
                host: section.host.clone(),
                sections: Vec::new(),
            });
        }
        groups[group].sections.push(at);
        group_of_section.push(group as u32);
    }
    (groups, group_of_section)
}

/// A table for each host pattern of each group, and which routes belong to it.
fn lay_out_tables(
    listener: &Listener,
    group_of_section: &[u32],
    routes: usize,
) -> (Vec<HostTable>, Vec<Attached>) {
    let (mut tables, mut attached, mut known) = (Vec::new(), Vec::new(), BTreeMap::new());
    for ((at, group), section) in listener.sections.iter().zip(group_of_section).zip(0..) {
        for attachment in at
            .attachments
            .iter()
            .filter(|attachment| (attachment.route.0 as usize) < routes)
        {
            for host in &attachment.hosts {
                let table = *known.entry((*group, host)).or_insert(tables.len() as u32);
                if table as usize == tables.len() {
                    let candidates = Range::default();
                    tables.push(HostTable {
                        group: *group,
                        host: host.clone(),
                        wider: NONE,
                        candidates,
                    });
                }
                attached.push(Attached {
                    table,
                    section,
                    route: attachment.route.0,
                });
            }
        }
    }
    (tables, attached)
}

/// The index of all tables; also links each to the next wider one.
fn index_hosts(groups: u32, tables: &mut [HostTable]) -> HostIndex {
    let hosts = HostIndex::build(
        groups,
        tables
            .iter()
            .zip(0..)
            .map(|(table, at)| (table.group, &table.host, at)),
    );
    for table in tables {
        table.wider = match &table.host {
            HostPattern::Any => NONE,
            HostPattern::Exact(name) | HostPattern::Suffix(name) => {
                hosts.find_wider(table.group, name).unwrap_or(NONE)
            }
        };
    }
    hosts
}

impl CompiledRoutes {
    fn new(routes: &[Arc<Route>], attached: &[Attached]) -> Self {
        let mut patterns = PatternCache::default();
        let mut wanted = vec![false; routes.len()];
        for one in attached {
            wanted[one.route as usize] = true;
        }
        let mut compiled = Self {
            matches_of_route: vec![Range::default(); routes.len()],
            place_of_route: vec![NONE; routes.len()],
            matches: Vec::new(),
            conditions: Vec::new(),
        };
        let mut order: Vec<usize> = (0..routes.len()).filter(|at| wanted[*at]).collect();
        for at in &order {
            let start = compiled.matches.len() as u32;
            compiled.add_route(*at as u32, &routes[*at], &mut patterns);
            compiled.matches_of_route[*at] = Range {
                start,
                end: compiled.matches.len() as u32,
            };
        }
        order.sort_by(|left, right| route_order(&routes[*left], &routes[*right]));
        for (at, place) in order.into_iter().zip(0..) {
            compiled.place_of_route[at] = place;
        }
        compiled
    }

    fn add_route(&mut self, at: u32, route: &Route, patterns: &mut PatternCache) {
        for (rule, rule_at) in route.rules.iter().zip(0..) {
            for (one, match_index) in rule.matches.iter().zip(0..) {
                let (path, pattern) = match &one.path {
                    PathMatch::Exact(text) => (text.clone(), None),
                    PathMatch::Prefix(text) => {
                        debug_assert!(
                            !text.ends_with('/'),
                            "a prefix is held without trailing slash: {text}"
                        );
                        (text.clone(), None)
                    }
                    PathMatch::Regex(text) => {
                        let pattern = patterns.compile(text);
                        (literal_elements(pattern.as_deref()), pattern)
                    }
                };
                let conditions = Conditions::of(one, patterns).map_or(NONE, |conditions| {
                    self.conditions.push(conditions);
                    self.conditions.len() as u32 - 1
                });
                let hit = Hit {
                    section: 0,
                    route: RouteId(at),
                    rule: rule_at,
                    match_index,
                };
                self.matches.push(CompiledMatch {
                    hit,
                    rank: MatchRank::of(one),
                    path,
                    pattern,
                    conditions,
                });
            }
        }
    }

    /// Every match under every host of its route, with its place in the path tree; in no order.
    fn draft<'a>(&'a self, attached: &[Attached], trie: &mut TrieBuilder<'a>) -> Vec<Draft> {
        let mut drafts = Vec::with_capacity(attached.len());
        for one in attached {
            let matches = self.matches_of_route[one.route as usize];
            for (compiled, at) in self.matches[matches.indexes()].iter().zip(matches.start..) {
                let node = trie.insert(one.table, &compiled.path);
                drafts.push(Draft {
                    table: one.table,
                    path: compiled.rank.path,
                    place: if compiled.rank.path.kind == PathKind::Regex {
                        0
                    } else {
                        node
                    },
                    conditions: compiled.rank.conditions,
                    route_place: self.place_of_route[one.route as usize],
                    compiled: at,
                    section: one.section,
                    node,
                });
            }
        }
        drafts
    }

    fn candidate(&self, draft: &Draft) -> Candidate {
        let compiled = &self.matches[draft.compiled as usize];
        Candidate {
            hit: Hit {
                section: draft.section,
                ..compiled.hit
            },
            conditions: compiled.conditions,
        }
    }
}

/// The nodes of the path tree with the candidates that end at each, and the regular expressions by node.
fn lay_out_nodes(
    drafts: &[Draft],
    compiled: &CompiledRoutes,
    parents: &[u32],
) -> (Box<[Node]>, Box<[PathPattern]>) {
    let empty = Node {
        exact: Range::default(),
        exact_split: NONE,
        prefix: Range::default(),
        prefix_split: NONE,
        patterns: Range::default(),
        shorter_prefix: NONE,
        shorter_patterns: NONE,
    };
    let mut nodes = vec![empty; parents.len()];
    let mut patterns = Vec::new();
    for (draft, at) in drafts.iter().zip(0..) {
        let node = &mut nodes[draft.node as usize];
        match draft.path.kind {
            PathKind::Exact => node.exact.extend_to(at),
            PathKind::Prefix => node.prefix.extend_to(at),
            PathKind::Regex => {
                // An expression that cannot be compiled has no pattern: nothing leads to its candidate.
                let pattern = compiled.matches[draft.compiled as usize].pattern.clone();
                patterns.extend(pattern.map(|pattern| (draft.node, at, pattern)));
            }
        }
    }
    patterns.sort_by_key(|(node, candidate, _)| (*node, *candidate));
    let mut path_patterns = Vec::with_capacity(patterns.len());
    for (node, candidate, pattern) in patterns {
        nodes[node as usize]
            .patterns
            .extend_to(path_patterns.len() as u32);
        path_patterns.push(PathPattern { pattern, candidate });
    }
    for (at, parent) in parents.iter().enumerate().filter(|(_, parent)| **parent != NONE) {
        // Parents come before their children, so the parent's own links are complete.
        let above = nodes[*parent as usize];
        nodes[at].shorter_prefix = if above.prefix.is_empty() {
            above.shorter_prefix
        } else {
            *parent
        };
        nodes[at].shorter_patterns = if above.patterns.is_empty() {
            above.shorter_patterns
        } else {
            *parent
        };
    }
    (nodes.into(), path_patterns.into())
}

/// The path elements that every path matching `pattern` starts with: its literal start up to the last slash.
fn literal_elements(pattern: Option<&Pattern>) -> Arc<str> {
    let literal = pattern
        .and_then(|pattern| std::str::from_utf8(pattern.literal()).ok())
        .unwrap_or_default();
    literal.rfind('/').map_or("", |slash| &literal[..slash]).into()
}
