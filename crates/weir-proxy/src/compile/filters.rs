//! Filters, sorted by what they do.

use std::sync::Arc;

use weir_model::{BackendId, Cors, Filter, Fraction, HeaderChange, IdentityFields, Rewrite};

use super::live::Cursor;
use super::snapshot::BalancerSlot;
use super::upstream::LiveUpstream;

/// The filters of a rule or of a destination. Gateway API leaves the order between kinds of filters open; within one
/// kind it is the order written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Policy {
    pub(crate) request_headers: Vec<HeaderChange>,
    pub(crate) response_headers: Vec<HeaderChange>,
    pub(crate) rewrite: Option<Rewrite>,
    pub(crate) mirrors: Vec<MirrorTarget>,
    pub(crate) cors: Option<Arc<Cors>>,
    pub(crate) identity: Option<IdentityFields>,
}

/// Where copies go.
#[derive(Clone, Debug)]
pub(crate) struct MirrorTarget {
    pub(crate) slot: BalancerSlot,
    pub(crate) cursor: Arc<Cursor>,
    /// What goes on at the backend; copies count like requests.
    pub(crate) upstream: Arc<LiveUpstream>,
    pub(crate) fraction: Fraction,
}

impl Policy {
    /// Sorts `filters` behind those of `before`; `mirror` finds what belongs to a mirror's backend.
    pub(crate) fn compile(
        before: &Self,
        filters: &[Filter],
        mut mirror: impl FnMut(BackendId) -> (BalancerSlot, Arc<Cursor>, Arc<LiveUpstream>),
    ) -> Self {
        let mut policy = before.clone();
        for filter in filters {
            match filter {
                Filter::RequestHeaders(change) => policy.request_headers.push(guarded(change)),
                Filter::ResponseHeaders(change) => policy.response_headers.push(guarded(change)),
                Filter::Rewrite(rewrite) => policy.rewrite = Some(rewrite.clone()),
                Filter::Mirror(wanted) => {
                    let (slot, cursor, upstream) = mirror(wanted.backend);
                    policy.mirrors.push(MirrorTarget {
                        slot,
                        cursor,
                        upstream,
                        fraction: wanted.fraction,
                    });
                }
                Filter::Cors(cors) => policy.cors = Some(Arc::clone(cors)),
                Filter::Identity(fields) => policy.identity = Some(*fields),
            }
        }
        policy
    }
}

/// The change without what no filter may touch, wherever the configuration came from.
pub(super) fn guarded(change: &HeaderChange) -> HeaderChange {
    let is_free = |name: &Arc<str>| !HeaderChange::is_guarded(name);
    HeaderChange {
        set: change
            .set
            .iter()
            .filter(|(name, _)| is_free(name))
            .cloned()
            .collect(),
        add: change
            .add
            .iter()
            .filter(|(name, _)| is_free(name))
            .cloned()
            .collect(),
        remove: change
            .remove
            .iter()
            .filter(|name| is_free(name))
            .cloned()
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_never_touch_framing_and_keep_their_order() {
        let change = |name: &str| HeaderChange {
            set: vec![(name.into(), "v".into())],
            add: vec![(name.into(), "v".into())],
            remove: vec![name.into()],
        };
        let filters = [
            Filter::RequestHeaders(change("content-length")),
            Filter::RequestHeaders(change("x-a")),
            Filter::ResponseHeaders(change("transfer-encoding")),
        ];
        let policy = Policy::compile(&Policy::default(), &filters, |_| unreachable!("no mirror"));
        assert_eq!(policy.request_headers, [HeaderChange::default(), change("x-a")]);
        assert_eq!(policy.response_headers, [HeaderChange::default()]);
    }
}
