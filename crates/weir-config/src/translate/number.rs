//! Backend ids: from the order of first reference to the order of keys.

use weir_model::{Action, BackendId, Filter, Route, Rule, Target};

/// Which backends the routes use.
pub(crate) fn used(routes: &[Route], count: usize) -> Vec<bool> {
    let mut used = vec![false; count];
    for route in routes {
        mark_used(&route.rules, &mut used);
    }
    used
}

/// Gives every backend its final id.
pub(crate) fn renumber(routes: &mut [Route], ids: &[BackendId]) {
    for route in routes {
        renumber_rules(&mut route.rules, ids);
    }
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
