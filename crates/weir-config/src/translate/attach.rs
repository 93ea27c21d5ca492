//! Which routes attach to which listeners (Gateway API: parentRefs, allowedRoutes, hostnames).

use std::ops::Range;

use weir_model::HostPattern;

use super::gateway::{GATEWAY_GROUP, JudgedGateway, JudgedListener};
use super::index::{Index, Object};
use super::refusal::{self, Refusal};
use super::reporter::Reporter;
use crate::hash::QuickMap;
use crate::resource::{AllowedNamespaces, GatewayListener, HttpRoute, ParentReference, Placed};
use crate::yaml::Finding;

/// What attaches to what.
#[derive(Debug, Default)]
pub(crate) struct AttachTable<'a> {
    /// Every route, in order of namespace and name.
    pub(crate) routes: Vec<RouteAttachments<'a>>,
    /// The parentRefs of all routes that name a Gateway of ours.
    pub(crate) parents: Vec<Parent<'a>>,
    /// The accepted pairs of all routes.
    pub(crate) attached: Vec<Attached<'a>>,
    /// For each of them the route's hosts on the listener; never empty.
    pub(crate) hosts: Vec<Vec<HostPattern>>,
}

/// A route's entries in an [`AttachTable`].
#[derive(Clone, Debug)]
pub(crate) struct RouteAttachments<'a> {
    /// The route.
    pub(crate) route: Object<'a, HttpRoute>,
    /// Among [`AttachTable::parents`], in the order written.
    pub(crate) parents: Range<usize>,
    /// Among [`AttachTable::attached`].
    pub(crate) attached: Range<usize>,
}

/// A parentRef that names a Gateway of ours.
#[derive(Debug)]
pub(crate) struct Parent<'a> {
    /// The reference.
    pub(crate) reference: &'a ParentReference,
    /// Place of the Gateway in the judged list.
    pub(crate) gateway: usize,
    /// `Ok` when at least one listener accepted the route.
    pub(crate) outcome: Result<(), Refusal>,
}

/// One accepted pair of a route and a listener.
#[derive(Debug)]
pub(crate) struct Attached<'a> {
    /// The route.
    pub(crate) route: &'a Placed,
    /// The Gateway.
    pub(crate) gateway: &'a Placed,
    /// The listener, which need not be served.
    pub(crate) listener: &'a GatewayListener,
    /// The reference that led here; the first when several do.
    pub(crate) parent: &'a ParentReference,
    /// Place of the Gateway and of the listener in the judged list.
    pub(crate) place: (usize, usize),
}

/// Attaches all routes; counts them on the listeners.
pub(crate) fn attach<'a>(
    index: &Index<'a>,
    gateways: &mut [JudgedGateway<'a>],
    reporter: &mut Reporter,
) -> AttachTable<'a> {
    let mut table = Attacher::new(index, gateways, reporter).all();
    for one in &table.attached {
        gateways[one.place.0].listeners[one.place.1].attached_routes += 1;
    }
    table.attached.shrink_to_fit();
    table
}

struct Attacher<'w, 'a> {
    index: &'w Index<'a>,
    gateways: &'w [JudgedGateway<'a>],
    /// Places of the Gateways by namespace and name.
    places: QuickMap<(&'a str, &'a str), usize>,
    reporter: &'w mut Reporter,
    table: AttachTable<'a>,
}

impl<'w, 'a> Attacher<'w, 'a> {
    fn new(index: &'w Index<'a>, gateways: &'w [JudgedGateway<'a>], reporter: &'w mut Reporter) -> Self {
        let names = gateways
            .iter()
            .map(|gateway| (gateway.object.namespace(), gateway.object.name()));
        let places = names.enumerate().map(|(place, name)| (name, place)).collect();
        let count = index.http_routes.count();
        let table = AttachTable {
            routes: Vec::with_capacity(count),
            parents: Vec::with_capacity(count),
            attached: Vec::with_capacity(count),
            hosts: Vec::with_capacity(count),
        };
        Self {
            index,
            gateways,
            places,
            reporter,
            table,
        }
    }

    fn all(mut self) -> AttachTable<'a> {
        for route in self.index.http_routes.iter() {
            let parents = self.table.parents.len();
            let attached = self.table.attached.len();
            for reference in &route.spec.parents {
                let Some(gateway) = self.gateway_of(route, reference) else {
                    continue;
                };
                let outcome = self.attach(gateway, route, reference, attached);
                if let Err(refusal) = &outcome {
                    refusal.report(route, reference, self.reporter);
                }
                self.table.parents.push(Parent {
                    reference,
                    gateway,
                    outcome,
                });
            }
            let table = &self.table;
            refusal::report_idle(route, self.gateways, &table.attached[attached..], self.reporter);
            let parents = parents..table.parents.len();
            let attached = attached..table.attached.len();
            self.table.routes.push(RouteAttachments {
                route,
                parents,
                attached,
            });
        }
        self.table
    }

    /// The Gateway of ours that a parentRef names.
    fn gateway_of(&mut self, route: Object<'a, HttpRoute>, reference: &ParentReference) -> Option<usize> {
        let object = &reference.object;
        let effect = "the route is not attached through this parentRef";
        if (&*object.group, &*object.kind) != (GATEWAY_GROUP, "Gateway") {
            let message = format!("parents of kind {} are not served", object.kind);
            let finding = Finding::new("W0212", object.span, message)
                .label("not a Gateway")
                .effect(effect);
            self.reporter.add(route.placed, finding);
            return None;
        }
        let name = &*object.name.value;
        let namespace = object
            .namespace
            .as_ref()
            .map_or(route.namespace(), |written| &written.value);
        let place = self.places.get(&(namespace, name)).copied();
        let gateways = &self.index.gateways;
        // A Gateway of somebody else has its own note.
        if place.is_none() && gateways.get(namespace, name).is_none() {
            let message = format!("there is no Gateway {name} in namespace {namespace}");
            let help = match gateways.near(namespace, name) {
                Some(near) => format!("did you mean {near}?"),
                None => "define the Gateway, or name one that exists".to_string(),
            };
            let finding = Finding::new("E0211", object.name.span, message)
                .label("not found")
                .help(help);
            self.reporter.add(route.placed, finding.effect(effect));
        }
        place
    }

    /// Attaches a route to all listeners that a parentRef selects. The route's earlier attachments start at `first`.
    fn attach(
        &mut self,
        gateway: usize,
        route: Object<'a, HttpRoute>,
        reference: &'a ParentReference,
        first: usize,
    ) -> Result<(), Refusal> {
        let judged = &self.gateways[gateway];
        let candidates = match &reference.section_name {
            Some(name) => judged
                .listener(&name.value)
                .map_or(0..0, |place| place..place + 1),
            None => 0..judged.listeners.len(),
        };
        let (mut selected, mut allowed, mut matched) = (0, 0, 0);
        for number in candidates {
            let listener = &judged.listeners[number];
            if reference
                .port
                .is_some_and(|port| port.value != listener.spec.port.value)
            {
                continue;
            }
            selected += 1;
            if !allows(self.index, judged, listener, route) {
                continue;
            }
            allowed += 1;
            let hosts = common_hosts(listener, route.spec);
            if hosts.is_empty() {
                continue;
            }
            matched += 1;
            let place = (gateway, number);
            // Two parentRefs may select the same listener; the route is there once.
            if self.table.attached[first..]
                .iter()
                .all(|earlier| earlier.place != place)
            {
                self.table.hosts.push(hosts);
                self.table.attached.push(Attached {
                    route: route.placed,
                    gateway: judged.object.placed,
                    listener: listener.spec,
                    parent: reference,
                    place,
                });
            }
        }
        match (selected, allowed, matched) {
            (0, _, _) => Err(refusal::no_parent(judged, reference)),
            (_, 0, _) => Err(refusal::not_allowed(judged, route, reference)),
            (_, _, 0) => Err(refusal::no_hostname(judged, route, reference)),
            _ => Ok(()),
        }
    }
}

/// `allowedRoutes`: whether the listener takes routes of this kind from this namespace.
fn allows(
    index: &Index<'_>,
    gateway: &JudgedGateway<'_>,
    listener: &JudgedListener<'_>,
    route: Object<'_, HttpRoute>,
) -> bool {
    listener.kinds.contains(&"HTTPRoute")
        && match &listener.spec.allowed.namespaces {
            AllowedNamespaces::Same => gateway.object.namespace() == route.namespace(),
            AllowedNamespaces::All => true,
            AllowedNamespaces::None => false,
            AllowedNamespaces::Selector(selector) => {
                selector.matches(&index.namespace_labels(route.namespace()))
            }
        }
}

/// Hosts that both the listener and the route cover. A route without hostnames takes the listener's.
fn common_hosts(listener: &JudgedListener<'_>, route: &HttpRoute) -> Vec<HostPattern> {
    let hostname = &listener.spec.hostname.value;
    if route.hostnames.is_empty() {
        return vec![hostname.clone()];
    }
    let mut hosts: Vec<HostPattern> = Vec::with_capacity(route.hostnames.len());
    for host in route
        .hostnames
        .iter()
        .filter_map(|written| hostname.intersect(&written.value))
    {
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    hosts
}
