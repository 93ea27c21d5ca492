//! The compiled routes of a listener as they lie in memory: flat lists that refer to each other by index.

use std::sync::Arc;

use weir_model::{HostPattern, Route};

use crate::condition::Conditions;
use crate::host::HostIndex;
use crate::pattern::Pattern;
use crate::range::Range;
use crate::request::Hit;
use crate::split::Splits;
use crate::trie::Trie;

/// Everything that [`crate::Router`] knows.
#[derive(Debug)]
pub(crate) struct Layout {
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
