//! The control plane: resources as written in files become a [`weir_model::Config`], statuses and problems.
//!
//! The folders sort in the order of the configuration's way: `source` finds and watches files, `yaml` reads
//! them into trees that know where everything is written, `resource` decodes the trees into one type per kind,
//! `translate` (pure) gives them their meaning. `report` shows problems to people and programs.
//!
//! This crate must not know the data plane: both meet in [`weir_model::Config`] only.

#![forbid(unsafe_code)]

pub mod check;
mod hash;
pub mod nearest;
pub mod report;
pub mod resource;
pub mod source;
pub mod status;
pub mod translate;
pub mod yaml;
