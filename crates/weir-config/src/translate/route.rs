//! Routes: one HTTPRoute becomes one route of the `Config` per set of effective policies.

use std::sync::Arc;

use weir_model::{Action, Attachment, BalanceSpec, Destination, HostPattern, Route, RouteId, Rule, Target};

use super::attach::{AttachTable, Attached, RouteAttachments};
use super::backend::Backends;
use super::change::Previous;
use super::effective::{self, AppliedPolicy, PolicyPoint, RuleSource, UpstreamSpecs};
use super::gateway::{JudgedGateway, Verdict};
use super::index::{Index, Object};
use super::number::RouteDraft;
use super::policy::PolicyIndex;
use super::reporter::Reporter;
use super::rule::{RuleWriter, WrittenRules};
use crate::resource::HttpRoute;

/// All routes that are served somewhere, and where.
#[derive(Debug, Default)]
pub(crate) struct WrittenRoutes<'a> {
    /// Ordered by namespace and name; a [`RouteId`] is an index into this list.
    pub(crate) routes: Vec<RouteDraft>,
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

/// Writes all routes, except those that are known already. Takes the hosts of all attachments out of `hosts`.
pub(crate) fn write<'a>(
    inputs: &RouteInputs<'_, 'a>,
    mut previous: Option<Previous<'_>>,
    hosts: &mut [Vec<HostPattern>],
    backends: &mut Backends<'a>,
    reporter: &mut Reporter,
) -> WrittenRoutes<'a> {
    let gateways = inputs.gateways.iter();
    let count = inputs.table.routes.len();
    let mut written = WrittenRoutes {
        routes: Vec::with_capacity(count),
        sources: Vec::with_capacity(count),
        attachments: gateways
            .map(|gateway| vec![Vec::new(); gateway.listeners.len()])
            .collect(),
        outcomes: Vec::with_capacity(count),
    };
    let balance = Arc::new(BalanceSpec::default());
    let mut writer = RuleWriter {
        index: inputs.index,
        backends,
        reporter,
        key: String::new(),
        balance,
        upstream: inputs.policies.upstreams().shared(Arc::default()),
    };
    let mut groups = Groups::default();
    for attachments in &inputs.table.routes {
        let source = attachments.route;
        groups.collect(inputs, attachments);
        let known = previous
            .as_mut()
            .map_or(&[][..], |previous| previous.routes_of(source));
        let mut outcome = Outcome::default();
        let routes = if !known.is_empty() && known.len() == groups.policies.len() {
            known.iter().cloned().map(RouteDraft::Known).collect()
        } else if is_foreign(inputs.index, attachments) {
            Vec::new()
        } else {
            let mut rules = writer.write(source);
            outcome.unresolved = rules.unresolved.take();
            outcome.refused = std::mem::take(&mut rules.refused);
            outcome.refused.dedup();
            let places = &mut Places {
                index: inputs.index,
                backends: &mut *writer.backends,
                upstreams: inputs.policies.upstreams(),
            };
            groups.routes(source, rules, places)
        };
        written.outcomes.push(outcome);
        written.place(&groups, source, routes, hosts);
    }
    written
}

impl<'a> WrittenRoutes<'a> {
    /// Puts the routes of one object on the listeners that serve them.
    fn place(
        &mut self,
        groups: &Groups,
        source: Object<'a, HttpRoute>,
        routes: Vec<RouteDraft>,
        hosts: &mut [Vec<HostPattern>],
    ) {
        if routes.is_empty() {
            return;
        }
        let first = self.routes.len();
        self.sources.extend(std::iter::repeat_n(source, routes.len()));
        self.routes.extend(routes);
        for member in &groups.members {
            let route = RouteId((first + member.group) as u32);
            let hosts = std::mem::take(&mut hosts[member.attached]);
            self.attachments[member.place.0][member.place.1].push(Attachment { route, hosts });
        }
    }
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

/// The listeners that serve one route, grouped by the policies that hold there: the route appears once for each
/// group. Reused from route to route.
#[derive(Debug, Default)]
struct Groups {
    /// For each group the policy of each rule; nothing when there are no policies at all.
    policies: Vec<Vec<Option<AppliedPolicy>>>,
    members: Vec<Member>,
}

/// A listener that serves the route.
#[derive(Debug)]
struct Member {
    /// Place in [`AttachTable::attached`].
    attached: usize,
    /// Place of the Gateway and of the listener.
    place: (usize, usize),
    group: usize,
}

impl Groups {
    fn collect(&mut self, inputs: &RouteInputs<'_, '_>, attachments: &RouteAttachments<'_>) {
        self.policies.clear();
        self.members.clear();
        for attached in attachments.attached.clone() {
            let one = &inputs.table.attached[attached];
            if !is_served(inputs.gateways, one.place) {
                continue;
            }
            let policies = policies_of(inputs.policies, attachments.route, one);
            let known = self.policies.iter().position(|group| *group == policies);
            let group = known.unwrap_or(self.policies.len());
            if known.is_none() {
                self.policies.push(policies);
            }
            self.members.push(Member {
                attached,
                place: one.place,
                group,
            });
        }
    }

    /// The rules once for each group, with its policies.
    fn routes<'a>(
        &self,
        source: Object<'a, HttpRoute>,
        rules: WrittenRules,
        places: &mut Places<'_, 'a>,
    ) -> Vec<RouteDraft> {
        if rules.rules.is_empty() {
            return Vec::new();
        }
        let mut remaining = Some(rules);
        let mut routes = Vec::with_capacity(self.policies.len());
        for (group, policies) in self.policies.iter().enumerate() {
            let is_last = group + 1 == self.policies.len();
            let rules = if is_last {
                remaining.take()
            } else {
                remaining.as_ref().map(WrittenRules::copy)
            };
            let Some(mut rules) = rules else { break };
            for (position, rule) in rules.rules.iter_mut().enumerate() {
                let place = rules.places[position];
                let policy = policies.get(place).and_then(Option::as_ref);
                places.apply(policy, source, place, rule);
            }
            routes.push(RouteDraft::New(Route {
                object: source.id().clone(),
                created: source.placed.resource.metadata.created,
                rules: rules.rules,
                origin: source.origin(source.placed.resource.span),
            }));
        }
        routes
    }
}

/// What policies are applied with.
struct Places<'p, 'a> {
    index: &'p Index<'a>,
    backends: &'p mut Backends<'a>,
    upstreams: &'p UpstreamSpecs,
}

impl<'a> Places<'_, 'a> {
    fn apply(
        &mut self,
        policy: Option<&AppliedPolicy>,
        route: Object<'a, HttpRoute>,
        place: usize,
        rule: &mut Rule,
    ) {
        let host = policy.and_then(|_| self.probe_host(route, rule));
        let source = RuleSource {
            written: &route.spec.rules[place],
            host,
        };
        effective::apply(policy, source, self.upstreams, rule);
        let settings = policy.and_then(|applied| applied.policy.outcome.as_ref().ok());
        if let (Some(dns), Action::Forward(forward)) =
            (settings.and_then(|found| found.dns), &mut rule.action)
        {
            for destination in &mut forward.destinations {
                if let Target::Backend(backend) = &mut destination.target {
                    *backend = self.backends.with_dns(self.index, *backend, dns);
                }
            }
        }
    }

    /// The first name that the route serves, unless endpoints have names of their own, which come before it.
    fn probe_host(&self, route: Object<'a, HttpRoute>, rule: &Rule) -> Option<&'a str> {
        let Action::Forward(forward) = &rule.action else {
            return None;
        };
        let is_named = |destination: &Destination| match destination.target {
            Target::Backend(backend) => self.backends.has_hosts(backend),
            Target::Answer(_) => false,
        };
        if forward.destinations.iter().any(is_named) {
            return None;
        }
        let mut hosts = route.spec.hostnames.iter();
        hosts.find_map(|host| match &host.value {
            HostPattern::Exact(name) => Some(&**name),
            HostPattern::Any | HostPattern::Suffix(_) => None,
        })
    }
}

/// Whether a listener is opened.
pub(crate) fn is_served(gateways: &[JudgedGateway<'_>], place: (usize, usize)) -> bool {
    let gateway = &gateways[place.0];
    !gateway.addresses.is_empty() && gateway.listeners[place.1].verdict == Verdict::Served
}

/// The policy of each rule as written through one listener; empty when there are no policies at all.
fn policies_of(
    policies: &PolicyIndex<'_>,
    source: Object<'_, HttpRoute>,
    attached: &Attached<'_>,
) -> Vec<Option<AppliedPolicy>> {
    if policies.is_empty() {
        return Vec::new();
    }
    let points = source.spec.rules.iter().map(|rule| PolicyPoint {
        route: source.placed,
        rule: rule.name.as_ref().map(|name| &*name.value),
        gateway: attached.gateway,
        listener: &attached.listener.name.value,
    });
    points.map(|point| policies.applied(&point)).collect()
}
