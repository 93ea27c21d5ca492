//! The tree of one document.

use std::ops::Deref;
use std::sync::Arc;

/// A place in one document. Lines and columns count from 1 and lines are relative to the document, so that
/// a document that moves inside its file keeps its tree; [`crate::resource::Placed::origin`] adds the rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// Line in the document, from 1; 0 when nothing was written (a default).
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// Number of characters on that line; 0 when only the start is known.
    pub length: u32,
}

impl Span {
    /// The place of something that nobody wrote.
    pub const NONE: Self = Self {
        line: 0,
        column: 0,
        length: 0,
    };
}

/// A decoded value and where it was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it was written; [`Span::NONE`] for a default.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// A value at a place.
    pub fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }

    /// A value that nobody wrote.
    pub fn default_of(value: T) -> Self {
        Self {
            value,
            span: Span::NONE,
        }
    }
}

impl<T> Deref for Spanned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// A value of the tree and where it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// Where it was written. Collections span their first character only.
    pub span: Span,
}

/// What a [`Node`] holds. Anchors, aliases and merge keys are resolved; tags are dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `null`, `~` or nothing at all.
    Null,
    /// Text, number or boolean, as written.
    Scalar(Scalar),
    /// A list.
    Sequence(Vec<Node>),
    /// Keys and values in the order written; keys are unique.
    Mapping(Vec<Entry>),
}

/// A scalar as written. Whether it is a number or a boolean is decided by [`Scalar::boolean`] and its siblings:
/// a quoted scalar is always a string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scalar {
    /// The text after unquoting and folding.
    pub text: Arc<str>,
    /// How it was written.
    pub style: ScalarStyle,
}

/// How a scalar was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScalarStyle {
    /// Without quotes: may be a number or a boolean.
    Plain,
    /// In quotes or as a block: always a string.
    Quoted,
    /// Made of environment variables: whatever is asked for.
    Expanded,
}

/// One key and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: Arc<str>,
    /// Where the key was written.
    pub key_span: Span,
    /// The value.
    pub node: Node,
}

impl Node {
    /// The value of `key`, when this is a mapping that has it. `null` counts as absent, as in Kubernetes.
    pub fn field(&self, key: &str) -> Option<&Node> {
        self.entry(key)
            .map(|entry| &entry.node)
            .filter(|node| !node.is_null())
    }

    /// The entry of `key`, when this is a mapping that has it.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| *entry.key == *key)
    }

    /// The entries of a mapping; empty for everything else.
    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Mapping(entries) => entries,
            Value::Null | Value::Scalar(_) | Value::Sequence(_) => &[],
        }
    }

    /// The items of a sequence; empty for everything else.
    pub fn items(&self) -> &[Node] {
        match &self.value {
            Value::Sequence(items) => items,
            Value::Null | Value::Scalar(_) | Value::Mapping(_) => &[],
        }
    }

    /// The scalar, when this is one.
    pub fn scalar(&self) -> Option<&Scalar> {
        match &self.value {
            Value::Scalar(scalar) => Some(scalar),
            Value::Null | Value::Sequence(_) | Value::Mapping(_) => None,
        }
    }

    /// Whether this is `null` or empty.
    pub fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// What this is, in a user's words: `a list`, `a mapping`, `text`, `a number`, `true or false`, `null`.
    pub fn kind_word(&self) -> &'static str {
        match &self.value {
            Value::Null => "null",
            Value::Sequence(_) => "a list",
            Value::Mapping(_) => "a mapping",
            Value::Scalar(scalar) if scalar.boolean().is_some() => "true or false",
            Value::Scalar(scalar) if scalar.number().is_some() => "a number",
            Value::Scalar(_) => "text",
        }
    }
}

impl Scalar {
    /// The boolean that a plain scalar means (YAML 1.2 core schema).
    pub fn boolean(&self) -> Option<bool> {
        match self.plain()? {
            "true" | "True" | "TRUE" => Some(true),
            "false" | "False" | "FALSE" => Some(false),
            _ => None,
        }
    }

    /// The whole number that a plain scalar means: decimal, `0x` or `0o` (YAML 1.2 core schema).
    pub fn integer(&self) -> Option<i64> {
        let text = self.plain()?;
        let (digits, radix) = match (text.strip_prefix("0x"), text.strip_prefix("0o")) {
            (Some(digits), _) => (digits, 16),
            (None, Some(digits)) => (digits, 8),
            (None, None) => (text, 10),
        };
        if radix != 10 && !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        i64::from_str_radix(digits, radix).ok()
    }

    /// The number that a plain scalar means, whole or not.
    pub fn number(&self) -> Option<f64> {
        let text = self.plain()?;
        match self.integer() {
            Some(integer) => Some(integer as f64),
            // The first character rules out the words `inf`, `nan` and `infinity`, which Rust would read.
            None if text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.'))
                && text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b)) =>
            {
                text.parse().ok()
            }
            None => None,
        }
    }

    /// Whether this scalar is a string: quoted, or plain and neither number nor boolean.
    pub fn is_string(&self) -> bool {
        self.style == ScalarStyle::Quoted || (self.boolean().is_none() && self.number().is_none())
    }

    fn plain(&self) -> Option<&str> {
        (self.style != ScalarStyle::Quoted).then_some(&*self.text)
    }
}
