//! Building the tree of one document, piece by piece and within bounds.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::mem;
use std::sync::Arc;

use weir_model::limits;

use super::mapping::{Key, OpenMapping};
use super::{Entry, Finding, Node, Scalar, ScalarStyle, Span, Value};

/// Nodes of one document, aliases expanded.
const NODES_MAX: usize = 4_000_000;
/// Nodes of one document that anchors and aliases add. Stops documents that double at every alias.
const ALIAS_NODES_MAX: usize = 100_000;
/// Findings of one document, besides the one that ends it.
const FINDINGS_MAX: usize = 1000;
/// Different keys that are kept shared between documents.
const SHARED_KEYS_MAX: usize = 4096;

/// The document cannot be read on; the reason has been added to the findings.
pub(super) struct Stop;

/// Builds the tree of one document. Every method that returns [`Stop`] has added why.
pub(super) struct Builder<'p> {
    keys: &'p mut HashSet<Arc<str>>,
    open: Vec<Open>,
    anchors: HashMap<usize, Anchored>,
    root: Option<Node>,
    findings: Vec<Finding>,
    nodes: usize,
    alias_nodes: usize,
}

/// A collection whose end has not been read.
struct Open {
    span: Span,
    anchor: usize,
    /// The number of nodes before it.
    nodes_before: usize,
    kind: OpenKind,
}

enum OpenKind {
    Sequence(Vec<Node>),
    Mapping(OpenMapping),
}

struct Anchored {
    node: Node,
    nodes: usize,
}

impl<'p> Builder<'p> {
    pub(super) fn new(keys: &'p mut HashSet<Arc<str>>) -> Self {
        Self {
            keys,
            open: Vec::new(),
            anchors: HashMap::new(),
            root: None,
            findings: Vec::new(),
            nodes: 0,
            alias_nodes: 0,
        }
    }

    /// Adds the finding that ends the document.
    pub(super) fn stop(&mut self, finding: Finding) -> Result<(), Stop> {
        self.findings.push(finding);
        Err(Stop)
    }

    /// The tree and what was found.
    pub(super) fn finish(self) -> (Option<Node>, Vec<Finding>) {
        (self.root.filter(|root| !root.is_null()), self.findings)
    }

    /// Whether the tree has its root.
    pub(super) fn has_root(&self) -> bool {
        self.root.is_some()
    }

    /// Takes a scalar, plain or quoted; an anchor of 0 is none.
    pub(super) fn scalar(
        &mut self,
        text: Cow<'_, str>,
        style: ScalarStyle,
        anchor: usize,
        span: Span,
    ) -> Result<(), Stop> {
        let plain = style == ScalarStyle::Plain;
        let is_key = self.expects_key();
        if is_key {
            self.key(&text, plain, span);
            if anchor == 0 {
                return Ok(());
            }
        }
        let value = match &*text {
            "" | "~" | "null" | "Null" | "NULL" if plain => Value::Null,
            _ => Value::Scalar(Scalar {
                text: Arc::from(text),
                style,
            }),
        };
        let node = Node { value, span };
        self.count(1, span)?;
        if is_key {
            self.anchors.insert(anchor, Anchored { node, nodes: 1 });
            return Ok(());
        }
        self.value(node, anchor, 1)
    }

    /// Adds a finding that does not end the document.
    pub(super) fn note(&mut self, finding: Finding) {
        note(&mut self.findings, finding);
    }

    /// Opens a list.
    pub(super) fn start_sequence(&mut self, anchor: usize, span: Span) -> Result<(), Stop> {
        self.start(OpenKind::Sequence(Vec::new()), anchor, span)
    }

    /// Opens a mapping.
    pub(super) fn start_mapping(&mut self, anchor: usize, span: Span) -> Result<(), Stop> {
        self.start(OpenKind::Mapping(OpenMapping::default()), anchor, span)
    }

    /// Whether the next node is a key of an open mapping.
    fn expects_key(&self) -> bool {
        matches!(self.open.last(), Some(Open { kind: OpenKind::Mapping(mapping), .. }) if mapping.key.is_none())
    }

    fn key(&mut self, text: &str, plain: bool, span: Span) {
        let key = shared(self.keys, text);
        let Some(Open {
            kind: OpenKind::Mapping(mapping),
            ..
        }) = self.open.last_mut()
        else {
            return;
        };
        // Merge keys are YAML 1.1, which Kubernetes tools accept.
        mapping.key = Some(if plain && text == "<<" {
            Key::Merge
        } else if mapping.has(&key) {
            note(
                &mut self.findings,
                Finding::new("E0002", span, format!("the key \"{text}\" is written twice"))
                    .label("the first one counts")
                    .help("remove one of the two"),
            );
            Key::Dropped
        } else {
            Key::Named(key, span)
        });
    }

    /// Puts a complete node where it belongs.
    fn value(&mut self, node: Node, anchor: usize, nodes: usize) -> Result<(), Stop> {
        if anchor != 0 {
            self.count_alias(nodes, node.span)?;
            self.anchors.insert(
                anchor,
                Anchored {
                    node: node.clone(),
                    nodes,
                },
            );
        }
        match self.open.last_mut().map(|open| &mut open.kind) {
            None => self.root = Some(node),
            Some(OpenKind::Sequence(items)) => items.push(node),
            Some(OpenKind::Mapping(mapping)) => match mapping.key.take() {
                Some(Key::Named(key, key_span)) => {
                    let mut node = node;
                    if node.span.length == 0 && node.is_null() {
                        // Nothing was written: the key is what a message can point at.
                        node.span = key_span;
                    }
                    mapping.push(Entry { key, key_span, node });
                }
                Some(Key::Merge) => mapping.merges.push(node),
                Some(Key::Dropped) => {}
                None => {
                    mapping.key = Some(Key::Dropped);
                    let found = node.kind_word();
                    note(
                        &mut self.findings,
                        Finding::new("E0003", node.span, format!("a key must be text, found {found}")),
                    );
                }
            },
        }
        Ok(())
    }

    fn start(&mut self, kind: OpenKind, anchor: usize, span: Span) -> Result<(), Stop> {
        let span = Span { length: 1, ..span };
        if self.open.len() >= limits::YAML_DEPTH {
            return self.stop(too_deep(span));
        }
        self.count(1, span)?;
        self.open.push(Open {
            span,
            anchor,
            nodes_before: self.nodes - 1,
            kind,
        });
        Ok(())
    }

    /// Closes the list or mapping that was opened last.
    pub(super) fn end(&mut self) -> Result<(), Stop> {
        let Some(open) = self.open.pop() else {
            return Ok(());
        };
        let mut span = open.span;
        let value = match open.kind {
            OpenKind::Sequence(items) => Value::Sequence(items),
            OpenKind::Mapping(mut mapping) => {
                for merge in mem::take(&mut mapping.merges) {
                    self.merge(&mut mapping, merge);
                }
                if let Some(first) = mapping
                    .entries
                    .first()
                    .filter(|first| same_start(first.key_span, span))
                {
                    span.length = first.key_span.length;
                }
                Value::Mapping(mapping.entries)
            }
        };
        let nodes = self.nodes - open.nodes_before;
        self.value(Node { value, span }, open.anchor, nodes)
    }

    /// Adds the entries of a merge key's value; what the mapping says itself wins.
    fn merge(&mut self, mapping: &mut OpenMapping, source: Node) {
        match source.value {
            Value::Mapping(entries) => {
                for entry in entries {
                    if !mapping.has(&entry.key) {
                        mapping.push(entry);
                    }
                }
            }
            Value::Sequence(items) if items.iter().all(|item| matches!(item.value, Value::Mapping(_))) => {
                for item in items {
                    self.merge(mapping, item);
                }
            }
            Value::Null | Value::Scalar(_) | Value::Sequence(_) => {
                note(
                    &mut self.findings,
                    Finding::new(
                        "E0003",
                        source.span,
                        "a merge key takes a mapping or a list of mappings",
                    ),
                );
            }
        }
    }

    /// Puts a copy of an anchored value.
    pub(super) fn alias(&mut self, id: usize, place: Span) -> Result<(), Stop> {
        let Some(anchored) = self.anchors.get(&id) else {
            return self.stop(Finding::new("E0001", place, "an alias inside its own anchor"));
        };
        if self.expects_key() {
            let text = anchored.node.scalar().map(|scalar| scalar.text.clone());
            match text {
                Some(text) => self.key(&text, false, place),
                None => {
                    note(
                        &mut self.findings,
                        Finding::new("E0003", place, "a key must be text"),
                    );
                    if let Some(Open {
                        kind: OpenKind::Mapping(mapping),
                        ..
                    }) = self.open.last_mut()
                    {
                        mapping.key = Some(Key::Dropped);
                    }
                }
            }
            return Ok(());
        }
        if self.open.len() + depth(&anchored.node) > limits::YAML_DEPTH {
            return self.stop(too_deep(place));
        }
        let nodes = anchored.nodes;
        self.count_alias(nodes, place)?;
        let node = self.anchors[&id].node.clone();
        self.count(nodes, place)?;
        self.value(node, 0, nodes)
    }

    fn count(&mut self, nodes: usize, span: Span) -> Result<(), Stop> {
        self.nodes += nodes;
        if self.nodes > NODES_MAX {
            return self.stop(
                Finding::new(
                    "E0004",
                    span,
                    format!("the document has more than {NODES_MAX} values"),
                )
                .help("split it into several documents"),
            );
        }
        Ok(())
    }

    fn count_alias(&mut self, nodes: usize, span: Span) -> Result<(), Stop> {
        self.alias_nodes += nodes;
        if self.alias_nodes > ALIAS_NODES_MAX {
            let message = format!("anchors and aliases stand for more than {ALIAS_NODES_MAX} values");
            return self.stop(Finding::new("E0004", span, message).help("write the values out"));
        }
        Ok(())
    }
}

/// Adds a finding, unless there are more than anybody reads.
fn note(findings: &mut Vec<Finding>, finding: Finding) {
    if findings.len() < FINDINGS_MAX {
        findings.push(finding);
    }
}

/// The shared allocation of a key.
fn shared(keys: &mut HashSet<Arc<str>>, text: &str) -> Arc<str> {
    if let Some(key) = keys.get(text) {
        return key.clone();
    }
    let key: Arc<str> = Arc::from(text);
    if keys.len() < SHARED_KEYS_MAX {
        keys.insert(key.clone());
    }
    key
}

fn same_start(left: Span, right: Span) -> bool {
    (left.line, left.column) == (right.line, right.column)
}

/// Levels of a tree. The tree itself is no deeper than [`limits::YAML_DEPTH`], which bounds the recursion.
fn depth(node: &Node) -> usize {
    let below = match &node.value {
        Value::Null | Value::Scalar(_) => return 0,
        Value::Sequence(items) => items.iter().map(depth).max(),
        Value::Mapping(entries) => entries.iter().map(|entry| depth(&entry.node)).max(),
    };
    1 + below.unwrap_or(0)
}

/// The document is nested too deeply.
pub(super) fn too_deep(span: Span) -> Finding {
    Finding::new(
        "E0004",
        span,
        format!("values are nested deeper than {} levels", limits::YAML_DEPTH),
    )
}
