//! A map by what somebody configured.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};

/// A map whose order is the same in every process: what goes through it may draw random numbers, and equal seeds must give
/// equal ones (row RL08). Not for keys that clients choose.
pub(crate) type KeyMap<K, T> = HashMap<K, T, BuildHasherDefault<DefaultHasher>>;
