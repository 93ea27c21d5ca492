//! The text format (version 0.0.4): families with help, type and samples.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::selection::Selection;

/// What a family is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
    Summary,
}

/// The text so far.
#[derive(Debug, Default)]
pub(super) struct Exposition {
    out: String,
    selection: Selection,
    /// Whether the family whose head came last is wanted.
    is_wanted: bool,
}

/// The samples of one family. Two with the same labels cannot be: a later one replaces or adds to the earlier.
#[derive(Debug, Default)]
pub(super) struct Samples {
    by_labels: BTreeMap<String, f64>,
}

impl Exposition {
    /// A text of the wanted families alone.
    pub(super) fn of(selection: Selection) -> Self {
        Self {
            selection,
            ..Self::default()
        }
    }

    /// Writes one family; nothing when it has no samples.
    pub(super) fn family(&mut self, name: &str, kind: Kind, help: &str, fill: impl FnOnce(&mut Samples)) {
        if !self.selection.has_name(name) {
            return;
        }
        let mut samples = Samples::default();
        fill(&mut samples);
        if samples.by_labels.is_empty() {
            return;
        }
        self.head(name, kind, help);
        for (labels, value) in &samples.by_labels {
            // Writing to a String cannot fail.
            let _ = writeln!(self.out, "{name}{labels} {value}");
        }
    }

    /// Writes the help and type of a family. When it is not wanted, nothing is written of it.
    pub(super) fn head(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
            Kind::Summary => "summary",
        };
        self.is_wanted = self.selection.has_name(name);
        if self.is_wanted {
            let _ = writeln!(self.out, "# HELP {name} {help}\n# TYPE {name} {kind}");
        }
    }

    /// Writes one sample of a family whose samples have an order of their own.
    pub(super) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        if self.is_wanted {
            let _ = writeln!(self.out, "{name}{} {value}", labels_text(labels));
        }
    }

    /// All of it.
    pub(super) fn finish(self) -> String {
        self.out
    }
}

impl Samples {
    /// A sample, in place of one with the same labels.
    pub(super) fn set(&mut self, labels: &[(&str, &str)], value: f64) {
        self.by_labels.insert(labels_text(labels), value);
    }

    /// A sample, added to one with the same labels.
    pub(super) fn add(&mut self, labels: &[(&str, &str)], value: f64) {
        *self.by_labels.entry(labels_text(labels)).or_default() += value;
    }
}

fn labels_text(labels: &[(&str, &str)]) -> String {
    if labels.is_empty() {
        return String::new();
    }
    let mut text = String::from("{");
    for (index, (name, value)) in labels.iter().enumerate() {
        text.push_str(if index == 0 { "" } else { "," });
        text.push_str(name);
        text.push_str("=\"");
        for one in value.chars() {
            match one {
                '\\' => text.push_str("\\\\"),
                '"' => text.push_str("\\\""),
                '\n' => text.push_str("\\n"),
                one => text.push(one),
            }
        }
        text.push('"');
    }
    text.push('}');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn op06_labels_cannot_break_out_and_series_are_unique() {
        let mut text = Exposition::default();
        text.family("weir_a", Kind::Gauge, "A.", |samples| {
            samples.set(&[("x", "a\"b\\c\nd")], 1.0);
            samples.set(&[("x", "same")], 1.0);
            samples.set(&[("x", "same")], 2.5);
            samples.add(&[("x", "same")], 1.0);
        });
        text.family("weir_b", Kind::Gauge, "B.", |_| {});
        let expected = "# HELP weir_a A.\n# TYPE weir_a gauge\n\
                        weir_a{x=\"a\\\"b\\\\c\\nd\"} 1\nweir_a{x=\"same\"} 3.5\n";
        assert_eq!(text.finish(), expected);
    }
}
