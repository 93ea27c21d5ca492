//! What a reload changed.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use weir_model::ObjectName;

use crate::resource::{Placed, ResourceSet};

/// The difference between two loads, by object. Objects that only moved inside their files did not change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Objects that were not there before.
    pub added: usize,
    /// Objects that are written differently.
    pub changed: usize,
    /// Objects that are gone.
    pub removed: usize,
    /// The kinds of all of these.
    pub kinds: BTreeSet<Arc<str>>,
    /// The problems are different, or the places where objects are written.
    pub places: bool,
}

impl Change {
    /// Whether everything is as before, so that nothing need be translated or told.
    pub fn is_nothing(&self) -> bool {
        self.kinds.is_empty() && !self.places
    }

    /// Whether only endpoints changed (EndpointSlices and Endpoints): routes, policies and listeners are the
    /// same allocations as before.
    pub fn only_endpoints(&self) -> bool {
        !self.kinds.is_empty()
            && self
                .kinds
                .iter()
                .all(|kind| matches!(&**kind, "EndpointSlice" | "Endpoints"))
    }

    /// Compares two sets.
    pub(super) fn between(before: &ResourceSet, after: &ResourceSet) -> Self {
        let mut change = Self::of_objects(&before.objects, &after.objects);
        change.places |= before.problems != after.problems;
        change
    }

    /// Takes another part of the same load in.
    pub(super) fn add(&mut self, other: Self) {
        self.added += other.added;
        self.changed += other.changed;
        self.removed += other.removed;
        self.kinds.extend(other.kinds);
        self.places |= other.places;
    }

    /// Compares two lists of objects, problems apart.
    pub(super) fn of_objects(before: &[Placed], after: &[Placed]) -> Self {
        let mut change = Self::default();
        // Nearly always the objects are the same ones in the same order but for a few in the middle.
        let same = |left: &Placed, right: &Placed| Arc::ptr_eq(&left.resource, &right.resource);
        let (mut old, mut new) = (before, after);
        while let ([left, old_rest @ ..], [right, new_rest @ ..]) = (old, new)
            && same(left, right)
        {
            change.places |= is_moved(left, right);
            (old, new) = (old_rest, new_rest);
        }
        while let ([old_rest @ .., left], [new_rest @ .., right]) = (old, new)
            && same(left, right)
        {
            change.places |= is_moved(left, right);
            (old, new) = (old_rest, new_rest);
        }
        let mut old: HashMap<&ObjectName, &Placed> = old
            .iter()
            .map(|placed| (&placed.resource.object, placed))
            .collect();
        for placed in new {
            match old.remove(&placed.resource.object) {
                None => {
                    change.added += 1;
                    change.kinds.insert(placed.resource.object.kind.clone());
                }
                Some(former) if Arc::ptr_eq(&former.resource, &placed.resource) => {
                    change.places |= is_moved(former, placed);
                }
                Some(_) => {
                    change.changed += 1;
                    change.kinds.insert(placed.resource.object.kind.clone());
                }
            }
        }
        change.removed = old.len();
        change.kinds.extend(old.keys().map(|object| object.kind.clone()));
        change
    }
}

fn is_moved(left: &Placed, right: &Placed) -> bool {
    left.first_line != right.first_line || left.file != right.file
}
