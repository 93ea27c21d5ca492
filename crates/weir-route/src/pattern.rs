//! User-written regular expressions.

use std::error::Error;
use std::fmt;

use regex::{Regex, RegexBuilder};
use regex_syntax::ast::parse::Parser;
use regex_syntax::ast::{self, AssertionKind, Ast, ClassPerl, ClassPerlKind, ClassSetItem, Span, Visitor};
use regex_syntax::hir::translate::Translator;
use regex_syntax::hir::{Hir, HirKind, Look};
use weir_model::limits;

/// A regular expression that must match a whole value. Matching takes time linear in the value.
///
/// The dialect is that of RE2, which Envoy uses: `\d`, `\s`, `\w` and `\b` know ASCII only; `\p{..}` knows Unicode.
/// Translation must accept exactly the expressions that [`Pattern::compile`] accepts.
#[derive(Clone, Debug)]
pub struct Pattern {
    regex: Regex,
    literal: Box<[u8]>,
}

impl Pattern {
    /// Compiles `text` within [`limits::REGEX_BYTES`].
    ///
    /// # Errors
    /// [`PatternError`] when it is not a regular expression, or too large once compiled. Whoever wrote it must change it.
    pub fn compile(text: &str) -> Result<Self, PatternError> {
        // Parsed on its own before it is wrapped: `a)|(?:b` must not escape from the anchors.
        let tree = Parser::new()
            .parse(text)
            .map_err(|error| PatternError::at(text, error.kind(), error.span()))?;
        let meaning = Translator::new()
            .translate(text, &tree)
            .map_err(|error| PatternError::at(text, error.kind(), error.span()))?;
        let mut literal = Vec::new();
        push_literal(&meaning, &mut literal);
        let regex = RegexBuilder::new(&format!(r"\A(?:{})\z", with_ascii_classes(text, &tree)))
            .size_limit(limits::REGEX_BYTES)
            .dfa_size_limit(limits::REGEX_BYTES)
            .build()
            .map_err(|error| PatternError::whole(&error))?;
        Ok(Self {
            regex,
            literal: literal.into(),
        })
    }

    /// Whether the whole of `value` matches.
    pub fn matches(&self, value: &str) -> bool {
        value.as_bytes().starts_with(&self.literal) && self.regex.is_match(value)
    }

    /// What every matching value starts with; maybe nothing.
    pub(crate) fn literal(&self) -> &[u8] {
        &self.literal
    }

    /// The path under which every path lies that matches: the literal start up to its last slash, or `/`. Whole elements,
    /// because cookies are for those only (RFC 6265 5.1.4).
    pub fn path(&self) -> &str {
        let literal = std::str::from_utf8(&self.literal).unwrap_or_default();
        literal.rfind('/').map_or("/", |slash| &literal[..=slash])
    }
}

/// Why a regular expression cannot be used. The writer's fault; the same text fails again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternError {
    /// What is wrong, in a few words.
    pub reason: String,
    /// Where in the expression, as a range of characters from 0; empty when the whole expression is meant.
    pub characters: std::ops::Range<usize>,
}

impl PatternError {
    fn at(text: &str, kind: &dyn fmt::Display, span: &Span) -> Self {
        let characters = |offset: usize| text.char_indices().take_while(|(at, _)| *at < offset).count();
        Self {
            reason: kind.to_string(),
            characters: characters(span.start.offset)..characters(span.end.offset),
        }
    }

    fn whole(error: &regex::Error) -> Self {
        let reason = match error {
            regex::Error::CompiledTooBig(limit) => format!("needs more than {limit} bytes once compiled"),
            // Parsed alone but not inside the anchors: an `x` flag left a comment open at the end.
            other => format!("cannot be anchored to the whole value: {other}"),
        };
        Self {
            reason,
            characters: 0..0,
        }
    }
}

impl fmt::Display for PatternError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "invalid regular expression: {}", self.reason)
    }
}

impl Error for PatternError {}

/// Appends what every match of `meaning` starts with; says whether all of `meaning` was literal.
fn push_literal(meaning: &Hir, literal: &mut Vec<u8>) -> bool {
    match meaning.kind() {
        HirKind::Empty | HirKind::Look(Look::Start) => true,
        HirKind::Literal(text) => {
            literal.extend_from_slice(&text.0);
            true
        }
        HirKind::Capture(capture) => push_literal(&capture.sub, literal),
        HirKind::Concat(parts) => parts.iter().all(|part| push_literal(part, literal)),
        HirKind::Look(_) | HirKind::Class(_) | HirKind::Repetition(_) | HirKind::Alternation(_) => false,
    }
}

/// `text` with the classes that would know Unicode replaced by their ASCII meaning. Beside speaking RE2's dialect
/// this keeps `\w{1,63}` within limits: the Unicode class compiles to a hundred times as much.
fn with_ascii_classes(text: &str, tree: &Ast) -> String {
    // INVARIANT: the visitor has no failing step.
    let found = ast::visit(tree, ClassFinder { found: Vec::new() }).unwrap_or_default();
    let (mut rewritten, mut done) = (String::with_capacity(text.len()), 0);
    for (span, replacement) in found {
        rewritten.push_str(&text[done..span.start.offset]);
        rewritten.push_str(replacement);
        done = span.end.offset;
    }
    rewritten.push_str(&text[done..]);
    rewritten
}

/// Collects the places of Perl classes and word boundaries, in the order written, with what replaces them.
struct ClassFinder {
    found: Vec<(Span, &'static str)>,
}

impl ClassFinder {
    fn class(&mut self, class: &ClassPerl) {
        // A space is spelt out because the `x` flag would drop it. A bracketed class may stand inside another.
        let replacement = match (&class.kind, class.negated) {
            (ClassPerlKind::Digit, false) => "[0-9]",
            (ClassPerlKind::Digit, true) => "[^0-9]",
            (ClassPerlKind::Space, false) => r"[\t\n\f\r\x20]",
            (ClassPerlKind::Space, true) => r"[^\t\n\f\r\x20]",
            (ClassPerlKind::Word, false) => "[0-9A-Za-z_]",
            (ClassPerlKind::Word, true) => "[^0-9A-Za-z_]",
        };
        self.found.push((class.span, replacement));
    }
}

impl Visitor for ClassFinder {
    type Output = Vec<(Span, &'static str)>;
    type Err = std::convert::Infallible;

    fn finish(self) -> Result<Self::Output, Self::Err> {
        Ok(self.found)
    }

    fn visit_pre(&mut self, part: &Ast) -> Result<(), Self::Err> {
        match part {
            Ast::ClassPerl(class) => self.class(class),
            Ast::Assertion(assertion) if assertion.kind == AssertionKind::WordBoundary => {
                self.found.push((assertion.span, r"(?-u:\b)"));
            }
            _ => {}
        }
        Ok(())
    }

    fn visit_class_set_item_pre(&mut self, item: &ClassSetItem) -> Result<(), Self::Err> {
        if let ClassSetItem::Perl(class) = item {
            self.class(class);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_matches_whole_values_only() {
        for (pattern, value, expected) in [
            ("/api/v[0-9]+", "/api/v12", true),
            ("/api/v[0-9]+", "/api/v12/x", false),
            ("/api/v[0-9]+", "x/api/v12", false),
            ("a|b", "b", true),
            ("a|b", "ab", false),
            ("^a$", "a", true),
            ("", "", true),
            ("", "a", false),
            ("(?i)abc", "aBC", true),
            (".*", "a\nb", false),
            ("é+", "éé", true),
            (r"(?x) a \s b", "a b", true),
            (r"\d+", "12", true),
            (r"\d+", "\u{0661}", false),
            (r"[\w-]+", "a-b_1", true),
            (r"\w", "é", false),
            (r"\W", "é", true),
            (r"[^\s]+", "a b", false),
            (r"[\D\d]", "x", true),
            (r"\p{L}", "é", true),
            (r"a\b.*", "a-b", true),
            (r"a\b.*", "ab", false),
            (r"\\d", r"\d", true),
        ] {
            let compiled = Pattern::compile(pattern).expect(pattern);
            assert_eq!(compiled.matches(value), expected, "{pattern} {value}");
        }
    }

    #[test]
    fn literal_is_what_every_match_starts_with() {
        for (pattern, expected) in [
            ("/api/v[0-9]+", "/api/v"),
            ("/api(/x)?", "/api"),
            ("/a(b)c", "/abc"),
            ("^/a", "/a"),
            (r"/a\.b", "/a.b"),
            ("/ab*", "/a"),
            ("/a|/b", ""),
            ("(?i)/a", "/"),
            (".*", ""),
        ] {
            let compiled = Pattern::compile(pattern).expect(pattern);
            assert_eq!(compiled.literal(), expected.as_bytes(), "{pattern}");
        }
    }

    #[test]
    fn a_bad_expression_is_refused_with_its_place() {
        for (pattern, reason, characters) in [
            ("é(", "unclosed group", 1..2),
            ("a)|(?:b", "unopened group", 1..2),
            (r"\p{Nope}", "Unicode property not found", 0..8),
            ("(?x)a # comment", "cannot be anchored", 0..0),
            (
                r"[\w]{1,63}{1,999}",
                "needs more than 262144 bytes once compiled",
                0..0,
            ),
        ] {
            let error = Pattern::compile(pattern).expect_err(pattern);
            assert!(error.reason.contains(reason), "{pattern}: {error}");
            assert_eq!(error.characters, characters, "{pattern}");
        }
        assert!(Pattern::compile(r"\w{1,63}").is_ok());
    }
}
