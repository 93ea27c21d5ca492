//! Translation: resources become a [`weir_model::Config`], statuses and problems.
//!
//! This folder owns what needs more than one object: references, attachment, precedence, conflicts. It is pure: no
//! file, no clock, no randomness, no runtime. It must not know YAML (that is `resource`) nor how requests are
//! served (that is the data plane). The stops of a translation are in `translation`, in their order; each of the
//! other files is one of them.

mod attach;
mod backend;
mod backend_object;
mod change;
mod class;
mod condition;
mod dump;
mod effective;
mod endpoint;
mod excerpt;
mod filter;
mod gateway;
mod grant;
mod index;
mod lint;
mod listener;
mod number;
mod options;
mod policy;
mod reference;
mod refusal;
mod reporter;
mod route;
mod rule;
mod share;
mod tenants;
#[cfg(test)]
mod tests;
mod tls;
mod translation;
mod translator;
mod weights;

pub use dump::{config_json, destinations, dump, matches, treatment};
pub use options::{CONTROLLER_NAME, ENVOY_GATEWAY_CONTROLLER_NAME, Options};
pub use policy::{ConsideredPolicy, PolicyLevel, PolicyPlace, PolicyVerdict, considered_policies};
pub use translation::{Translation, translate};
pub use translator::{EndpointChange, Translator, Update};
