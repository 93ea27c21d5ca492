//! Resources by kind and name. Everything here borrows from the set.

use std::borrow::Cow;
use std::cell::Cell;
use std::cmp::Ordering;

use weir_model::{ObjectName, Origin};

use super::grant::Grants;
use super::tls::TlsTargets;
use crate::hash::QuickMap;
use crate::nearest::nearest;
use crate::resource::{
    Backend, Body, ConfigMap, EndpointSlice, Endpoints, Gateway, GatewayClass, HttpRoute, Labels, Placed,
    Policy, ResourceSet, Service, Tenant,
};
use crate::yaml::Span;

/// Names that all suggestions of one translation may look at: ten thousand dangling references among ten
/// thousand names must not take minutes.
const SUGGESTION_BUDGET: usize = 200_000;

/// Label that every namespace has in Kubernetes, with its own name as value.
const NAMESPACE_NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// An object together with what only its kind has.
#[derive(Debug)]
pub(crate) struct Object<'a, T> {
    /// The object.
    pub(crate) placed: &'a Placed,
    /// Its specification.
    pub(crate) spec: &'a T,
    // At hand, because they are what objects are ordered and looked up by.
    namespace: &'a str,
    name: &'a str,
}

impl<T> Clone for Object<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Object<'_, T> {}

impl<'a, T> Object<'a, T> {
    /// An object and its body.
    pub(crate) fn new(placed: &'a Placed, spec: &'a T) -> Self {
        let ObjectName { namespace, name, .. } = &placed.resource.object;
        Self {
            placed,
            spec,
            namespace,
            name,
        }
    }

    /// Kind, namespace and name.
    pub(crate) fn id(&self) -> &'a ObjectName {
        &self.placed.resource.object
    }

    /// The namespace; empty for cluster-scoped kinds.
    pub(crate) fn namespace(&self) -> &'a str {
        self.namespace
    }

    /// The name.
    pub(crate) fn name(&self) -> &'a str {
        self.name
    }

    /// Where something in it is written.
    pub(crate) fn origin(&self, span: Span) -> Origin {
        self.placed.origin(span)
    }

    /// Order among objects that claim the same thing: the oldest first, one of unknown age last, then by
    /// namespace and name (Gateway API conflict resolution).
    pub(crate) fn seniority(&self) -> (i64, &'a str, &'a str) {
        let created = self.placed.resource.metadata.created.unwrap_or(i64::MAX);
        (created, self.namespace(), self.name())
    }
}

/// All objects of one kind.
#[derive(Debug)]
pub(crate) struct Kind<'a, T> {
    items: Vec<Object<'a, T>>,
    places: QuickMap<(&'a str, &'a str), usize>,
    suggestions: Cell<usize>,
}

impl<T> Default for Kind<'_, T> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            places: QuickMap::default(),
            suggestions: Cell::new(SUGGESTION_BUDGET),
        }
    }
}

impl<'a, T> Kind<'a, T> {
    /// In order of namespace and name; Services and Endpoints as they come.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Object<'a, T>> + '_ {
        self.items.iter().copied()
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.items.len()
    }

    /// The object of that name.
    pub(crate) fn get(&self, namespace: &str, name: &str) -> Option<Object<'a, T>> {
        let place = match self.places.is_empty() {
            false => *self.places.get(&(namespace, name))?,
            true => {
                let wanted = (namespace, name);
                self.items
                    .binary_search_by(|item| (item.namespace, item.name).cmp(&wanted))
                    .ok()?
            }
        };
        Some(self.items[place])
    }

    /// A name like the one asked for, for "did you mean": in the same namespace one that is spelt almost the
    /// same, else the same name in another namespace.
    pub(crate) fn near(&self, namespace: &str, name: &str) -> Option<String> {
        self.suggestions
            .set(self.suggestions.get().checked_sub(self.items.len())?);
        let siblings = self.items.iter().filter(|item| item.namespace() == namespace);
        let near = nearest(name, siblings.map(Object::name)).map(str::to_string);
        near.or_else(|| {
            let elsewhere = self.items.iter().find(|item| item.name() == name)?;
            Some(format!("{}/{}", elsewhere.namespace(), elsewhere.name()))
        })
    }

    fn push(&mut self, placed: &'a Placed, spec: &'a T) {
        self.items.push(Object::new(placed, spec));
    }

    /// Puts the objects in order; [`Kind::get`] then finds them by bisection.
    fn sort(&mut self) {
        self.items.sort_unstable_by(|left, right| {
            // Namespaces are few, and mostly the same allocation.
            let namespaces = match std::ptr::eq(left.namespace, right.namespace) {
                true => Ordering::Equal,
                false => left.namespace.cmp(right.namespace),
            };
            namespaces.then_with(|| left.name.cmp(right.name))
        });
    }

    /// Lets [`Kind::get`] find objects by hash, for kinds that are asked for once per reference.
    fn hash(&mut self) {
        let names = self.items.iter().map(|item| (item.namespace, item.name));
        self.places = names.enumerate().map(|(place, name)| (name, place)).collect();
    }
}

/// The resources of a set by kind and name.
#[derive(Debug, Default)]
pub(crate) struct Index<'a> {
    pub(crate) classes: Kind<'a, GatewayClass>,
    pub(crate) gateways: Kind<'a, Gateway>,
    pub(crate) http_routes: Kind<'a, HttpRoute>,
    pub(crate) services: Kind<'a, Service>,
    config_maps: Kind<'a, ConfigMap>,
    pub(crate) backends: Kind<'a, Backend>,
    /// `gateway.envoyproxy.io` BackendTrafficPolicy.
    pub(crate) backend_traffic_policies: Kind<'a, Policy>,
    /// `weir.dev` TrafficPolicy.
    pub(crate) traffic_policies: Kind<'a, Policy>,
    /// `gateway.envoyproxy.io` ClientTrafficPolicy.
    pub(crate) client_traffic_policies: Kind<'a, Policy>,
    /// Tenants, in the order of the files.
    pub(crate) tenants: Vec<Object<'a, Tenant>>,
    /// Objects of kinds that are known but not served.
    pub(crate) unserved: Vec<&'a Placed>,
    /// What must be spoken to over TLS.
    pub(crate) tls_targets: TlsTargets<'a>,
    /// Who may refer across namespaces.
    pub(crate) grants: Grants<'a>,
    endpoints: Kind<'a, Endpoints>,
    slices: QuickMap<(&'a str, &'a str), Vec<Object<'a, EndpointSlice>>>,
    namespaces: QuickMap<&'a str, Labels>,
}

impl<'a> Index<'a> {
    /// Indexes everything in the set.
    pub(crate) fn build(set: &'a ResourceSet) -> Self {
        let mut index = Self::default();
        for placed in set.objects.iter() {
            index.add(placed);
        }
        index.classes.sort();
        index.gateways.sort();
        index.http_routes.sort();
        index.backend_traffic_policies.sort();
        index.traffic_policies.sort();
        index.client_traffic_policies.sort();
        index.finish_endpoints();
        index
    }

    /// Indexes only what says where `wanted` Services and Backends have their endpoints.
    pub(crate) fn of_endpoints(set: &'a ResourceSet, wanted: impl Fn(&Placed) -> bool) -> Self {
        let mut index = Self::default();
        for placed in set.objects.iter().filter(|placed| wanted(placed)) {
            index.add(placed);
        }
        index.finish_endpoints();
        index
    }

    /// What lists the endpoints of a Service: its EndpointSlices by name; its core Endpoints when there are none.
    pub(crate) fn slices_of(&self, namespace: &str, service: &str) -> Vec<Object<'a, EndpointSlice>> {
        if let Some(slices) = self.slices.get(&(namespace, service)) {
            return slices.clone();
        }
        let Some(endpoints) = self.endpoints.get(namespace, service) else {
            return Vec::new();
        };
        let subsets = endpoints.spec.subsets.iter();
        subsets.map(|spec| Object::new(endpoints.placed, spec)).collect()
    }

    /// The text that a ConfigMap has for the body of a response.
    pub(crate) fn response_body(&self, namespace: &str, name: &str) -> Option<&'a str> {
        self.config_maps.get(namespace, name)?.spec.response_body()
    }

    /// The labels of a namespace, with the one that Kubernetes gives to all of them.
    pub(crate) fn namespace_labels(&self, namespace: &str) -> Cow<'_, Labels> {
        match self.namespaces.get(namespace) {
            Some(labels) => Cow::Borrowed(labels),
            None => Cow::Owned([(NAMESPACE_NAME_LABEL.into(), namespace.into())].into()),
        }
    }

    fn add(&mut self, placed: &'a Placed) {
        match &placed.resource.body {
            Body::GatewayClass(spec) => self.classes.push(placed, spec),
            Body::Gateway(spec) => self.gateways.push(placed, spec),
            Body::HttpRoute(spec) => self.http_routes.push(placed, spec),
            Body::ReferenceGrant(spec) => self.grants.add(&placed.resource.object.namespace, spec),
            Body::Service(spec) => self.services.push(placed, spec),
            Body::Namespace(_) => self.add_namespace(placed),
            Body::ConfigMap(spec) => self.config_maps.push(placed, spec),
            Body::EndpointSlice(spec) => self.add_slice(placed, spec),
            Body::Endpoints(spec) => self.endpoints.push(placed, spec),
            Body::Backend(spec) => self.backends.push(placed, spec),
            Body::BackendTrafficPolicy(spec) => self.backend_traffic_policies.push(placed, spec),
            Body::TrafficPolicy(spec) => self.traffic_policies.push(placed, spec),
            Body::ClientTrafficPolicy(spec) => self.client_traffic_policies.push(placed, spec),
            Body::BackendTlsPolicy(spec) => self.tls_targets.add(Object::new(placed, spec)),
            Body::Tenant(tenant) => self.tenants.push(Object::new(placed, tenant)),
            Body::Unserved(_) => self.unserved.push(placed),
        }
    }

    fn add_namespace(&mut self, placed: &'a Placed) {
        let name = &placed.resource.object.name;
        let mut labels = placed.resource.metadata.labels.clone();
        labels.insert(NAMESPACE_NAME_LABEL.into(), name.clone());
        self.namespaces.insert(name, labels);
    }

    fn add_slice(&mut self, placed: &'a Placed, spec: &'a EndpointSlice) {
        if let Some(service) = &spec.service {
            let key = (&*placed.resource.object.namespace, &**service);
            self.slices
                .entry(key)
                .or_default()
                .push(Object::new(placed, spec));
        }
    }

    fn finish_endpoints(&mut self) {
        self.services.hash();
        self.config_maps.sort();
        self.config_maps.hash();
        self.backends.sort();
        self.backends.hash();
        self.endpoints.hash();
        for slices in self.slices.values_mut() {
            slices.sort_by_key(Object::name);
        }
    }
}
