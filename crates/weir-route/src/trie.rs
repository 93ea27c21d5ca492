//! The paths of all hosts of a listener, as one tree of path elements.
//!
//! An element is what stands between two slashes. `/` has one element, which is empty; the prefix of all paths has
//! none and ends at the root. That makes prefixes match by element without any further check.

use std::collections::BTreeMap;

use crate::table::KeyTable;

/// Stands for no node.
pub(crate) const NONE: u32 = u32::MAX;

/// Grows a [`Trie`].
#[derive(Debug)]
pub(crate) struct TrieBuilder<'a> {
    roots: u32,
    edges: BTreeMap<(u32, &'a str), u32>,
    parents: Vec<u32>,
}

/// An immutable tree. Nodes are numbered so that parents come before children.
#[derive(Debug)]
pub(crate) struct Trie {
    /// Parent and element to the child's number times two, plus one when the child has children of its own: most
    /// have none, and need no further lookup.
    edges: KeyTable,
    /// Whether a root has children.
    inner_roots: Box<[bool]>,
}

impl<'a> TrieBuilder<'a> {
    /// A forest of that many roots, numbered from 0.
    pub(crate) fn new(roots: u32) -> Self {
        Self {
            roots,
            edges: BTreeMap::new(),
            parents: vec![NONE; roots as usize],
        }
    }

    /// The node of a whole path. A path that does not start with `/` gets a node that no walk reaches.
    pub(crate) fn insert(&mut self, root: u32, path: &'a str) -> u32 {
        match path.strip_prefix('/') {
            Some(elements) => elements
                .split('/')
                .fold(root, |node, element| self.child(node, element)),
            None if path.is_empty() => root,
            None => self.add(NONE),
        }
    }

    /// The parent of each node; [`NONE`] for roots.
    pub(crate) fn parents(&self) -> &[u32] {
        &self.parents
    }

    pub(crate) fn finish(self) -> Trie {
        let mut inner = vec![false; self.parents.len()];
        for (parent, _) in self.edges.keys() {
            inner[*parent as usize] = true;
        }
        let marked = |child: u32| child * 2 + u32::from(inner[child as usize]);
        let edges = self
            .edges
            .iter()
            .map(|((parent, element), child)| (*parent, *element, marked(*child)));
        let edges = KeyTable::build(edges.collect());
        inner.truncate(self.roots as usize);
        Trie {
            edges,
            inner_roots: inner.into(),
        }
    }

    fn child(&mut self, parent: u32, element: &'a str) -> u32 {
        if let Some(child) = self.edges.get(&(parent, element)) {
            return *child;
        }
        let child = self.add(parent);
        self.edges.insert((parent, element), child);
        child
    }

    fn add(&mut self, parent: u32) -> u32 {
        self.parents.push(parent);
        self.parents.len() as u32 - 1
    }
}

impl Trie {
    /// Follows `path` from `root` as far as the tree goes: the last node, and whether it is the whole path's.
    pub(crate) fn walk(&self, root: u32, path: &str) -> (u32, bool) {
        let Some(mut rest) = path.strip_prefix('/') else {
            return (root, false);
        };
        let (mut node, mut inner) = (root, self.inner_roots[root as usize]);
        while inner {
            let (element, more) = match rest.bytes().position(|byte| byte == b'/') {
                Some(slash) => (&rest[..slash], Some(&rest[slash + 1..])),
                None => (rest, None),
            };
            let Some(child) = self.edges.find(node, element) else {
                break;
            };
            (node, inner) = (child / 2, child % 2 == 1);
            match more {
                Some(more) => rest = more,
                None => return (node, true),
            }
        }
        (node, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_ends_at_the_deepest_known_element() {
        let mut builder = TrieBuilder::new(2);
        let paths = ["/v2", "/v2/x", "/v2/", "/", "/v2//x", "/é"];
        let [v2, v2x, v2_slash, slash, empty, accent] = paths.map(|path| builder.insert(0, path));
        let other = builder.insert(1, "/v2");
        assert_eq!(builder.insert(0, ""), 0);
        assert_eq!(builder.insert(0, "/v2/x"), v2x);
        let stray = builder.insert(0, "v2");
        assert_eq!(builder.parents()[v2x as usize], v2);
        let trie = builder.finish();
        for (root, path, node, whole) in [
            (0, "/v2", v2, true),
            (0, "/v2/", v2_slash, true),
            (0, "/v2/x", v2x, true),
            (0, "/v2/x/y", v2x, false),
            (0, "/v2//x", empty, true),
            (0, "/v2//", v2_slash, false),
            (0, "/v2example", 0, false),
            (0, "/V2", 0, false),
            (0, "/", slash, true),
            (0, "//v2", slash, false),
            (0, "/é", accent, true),
            (0, "", 0, false),
            (0, "*", 0, false),
            (0, "v2", 0, false),
            (1, "/v2", other, true),
            (1, "/v2/x", other, false),
        ] {
            assert_eq!(trie.walk(root, path), (node, whole), "{root} {path}");
            assert_ne!(trie.walk(root, path).0, stray);
        }
    }
}
