//! Reusing what did not change: equal parts of two `Config`s become the same allocation.
//!
//! The data plane rebuilds what it finds at another address only, and comparing addresses is cheap.

use std::sync::Arc;

use weir_model::Config;

/// Replaces every part of `config` that is equal to its counterpart in `previous` by that counterpart. Returns
/// whether the whole is equal.
pub(crate) fn share(previous: &Config, config: &mut Config) -> bool {
    // Not short-circuiting: each list is to be shared, equal or not.
    let listeners = share_sorted(&previous.listeners, &mut config.listeners, |listener| {
        listener.key.address
    });
    let routes = share_sorted(&previous.routes, &mut config.routes, |route| route.object.clone());
    let backends = share_sorted(&previous.backends, &mut config.backends, |backend| {
        backend.key.clone()
    });
    listeners && routes && backends
}

/// Both lists are ordered by `key`; several items may have the same key.
fn share_sorted<T: PartialEq, K: Ord>(
    previous: &[Arc<T>],
    current: &mut [Arc<T>],
    key: impl Fn(&T) -> K,
) -> bool {
    let mut all = previous.len() == current.len();
    let mut first = 0;
    for (place, item) in current.iter_mut().enumerate() {
        // Most lists are the same, so the counterpart is usually at the same place.
        if let Some(same) = previous.get(place).filter(|same| *same == item) {
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
        if let Some(same) = candidates.into_iter().find(|candidate| *candidate == item) {
            *item = same.clone();
        }
    }
    all
}
