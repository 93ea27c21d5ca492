//! The two kinds of policy: Envoy Gateway's, exactly, and weir's own, which knows more.

use crate::resource::Finding;
use crate::resource::decode::{Decoder, Field, Fields};

/// Whose policy it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// `gateway.envoyproxy.io` BackendTrafficPolicy.
    Envoy,
    /// `weir.dev` TrafficPolicy.
    Weir,
}

impl Dialect {
    /// The fields of a mapping: `common` to both kinds, and weir's `own`. In a BackendTrafficPolicy one of the
    /// latter is reported with the kind that has it.
    pub(super) fn fields<'n>(
        self,
        decoder: &mut Decoder,
        field: Field<'n>,
        common: &[&'static str],
        own: &[&'static str],
    ) -> Option<Fields<'n>> {
        if self == Self::Envoy {
            for entry in field
                .node
                .entries()
                .iter()
                .filter(|entry| own.contains(&&*entry.key))
            {
                let message = format!("BackendTrafficPolicy has no field \"{}\"", entry.key);
                decoder.report(
                    Finding::new("W0301", entry.key_span, message)
                        .label("the field is ignored")
                        .help("weir's own kind has it: apiVersion weir.dev/v1alpha1, kind TrafficPolicy"),
                );
            }
        }
        decoder.fields(field, &[common, own].concat())
    }

    /// A field of weir's own: absent from a BackendTrafficPolicy, even if somebody wrote it.
    pub(super) fn own<'n>(self, fields: Fields<'n>, name: &'static str) -> Option<Field<'n>> {
        fields.optional(name).filter(|_| self == Self::Weir)
    }
}
