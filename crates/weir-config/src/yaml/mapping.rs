//! A mapping whose end has not been read.

use std::collections::HashSet;
use std::sync::Arc;

use super::{Entry, Node, Span};

/// Mappings up to this many entries are searched for duplicate keys without a hash set.
const SMALL_MAPPING: usize = 16;

/// The entries so far.
#[derive(Default)]
pub(super) struct OpenMapping {
    /// In the order written.
    pub(super) entries: Vec<Entry>,
    /// The key whose value comes next; `None` means that a key comes next.
    pub(super) key: Option<Key>,
    /// Keys seen, once there are more than [`SMALL_MAPPING`].
    seen: HashSet<Arc<str>>,
    /// Values of merge keys.
    pub(super) merges: Vec<Node>,
}

/// What a key of a mapping is.
pub(super) enum Key {
    /// An entry's key.
    Named(Arc<str>, Span),
    /// `<<`.
    Merge,
    /// A key that is reported and left out together with its value.
    Dropped,
}

impl OpenMapping {
    /// Whether a key is there.
    pub(super) fn has(&self, key: &Arc<str>) -> bool {
        if self.seen.is_empty() {
            self.entries.iter().any(|entry| entry.key == *key)
        } else {
            self.seen.contains(key)
        }
    }

    /// Adds an entry whose key is not there yet.
    pub(super) fn push(&mut self, entry: Entry) {
        if !self.seen.is_empty() {
            self.seen.insert(entry.key.clone());
        } else if self.entries.len() == SMALL_MAPPING {
            self.seen = self
                .entries
                .iter()
                .map(|entry| entry.key.clone())
                .chain([entry.key.clone()])
                .collect();
        }
        self.entries.push(entry);
    }
}
