//! What a policy is attached to.

use std::collections::HashMap;
use std::sync::Arc;

use weir_model::ObjectName;

use crate::nearest::nearest;
use crate::resource::{Body, Placed, Policy, SelectorNamespaces, TargetSelector};
use crate::translate::grant::Referrer;
use crate::translate::index::Index;
use crate::yaml::Span;

/// Group of all kinds that a policy may target.
pub(super) const TARGET_GROUP: &str = "gateway.networking.k8s.io";

/// An object, or one named section of it (a listener of a Gateway, a rule of a route).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct TargetKey {
    pub(super) object: ObjectName,
    pub(super) section: Option<Arc<str>>,
}

/// One target of one policy, looked up.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) key: TargetKey,
    pub(super) found: Found,
    pub(super) span: Span,
}

/// What became of looking a target up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It is there.
    Yes,
    /// There is no such object.
    NoObject,
    /// The object has no section of that name.
    NoSection,
    /// The object is there, but its kind is not served.
    NotServed,
}

/// All objects that policies may target, by name.
pub(super) struct Targets<'a> {
    index: &'a Index<'a>,
    unserved: HashMap<&'a ObjectName, &'a Placed>,
}

impl<'a> Targets<'a> {
    /// Indexes the kinds that a policy may target.
    pub(super) fn new(index: &'a Index<'a>) -> Self {
        let unserved = index.unserved.iter().copied();
        Self {
            index,
            unserved: unserved.map(|placed| (&placed.resource.object, placed)).collect(),
        }
    }

    /// All objects of a kind: those that are served in order of name.
    fn of_kind(&self, kind: &str) -> Vec<&'a Placed> {
        match kind {
            "Gateway" => self.index.gateways.iter().map(|gateway| gateway.placed).collect(),
            "HTTPRoute" => self.index.http_routes.iter().map(|route| route.placed).collect(),
            _ => {
                let unserved = self.index.unserved.iter().copied();
                unserved
                    .filter(|placed| *placed.resource.object.kind == *kind)
                    .collect()
            }
        }
    }

    fn get(&self, object: &ObjectName) -> Option<&'a Placed> {
        let ObjectName {
            kind,
            namespace,
            name,
        } = object;
        match &**kind {
            "Gateway" => self
                .index
                .gateways
                .get(namespace, name)
                .map(|gateway| gateway.placed),
            "HTTPRoute" => self
                .index
                .http_routes
                .get(namespace, name)
                .map(|route| route.placed),
            _ => self.unserved.get(object).copied(),
        }
    }

    /// The name of an object of the same kind that may have been meant.
    pub(super) fn near(&self, object: &ObjectName) -> Option<&'a str> {
        let all = self
            .of_kind(&object.kind)
            .into_iter()
            .map(|placed| &placed.resource.object);
        let siblings = all.filter(|name| name.namespace == object.namespace);
        nearest(&object.name, siblings.map(|name| &*name.name))
    }

    /// All targets of `policy`: those it names, then those its selectors find, in order of name.
    pub(super) fn of(&self, placed: &Placed, policy: &Policy) -> Vec<Target> {
        let own = &placed.resource.object;
        let mut targets: Vec<Target> = policy
            .targets()
            .map(|named| {
                let object = ObjectName::new(
                    named.kind.clone(),
                    own.namespace.clone(),
                    named.name.value.clone(),
                );
                let section = named.section_name.as_ref().map(|section| section.value.clone());
                let found = self.find(&object, section.as_deref());
                Target {
                    key: TargetKey { object, section },
                    found,
                    span: named.span,
                }
            })
            .collect();
        for selector in &policy.target_selectors {
            for object in self.selected(own, selector) {
                let found = self.find(&object, None);
                let key = TargetKey {
                    object,
                    section: None,
                };
                if targets.iter().all(|target| target.key != key) {
                    targets.push(Target {
                        key,
                        found,
                        span: selector.span,
                    });
                }
            }
        }
        targets
    }

    fn find(&self, object: &ObjectName, section: Option<&str>) -> Found {
        let Some(placed) = self.get(object) else {
            return Found::NoObject;
        };
        let mut sections: Box<dyn Iterator<Item = &Arc<str>>> = match &placed.resource.body {
            Body::Gateway(gateway) => Box::new(gateway.listeners.iter().map(|listener| &listener.name.value)),
            Body::HttpRoute(route) => Box::new(
                route
                    .rules
                    .iter()
                    .filter_map(|rule| rule.name.as_ref())
                    .map(|name| &name.value),
            ),
            _ => return Found::NotServed,
        };
        match section {
            Some(section) if !sections.any(|name| **name == *section) => Found::NoSection,
            Some(_) | None => Found::Yes,
        }
    }

    /// Objects that a selector finds. Those in other namespaces need a ReferenceGrant there; without one they
    /// are passed over silently (Envoy Gateway `targetSelectors`).
    fn selected(&self, own: &ObjectName, selector: &TargetSelector) -> Vec<ObjectName> {
        if *selector.group != *TARGET_GROUP {
            return Vec::new();
        }
        let mut names: Vec<ObjectName> = self
            .of_kind(&selector.kind)
            .into_iter()
            .filter(|placed| {
                self.in_reach(own, selector, &placed.resource.object)
                    && selector.selector.matches(&placed.resource.metadata.labels)
            })
            .map(|placed| placed.resource.object.clone())
            .collect();
        names.sort();
        names
    }

    fn in_reach(&self, own: &ObjectName, selector: &TargetSelector, object: &ObjectName) -> bool {
        if object.namespace == own.namespace {
            return true;
        }
        let selected = match &selector.namespaces {
            SelectorNamespaces::Same => false,
            SelectorNamespaces::All => true,
            SelectorNamespaces::Selector(labels) => {
                labels.matches(&self.index.namespace_labels(&object.namespace))
            }
        };
        selected && self.granted(own, object)
    }

    fn granted(&self, own: &ObjectName, object: &ObjectName) -> bool {
        let from = Referrer {
            group: policy_group(&own.kind),
            kind: &own.kind,
            namespace: &own.namespace,
        };
        let what = (TARGET_GROUP, &*object.kind);
        self.index
            .grants
            .permits_name(from, what, (&object.namespace, &object.name))
    }
}

/// The API group of a policy kind.
fn policy_group(kind: &str) -> &'static str {
    match kind {
        "TrafficPolicy" => "weir.dev",
        _ => "gateway.envoyproxy.io",
    }
}
