//! Backend ids: from the order of first reference to the order of keys.

use std::sync::Arc;

use weir_model::{Action, BackendId, Filter, Route, Rule, Target};

/// A route whose backends have the ids of the order of first reference.
#[derive(Debug)]
pub(crate) enum RouteDraft {
    /// Written in this translation.
    New(Route),
    /// Taken from the last one.
    Known(Arc<Route>),
}

/// Which backends the routes use.
pub(crate) fn used(routes: &[RouteDraft], count: usize) -> Vec<bool> {
    let mut used = vec![false; count];
    for route in routes {
        match route {
            RouteDraft::New(route) => mark_used(&route.rules, &mut used),
            RouteDraft::Known(route) => mark_used(&route.rules, &mut used),
        }
    }
    used
}

/// Gives every backend its final id.
pub(crate) fn numbered(routes: Vec<RouteDraft>, ids: &[BackendId]) -> Vec<Arc<Route>> {
    let same = ids.iter().enumerate().all(|(place, id)| id.0 as usize == place);
    let one = |route| match route {
        RouteDraft::Known(route) if same => route,
        RouteDraft::Known(route) => numbered_one(Route::clone(&route), ids),
        RouteDraft::New(route) => numbered_one(route, ids),
    };
    routes.into_iter().map(one).collect()
}

/// A route whose backends have the ids that stand at their former ones.
pub(crate) fn numbered_one(mut route: Route, ids: &[BackendId]) -> Arc<Route> {
    renumber_rules(&mut route.rules, ids);
    Arc::new(route)
}

fn renumber_rules(rules: &mut [Rule], ids: &[BackendId]) {
    let one = |filter: &mut Filter| {
        if let Filter::Mirror(mirror) = filter {
            mirror.backend = ids[mirror.backend.0 as usize];
        }
    };
    for rule in rules {
        rule.filters.iter_mut().for_each(one);
        let Action::Forward(forward) = &mut rule.action else {
            continue;
        };
        for destination in &mut forward.destinations {
            destination.filters.iter_mut().for_each(one);
            if let Target::Backend(backend) = &mut destination.target {
                *backend = ids[backend.0 as usize];
            }
        }
    }
}

fn mark_used(rules: &[Rule], used: &mut [bool]) {
    for rule in rules {
        rule.filters.iter().for_each(|filter| mark_mirror(filter, used));
        let Action::Forward(forward) = &rule.action else {
            continue;
        };
        for destination in &forward.destinations {
            destination
                .filters
                .iter()
                .for_each(|filter| mark_mirror(filter, used));
            if let Target::Backend(backend) = destination.target {
                used[backend.0 as usize] = true;
            }
        }
    }
}

fn mark_mirror(filter: &Filter, used: &mut [bool]) {
    if let Filter::Mirror(mirror) = filter {
        used[mirror.backend.0 as usize] = true;
    }
}
