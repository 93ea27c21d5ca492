//! A problem before it is known where its document is.

use weir_model::{Origin, Problem, Severity};

use super::Span;

/// A [`weir_model::Problem`] whose place is relative to its document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// Stable code, registered in `report/codes.rs`; its letter (E, W, N) is the severity.
    pub code: &'static str,
    /// Where, in the document.
    pub span: Span,
    /// One sentence: what is wrong.
    pub message: String,
    /// A few words beside the underlined text.
    pub label: String,
    /// What to do about it.
    pub help: Option<String>,
    /// What it means for traffic.
    pub effect: Option<String>,
}

impl Finding {
    /// A finding of any severity; the code's letter decides.
    pub fn new(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        let severity = match code.as_bytes().first() {
            Some(b'W') => Severity::Warning,
            Some(b'N') => Severity::Note,
            _ => Severity::Error,
        };
        let message = message.into();
        Self {
            severity,
            code,
            span,
            message,
            label: String::new(),
            help: None,
            effect: None,
        }
    }

    /// Adds a few words beside the underlined text.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Adds what to do about it.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds what it means for traffic.
    pub fn effect(mut self, effect: impl Into<String>) -> Self {
        self.effect = Some(effect.into());
        self
    }

    /// The problem that this finding is, once the place of its document is known.
    pub fn at(self, origin: Origin) -> Problem {
        Problem {
            severity: self.severity,
            code: self.code,
            message: self.message,
            origin,
            span_length: self.span.length,
            label: self.label,
            help: self.help,
            effect: self.effect,
            object: None,
        }
    }
}
