//! Translating again when something changed, with as little work as the change allows.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use weir_model::{Backend as ModelBackend, BackendId, EndpointSource, ObjectName, Problem};

use super::backend::Definition;
use super::backend_object;
use super::change::{Change, Previous, changes};
use super::excerpt::{self, ChangedRoutes};
use super::index::Index;
use super::options::Options;
use super::share::share;
use super::translation::{Translation, translate, translate_after};
use crate::resource::{Body, Placed, Resource, ResourceSet};

/// Remembers the last translation and brings it up to date.
#[derive(Debug)]
pub struct Translator {
    options: Options,
    objects: Arc<Vec<Placed>>,
    translation: Translation,
}

/// What bringing up to date did to the `Config`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Update {
    /// Nothing that traffic could notice: the `Config` is equal to the one before. Problems, statuses and places in
    /// files may have changed.
    Unchanged,
    /// Only endpoints of these backends changed; ids and everything else are as before.
    Endpoints(Vec<EndpointChange>),
    /// The `Config` is new. Parts that are equal to before, and have not moved in their files, are the same
    /// allocation as before.
    Config,
}

/// New endpoints of a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointChange {
    /// Its id, in the `Config` before and after.
    pub backend: BackendId,
    /// The backend with its new endpoints: addresses again, or names again.
    pub value: Arc<ModelBackend>,
}

impl Translator {
    /// Translates everything once.
    pub fn new(set: &ResourceSet, options: Options) -> Self {
        let translation = translate(set, &options);
        Self {
            options,
            objects: set.objects.clone(),
            translation,
        }
    }

    /// The last translation.
    pub fn translation(&self) -> &Translation {
        &self.translation
    }

    /// Brings the translation up to date. When nothing but endpoints changed, only the backends concerned are
    /// looked at; otherwise everything is translated again.
    pub fn update(&mut self, set: &ResourceSet) -> Update {
        let before = std::mem::replace(&mut self.objects, set.objects.clone());
        let changes = changes(&before, &set.objects);
        match affected(&changes, &self.options) {
            Some(affected) if affected.is_empty() => Update::Unchanged,
            Some(affected) => match self.endpoints(set, &affected) {
                Some(changes) if changes.is_empty() => Update::Unchanged,
                Some(changes) => Update::Endpoints(changes),
                None => self.everything(set, &changes),
            },
            None => match excerpt::changed_routes(&self.translation, &changes, set, &self.options) {
                Some(routes) => self.routes(routes),
                None => self.everything(set, &changes),
            },
        }
    }

    /// Puts changed routes in their places.
    fn routes(&mut self, changed: ChangedRoutes) -> Update {
        if changed.is_empty() {
            return Update::Unchanged;
        }
        let config = Arc::make_mut(&mut self.translation.config);
        let mut equal = true;
        for (place, route) in changed {
            equal &= config.routes[place] == route;
            config.routes[place] = route;
        }
        if equal { Update::Unchanged } else { Update::Config }
    }

    fn everything(&mut self, set: &ResourceSet, changes: &[Change<'_>]) -> Update {
        let previous = Previous::new(&self.translation, changes);
        let mut translation = translate_after(set, &self.options, previous);
        let before = &self.translation.config;
        let same = match Arc::get_mut(&mut translation.config) {
            Some(config) => share(before, config),
            None => false,
        };
        if same {
            translation.config = before.clone();
        }
        let equal = same || translation.config == *before;
        self.translation = translation;
        if equal { Update::Unchanged } else { Update::Config }
    }

    /// Rebuilds the backends of the given owners; `None` when that is not enough.
    fn endpoints(&mut self, set: &ResourceSet, affected: &HashSet<Owner<'_>>) -> Option<Vec<EndpointChange>> {
        let index = Index::of_endpoints(set, |placed| {
            owner(&placed.resource).is_some_and(|owner| affected.contains(&owner))
        });
        let mut changes = Vec::new();
        let mut problems: HashMap<BackendId, Vec<Problem>> = HashMap::new();
        for id in affected.iter().flat_map(|owner| self.backends_of(*owner)) {
            let old = &self.translation.config.backends[id.0 as usize];
            let definition = Definition::of(&index, old)?;
            let (backend, found) = definition.build(&index, &self.options, old.key.clone(), old.dns);
            problems.insert(id, found);
            if backend.endpoints != old.endpoints {
                let names = |source: &EndpointSource| matches!(source, EndpointSource::Names(_));
                if names(&backend.endpoints) != names(&old.endpoints) {
                    return None;
                }
                changes.push(EndpointChange {
                    backend: id,
                    value: Arc::new(backend),
                });
            }
        }
        changes.sort_by_key(|change| change.backend);
        self.commit(&changes, problems, &index);
        Some(changes)
    }

    fn commit(
        &mut self,
        changes: &[EndpointChange],
        problems: HashMap<BackendId, Vec<Problem>>,
        index: &Index<'_>,
    ) {
        if !changes.is_empty() {
            let config = Arc::make_mut(&mut self.translation.config);
            for change in changes {
                config.backends[change.backend.0 as usize] = change.value.clone();
            }
        }
        for backend in index.backends.iter() {
            let generation = backend.placed.resource.metadata.generation;
            let mut statuses = self.translation.statuses.iter_mut();
            if let Some(status) = statuses.find(|status| status.object == *backend.id()) {
                status.generation = generation;
            }
        }
        let all = &mut self.translation.endpoint_problems;
        let had = all.len();
        all.retain(|(id, _)| !problems.contains_key(id));
        let dropped = had != all.len();
        all.extend(problems.into_iter().filter(|(_, problems)| !problems.is_empty()));
        all.sort_by_key(|(id, _)| *id);
        if dropped || had != all.len() {
            self.translation.collect_problems();
        }
    }

    /// The backends of a Service's ports, or the one of a Backend.
    fn backends_of(&self, owner: Owner<'_>) -> Vec<BackendId> {
        let backends = &self.translation.config.backends;
        let (prefix, is_service) = match owner {
            Owner::Service(namespace, name) => (format!("service/{namespace}/{name}/"), true),
            Owner::Backend(namespace, name) => (format!("backend/{namespace}/{name}"), false),
        };
        let first = backends.partition_point(|backend| *backend.key < *prefix);
        let mine = backends[first..].iter().enumerate();
        // Keys of one object are not always neighbours: `backend/a/b-c` is between `backend/a/b` and `backend/a/b/dns`.
        mine.take_while(|(_, backend)| backend.key.starts_with(&prefix))
            .filter(|(_, backend)| match is_service {
                true => true,
                false => {
                    backend.key[prefix.len()..].is_empty() || backend.key[prefix.len()..].starts_with('/')
                }
            })
            .map(|(place, _)| BackendId((first + place) as u32))
            .collect()
    }
}

/// The Services and Backends whose endpoints changed; `None` when anything else changed too.
fn affected<'s>(changes: &[Change<'s>], options: &Options) -> Option<HashSet<Owner<'s>>> {
    let mut affected = HashSet::new();
    for (old, new) in changes {
        affected.extend(owners(*old, *new, options)?);
    }
    Some(affected)
}

/// Whose endpoints an object lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Owner<'a> {
    /// A Service, by namespace and name.
    Service(&'a str, &'a str),
    /// An Envoy Gateway Backend, by namespace and name.
    Backend(&'a str, &'a str),
}

fn owner(resource: &Resource) -> Option<Owner<'_>> {
    let ObjectName { namespace, name, .. } = &resource.object;
    match &resource.body {
        Body::Service(_) | Body::Endpoints(_) => Some(Owner::Service(namespace, name)),
        Body::EndpointSlice(slice) => slice
            .service
            .as_ref()
            .map(|service| Owner::Service(namespace, service)),
        Body::Backend(_) => Some(Owner::Backend(namespace, name)),
        _ => None,
    }
}

/// Whose endpoints a changed object changes; `None` when it may change anything else.
fn owners<'a>(old: Option<&'a Placed>, new: Option<&'a Placed>, options: &Options) -> Option<Vec<Owner<'a>>> {
    let versions: Vec<&Placed> = [old, new].into_iter().flatten().collect();
    let only_endpoints = versions.iter().all(|placed| match &placed.resource.body {
        Body::EndpointSlice(_) | Body::Endpoints(_) => true,
        Body::Backend(_) => versions.len() == 2 && backend_object::differ_in_endpoints(&versions, options),
        _ => false,
    });
    only_endpoints.then(|| {
        versions
            .into_iter()
            .filter_map(|placed| owner(&placed.resource))
            .collect()
    })
}
