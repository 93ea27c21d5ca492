//! The house rules that can be checked by reading, each in a file of its own.
//!
//! `cargo xtask tidy` and `cargo test -p xtask` both read the whole tree. A rule gets files and gives violations;
//! it never runs anything it reads.

mod cycles;
mod documents;
mod layers;
mod length;
mod manifest;
mod names;
mod panics;
mod pure;
mod ratchet;
mod report;
mod source;
mod statement;
mod syntax;
mod tree;
mod unsafety;
mod words;

pub(crate) use report::run;
