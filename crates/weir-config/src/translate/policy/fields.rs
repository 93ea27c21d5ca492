//! Reading the fields of a policy's tree, with a finding for whatever cannot be read.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use crate::yaml::{Finding, Node, Span, Spanned};

/// One mapping of a policy, being read. Findings go to the list that all readers of a policy share.
pub(super) struct Fields<'a, 'f> {
    node: &'a Node,
    path: String,
    findings: &'f mut Vec<Finding>,
}

impl<'a, 'f> Fields<'a, 'f> {
    /// A reader of `node`, which is called `path` in messages. `None`, with a finding, when it is no mapping.
    pub(super) fn open(node: &'a Node, path: impl Into<String>, findings: &'f mut Vec<Finding>) -> Option<Self> {
        let path = path.into();
        if matches!(node.value, crate::yaml::Value::Mapping(_)) {
            return Some(Self { node, path, findings });
        }
        findings.push(wrong_type(node, &path, "a mapping"));
        None
    }

    /// A warning for each field that is not one of `known`; `hint` may know what an unknown name is about.
    pub(super) fn expect_only(&mut self, known: &[&str], hint: impl Fn(&str) -> Option<String>) {
        for entry in self.node.entries() {
            if known.contains(&&*entry.key) {
                continue;
            }
            let message = format!("unknown field \"{}\" in {}", entry.key, self.path);
            let help = hint(&entry.key).or_else(|| {
                let near = crate::resource::nearest(&entry.key, known.iter().copied())?;
                Some(format!("did you mean \"{near}\"?"))
            });
            let mut finding = Finding::new("W0301", entry.key_span, message)
                .label("not a field of this policy")
                .effect("the field is ignored");
            finding.help = help;
            self.findings.push(finding);
        }
    }

    /// The value of a field as written.
    pub(super) fn node(&self, key: &str) -> Option<&'a Node> {
        self.node.field(key)
    }

    /// Where this mapping starts.
    pub(super) fn span(&self) -> Span {
        self.node.span
    }

    /// The shared list of findings.
    pub(super) fn findings(&mut self) -> &mut Vec<Finding> {
        self.findings
    }

    /// The name of a field in messages.
    pub(super) fn path_of(&self, key: &str) -> String {
        format!("{}.{key}", self.path)
    }

    /// A nested mapping.
    pub(super) fn mapping<'s>(&'s mut self, key: &str) -> Option<Fields<'a, 's>> {
        let node = self.node.field(key)?;
        let path = self.path_of(key);
        Fields::open(node, path, self.findings)
    }

    /// A list of mappings; items of another type are passed over with a finding.
    pub(super) fn list(&mut self, key: &str) -> Option<Spanned<&'a [Node]>> {
        let node = self.node.field(key)?;
        if matches!(node.value, crate::yaml::Value::Sequence(_)) {
            return Some(Spanned::new(node.items(), node.span));
        }
        let path = self.path_of(key);
        self.findings.push(wrong_type(node, &path, "a list"));
        None
    }

    /// A string.
    pub(super) fn text(&mut self, key: &str) -> Option<Spanned<Arc<str>>> {
        let node = self.node.field(key)?;
        match node.scalar().filter(|scalar| scalar.is_string()) {
            Some(scalar) => Some(Spanned::new(scalar.text.clone(), node.span)),
            None => {
                let path = self.path_of(key);
                self.findings.push(wrong_type(node, &path, "text"));
                None
            }
        }
    }

    /// A string that must be there and not be empty.
    pub(super) fn required_text(&mut self, key: &str) -> Option<Spanned<Arc<str>>> {
        if self.node.field(key).is_none() {
            self.missing(key);
            return None;
        }
        let text = self.text(key)?;
        if text.value.is_empty() {
            let message = format!("{} must not be empty", self.path_of(key));
            self.findings.push(Finding::new("E0303", text.span, message).label("empty"));
            return None;
        }
        Some(text)
    }

    /// A finding that `key` is missing.
    pub(super) fn missing(&mut self, key: &str) {
        let message = format!("{} is required", self.path_of(key));
        let finding = Finding::new("E0302", self.node.span, message);
        self.findings.push(finding.label(format!("\"{key}\" is missing")));
    }

    /// A whole number within `range`.
    pub(super) fn integer(&mut self, key: &str, range: RangeInclusive<i64>) -> Option<Spanned<i64>> {
        let node = self.node.field(key)?;
        let path = self.path_of(key);
        let Some(number) = node.scalar().and_then(crate::yaml::Scalar::integer) else {
            self.findings.push(wrong_type(node, &path, "a whole number"));
            return None;
        };
        if !range.contains(&number) {
            let message = format!("{path} must be from {} to {}, not {number}", range.start(), range.end());
            self.findings.push(Finding::new("E0303", node.span, message).label("out of range"));
            return None;
        }
        Some(Spanned::new(number, node.span))
    }

    /// A number from 0 to `max`, in thousandths.
    pub(super) fn thousandths(&mut self, key: &str, max: f64) -> Option<u32> {
        let node = self.node.field(key)?;
        let path = self.path_of(key);
        let Some(number) = node.scalar().and_then(crate::yaml::Scalar::number) else {
            self.findings.push(wrong_type(node, &path, "a number"));
            return None;
        };
        if !(0.0..=max).contains(&number) {
            let message = format!("{path} must be from 0 to {max}, not {number}");
            self.findings.push(Finding::new("E0303", node.span, message).label("out of range"));
            return None;
        }
        Some((number * 1000.0).round() as u32)
    }

    /// A boolean; `false` when absent.
    pub(super) fn flag(&mut self, key: &str) -> bool {
        let Some(node) = self.node.field(key) else { return false };
        match node.scalar().and_then(crate::yaml::Scalar::boolean) {
            Some(value) => value,
            None => {
                let path = self.path_of(key);
                self.findings.push(wrong_type(node, &path, "true or false"));
                false
            }
        }
    }

    /// A Gateway API duration such as `1h30m` or `250ms` (GEP-2257).
    pub(super) fn duration(&mut self, key: &str) -> Option<Spanned<Duration>> {
        let text = self.text(key)?;
        match crate::resource::parse_duration(&text.value) {
            Some(duration) => Some(Spanned::new(duration, text.span)),
            None => {
                let message = format!("{} is not a duration: \"{}\"", self.path_of(key), text.value);
                self.findings.push(
                    Finding::new("E0303", text.span, message)
                        .label("not a duration")
                        .help("write hours, minutes, seconds and milliseconds, such as \"1h30m\", \"60s\" or \"250ms\""),
                );
                None
            }
        }
    }

    /// A header name, in lower case (RFC 9110 5.1: a token, compared without case).
    pub(super) fn header_name(&mut self, key: &str) -> Option<Spanned<Arc<str>>> {
        let name = self.required_text(key)?;
        if is_token(&name.value) {
            return Some(Spanned::new(name.value.to_ascii_lowercase().into(), name.span));
        }
        let message = format!("{} is not a header name: \"{}\"", self.path_of(key), name.value);
        self.findings.push(Finding::new("E0303", name.span, message).label("not a header name"));
        None
    }
}

/// Whether `text` is a token (RFC 9110 5.6.2).
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// The finding that something is of the wrong type.
fn wrong_type(node: &Node, path: &str, wanted: &str) -> Finding {
    let message = format!("{path} must be {wanted}, not {}", node.kind_word());
    Finding::new("E0304", node.span, message).label(format!("expected {wanted}"))
}
