//! Rules that no request can ever reach.

use std::collections::hash_map::Entry;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use weir_model::{HostPattern, Listener, Match, PathMatch, Route, ValueMatch};
use weir_route::are_chosen_alike;

use super::index::Object;
use super::reporter::Reporter;
use super::translation::Translation;
use crate::hash::QuickMap;
use crate::resource::{HttpRoute, HttpRule};
use crate::yaml::{Finding, Span};

/// The code of what [`report_shadowed`] reports.
const SHADOWED: &str = "W0260";

/// Reports every match that an equal match of higher precedence hides wherever it is attached. Equal matches on
/// the same host tie in everything up to the age of the route, its name, and the order of rules (Gateway API
/// HTTPRoute, conflict resolution); the first one then gets all requests.
pub(crate) fn report_shadowed(
    listeners: &[Arc<Listener>],
    routes: &[Arc<Route>],
    sources: &[Object<'_, HttpRoute>],
    reporter: &mut Reporter,
) {
    let rank = ranks(sources);
    let mut fates = Fates::new(routes);
    for section in listeners.iter().flat_map(|listener| &listener.sections) {
        let mut attachments: Vec<_> = section.attachments.iter().collect();
        attachments.sort_by_key(|attachment| rank[attachment.route.0 as usize]);
        let mut first: QuickMap<(&HostPattern, Key<'_>), At> =
            QuickMap::with_capacity_and_hasher(attachments.len(), Default::default());
        for attachment in attachments {
            for host in &attachment.hosts {
                let route = attachment.route.0 as usize;
                for (at, key) in matches_of(route, &routes[route]) {
                    match first.entry((host, key)) {
                        Entry::Vacant(vacant) => {
                            vacant.insert(at);
                            fates.of(at).reached = true;
                        }
                        Entry::Occupied(earlier) => fates.of(at).hidden_by = Some(*earlier.get()),
                    }
                }
            }
        }
    }
    for (route, written) in routes.iter().enumerate() {
        for (at, _) in matches_of(route, written) {
            let fate = fates.of(at);
            if let (false, Some(by)) = (fate.reached, fate.hidden_by) {
                report(at, by, sources, reporter);
            }
        }
    }
}

/// Whether [`report_shadowed`] found nothing before and has nothing new to look at.
pub(crate) fn hides_nothing_still(
    before: &Translation,
    listeners: &[Arc<Listener>],
    routes: &[Arc<Route>],
) -> bool {
    let config = &before.config;
    let is_alike = |(old, new): (&Arc<Route>, &Arc<Route>)| is_hidden_alike(old, new);
    !has_found(before)
        && config.routes.len() == routes.len()
        && config.routes.iter().zip(routes).all(is_alike)
        && config.listeners == listeners
}

/// Whether [`report_shadowed`] found anything.
pub(crate) fn has_found(before: &Translation) -> bool {
    let mut problems = before.lasting_problems.iter();
    problems.any(|problem| problem.code == SHADOWED)
}

/// Whether two versions of a route hide, and are hidden by, the same.
pub(crate) fn is_hidden_alike(old: &Arc<Route>, new: &Arc<Route>) -> bool {
    Arc::ptr_eq(old, new) || are_chosen_alike(old, new)
}

/// One match of the `Config`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct At {
    route: usize,
    rule: usize,
    number: usize,
    /// Number of matches of the route before this one.
    before: usize,
}

/// What becomes of a match.
#[derive(Clone, Copy, Debug, Default)]
struct Fate {
    reached: bool,
    hidden_by: Option<At>,
}

/// The fate of every match of every route.
struct Fates {
    bases: Vec<usize>,
    fates: Vec<Fate>,
}

impl Fates {
    fn new(routes: &[Arc<Route>]) -> Self {
        let mut bases = Vec::with_capacity(routes.len());
        let mut count = 0;
        for route in routes {
            bases.push(count);
            count += route.rules.iter().map(|rule| rule.matches.len()).sum::<usize>();
        }
        Self {
            bases,
            fates: vec![Fate::default(); count],
        }
    }

    fn of(&mut self, at: At) -> &mut Fate {
        &mut self.fates[self.bases[at.route] + at.before]
    }
}

/// A match as a key: equal keys match the same requests.
#[derive(PartialEq, Eq)]
struct Key<'m>(&'m Match);

impl Hash for Key<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match &self.0.path {
            PathMatch::Exact(path) => (0, path).hash(state),
            PathMatch::Prefix(path) => (1, path).hash(state),
            PathMatch::Regex(path) => (2, path).hash(state),
        }
        self.0.method.hash(state);
        for header in &self.0.headers {
            hash_value(&header.name, &header.value, state);
        }
        for parameter in &self.0.query {
            hash_value(&parameter.name, &parameter.value, state);
        }
    }
}

fn hash_value<H: Hasher>(name: &str, value: &ValueMatch, state: &mut H) {
    let (ValueMatch::Exact(text) | ValueMatch::Regex(text)) = value;
    (name, text).hash(state);
}

fn matches_of(route: usize, written: &Route) -> impl Iterator<Item = (At, Key<'_>)> {
    let rules = written.rules.iter().enumerate();
    let matches = rules.flat_map(|(rule, written)| {
        let matches = written.matches.iter().enumerate();
        matches.map(move |(number, one)| (rule, number, one))
    });
    let numbered = matches.enumerate();
    numbered.map(move |(before, (rule, number, one))| {
        (
            At {
                route,
                rule,
                number,
                before,
            },
            Key(one),
        )
    })
}

/// The place of each route in the order of seniority.
fn ranks(sources: &[Object<'_, HttpRoute>]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..sources.len()).collect();
    if !sources.is_sorted_by(|left, right| left.seniority() <= right.seniority()) {
        order.sort_by(|left, right| sources[*left].seniority().cmp(&sources[*right].seniority()));
    }
    let mut ranks = vec![0; sources.len()];
    for (rank, route) in order.into_iter().enumerate() {
        ranks[route] = rank;
    }
    ranks
}

fn report(at: At, by: At, sources: &[Object<'_, HttpRoute>], reporter: &mut Reporter) {
    let (hidden, hider) = (sources[at.route], sources[by.route]);
    let Some((place, span)) = written(hidden, at) else {
        return;
    };
    let Some((hider_place, hider_span)) = written(hider, by) else {
        return;
    };
    // One object under several sets of policies hides nothing from itself.
    if hidden.id() == hider.id() && (place, at.number) == (hider_place, by.number) {
        return;
    }
    let whose = match hidden.id() == hider.id() {
        true => format!("rule {}", hider_place + 1),
        false => format!("rule {} of {}", hider_place + 1, hider.id()),
    };
    let finding = Finding::new(
        SHADOWED,
        span,
        format!("this match never gets a request: {whose} matches the same"),
    )
    .label("never reached")
    .help(format!("the other match is at {}", hider.origin(hider_span)))
    .effect(format!("requests that match go to {whose}"));
    reporter.add(hidden.placed, finding);
}

/// Place of a rule among the rules as written, and where the match is written.
fn written(source: Object<'_, HttpRoute>, at: At) -> Option<(usize, Span)> {
    let rules = source.spec.rules.iter().enumerate();
    // Rules without a valid match are not in the `Config`.
    let mut rules = rules.filter(|(_, rule): &(usize, &HttpRule)| !rule.matches.is_empty());
    let (place, rule) = rules.nth(at.rule)?;
    let span = rule.matches.get(at.number)?.span;
    Some((place, if span == Span::NONE { rule.span } else { span }))
}
