//! The commands, one file each: its flags, and what it does with them.

pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod demo;
pub(crate) mod echo;
pub(crate) mod explain;
pub(crate) mod proxy;
pub(crate) mod run;
pub(crate) mod version;
