//! `gateway.networking.k8s.io` `GatewayClass`.

use std::sync::Arc;

use super::Reference;
use crate::yaml::Spanned;

/// Names the controller that serves Gateways of this class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayClass {
    /// `spec.controllerName`.
    pub controller: Spanned<Arc<str>>,
    /// `spec.parametersRef`.
    pub parameters: Option<Reference>,
}
