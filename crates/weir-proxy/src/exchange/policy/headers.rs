//! Header changes (Gateway API `HTTPHeaderFilter`).

use weir_model::HeaderChange;
use weir_wire::Fields;

use crate::transit::Edits;

/// Applies one change to a head: overwrites, then appends, then removes.
pub(in crate::exchange) fn apply(change: &HeaderChange, edits: &mut Edits, fields: &Fields, bytes: &[u8]) {
    for (name, value) in &change.set {
        edits.set(name, value.as_bytes(), fields, bytes);
    }
    for (name, value) in &change.add {
        edits.append(name, value.as_bytes(), fields, bytes);
    }
    for name in &change.remove {
        edits.remove(name, fields, bytes);
    }
}
