//! Single values: text, numbers, durations, words.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use weir_model::{Port, Weight, limits};

use super::{Decoder, Field, portability};
use crate::nearest::nearest;
use crate::resource::format;
use crate::yaml::{Finding, ScalarStyle, Spanned};

impl Decoder {
    /// Text. A plain number or boolean is read as text, with a warning.
    pub fn text(&mut self, field: Field<'_>) -> Option<Spanned<Arc<str>>> {
        let Some(scalar) = field.node.scalar() else {
            self.wrong_type(field, "text");
            return None;
        };
        if !scalar.is_string() && scalar.style != ScalarStyle::Expanded {
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
        self.report(unknown_word("E0104", field, &words));
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
}

/// What to say of a word that is none of the possible ones.
pub(in crate::resource) fn unknown_word(
    code: &'static str,
    field: Field<'_>,
    words: &[&'static str],
) -> Finding {
    let text = field.node.scalar().map_or("", |scalar| &*scalar.text);
    let message = format!("{} cannot be \"{text}\"", field.shown());
    let finding = Finding::new(code, field.span(), message);
    match nearest(text, words.iter().copied()) {
        Some(meant) => finding.help(format!("did you mean {meant}? Possible are {}", words.join(", "))),
        None => finding.help(format!("possible are {}", words.join(", "))),
    }
}
