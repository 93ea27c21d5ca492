//! The one place that knows the parser library: events of one document become a tree.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::mem;
use std::sync::Arc;

use granit_parser::{ErrorKind, Event, ScalarStyle as EventStyle, ScanError, Span as EventSpan, Tag};
use weir_model::limits;

use super::{Entry, Finding, Node, Scalar, ScalarStyle, Span, Value};

/// Nodes of one document, aliases expanded.
const NODES_MAX: usize = 4_000_000;
/// Nodes of one document that anchors and aliases add. Stops documents that double at every alias.
const ALIAS_NODES_MAX: usize = 100_000;
/// Findings of one document, besides the one that ends it.
const FINDINGS_MAX: usize = 1000;
/// Different keys that are kept shared between documents.
const SHARED_KEYS_MAX: usize = 4096;
/// Mappings up to this many entries are searched for duplicate keys without a hash set.
const SMALL_MAPPING: usize = 16;

/// Turns the text of documents into trees. Keep one for many documents: they share their keys' allocations.
#[derive(Debug, Default)]
pub struct Parser {
    keys: HashSet<Arc<str>>,
}

/// What one document holds.
#[derive(Clone, Debug, Default)]
pub struct Document {
    /// The tree; `None` when the document is empty or could not be read.
    pub root: Option<Node>,
    /// What is wrong with its YAML. An error means that the tree is incomplete or absent.
    pub findings: Vec<Finding>,
}

impl Parser {
    /// A parser that has seen no keys yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads one document, as cut out by [`super::sections`]. Never panics, and takes time and memory in
    /// proportion to the text: depth, aliases and nodes are bounded.
    pub fn parse(&mut self, text: &str) -> Document {
        let options = granit_parser::options! {
            flow_nesting_limit: limits::YAML_DEPTH,
            block_nesting_limit: limits::YAML_DEPTH,
        };
        let mut builder = Builder::new(&mut self.keys);
        for event in granit_parser::Parser::new_from_str_with_options(text, options) {
            let read = match event {
                Ok((event, span)) => builder.event(event, span),
                Err(error) => builder.stop(syntax_finding(&error, text)),
            };
            if read.is_err() {
                return Document {
                    root: None,
                    findings: builder.findings,
                };
            }
        }
        Document {
            root: builder.root.filter(|root| !root.is_null()),
            findings: builder.findings,
        }
    }
}

/// The document cannot be read on; the reason has been added to the findings.
struct Stop;

/// Builds the tree of one document from its events.
struct Builder<'p> {
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

#[derive(Default)]
struct OpenMapping {
    entries: Vec<Entry>,
    /// The key whose value comes next; `None` means that a key comes next.
    key: Option<Key>,
    /// Keys seen, once there are more than [`SMALL_MAPPING`].
    seen: HashSet<Arc<str>>,
    merges: Vec<Node>,
}

enum Key {
    Named(Arc<str>, Span),
    Merge,
    /// A key that is reported and left out together with its value.
    Dropped,
}

struct Anchored {
    node: Node,
    nodes: usize,
}

impl<'p> Builder<'p> {
    fn new(keys: &'p mut HashSet<Arc<str>>) -> Self {
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

    fn stop(&mut self, finding: Finding) -> Result<(), Stop> {
        self.findings.push(finding);
        Err(Stop)
    }

    /// Takes one event. An error ends the document.
    fn event(&mut self, event: Event<'_>, span: EventSpan) -> Result<(), Stop> {
        match event {
            Event::Scalar(text, style, anchor, tag) => self.scalar(text, style, anchor, tag, span),
            Event::SequenceStart(_, anchor, tag) => {
                self.note_tag(tag.as_deref(), span);
                self.start(OpenKind::Sequence(Vec::new()), anchor, span)
            }
            Event::MappingStart(_, anchor, tag) => {
                self.note_tag(tag.as_deref(), span);
                self.start(OpenKind::Mapping(OpenMapping::default()), anchor, span)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(id) => self.alias(id, span),
            Event::DocumentStart(..) if self.root.is_some() => self.stop(Finding::new(
                "E0001",
                place(span),
                "a second document starts without a `---` line",
            )),
            // Starts and ends; the library may add kinds of events, which carry no values either.
            _ => Ok(()),
        }
    }

    fn scalar(
        &mut self,
        text: Cow<'_, str>,
        style: EventStyle,
        anchor: usize,
        tag: Option<Cow<'_, Tag>>,
        span: EventSpan,
    ) -> Result<(), Stop> {
        let place = place(span);
        let text_tag = tag
            .as_deref()
            .is_some_and(|tag| tag.is_yaml_core_schema_tag("str"));
        self.note_tag(tag.as_deref(), span);
        let plain = style == EventStyle::Plain && !text_tag;
        if self.expects_key() {
            self.key(&text, plain, place);
            return Ok(());
        }
        let value = if plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL") {
            Value::Null
        } else {
            let style = if plain {
                ScalarStyle::Plain
            } else {
                ScalarStyle::Quoted
            };
            Value::Scalar(Scalar {
                text: Arc::from(text),
                style,
            })
        };
        self.count(1, place)?;
        self.value(Node { value, span: place }, anchor, 1)
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

    fn start(&mut self, kind: OpenKind, anchor: usize, span: EventSpan) -> Result<(), Stop> {
        let span = Span {
            length: 1,
            ..place(span)
        };
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

    fn end(&mut self) -> Result<(), Stop> {
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

    fn alias(&mut self, id: usize, span: EventSpan) -> Result<(), Stop> {
        let place = place(span);
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

    fn note_tag(&mut self, tag: Option<&Tag>, span: EventSpan) {
        if tag.is_some_and(|tag| !tag.is_yaml_core_schema()) {
            let span = span.tag_span().map_or(place(span), place);
            note(
                &mut self.findings,
                Finding::new("N0005", span, "the tag is ignored"),
            );
        }
    }
}

impl OpenMapping {
    fn has(&self, key: &Arc<str>) -> bool {
        if self.seen.is_empty() {
            self.entries.iter().any(|entry| entry.key == *key)
        } else {
            self.seen.contains(key)
        }
    }

    fn push(&mut self, entry: Entry) {
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

fn place(span: EventSpan) -> Span {
    let (start, end) = (span.start, span.end);
    let length = if start.line() == end.line() {
        end.col().saturating_sub(start.col())
    } else {
        0
    };
    Span {
        line: number(start.line()),
        column: number(start.col() + 1),
        length: number(length),
    }
}

fn number(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
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

fn too_deep(span: Span) -> Finding {
    Finding::new(
        "E0004",
        span,
        format!("values are nested deeper than {} levels", limits::YAML_DEPTH),
    )
}

fn syntax_finding(error: &ScanError, text: &str) -> Finding {
    let mark = error.marker();
    let mut span = Span {
        line: number(mark.line()),
        column: number(mark.col() + 1),
        length: 1,
    };
    // What is missing at the end is missing after the last line that holds something.
    let content = text.trim_end();
    let lines = number(content.split('\n').count());
    if span.line > lines {
        let last = content.rsplit('\n').next().unwrap_or_default();
        span = Span {
            line: lines,
            column: number(last.chars().count() + 1),
            length: 1,
        };
    }
    if *error.kind() == ErrorKind::RecursionLimitExceeded {
        return too_deep(span);
    }
    let finding = Finding::new("E0001", span, format!("this is not YAML: {}", error.info()));
    let help = match error.kind() {
        ErrorKind::TabNotAllowed | ErrorKind::TabInBlockIndentation | ErrorKind::TabInIndentation => {
            "indent with spaces instead of tabs"
        }
        ErrorKind::UnknownAnchor => {
            "write `&name` before its first use, or quote the text if it starts with `*`"
        }
        ErrorKind::UnclosedQuotedScalar
        | ErrorKind::DocumentIndicatorInQuotedScalar
        | ErrorKind::InvalidQuotedScalarIndent => "close the quotes on the line where they open",
        ErrorKind::UnclosedFlowCollection { .. } => "close the bracket",
        ErrorKind::UnexpectedCharacter { .. } => "quote the text",
        _ => return finding,
    };
    finding.help(help)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree as one line: `{key@line:column: value@line:column+length}`.
    fn show(node: &Node) -> String {
        let Span { line, column, length } = node.span;
        let place = format!("@{line}:{column}+{length}");
        match &node.value {
            Value::Null => format!("null{place}"),
            Value::Scalar(scalar) if scalar.style == ScalarStyle::Quoted => {
                format!("{:?}{place}", scalar.text)
            }
            Value::Scalar(scalar) => format!("{}{place}", scalar.text),
            Value::Sequence(items) => {
                format!(
                    "[{}]{place}",
                    items.iter().map(show).collect::<Vec<_>>().join(", ")
                )
            }
            Value::Mapping(entries) => {
                let entries: Vec<_> = entries
                    .iter()
                    .map(|entry| format!("{}: {}", entry.key, show(&entry.node)))
                    .collect();
                format!("{{{}}}{place}", entries.join(", "))
            }
        }
    }

    fn tree(text: &str) -> String {
        let document = Parser::new().parse(text);
        let mut shown = document.root.as_ref().map_or("nothing".to_owned(), show);
        for finding in document.findings {
            let Span { line, column, length } = finding.span;
            shown += &format!(" | {} {line}:{column}+{length} {}", finding.code, finding.message);
        }
        shown
    }

    fn check(text: &str, expected: &str) {
        assert_eq!(tree(text), expected, "{text}");
    }

    #[test]
    fn values_know_where_they_are_written() {
        check(
            "a: 1\nb:\n  - x\n  - \"y z\"\n",
            "{a: 1@1:4+1, b: [x@3:5+1, \"y z\"@4:5+5]@3:3+1}@1:1+1",
        );
        check("---\n# c\nname: ünï # c\n", "{name: ünï@3:7+3}@3:1+4");
        check(
            "{\"a\": [1, true, null]}",
            "{a: [1@1:8+1, true@1:11+4, null@1:17+4]@1:7+1}@1:1+1",
        );
        check(
            "{\n\t\"a\": {\n\t\t\"b\": [\n\t\t\t1\n\t\t]\n\t}\n}\n",
            "{a: {b: [1@4:4+1]@3:8+1}@2:7+1}@1:1+1",
        );
        check(
            "a:\nb: ~\nc: ''\n",
            "{a: null@1:1+1, b: null@2:4+1, c: \"\"@3:4+2}@1:1+1",
        );
        check("a: |\n  one\n  two\n", "{a: \"one\\ntwo\\n\"@2:3+0}@1:1+1");
        check("", "nothing");
        check("---\n", "nothing");
    }

    #[test]
    fn anchors_and_merge_keys_are_resolved() {
        check(
            "a: &x {k: 1}\nb: *x\n",
            "{a: {k: 1@1:11+1}@1:7+1, b: {k: 1@1:11+1}@1:7+1}@1:1+1",
        );
        check(
            "a: &x {k: 1, l: 2}\nb:\n  <<: *x\n  k: 3\n",
            "{a: {k: 1@1:11+1, l: 2@1:17+1}@1:7+1, b: {k: 3@4:6+1, l: 2@1:17+1}@3:3+1}@1:1+1",
        );
        check(
            "a: *no\n",
            "nothing | E0001 1:4+1 this is not YAML: while parsing node, found unknown anchor",
        );
        check(
            "a: &x [*x]\n",
            "nothing | E0001 1:8+2 an alias inside its own anchor",
        );
        check(
            "a: !!str 1\nb: !env X\n",
            "{a: \"1\"@1:10+1, b: X@2:9+1}@1:1+1 | N0005 2:4+4 the tag is ignored",
        );
    }

    #[test]
    fn bad_keys_are_reported_and_left_out() {
        check(
            "a: 1\na: 2\nb: 3\n",
            "{a: 1@1:4+1, b: 3@3:4+1}@1:1+1 | E0002 2:1+1 the key \"a\" is written twice",
        );
        check(
            "? [x]\n: 1\nb: 2\n",
            "{b: 2@3:4+1}@1:1+1 | E0003 1:3+1 a key must be text, found a list",
        );
        let many: String = (0..40).map(|i| format!("k{i}: 1\n")).collect();
        assert!(tree(&format!("{many}k17: 2\n")).contains("E0002 41:1+3"));
    }

    #[test]
    fn hostile_documents_meet_their_bounds() {
        let deep = "[".repeat(10_000);
        assert!(tree(&deep).contains("E0004"), "flow depth");
        let deep: String = (0..200).map(|i| format!("{}a:\n", " ".repeat(i))).collect();
        assert!(tree(&deep).contains("E0004"), "block depth");
        let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for i in 1..12 {
            let before = i - 1;
            laughs += &format!("a{i}: &a{i} [{}]\n", vec![format!("*a{before}"); 10].join(", "));
        }
        assert!(tree(&laughs).contains("E0004"), "aliases");
        let mut nested = "a0: &a0 [x]\n".to_owned();
        for i in 1..100 {
            let before = i - 1;
            nested += &format!("a{i}: &a{i} [*a{before}]\n");
        }
        assert!(tree(&nested).contains("E0004"), "depth through aliases");
    }
}
