//! Reading typed values from a tree, with one message per mistake and as much kept as can be.
//!
//! A function that returns `None` has reported why. Deviations whose meaning is clear (a number in quotes, more
//! entries than an API server takes) are read as meant and warned about.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use weir_model::{Port, Severity, Weight, limits};

use super::{format, unknown_field};
use crate::nearest::nearest;
use crate::yaml::{Entry, Finding, Node, Span, Spanned, Value};

/// Findings kept of one object: nobody reads more, and a file of garbage must not become gigabytes of them.
const FINDINGS_MAX: usize = 1000;
/// Vital fields of one mapping.
const VITAL_MAX: usize = 5;

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

    /// Text. A plain number or boolean is read as text, with a warning.
    pub fn text(&mut self, field: Field<'_>) -> Option<Spanned<Arc<str>>> {
        let Some(scalar) = field.node.scalar() else {
            self.wrong_type(field, "text");
            return None;
        };
        if !scalar.is_string() {
            let message = format!("{} is text, found {}", field.shown(), field.node.kind_word());
            let help = format!("put it in quotes: \"{}\"", scalar.text);
            self.report(
                portability(field.span(), message)
                    .label("read as text")
                    .help(help),
            );
        }
        Some(Spanned::new(scalar.text.clone(), field.span()))
    }

    /// Text that is not empty.
    pub fn nonempty(&mut self, field: Field<'_>) -> Option<Spanned<Arc<str>>> {
        let text = self.text(field)?;
        if text.is_empty() {
            self.report(Finding::new(
                "E0103",
                text.span,
                format!("{} is empty", field.shown()),
            ));
            return None;
        }
        Some(text)
    }

    /// A whole number inside `range`. One in quotes is read as a number, with a warning.
    pub fn integer(&mut self, field: Field<'_>, range: RangeInclusive<i64>) -> Option<Spanned<i64>> {
        let scalar = field.node.scalar();
        let quoted = scalar
            .filter(|scalar| scalar.is_string())
            .and_then(|scalar| scalar.text.parse().ok());
        let Some(value) = scalar.and_then(|scalar| scalar.integer()).or(quoted) else {
            self.wrong_type(
                field,
                &format!("a whole number from {} to {}", range.start(), range.end()),
            );
            return None;
        };
        if !range.contains(&value) {
            let message = format!("{} is {value}, which is out of range", field.shown());
            let label = format!("must be from {} to {}", range.start(), range.end());
            self.report(Finding::new("E0103", field.span(), message).label(label));
            return None;
        }
        if quoted.is_some() {
            let message = format!("{} is a number, found text", field.shown());
            let finding = portability(field.span(), message).label("read as a number");
            self.report(finding.help(format!("remove the quotes: {value}")));
        }
        Some(Spanned::new(value, field.span()))
    }

    /// `true` or `false`. One in quotes is read as meant, with a warning.
    pub fn boolean(&mut self, field: Field<'_>) -> Option<Spanned<bool>> {
        let scalar = field.node.scalar();
        let quoted = scalar.and_then(|scalar| scalar.text.parse().ok());
        let Some(value) = scalar.and_then(|scalar| scalar.boolean()).or(quoted) else {
            self.wrong_type(field, "true or false");
            return None;
        };
        if scalar.is_some_and(|scalar| scalar.is_string()) {
            let message = format!("{} is true or false, found text", field.shown());
            self.report(portability(field.span(), message).help(format!("remove the quotes: {value}")));
        }
        Some(Spanned::new(value, field.span()))
    }

    /// A TCP or UDP port.
    pub fn port(&mut self, field: Field<'_>) -> Option<Spanned<Port>> {
        let number = self.integer(field, 1..=65_535)?;
        let port = Port::new(u64::try_from(number.value).ok()?)?;
        Some(Spanned::new(port, number.span))
    }

    /// A weight (Gateway API `BackendRef.weight`).
    pub fn weight(&mut self, field: Field<'_>) -> Option<Spanned<Weight>> {
        let number = self.integer(field, 0..=i64::from(limits::WEIGHT_MAX))?;
        let weight = Weight::new(u64::try_from(number.value).ok()?)?;
        Some(Spanned::new(weight, number.span))
    }

    /// A duration (GEP-2257).
    pub fn duration(&mut self, field: Field<'_>) -> Option<Spanned<Duration>> {
        let Some(scalar) = field.node.scalar() else {
            self.wrong_type(field, "a duration such as 1m30s");
            return None;
        };
        let Some(value) = format::duration(&scalar.text) else {
            let message = format!("{} is not a duration: \"{}\"", field.shown(), scalar.text);
            let finding = Finding::new("E0103", field.span(), message);
            self.report(match scalar.integer() {
                Some(number) => finding.help(format!("add a unit: {number}s or {number}ms")),
                None => {
                    finding.help("write up to four whole numbers with h, m, s or ms, such as 1m30s or 250ms")
                }
            });
            return None;
        };
        Some(Spanned::new(value, field.span()))
    }

    /// One of a few words.
    pub fn choice<T: Copy>(&mut self, field: Field<'_>, choices: &[(&'static str, T)]) -> Option<Spanned<T>> {
        let text = self.text(field)?;
        if let Some((_, value)) = choices.iter().find(|(word, _)| *word == &*text.value) {
            return Some(Spanned::new(*value, text.span));
        }
        let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
        let message = format!("{} cannot be \"{}\"", field.shown(), text.value);
        let finding = Finding::new("E0104", text.span, message);
        self.report(match nearest(&text, words.iter().copied()) {
            Some(meant) => finding.help(format!("did you mean {meant}? Possible are {}", words.join(", "))),
            None => finding.help(format!("possible are {}", words.join(", "))),
        });
        None
    }

    /// A name of an object or section (DNS-1123 subdomain). Other names work in files, with a warning.
    pub fn name(&mut self, field: Field<'_>) -> Option<Spanned<Arc<str>>> {
        let name = self.nonempty(field)?;
        if !format::is_subdomain(&name) {
            let message = format!("\"{}\" is not a name that Kubernetes accepts", name.value);
            let help = "use lower-case letters, digits, \"-\" and \".\", at most 253 characters";
            self.report(portability(name.span, message).help(help));
        }
        Some(name)
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
mod tests {
    use super::*;
    use crate::yaml::Parser;

    /// Decodes the field `f` of a document and shows the value and what was found.
    fn check<T: std::fmt::Debug>(
        text: &str,
        decode: impl Fn(&mut Decoder, Field<'_>) -> Option<T>,
        expected: &str,
    ) {
        let document = Parser::new().parse(text);
        let root = document.root.expect(text);
        let mut decoder = Decoder::default();
        let fields = decoder
            .fields(Field::new("object", &root), &["f", "filters"])
            .expect(text);
        let value = fields
            .required(&mut decoder, "f")
            .and_then(|field| decode(&mut decoder, field));
        let mut shown = format!("{value:?}");
        for finding in decoder.into_findings() {
            shown += &format!(
                " | {} {}: {}",
                finding.code,
                finding.message,
                finding.help.unwrap_or(finding.label)
            );
        }
        assert_eq!(shown, expected, "{text}");
    }

    fn text(decoder: &mut Decoder, field: Field<'_>) -> Option<Arc<str>> {
        decoder.text(field).map(|text| text.value)
    }

    fn port(decoder: &mut Decoder, field: Field<'_>) -> Option<u16> {
        decoder.port(field).map(|port| port.number())
    }

    #[test]
    fn values_are_read_as_meant_and_reported() {
        check("f: x", text, r#"Some("x")"#);
        check(
            "f: 1",
            text,
            r#"Some("1") | W0102 "f" is text, found a number: put it in quotes: "1""#,
        );
        check(
            "f: true",
            text,
            r#"Some("true") | W0102 "f" is text, found true or false: put it in quotes: "true""#,
        );
        check(
            "f: [x]",
            text,
            r#"None | E0101 "f" must be text, found a list: expected text"#,
        );
        check(
            "f: null",
            text,
            r#"None | E0102 object has no "f": "f" is required"#,
        );
        check("f: 80", port, "Some(80)");
        check(
            "f: '80'",
            port,
            r#"Some(80) | W0102 "f" is a number, found text: remove the quotes: 80"#,
        );
        check(
            "f: 0",
            port,
            r#"None | E0103 "f" is 0, which is out of range: must be from 1 to 65535"#,
        );
        check(
            "f: http",
            port,
            r#"None | E0101 "f" must be a whole number from 1 to 65535, found text: expected a whole number from 1 to 65535"#,
        );
    }

    #[test]
    fn unknown_fields_are_warned_about_with_a_hint() {
        check(
            "f: x\nfilter: y",
            text,
            r#"Some("x") | W0101 object has no field "filter": did you mean "filters"?"#,
        );
        check(
            "f: x\nzzz: y",
            text,
            r#"Some("x") | W0101 object has no field "zzz": known fields are f, filters"#,
        );
    }

    #[test]
    fn durations_and_choices_say_how_to_write_them() {
        let duration =
            |decoder: &mut Decoder, field: Field<'_>| decoder.duration(field).map(|found| found.value);
        check("f: 1m30s", duration, "Some(90s)");
        check(
            "f: 10",
            duration,
            r#"None | E0103 "f" is not a duration: "10": add a unit: 10s or 10ms"#,
        );
        check(
            "f: 1.5s",
            duration,
            r#"None | E0103 "f" is not a duration: "1.5s": write up to four whole numbers with h, m, s or ms, such as 1m30s or 250ms"#,
        );
        let choice = |decoder: &mut Decoder, field: Field<'_>| {
            decoder
                .choice(field, &[("Exact", 1), ("PathPrefix", 2)])
                .map(|found| found.value)
        };
        check("f: Exact", choice, "Some(1)");
        check(
            "f: Prefix",
            choice,
            r#"None | E0104 "f" cannot be "Prefix": possible are Exact, PathPrefix"#,
        );
        check(
            "f: exact",
            choice,
            r#"None | E0104 "f" cannot be "exact": did you mean Exact? Possible are Exact, PathPrefix"#,
        );
    }

    #[test]
    fn long_lists_are_kept_and_warned_about() {
        let items = |decoder: &mut Decoder, field: Field<'_>| Some(decoder.items(field, 2).len());
        check("f: [a, b]", items, "Some(2)");
        check(
            "f: [a, b, c]",
            items,
            r#"Some(3) | W0102 "f" has 3 entries; Kubernetes accepts 2: "#,
        );
        check(
            "f: [a, null]",
            items,
            r#"Some(1) | E0101 an entry of "f" must be a value, found null: expected a value"#,
        );
        check(
            "f: {}",
            items,
            r#"Some(0) | E0101 "f" must be a list, found a mapping: expected a list"#,
        );
    }
}
