//! Cutting a file into documents without parsing it, so that one broken document hides no other.

use memchr::memchr_iter;

/// The text of one document, its marker line included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section<'a> {
    /// The text; ends before the next document's marker.
    pub text: &'a str,
    /// The line of the file on which it starts, from 1.
    pub first_line: u32,
}

/// The documents of a file, in order. Stretches of comments and blank lines are no documents.
///
/// A line that starts with `---` or `...` and then ends or goes on with white space is a document marker
/// wherever it stands (YAML 1.2.2 9.1.2 to 9.1.4: `c-forbidden`), also where a block or quoted scalar is open.
pub fn sections(text: &str) -> Vec<Section<'_>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut found = Vec::new();
    let mut open = Open::default();
    let mut line_start = 0;
    let ends = memchr_iter(b'\n', text.as_bytes())
        .map(|end| end + 1)
        .chain([text.len()]);
    for (line, line_end) in (1..).zip(ends) {
        let content = &text.as_bytes()[line_start..line_end];
        match marker(content) {
            Some(Marker::Start) => {
                if open.has_content {
                    found.push(open.section(text, line_start));
                    open = Open {
                        start: line_start,
                        first_line: line,
                        ..Open::default()
                    };
                }
                // What stood before this marker was comments and directives: it belongs to this document.
                open.has_content = true;
            }
            Some(Marker::End) => {
                if open.has_content {
                    found.push(open.section(text, line_start));
                }
                open = Open {
                    start: line_end,
                    first_line: line + 1,
                    ..Open::default()
                };
            }
            None => open.has_content |= is_content(content),
        }
        line_start = line_end;
    }
    if open.has_content {
        found.push(open.section(text, text.len()));
    }
    found
}

enum Marker {
    Start,
    End,
}

/// The section that is being read.
struct Open {
    start: usize,
    first_line: u32,
    has_content: bool,
}

impl Default for Open {
    fn default() -> Self {
        Self {
            start: 0,
            first_line: 1,
            has_content: false,
        }
    }
}

impl Open {
    fn section<'a>(&self, text: &'a str, end: usize) -> Section<'a> {
        Section {
            text: &text[self.start..end],
            first_line: self.first_line,
        }
    }
}

fn marker(line: &[u8]) -> Option<Marker> {
    let marker = match line.get(..3)? {
        b"---" => Marker::Start,
        b"..." => Marker::End,
        _ => return None,
    };
    matches!(line.get(3), None | Some(b' ' | b'\t' | b'\r' | b'\n')).then_some(marker)
}

/// Whether a line holds something besides white space, a comment or a directive.
fn is_content(line: &[u8]) -> bool {
    let first = line.iter().find(|byte| !byte.is_ascii_whitespace());
    !matches!((line.first(), first), (_, None | Some(b'#')) | (Some(b'%'), _))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(&str, u32)]) {
        let found: Vec<_> = sections(text)
            .iter()
            .map(|section| (section.text, section.first_line))
            .collect();
        assert_eq!(found, expected, "{text:?}");
    }

    #[test]
    fn a_file_is_cut_at_its_document_markers() {
        check("", &[]);
        check("# nothing\n\n", &[]);
        check("a: 1", &[("a: 1", 1)]);
        check("a: 1\n---\nb: 2\n", &[("a: 1\n", 1), ("---\nb: 2\n", 2)]);
        check("---\na: 1\n---\nb: 2", &[("---\na: 1\n", 1), ("---\nb: 2", 3)]);
        check("# head\n---\na: 1\n", &[("# head\n---\na: 1\n", 1)]);
        check(
            "a: 1\r\n---\r\nb: 2\r\n",
            &[("a: 1\r\n", 1), ("---\r\nb: 2\r\n", 2)],
        );
        check(
            "--- {a: 1}\n--- # comment\nb: 2\n",
            &[("--- {a: 1}\n", 1), ("--- # comment\nb: 2\n", 2)],
        );
    }

    #[test]
    fn only_whole_markers_at_the_first_column_count() {
        check("a: |\n  ---\n  b\n----\n", &[("a: |\n  ---\n  b\n----\n", 1)]);
        check("---a\n ---\n", &[("---a\n ---\n", 1)]);
        check(
            "a: |\n  text\n---\nb: 2\n",
            &[("a: |\n  text\n", 1), ("---\nb: 2\n", 3)],
        );
    }

    #[test]
    fn an_end_marker_ends_and_directives_belong_to_the_next_document() {
        check("a: 1\n...\n# gone\n...\n", &[("a: 1\n", 1)]);
        check("%YAML 1.2\n---\na: 1\n", &[("%YAML 1.2\n---\na: 1\n", 1)]);
        check(
            "a: 1\n...\n%YAML 1.2\n---\nb: 2\n",
            &[("a: 1\n", 1), ("%YAML 1.2\n---\nb: 2\n", 3)],
        );
    }

    #[test]
    fn empty_documents_and_a_byte_order_mark_are_harmless() {
        check("\u{feff}a: 1\n", &[("a: 1\n", 1)]);
        check("---\n---\na: 1\n", &[("---\n", 1), ("---\na: 1\n", 2)]);
    }
}
