//! Reusing what did not change: equal parts of two `Config`s become the same allocation.
//!
//! The data plane rebuilds what it finds at another address only if its value differs too, and comparing addresses
//! is cheap. A part that only moved in its file is equal but not shared: what it says of its place is new.

use std::sync::Arc;

use weir_model::{Action, Backend, Config, Listener, Origin, Route};

/// Replaces every part of `config` that is equal to its counterpart in `previous`, and written at the same place, by
/// that counterpart. Returns whether the whole was replaced.
pub(crate) fn share(previous: &Config, config: &mut Config) -> bool {
    // Not short-circuiting: each list is to be shared, equal or not.
    let listeners = share_sorted(&previous.listeners, &mut config.listeners, |listener| {
        &listener.key.address
    });
    let routes = share_sorted(&previous.routes, &mut config.routes, |route| &route.object);
    let backends = share_sorted(&previous.backends, &mut config.backends, |backend| &backend.key);
    listeners && routes && backends
}

/// Something that says where it is written.
trait Written: PartialEq {
    /// Every place that it names, in a fixed order.
    fn places(&self) -> impl Iterator<Item = &Origin>;

    /// Equal, and written at the same places.
    fn is_same(&self, other: &Self) -> bool {
        let place = |origin: &&Origin| (origin.line, origin.column);
        self == other
            && self
                .places()
                .zip(other.places())
                .all(|(left, right)| place(&left) == place(&right) && left.file == right.file)
    }
}

impl Written for Listener {
    fn places(&self) -> impl Iterator<Item = &Origin> {
        self.sections.iter().map(|section| &section.origin)
    }
}

impl Written for Backend {
    fn places(&self) -> impl Iterator<Item = &Origin> {
        std::iter::once(&self.origin)
    }
}

impl Written for Route {
    fn places(&self) -> impl Iterator<Item = &Origin> {
        let rules = self.rules.iter().flat_map(|rule| {
            let policy = match &rule.action {
                Action::Forward(forward) => forward.policy.as_ref().map(|(_, origin)| origin),
                Action::Redirect(_) | Action::Answer(_) => None,
            };
            std::iter::once(&rule.origin).chain(policy)
        });
        std::iter::once(&self.origin).chain(rules)
    }
}

/// Whether two routes are equal and written at the same places.
pub(crate) fn is_same_route(left: &Route, right: &Route) -> bool {
    left.is_same(right)
}

/// Both lists are ordered by `key`; several items may have the same key.
fn share_sorted<T: Written, K: Ord>(
    previous: &[Arc<T>],
    current: &mut [Arc<T>],
    key: impl Fn(&T) -> &K,
) -> bool {
    let is_same = |left: &Arc<T>, right: &Arc<T>| Arc::ptr_eq(left, right) || left.is_same(right);
    let mut all = previous.len() == current.len();
    let mut first = 0;
    for (place, item) in current.iter_mut().enumerate() {
        // Most lists are the same, so the counterpart is usually at the same place.
        if let Some(same) = previous.get(place).filter(|same| is_same(same, item)) {
            *item = same.clone();
            continue;
        }
        all = false;
        let wanted = key(item);
        while previous
            .get(first)
            .is_some_and(|candidate| key(candidate) < wanted)
        {
            first += 1;
        }
        let candidates = previous[first..]
            .iter()
            .take_while(|candidate| key(candidate) == wanted);
        if let Some(same) = candidates.into_iter().find(|candidate| is_same(candidate, item)) {
            *item = same.clone();
        }
    }
    all
}
