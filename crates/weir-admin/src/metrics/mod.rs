//! Metrics in Prometheus' text format, made of a [`crate::Report`].
//!
//! Labels are few on purpose: rule, backend, endpoint, and words of closed sets. `families` says what there is, `text`
//! how it is written; a test lints the result the way `promtool check metrics` does.

mod durations;
mod endpoints;
mod families;
#[cfg(test)]
mod lint;
#[cfg(test)]
mod lint_text;
mod scope;
mod selection;
mod text;

pub use durations::DURATION_BOUNDS_S;
pub(crate) use families::selected;
pub use families::text;
pub(crate) use selection::Selection;
