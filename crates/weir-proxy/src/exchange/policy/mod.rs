//! Stop 6: conditions and filters. Some answer at once, others change what is forwarded, one sends copies elsewhere.

mod admit;
mod apply;
mod cors;
pub(super) mod headers;
mod mirror;
mod redirect;
pub(super) mod rewrite;

pub(super) use admit::{Admitted, admit, write_fields};
pub(super) use apply::{EarlyAnswer, answer_early, decorate, prepare};
pub(super) use mirror::mirror;
pub(super) use redirect::write as write_location;
