//! Long lists of matches that share host and path, told apart by a header or a query parameter.
//!
//! A thousand tenants on one path, each with its own `x-tenant: NAME`, would be a thousand comparisons. Here each
//! match of such a list is filed under one of its exact values, and a request looks only at those of its own value.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::condition::{Conditions, ValueTest};
use crate::query;
use crate::range::Range;
use crate::request::RequestParts;
use crate::table::KeyTable;
use crate::trie::NONE;

/// Lists up to this length are searched one by one.
const LIST_SEARCHED: usize = 8;

/// All split lists of a router.
#[derive(Debug, Default)]
pub(crate) struct Splits {
    lists: Vec<SplitList>,
    axes: Vec<Axis>,
    /// Axis and value to an index in `files`.
    values: KeyTable,
    /// Ranges of `members`.
    files: Vec<Range>,
    /// In order of precedence in each file.
    members: Vec<Member>,
}

/// A candidate in a file.
#[derive(Clone, Copy, Debug)]
struct Member {
    candidate: u32,
    /// The value that it is filed under is its only condition, so that nothing is left to check.
    settled: bool,
}

/// One list: the axes to look under, and what can be filed under none.
#[derive(Debug)]
struct SplitList {
    axes: Range,
    rest: Range,
}

/// What a request's value is looked up of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Axis {
    Header(Arc<str>),
    Query(Arc<str>),
}

/// Grows [`Splits`].
#[derive(Debug, Default)]
pub(crate) struct SplitBuilder {
    splits: Splits,
    values: Vec<(u32, Arc<str>, u32)>,
}

impl SplitBuilder {
    /// Splits the candidates of `list` when that pays; `of` tells the conditions of each. The index of the split,
    /// or [`NONE`].
    pub(crate) fn split<'c>(&mut self, list: Range, of: impl Fn(u32) -> Option<&'c Conditions>) -> u32 {
        if list.indexes().len() <= LIST_SEARCHED {
            return NONE;
        }
        let exact = |at: u32| exact_values(of(at));
        let mut known: BTreeMap<Axis, BTreeSet<&str>> = BTreeMap::new();
        for (axis, value) in (list.start..list.end).flat_map(exact) {
            known.entry(axis).or_default().insert(value);
        }
        // A candidate goes under the axis that tells most apart.
        let (mut files, mut rest) = (BTreeMap::<(Axis, &Arc<str>), Vec<Member>>::new(), Vec::new());
        for at in list.start..list.end {
            match exact(at).max_by_key(|(axis, _)| known.get(axis).map_or(0, BTreeSet::len)) {
                Some(place) => {
                    let settled = of(at).is_some_and(|conditions| conditions.count() == 1);
                    files.entry(place).or_default().push(Member {
                        candidate: at,
                        settled,
                    });
                }
                None => rest.push(Member {
                    candidate: at,
                    settled: false,
                }),
            }
        }
        if files.is_empty() {
            return NONE;
        }
        let axes_start = self.splits.axes.len();
        for ((axis, value), members) in files {
            if self.splits.axes[axes_start..].last() != Some(&axis) {
                self.splits.axes.push(axis);
            }
            let file = self.add_file(&members);
            self.values.push((
                self.splits.axes.len() as u32 - 1,
                value.clone(),
                self.splits.files.len() as u32,
            ));
            self.splits.files.push(file);
        }
        let axes = Range {
            start: axes_start as u32,
            end: self.splits.axes.len() as u32,
        };
        let rest = self.add_file(&rest);
        self.splits.lists.push(SplitList { axes, rest });
        self.splits.lists.len() as u32 - 1
    }

    pub(crate) fn finish(self) -> Splits {
        let values = self
            .values
            .iter()
            .map(|(axis, value, file)| (*axis, &**value, *file))
            .collect();
        Splits {
            values: KeyTable::build(values),
            ..self.splits
        }
    }

    fn add_file(&mut self, members: &[Member]) -> Range {
        let start = self.splits.members.len() as u32;
        self.splits.members.extend_from_slice(members);
        Range {
            start,
            end: self.splits.members.len() as u32,
        }
    }
}

impl Splits {
    /// The first by precedence of the list's candidates for which `holds`.
    pub(crate) fn find(
        &self,
        list: u32,
        request: &RequestParts<'_>,
        holds: impl Fn(u32) -> bool,
    ) -> Option<u32> {
        let list = &self.lists[list as usize];
        let mut best = self.first_of(list.rest, NONE, &holds);
        for at in list.axes.start..list.axes.end {
            match &self.axes[at as usize] {
                Axis::Header(name) => {
                    let mut joined = String::new();
                    if let Some(value) = request.headers.value(name, &mut joined) {
                        best = self.first_under(at, value, best, &holds);
                    }
                }
                Axis::Query(name) => {
                    if let Some(sent) = request.query.and_then(|query| query::first_value(query, name)) {
                        best = self.first_under(at, sent, best, &holds);
                        if sent.contains('%') {
                            best = self.first_under(at, &query::decoded(sent), best, &holds);
                        }
                    }
                }
            }
        }
        (best != NONE).then_some(best)
    }

    fn first_under(&self, axis: u32, value: &str, best: u32, holds: &impl Fn(u32) -> bool) -> u32 {
        match self.values.find(axis, value) {
            Some(file) => self.first_of(self.files[file as usize], best, holds),
            None => best,
        }
    }

    /// The first member that holds, if it precedes `best`; else `best`.
    fn first_of(&self, file: Range, best: u32, holds: &impl Fn(u32) -> bool) -> u32 {
        let preceding = self.members[file.indexes()]
            .iter()
            .take_while(|member| member.candidate < best);
        let mut preceding = preceding.filter(|member| member.settled || holds(member.candidate));
        preceding.next().map_or(best, |member| member.candidate)
    }
}

/// The exact values that a request must have to satisfy `conditions`.
fn exact_values(conditions: Option<&Conditions>) -> impl Iterator<Item = (Axis, &Arc<str>)> {
    conditions.into_iter().flat_map(|conditions| {
        let headers = conditions
            .headers
            .iter()
            .map(|(name, test)| (Axis::Header(name.clone()), test));
        let query = conditions
            .query
            .iter()
            .map(|(name, test)| (Axis::Query(name.clone()), test));
        headers.chain(query).filter_map(|(axis, test)| match test {
            ValueTest::Exact(value) => Some((axis, value)),
            ValueTest::Pattern(_) | ValueTest::Never(_) => None,
        })
    })
}
