//! Reading typed values from a tree, with one message per mistake and as much kept as can be.
//!
//! A function that returns `None` has reported why. Deviations whose meaning is clear (a number in quotes, more
//! entries than an API server takes) are read as meant and warned about.

use weir_model::Severity;

use super::unknown_field;
use crate::yaml::{Entry, Finding, Node, Span, Value};

mod quantity;
mod values;

pub(super) use values::unknown_word;

/// Findings kept of one object: nobody reads more, and a file of garbage must not become gigabytes of them.
const FINDINGS_MAX: usize = 1000;
/// Vital fields of one mapping.
const VITAL_MAX: usize = 9;

/// Collects what is wrong while an object is decoded.
#[derive(Debug, Default)]
pub struct Decoder {
    findings: Vec<Finding>,
    errors: usize,
}

/// A moment of a decoding; see [`Decoder::mark`].
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    findings: usize,
    errors: usize,
}

/// The fields of a mapping.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'n> {
    field: Field<'n>,
    /// The vital fields that are misspelt.
    misspelt: [Option<&'static str>; VITAL_MAX],
}

/// A value and the name of the field that holds it. Items of a list have the list's name.
#[derive(Clone, Copy, Debug)]
pub struct Field<'n> {
    /// Name of the field, for messages.
    pub name: &'static str,
    /// Its value, never `null`.
    pub node: &'n Node,
    /// Whether it is an entry of the list of that name.
    pub is_entry: bool,
}

impl<'n> Field<'n> {
    /// A value under a name.
    pub fn new(name: &'static str, node: &'n Node) -> Self {
        Self {
            name,
            node,
            is_entry: false,
        }
    }

    /// Where the value is written.
    pub fn span(&self) -> Span {
        self.node.span
    }

    /// What it is, in messages about its fields.
    fn holder(&self) -> String {
        match self.is_entry {
            true => format!("an entry of {}", self.name),
            false => self.name.to_owned(),
        }
    }

    /// What it is, in messages about its value. Kinds and descriptions go without quotes.
    fn shown(&self) -> String {
        let name = self.name;
        let bare = name.starts_with(|c: char| c.is_ascii_uppercase()) || name.contains(' ');
        match (self.is_entry, bare) {
            (true, _) => format!("an entry of \"{name}\""),
            (false, true) => name.to_owned(),
            (false, false) => format!("\"{name}\""),
        }
    }
}

impl<'n> Fields<'n> {
    fn new(field: Field<'n>) -> Self {
        Self {
            field,
            misspelt: [None; VITAL_MAX],
        }
    }

    /// The field of that name, when it is written and not `null`.
    pub fn optional(&self, name: &'static str) -> Option<Field<'n>> {
        self.field.node.field(name).map(|node| Field::new(name, node))
    }

    /// The field of that name; its absence is an error.
    pub fn required(&self, decoder: &mut Decoder, name: &'static str) -> Option<Field<'n>> {
        let field = self.optional(name);
        if field.is_none() {
            let message = format!("{} has no \"{name}\"", self.field.holder());
            decoder
                .report(Finding::new("E0102", self.span(), message).label(format!("\"{name}\" is required")));
        }
        field
    }

    /// Whether that vital field is absent and another looks like it.
    pub fn is_misspelt(&self, name: &str) -> bool {
        self.misspelt.contains(&Some(name))
    }

    /// Whether any vital field is absent while another looks like it.
    pub fn has_misspelt(&self) -> bool {
        self.misspelt != [None; VITAL_MAX]
    }

    /// All fields, in the order written.
    pub fn entries(&self) -> &'n [Entry] {
        self.field.node.entries()
    }

    /// Where the mapping starts.
    pub fn span(&self) -> Span {
        self.field.node.span
    }

    /// Where the key of a field is written; the mapping's start when it is not written.
    pub fn key_span(&self, name: &str) -> Span {
        self.field
            .node
            .entry(name)
            .map_or(self.field.node.span, |entry| entry.key_span)
    }
}

impl Decoder {
    /// Adds a finding. Of one object no more than [`FINDINGS_MAX`] are kept.
    pub fn report(&mut self, finding: Finding) {
        self.errors += usize::from(finding.severity == Severity::Error);
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        }
    }

    /// Everything reported so far.
    pub fn into_findings(self) -> Vec<Finding> {
        self.findings
    }

    /// Remembers this moment, for [`Self::failed_since`] and [`Self::effect_since`].
    pub fn mark(&self) -> Mark {
        Mark {
            findings: self.findings.len(),
            errors: self.errors,
        }
    }

    /// Whether an error was reported since.
    pub fn failed_since(&self, mark: Mark) -> bool {
        self.errors > mark.errors
    }

    /// Says of every error since that has no effect yet what it means for traffic.
    pub fn effect_since(&mut self, mark: Mark, effect: &str) {
        for finding in &mut self.findings[mark.findings..] {
            if finding.severity == Severity::Error && finding.effect.is_none() {
                finding.effect = Some(effect.to_owned());
            }
        }
    }

    /// The fields of a mapping. Fields that are not `known` are warned about.
    pub fn fields<'n>(&mut self, field: Field<'n>, known: &[&'static str]) -> Option<Fields<'n>> {
        self.fields_with_vital(field, known, [])
    }

    /// The same where some of the known fields are vital: without them more would be matched than is written, or
    /// traffic would go elsewhere. A field that looks like one of them, which is absent, is an error: ask
    /// [`Fields::is_misspelt`].
    pub fn fields_with_vital<'n, const N: usize>(
        &mut self,
        field: Field<'n>,
        known: &[&'static str],
        vital: [&'static str; N],
    ) -> Option<Fields<'n>> {
        const { assert!(N <= VITAL_MAX) };
        let Value::Mapping(entries) = &field.node.value else {
            self.wrong_type(field, "a mapping");
            return None;
        };
        let mut fields = Fields::new(field);
        for entry in entries.iter().filter(|entry| !known.contains(&&*entry.key)) {
            let misspelt = vital.iter().position(|name| {
                field.node.field(name).is_none() && unknown_field::is_meant(&entry.key, name, known)
            });
            if let Some(place) = misspelt {
                fields.misspelt[place] = Some(vital[place]);
                self.report(unknown_field::misspelt(&field.holder(), entry, vital[place]));
            } else if self.findings.len() < FINDINGS_MAX {
                self.report(unknown_field::ignored(&field.holder(), entry, known));
            }
        }
        Some(fields)
    }

    /// The fields of a mapping whose keys are free, or that somebody else checks.
    pub fn any_fields<'n>(&mut self, field: Field<'n>) -> Option<Fields<'n>> {
        if !matches!(field.node.value, Value::Mapping(_)) {
            self.wrong_type(field, "a mapping");
            return None;
        }
        Some(Fields::new(field))
    }

    /// The items of a list; `null` items are errors. More than `usual` are kept and warned about.
    pub fn items<'n>(&mut self, field: Field<'n>, usual: usize) -> Vec<Field<'n>> {
        let Value::Sequence(items) = &field.node.value else {
            self.wrong_type(field, "a list");
            return Vec::new();
        };
        if items.len() > usual {
            let message = format!(
                "\"{}\" has {} entries; Kubernetes accepts {usual}",
                field.name,
                items.len()
            );
            self.report(portability(items[usual].span, message));
        }
        let mut fields = Vec::with_capacity(items.len());
        for node in items {
            let item = Field {
                name: field.name,
                node,
                is_entry: true,
            };
            if node.is_null() {
                self.wrong_type(item, "a value");
            } else {
                fields.push(item);
            }
        }
        fields
    }

    /// Reports a value of the wrong type.
    pub fn wrong_type(&mut self, field: Field<'_>, expected: &str) {
        let message = format!(
            "{} must be {expected}, found {}",
            field.shown(),
            field.node.kind_word()
        );
        self.report(Finding::new("E0101", field.span(), message).label(format!("expected {expected}")));
    }

    /// Reports fields or values that do not go together (a rule of the API about the object by itself).
    pub fn conflict(&mut self, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.report(Finding::new("E0105", span, message).help(help));
    }
}

/// Something that works here, though an API server would refuse it.
pub(super) fn portability(span: Span, message: impl Into<String>) -> Finding {
    Finding::new("W0102", span, message)
}

#[cfg(test)]
mod tests;
