//! ReferenceGrants: who may refer into another namespace (Gateway API ReferenceGrant).

use std::collections::HashMap;

use crate::resource::{Reference, ReferenceGrant};

/// Who refers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Referrer<'a> {
    /// API group of the referrer.
    pub(crate) group: &'a str,
    /// Its kind.
    pub(crate) kind: &'a str,
    /// Its namespace.
    pub(crate) namespace: &'a str,
}

/// All grants, by the namespace that they open.
#[derive(Debug, Default)]
pub(crate) struct Grants<'a> {
    by_namespace: HashMap<&'a str, Vec<&'a ReferenceGrant>>,
}

impl<'a> Grants<'a> {
    /// Adds a grant that opens `namespace`.
    pub(crate) fn add(&mut self, namespace: &'a str, grant: &'a ReferenceGrant) {
        self.by_namespace.entry(namespace).or_default().push(grant);
    }

    /// Whether `from` may refer to `to`. Inside one namespace nobody needs a grant.
    pub(crate) fn permits(&self, from: Referrer<'_>, to: &Reference) -> bool {
        match &to.namespace {
            Some(namespace) if *namespace.value != *from.namespace => {
                self.permits_name(from, (&to.group, &to.kind), (&namespace.value, &to.name.value))
            }
            _ => true,
        }
    }

    /// Whether `from` may refer to the object of that group and kind, namespace and name.
    pub(crate) fn permits_name(&self, from: Referrer<'_>, what: (&str, &str), name: (&str, &str)) -> bool {
        let opened = self
            .by_namespace
            .get(name.0)
            .map(Vec::as_slice)
            .unwrap_or_default();
        opened.iter().any(|grant| {
            let referrer = grant.from.iter().any(|allowed| {
                (&*allowed.group, &*allowed.kind, &*allowed.namespace)
                    == (from.group, from.kind, from.namespace)
            });
            let target = grant.to.iter().any(|allowed| {
                (&*allowed.group, &*allowed.kind) == what
                    && allowed.name.as_ref().is_none_or(|only| **only == *name.1)
            });
            referrer && target
        })
    }
}
