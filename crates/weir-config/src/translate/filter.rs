//! Filters: from what an HTTPRoute says to what the data plane does.

use std::sync::Arc;

use weir_model::{BackendId, Filter, Fraction, Mirror, Redirect};

use crate::resource::{HttpFilter, MirrorFilter};

/// What a filter turns out to be.
#[derive(Debug)]
pub(crate) enum FilterOutcome<'a> {
    /// A filter that needs nothing else.
    Filter(Filter),
    /// Ends the rule.
    Redirect(Redirect),
    /// Needs its backend resolved.
    Mirror(&'a MirrorFilter),
    /// Cannot be served, so the requests that it is for must not be forwarded without it
    /// (Gateway API `HTTPRouteFilter`: an unsupported filter must not be skipped).
    Unserved {
        /// One sentence.
        what: String,
        /// What to do about it.
        help: &'static str,
    },
}

/// Translates one filter.
pub(crate) fn write(filter: &HttpFilter) -> FilterOutcome<'_> {
    match filter {
        HttpFilter::RequestHeaders(change) => FilterOutcome::Filter(Filter::RequestHeaders(change.clone())),
        HttpFilter::ResponseHeaders(change) => FilterOutcome::Filter(Filter::ResponseHeaders(change.clone())),
        HttpFilter::Rewrite(rewrite) => FilterOutcome::Filter(Filter::Rewrite(rewrite.clone())),
        HttpFilter::Cors(cors) => FilterOutcome::Filter(Filter::Cors(Arc::new(cors.clone()))),
        HttpFilter::Redirect(redirect) => FilterOutcome::Redirect(redirect.clone()),
        HttpFilter::Mirror(mirror) => FilterOutcome::Mirror(mirror),
        HttpFilter::ExternalAuth => FilterOutcome::Unserved {
            what: "filter ExternalAuth is not served yet".to_string(),
            help: "remove the filter, or put the authenticating proxy in front of weir",
        },
        HttpFilter::Extension(reference) => FilterOutcome::Unserved {
            what: format!(
                "filter ExtensionRef to {} {} is not served",
                reference.kind, reference.name.value
            ),
            help: "remove the filter; weir serves the filters of the Gateway API only",
        },
    }
}

/// A mirror to a resolved backend.
pub(crate) fn mirror(backend: BackendId, fraction: Fraction) -> Filter {
    Filter::Mirror(Mirror { backend, fraction })
}
