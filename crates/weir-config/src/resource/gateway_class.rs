//! `gateway.networking.k8s.io` `GatewayClass`.

use std::sync::Arc;

use super::decode::{Decoder, Field};
use super::{Reference, format};
use crate::yaml::{Finding, Spanned};

/// Names the controller that serves Gateways of this class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayClass {
    /// `spec.controllerName`.
    pub controller: Spanned<Arc<str>>,
    /// `spec.parametersRef`.
    pub parameters: Option<Reference>,
}

/// Reads `spec`.
pub(super) fn decode(decoder: &mut Decoder, spec: Field<'_>) -> Option<GatewayClass> {
    let fields = decoder.fields(spec, &["controllerName", "parametersRef", "description"])?;
    let controller = fields
        .required(decoder, "controllerName")
        .and_then(|field| decoder.nonempty(field))?;
    // A domain-prefixed path: `example.com/bar` (Gateway API `GatewayController`).
    if !controller
        .split_once('/')
        .is_some_and(|(domain, path)| format::is_subdomain(domain) && !path.is_empty())
    {
        let message = format!("\"{}\" is not a controller name", controller.value);
        let finding = Finding::new("E0103", controller.span, message);
        decoder.report(finding.help("write a domain and a path, such as weir.dev/gateway-controller"));
        return None;
    }
    let parameters = fields.optional("parametersRef");
    let parameters = parameters.and_then(|field| Reference::decode(decoder, field, ("", "")));
    Some(GatewayClass {
        controller,
        parameters,
    })
}
