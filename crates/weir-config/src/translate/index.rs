//! Resources by kind and name. Everything here borrows from the set.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashMap;

use weir_model::{ObjectName, Origin};

use super::grant::Grants;
use crate::nearest::nearest;
use crate::resource::{
    Backend, Body, EndpointSlice, Endpoints, Gateway, GatewayClass, HttpRoute, Labels, Placed, Policy,
    ResourceSet, Service,
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
}

impl<T> Clone for Object<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Object<'_, T> {}

impl<'a, T> Object<'a, T> {
    /// Kind, namespace and name.
    pub(crate) fn id(&self) -> &'a ObjectName {
        &self.placed.resource.object
    }

    /// The namespace; empty for cluster-scoped kinds.
    pub(crate) fn namespace(&self) -> &'a str {
        &self.placed.resource.object.namespace
    }

    /// The name.
    pub(crate) fn name(&self) -> &'a str {
        &self.placed.resource.object.name
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

/// All objects of one kind, ordered by namespace and name.
#[derive(Debug)]
pub(crate) struct Kind<'a, T> {
    items: Vec<Object<'a, T>>,
    places: HashMap<(&'a str, &'a str), usize>,
    suggestions: Cell<usize>,
}

impl<T> Default for Kind<'_, T> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            places: HashMap::new(),
            suggestions: Cell::new(SUGGESTION_BUDGET),
        }
    }
}

impl<'a, T> Kind<'a, T> {
    /// In order of namespace and name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Object<'a, T>> + '_ {
        self.items.iter().copied()
    }

    /// The object of that name.
    pub(crate) fn get(&self, namespace: &str, name: &str) -> Option<Object<'a, T>> {
        self.places
            .get(&(namespace, name))
            .map(|place| self.items[*place])
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
        self.items.push(Object { placed, spec });
    }

    fn finish(&mut self) {
        self.items
            .sort_by(|left, right| (left.namespace(), left.name()).cmp(&(right.namespace(), right.name())));
        let names = self.items.iter().map(|item| (item.namespace(), item.name()));
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
    pub(crate) backends: Kind<'a, Backend>,
    /// `gateway.envoyproxy.io` BackendTrafficPolicy.
    pub(crate) backend_traffic_policies: Kind<'a, Policy>,
    /// `weir.dev` TrafficPolicy.
    pub(crate) traffic_policies: Kind<'a, Policy>,
    /// `gateway.envoyproxy.io` ClientTrafficPolicy.
    pub(crate) client_traffic_policies: Kind<'a, Policy>,
    /// Objects of kinds that are known but not served.
    pub(crate) unserved: Vec<&'a Placed>,
    /// Who may refer across namespaces.
    pub(crate) grants: Grants<'a>,
    endpoints: Kind<'a, Endpoints>,
    slices: HashMap<(&'a str, &'a str), Vec<Object<'a, EndpointSlice>>>,
    namespaces: HashMap<&'a str, Labels>,
}

impl<'a> Index<'a> {
    /// Indexes everything in the set.
    pub(crate) fn build(set: &'a ResourceSet) -> Self {
        let mut index = Self::default();
        for placed in &set.objects {
            index.add(placed);
        }
        index.classes.finish();
        index.gateways.finish();
        index.http_routes.finish();
        index.services.finish();
        index.backends.finish();
        index.backend_traffic_policies.finish();
        index.traffic_policies.finish();
        index.client_traffic_policies.finish();
        index.finish_endpoints();
        index
    }

    /// Indexes only what says where `wanted` Services and Backends have their endpoints.
    pub(crate) fn of_endpoints(set: &'a ResourceSet, wanted: impl Fn(&Placed) -> bool) -> Self {
        let mut index = Self::default();
        for placed in set.objects.iter().filter(|placed| wanted(placed)) {
            index.add(placed);
        }
        index.services.finish();
        index.backends.finish();
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
        subsets
            .map(|spec| Object {
                placed: endpoints.placed,
                spec,
            })
            .collect()
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
            Body::EndpointSlice(spec) => self.add_slice(placed, spec),
            Body::Endpoints(spec) => self.endpoints.push(placed, spec),
            Body::Backend(spec) => self.backends.push(placed, spec),
            Body::BackendTrafficPolicy(spec) => self.backend_traffic_policies.push(placed, spec),
            Body::TrafficPolicy(spec) => self.traffic_policies.push(placed, spec),
            Body::ClientTrafficPolicy(spec) => self.client_traffic_policies.push(placed, spec),
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
            self.slices.entry(key).or_default().push(Object { placed, spec });
        }
    }

    fn finish_endpoints(&mut self) {
        self.endpoints.finish();
        for slices in self.slices.values_mut() {
            slices.sort_by_key(Object::name);
        }
    }
}
