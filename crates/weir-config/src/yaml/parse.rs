//! The one place that knows the parser library: text becomes events, events become calls of the builder.

use std::collections::HashSet;
use std::sync::Arc;

use granit_parser::{ErrorKind, Event, ScalarStyle as EventStyle, ScanError, Span as EventSpan, Tag};
use weir_model::limits;

use super::builder::{Builder, Stop, too_deep};
use super::places::Places;
use super::{Finding, Node, ScalarStyle, Span};

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
        let places = Places::of(text);
        let mut builder = Builder::new(&mut self.keys);
        for event in granit_parser::Parser::new_from_str_with_options(text, options) {
            let read = match event {
                Ok((event, span)) => take(&mut builder, &places, event, span),
                Err(error) => builder.stop(syntax_finding(&error, &places, text)),
            };
            if read.is_err() {
                let (_, findings) = builder.finish();
                return Document { root: None, findings };
            }
        }
        let (root, findings) = builder.finish();
        Document { root, findings }
    }
}

/// Takes one event. An error ends the document.
fn take(builder: &mut Builder<'_>, places: &Places, event: Event<'_>, span: EventSpan) -> Result<(), Stop> {
    let place = |span| place(places, span);
    match event {
        Event::Scalar(text, style, anchor, tag) => {
            let is_text = note_tag(builder, places, tag.as_deref(), span);
            let plain = style == EventStyle::Plain && !is_text;
            let style = if plain {
                ScalarStyle::Plain
            } else {
                ScalarStyle::Quoted
            };
            builder.scalar(text, style, anchor, place(span))
        }
        Event::SequenceStart(_, anchor, tag) => {
            note_tag(builder, places, tag.as_deref(), span);
            builder.start_sequence(anchor, place(span))
        }
        Event::MappingStart(_, anchor, tag) => {
            note_tag(builder, places, tag.as_deref(), span);
            builder.start_mapping(anchor, place(span))
        }
        Event::SequenceEnd | Event::MappingEnd => builder.end(),
        Event::Alias(id) => builder.alias(id, place(span)),
        Event::DocumentStart(..) if builder.has_root() => {
            let message = "a second document starts without a `---` line";
            builder.stop(Finding::new("E0001", place(span), message))
        }
        // Starts and ends; the library may add kinds of events, which carry no values either.
        _ => Ok(()),
    }
}

/// Whether a tag says that a scalar is text. Other tags have no effect.
fn note_tag(builder: &mut Builder<'_>, places: &Places, tag: Option<&Tag>, span: EventSpan) -> bool {
    let Some(tag) = tag else { return false };
    if !tag.is_yaml_core_schema() {
        let span = place(places, span.tag_span().unwrap_or(span));
        builder.note(Finding::new("N0005", span, "the tag is ignored"));
    }
    tag.is_yaml_core_schema_tag("str")
}

fn place(places: &Places, span: EventSpan) -> Span {
    let (start, end) = (span.start, span.end);
    let length = if start.line() == end.line() {
        end.col().saturating_sub(start.col())
    } else {
        0
    };
    let (line, column) = places.find(start.line(), start.col());
    Span {
        line: number(line),
        column: number(column + 1),
        length: number(length),
    }
}

fn number(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

fn syntax_finding(error: &ScanError, places: &Places, text: &str) -> Finding {
    let mark = error.marker();
    let (line, column) = places.find(mark.line(), mark.col());
    let mut span = Span {
        line: number(line),
        column: number(column + 1),
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
    use crate::yaml::Value;

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
    fn places_are_told_in_lines_that_line_feeds_end() {
        check(
            "# a\r# b\rk: v\nother: [\rx]\n",
            "{k: v@1:12+1, other: [x@2:10+1]@2:8+1}@1:9+1",
        );
        check("a: 1\r\nb: 2\r\n", "{a: 1@1:4+1, b: 2@2:4+1}@1:1+1");
        check(
            "\r\r\ra: *no\r\n",
            "nothing | E0001 1:7+1 this is not YAML: while parsing node, found unknown anchor",
        );
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
