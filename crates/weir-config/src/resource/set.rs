//! All resources of all files.

use weir_model::Problem;

use super::Placed;

/// What the files say: the input of translation.
#[derive(Clone, Debug, Default)]
pub struct ResourceSet {
    /// The objects in the order read (files by name, then documents). No two have the same kind, namespace
    /// and name.
    pub objects: Vec<Placed>,
    /// What was found while reading and decoding.
    pub problems: Vec<Problem>,
}
