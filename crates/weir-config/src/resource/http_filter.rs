//! `HTTPRoute` filters.

use weir_model::{Cors, Fraction, HeaderChange, Redirect, Rewrite};

use super::{BackendReference, Reference};

/// One entry of `filters`, in the model's own terms where nothing has to be resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpFilter {
    /// `RequestHeaderModifier`.
    RequestHeaders(HeaderChange),
    /// `ResponseHeaderModifier`.
    ResponseHeaders(HeaderChange),
    /// `RequestRedirect`.
    Redirect(Redirect),
    /// `URLRewrite`.
    Rewrite(Rewrite),
    /// `RequestMirror`.
    Mirror(MirrorFilter),
    /// `CORS`.
    Cors(Cors),
    /// `ExternalAuth`, which is not served.
    ExternalAuth,
    /// `ExtensionRef`: an implementation-specific filter in the route's own namespace.
    Extension(Reference),
}

/// `RequestMirror`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirrorFilter {
    /// Where the copies go.
    pub backend: BackendReference,
    /// Which part of the requests is copied.
    pub fraction: Fraction,
}
