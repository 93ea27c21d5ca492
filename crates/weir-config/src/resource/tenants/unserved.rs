//! Keys that weir accepts but does not act on yet: each is reported where it stands, with what that means.

use crate::resource::decode::{Decoder, Fields};
use crate::yaml::Finding;

/// A warning for each of these keys that is written.
pub(super) fn report(
    decoder: &mut Decoder,
    fields: &Fields<'_>,
    prefix: &str,
    unserved: &[(&'static str, &str)],
) {
    for (name, effect) in unserved {
        if fields.optional(name).is_some() {
            let message = format!("{prefix}{name} is not supported yet");
            let finding = Finding::new("W0401", fields.key_span(name), message);
            decoder.report(finding.label("not supported yet").effect(*effect));
        }
    }
}

/// The names of a table of unserved keys.
pub(super) fn names(unserved: &[(&'static str, &str)]) -> impl Iterator<Item = &'static str> {
    unserved.iter().map(|(name, _)| *name)
}
