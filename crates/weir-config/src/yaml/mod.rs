//! YAML and JSON documents as trees that know where everything is written.
//!
//! This folder owns the parser library, the budgets against hostile input, and the splitting of files into
//! documents. It must not know any kind of resource.

mod builder;
mod finding;
mod mapping;
mod node;
mod parse;
mod places;
mod split;

pub use finding::Finding;
pub use node::{Entry, Node, Scalar, ScalarStyle, Span, Spanned, Value};
pub use parse::{Document, Parser};
pub use split::{Section, sections};
