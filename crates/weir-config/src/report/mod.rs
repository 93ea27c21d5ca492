//! Showing problems: to people as text, to programs as JSON, to GitHub as workflow commands.
//!
//! This folder owns wording around problems and the registry of their codes. It must not know how problems
//! are found.

mod codes;
mod github;
mod json;
mod summary;
mod text;

pub use codes::{CODES, Code, code, document};
pub use github::github;
pub use json::json;
pub use summary::Summary;
pub use text::{SourceTexts, TextOptions, text};
