//! The commands, one file each: its flags, and what it does with them.

pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod demo;
pub(crate) mod echo;
pub(crate) mod endpoint;
pub(crate) mod explain;
pub(crate) mod healthcheck;
pub(crate) mod proxy;
pub(crate) mod reload;
pub(crate) mod run;
pub(crate) mod status;
pub(crate) mod version;
