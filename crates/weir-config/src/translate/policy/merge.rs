//! Merging one policy's tree over another's.

use crate::resource::MergeType;
use crate::yaml::{Entry, Node, Value};

/// Lists that a strategic merge joins by a key of their items; every other list replaces
/// (Envoy Gateway `patchMergeKey` markers).
const KEYED_LISTS: [(&str, &str); 3] = [
    ("compressor", "type"),
    ("compression", "type"),
    ("httpUpgrade", "type"),
];

/// `patch` laid over `base`: Kubernetes strategic merge, or JSON merge patch (RFC 7396). Target fields and
/// `mergeType` say where a policy applies, not what it asks for, and are taken from `patch` alone.
pub(super) fn merged(base: &Node, patch: &Node, merge_type: MergeType) -> Node {
    let mut result = base.clone();
    if let Value::Mapping(entries) = &mut result.value {
        entries.retain(|entry| {
            !matches!(
                &*entry.key,
                "targetRef" | "targetRefs" | "targetSelectors" | "mergeType"
            )
        });
    }
    lay_over(&mut result, patch, merge_type);
    result
}

fn lay_over(base: &mut Node, patch: &Node, merge_type: MergeType) {
    let (Value::Mapping(entries), Value::Mapping(changes)) = (&mut base.value, &patch.value) else {
        *base = patch.clone();
        return;
    };
    for change in changes {
        // RFC 7396 2: null removes.
        if change.node.is_null() {
            entries.retain(|entry| entry.key != change.key);
            continue;
        }
        match entries.iter_mut().find(|entry| entry.key == change.key) {
            None => entries.push(without_nulls(change)),
            Some(entry) => lay_entry_over(entry, change, merge_type),
        }
    }
}

fn lay_entry_over(entry: &mut Entry, change: &Entry, merge_type: MergeType) {
    let key = KEYED_LISTS
        .iter()
        .find(|(list, _)| **list == *change.key)
        .map(|(_, key)| *key);
    match (merge_type, key) {
        (MergeType::StrategicMerge, Some(key)) => lay_list_over(&mut entry.node, &change.node, key),
        (MergeType::StrategicMerge | MergeType::JsonMerge, _) => {
            lay_over(&mut entry.node, &change.node, merge_type);
        }
    }
}

/// Items with the same key merge; new items are appended.
fn lay_list_over(base: &mut Node, patch: &Node, key: &str) {
    let (Value::Sequence(items), Value::Sequence(changes)) = (&mut base.value, &patch.value) else {
        *base = patch.clone();
        return;
    };
    for change in changes {
        let name = key_of(change, key);
        match items
            .iter_mut()
            .find(|item| name.is_some() && key_of(item, key) == name)
        {
            Some(item) => lay_over(item, change, MergeType::StrategicMerge),
            None => items.push(change.clone()),
        }
    }
}

fn key_of<'a>(item: &'a Node, key: &str) -> Option<&'a str> {
    item.field(key).and_then(Node::scalar).map(|scalar| &*scalar.text)
}

/// An added mapping keeps no nulls (RFC 7396 2: the patch is merged into an empty object).
fn without_nulls(entry: &Entry) -> Entry {
    let mut copy = entry.clone();
    strip_nulls(&mut copy.node);
    copy
}

fn strip_nulls(node: &mut Node) {
    if let Value::Mapping(entries) = &mut node.value {
        entries.retain(|entry| !entry.node.is_null());
        for entry in entries {
            strip_nulls(&mut entry.node);
        }
    }
}
