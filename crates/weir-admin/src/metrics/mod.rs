//! Metrics in Prometheus' text format, made of a [`crate::Report`].
//!
//! Labels are few on purpose: rule, backend, endpoint, and words of closed sets. `families` says what there is, `text`
//! how it is written; a test lints the result the way `promtool check metrics` does.

mod endpoints;
mod families;
#[cfg(test)]
mod lint;
#[cfg(test)]
mod lint_text;
mod text;

pub use families::{DURATION_BOUNDS_S, text};
