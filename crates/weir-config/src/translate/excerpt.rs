//! Translating a few changed routes without the others.
//!
//! The changed routes are translated twice, as they were and as they are, each time together with everything that is no
//! route. When both say the same of everything but what the rules do, then so would two translations of everything:
//! routes hear of each other only where one hides another.

use std::sync::Arc;

use weir_model::{Backend, BackendId, Config, Route};

use super::change::Change;
use super::lint;
use super::number;
use super::options::Options;
use super::share;
use super::translation::{Translation, translate};
use crate::resource::{Body, Placed, ResourceSet};

/// With more changed routes than this everything is translated: that is not much more work then.
const ROUTES_MAX: usize = 1_000;

/// Changed routes of a `Config`, and their places in it.
pub(crate) type ChangedRoutes = Vec<(usize, Arc<Route>)>;

/// What becomes of the routes of the last translation, of which `changes` are all that is different in `set`; `None`
/// when more may change than what some routes do.
pub(crate) fn changed_routes(
    last: &Translation,
    changes: &[Change<'_>],
    set: &ResourceSet,
    options: &Options,
) -> Option<ChangedRoutes> {
    if changes.len() > ROUTES_MAX || lint::has_found(last) {
        return None;
    }
    let pairs: Option<Vec<(&Placed, &Placed)>> = changes.iter().map(|(old, new)| old.zip(*new)).collect();
    let (old, new): (Vec<&Placed>, Vec<&Placed>) = pairs?.into_iter().unzip();
    if !old.iter().chain(&new).all(|placed| is_route(placed)) {
        return None;
    }
    let others: Vec<&Placed> = set.objects.iter().filter(|placed| !is_route(placed)).collect();
    if others
        .iter()
        .any(|placed| matches!(placed.resource.body, Body::Tenant(_)))
    {
        return None;
    }
    let translated = |routes: &[&Placed]| {
        let objects = others.iter().chain(routes).map(|placed| Placed::clone(placed));
        let excerpt = ResourceSet {
            objects: Arc::new(objects.collect()),
            problems: Vec::new(),
        };
        translate(&excerpt, options)
    };
    let (before, after) = (translated(&old), translated(&new));
    if !differ_in_routes(&before, &after) {
        return None;
    }
    in_their_places(&last.config, &before.config, &after.config)
}

fn is_route(placed: &Placed) -> bool {
    matches!(placed.resource.body, Body::HttpRoute(_))
}

/// Whether all that can differ is what the same routes do.
fn differ_in_routes(before: &Translation, after: &Translation) -> bool {
    let (old, new) = (&before.config, &after.config);
    let mut routes = old.routes.iter().zip(&new.routes);
    old.routes.len() == new.routes.len()
        && routes.all(|(old, new)| old.object == new.object && lint::is_hidden_alike(old, new))
        && old.listeners == new.listeners
        && old.backends == new.backends
        && before.statuses == after.statuses
        && before.lasting_problems == after.lasting_problems
        && before.endpoint_problems == after.endpoint_problems
}

/// Where the routes of an excerpt are in the whole, with the numbers that backends have there. Routes that are the
/// same as before are left out.
fn in_their_places(whole: &Config, before: &Config, after: &Config) -> Option<ChangedRoutes> {
    let id = |backend: &Arc<Backend>| {
        let place = whole
            .backends
            .binary_search_by(|other| other.key.cmp(&backend.key))
            .ok()?;
        (whole.backends[place] == *backend).then_some(BackendId(place as u32))
    };
    let ids: Vec<BackendId> = after.backends.iter().map(id).collect::<Option<_>>()?;
    let mut changed = Vec::new();
    let mut place = 0;
    for (nth, route) in after.routes.iter().enumerate() {
        // One object may be several routes, which are neighbours.
        place = match nth > 0 && after.routes[nth - 1].object == route.object {
            true => place + 1,
            false => whole.routes.partition_point(|other| name(other) < name(route)),
        };
        let renumbered = |route: &Route| number::numbered_one(route.clone(), &ids);
        let known = whole.routes.get(place)?;
        if **known != *renumbered(&before.routes[nth]) {
            return None;
        }
        let new = renumbered(route);
        if !share::is_same_route(known, &new) {
            changed.push((place, new));
        }
    }
    Some(changed)
}

/// What routes are ordered by.
fn name(route: &Route) -> (&str, &str) {
    (&route.object.namespace, &route.object.name)
}
