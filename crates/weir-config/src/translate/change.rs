//! What differs between two sets of resources, and what of the last translation is still true.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use weir_model::{Backend as ModelBackend, ObjectName, Problem, Route};

use super::index::Object;
use super::tenants::is_tenant_backend;
use super::translation::Translation;
use crate::resource::{Body, HttpRoute, Placed, Resource};

/// One object that is not as it was: its old and its new version. At least one of them is there.
pub(crate) type Change<'s> = (Option<&'s Placed>, Option<&'s Placed>);

/// Every object that came, went, changed or moved. Neither list names an object twice.
pub(crate) fn changes<'s>(before: &'s [Placed], after: &'s [Placed]) -> Vec<Change<'s>> {
    let (before, after) = different(before, after);
    let named = before.iter().map(|placed| (&placed.resource.object, placed));
    let mut known: HashMap<&ObjectName, &Placed> = named.collect();
    let mut changes = Vec::new();
    for new in after {
        match known.remove(&new.resource.object) {
            Some(old) if is_same(old, new) => {}
            old => changes.push((old, Some(new))),
        }
    }
    changes.extend(known.into_values().map(|old| (Some(old), None)));
    changes
}

/// Both lists without what they have in common at their start and at their end.
fn different<'a>(before: &'a [Placed], after: &'a [Placed]) -> (&'a [Placed], &'a [Placed]) {
    let pairs = before.iter().zip(after);
    let shared = pairs.take_while(|(old, new)| is_same(old, new)).count();
    let (before, after) = (&before[shared..], &after[shared..]);
    let pairs = before.iter().rev().zip(after.iter().rev());
    let shared = pairs.take_while(|(old, new)| is_same(old, new)).count();
    (&before[..before.len() - shared], &after[..after.len() - shared])
}

/// Whether an object is unchanged and in its old place. One that only moved is translated again: everything
/// that is said about it names its line.
fn is_same(old: &Placed, new: &Placed) -> bool {
    Arc::ptr_eq(&old.resource, &new.resource) && old.first_line == new.first_line && old.file == new.file
}

/// The last translation, when nothing but HTTPRoutes changed since: then routes that did not change mean what
/// they meant, except for the numbers of backends.
pub(crate) struct Previous<'p> {
    translation: &'p Translation,
    /// Routes that are new or changed.
    fresh: HashSet<*const Resource>,
    /// Objects with problems, which have to be said again.
    troubled: HashSet<&'p ObjectName>,
    /// Routes before this one have been asked for.
    cursor: usize,
}

impl<'p> Previous<'p> {
    /// `None` when other objects than HTTPRoutes changed.
    pub(crate) fn new(translation: &'p Translation, changes: &[Change<'_>]) -> Option<Self> {
        let is_route = |placed: &Placed| matches!(placed.resource.body, Body::HttpRoute(_));
        let mut versions = changes.iter().flat_map(|(old, new)| [*old, *new]).flatten();
        if !versions.all(is_route) {
            return None;
        }
        let fresh = changes
            .iter()
            .filter_map(|(_, new)| new.map(|new| Arc::as_ptr(&new.resource)));
        let troubled = translation
            .lasting_problems
            .iter()
            .filter_map(|problem| problem.object.as_ref());
        Some(Self {
            translation,
            fresh: fresh.collect(),
            troubled: troubled.collect(),
            cursor: 0,
        })
    }

    /// The routes that an object became, when it would become the same again; else nothing. Objects must be
    /// asked for in order of namespace and name.
    pub(crate) fn routes_of(&mut self, source: Object<'_, HttpRoute>) -> &'p [Arc<Route>] {
        let routes = &self.translation.config.routes;
        let name = |route: &Route| {
            (&*route.object.namespace, &*route.object.name) < (source.namespace(), source.name())
        };
        while routes.get(self.cursor).is_some_and(|route| name(route)) {
            self.cursor += 1;
        }
        let known = &routes[self.cursor..];
        let known = &known[..known
            .iter()
            .take_while(|route| route.object == *source.id())
            .count()];
        let changed = self.fresh.contains(&Arc::as_ptr(&source.placed.resource));
        let stale = changed || source.placed.resource.faulty || self.troubled.contains(source.id());
        if stale { &[] } else { known }
    }

    /// The translation before.
    pub(crate) fn translation(&self) -> &'p Translation {
        self.translation
    }

    /// The backends of Services and Backends, all of which are what they were as far as they are still in use.
    pub(crate) fn backends(&self) -> &'p [Arc<ModelBackend>] {
        let all = &self.translation.config.backends;
        // Those of tenants come last, and nothing but routes refers to the others.
        let count = all.partition_point(|backend| !is_tenant_backend(backend));
        &all[..count]
    }

    /// What was wrong with the endpoints of a backend.
    pub(crate) fn problems_of(&self, backend: usize) -> &'p [Problem] {
        let problems = &self.translation.endpoint_problems;
        let found = problems.binary_search_by_key(&backend, |(id, _)| id.0 as usize);
        found.map_or(&[], |place| &problems[place].1)
    }
}
