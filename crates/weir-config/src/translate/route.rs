//! Routes: one HTTPRoute becomes one route of the `Config` per set of effective policies.

use std::sync::Arc;

use weir_model::{Attachment, BalanceSpec, HostPattern, Route, RouteId};

use super::attach::{AttachTable, Attached, RouteAttachments};
use super::backend::Backends;
use super::effective::{self, EffectivePolicy, PolicyPoint};
use super::gateway::{JudgedGateway, Verdict};
use super::index::{Index, Object};
use super::policy::PolicyIndex;
use super::reporter::Reporter;
use super::rule::{RuleWriter, WrittenRules};
use crate::resource::HttpRoute;

/// All routes that are served somewhere, and where.
#[derive(Debug, Default)]
pub(crate) struct WrittenRoutes<'a> {
    /// Ordered by namespace and name; a [`RouteId`] is an index into this list.
    pub(crate) routes: Vec<Route>,
    /// The object of each route.
    pub(crate) sources: Vec<Object<'a, HttpRoute>>,
    /// For each Gateway and each of its listeners the routes that it serves.
    pub(crate) attachments: Vec<Vec<Vec<Attachment>>>,
    /// What the statuses say besides attachment; one per entry of the attachments that were given.
    pub(crate) outcomes: Vec<Outcome>,
}

/// What became of the rules of an HTTPRoute.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Reason and message of `ResolvedRefs=False`.
    pub(crate) unresolved: Option<(&'static str, String)>,
    /// Places of the rules that are not served as written.
    pub(crate) refused: Vec<usize>,
}

impl Outcome {
    /// Whether all references lead somewhere and all rules are served as written.
    pub(crate) fn is_flawless(&self) -> bool {
        self.unresolved.is_none() && self.refused.is_empty()
    }
}

/// Everything that routes are written from.
pub(crate) struct RouteInputs<'w, 'a> {
    pub(crate) index: &'w Index<'a>,
    pub(crate) gateways: &'w [JudgedGateway<'a>],
    pub(crate) policies: &'w PolicyIndex<'a>,
    pub(crate) table: &'w AttachTable<'a>,
}

/// Writes all routes. Takes the hosts of all attachments out of `hosts`.
pub(crate) fn write<'a>(
    inputs: &RouteInputs<'_, 'a>,
    hosts: &mut [Vec<HostPattern>],
    backends: &mut Backends<'a>,
    reporter: &mut Reporter,
) -> WrittenRoutes<'a> {
    let gateways = inputs.gateways.iter();
    let mut written = WrittenRoutes {
        routes: Vec::with_capacity(inputs.table.routes.len()),
        sources: Vec::with_capacity(inputs.table.routes.len()),
        attachments: gateways
            .map(|gateway| vec![Vec::new(); gateway.listeners.len()])
            .collect(),
        outcomes: Vec::with_capacity(inputs.table.routes.len()),
    };
    let balance = Arc::new(BalanceSpec::default());
    let mut writer = RuleWriter {
        index: inputs.index,
        backends,
        reporter,
        key: String::new(),
        balance,
    };
    for attachments in &inputs.table.routes {
        if is_foreign(inputs.index, attachments) {
            written.outcomes.push(Outcome::default());
            continue;
        }
        let mut rules = writer.write(attachments.route);
        rules.refused.dedup();
        let outcome = Outcome {
            unresolved: rules.unresolved.take(),
            refused: std::mem::take(&mut rules.refused),
        };
        written.outcomes.push(outcome);
        place(inputs, attachments, rules, hosts, &mut written);
    }
    written
}

/// Whether a route belongs to Gateways of somebody else, so that nothing in it is our business.
fn is_foreign(index: &Index<'_>, attachments: &RouteAttachments<'_>) -> bool {
    let route = attachments.route;
    attachments.parents.is_empty()
        && route.spec.parents.iter().any(|parent| {
            let namespace = parent.object.namespace.as_ref();
            let namespace = namespace.map_or(route.namespace(), |written| &written.value);
            index.gateways.get(namespace, &parent.object.name.value).is_some()
        })
}

/// Puts a route on the listeners that serve it: once when its parents give it the same policies, else once for
/// each set of policies.
fn place<'a>(
    inputs: &RouteInputs<'_, 'a>,
    attachments: &RouteAttachments<'a>,
    rules: WrittenRules,
    hosts: &mut [Vec<HostPattern>],
    written: &mut WrittenRoutes<'a>,
) {
    if rules.rules.is_empty() {
        return;
    }
    let source = attachments.route;
    let mut groups: Vec<(Vec<Option<Arc<EffectivePolicy>>>, RouteId)> = Vec::new();
    for number in attachments.attached.clone() {
        let one = &inputs.table.attached[number];
        if !is_served(inputs.gateways, one.place) {
            continue;
        }
        let policies = policies_of(inputs.policies, source, &rules, one);
        let known = groups.iter().find(|(group, _)| *group == policies);
        let route = known.map(|(_, route)| *route).unwrap_or_else(|| {
            let route = RouteId(written.routes.len() as u32);
            groups.push((policies, route));
            // Reserves the place; the rules follow once all groups are known.
            written.routes.push(empty_route(source));
            written.sources.push(source);
            route
        });
        let hosts = std::mem::take(&mut hosts[number]);
        written.attachments[one.place.0][one.place.1].push(Attachment { route, hosts });
    }
    let last = groups.len();
    let mut remaining = Some(rules);
    for (number, (policies, id)) in groups.into_iter().enumerate() {
        let rules = if number + 1 == last {
            remaining.take()
        } else {
            remaining.as_ref().map(WrittenRules::copy)
        };
        let Some(mut rules) = rules else { break };
        for (position, rule) in rules.rules.iter_mut().enumerate() {
            let policy = policies.get(position).and_then(Option::as_deref);
            effective::apply(policy, &source.spec.rules[rules.places[position]], rule);
        }
        written.routes[id.0 as usize].rules = rules.rules;
    }
}

/// Whether a listener is opened.
pub(crate) fn is_served(gateways: &[JudgedGateway<'_>], place: (usize, usize)) -> bool {
    let gateway = &gateways[place.0];
    !gateway.addresses.is_empty() && gateway.listeners[place.1].verdict == Verdict::Served
}

/// The policy of each rule through one listener; empty when there are no policies at all.
fn policies_of(
    policies: &PolicyIndex<'_>,
    source: Object<'_, HttpRoute>,
    rules: &WrittenRules,
    attached: &Attached<'_>,
) -> Vec<Option<Arc<EffectivePolicy>>> {
    if policies.is_empty() {
        return Vec::new();
    }
    let names = rules
        .places
        .iter()
        .map(|place| source.spec.rules[*place].name.as_ref());
    let points = names.map(|name| PolicyPoint {
        route: source.placed,
        rule: name.map(|name| &*name.value),
        gateway: attached.gateway,
        listener: &attached.listener.name.value,
    });
    points.map(|point| policies.effective(&point)).collect()
}

fn empty_route(source: Object<'_, HttpRoute>) -> Route {
    Route {
        object: source.id().clone(),
        created: source.placed.resource.metadata.created,
        rules: Vec::new(),
        origin: source.origin(source.placed.resource.span),
    }
}
