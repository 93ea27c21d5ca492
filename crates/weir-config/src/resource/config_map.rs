//! Core `ConfigMap`: texts that policies refer to.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::decode::{Decoder, Fields};
use super::metadata;

/// Texts by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigMap {
    /// `data`. What is in `binaryData` is not for responses.
    pub data: BTreeMap<Arc<str>, Arc<str>>,
}

/// The key whose text is a response's body (Envoy Gateway).
const BODY_KEY: &str = "response.body";

impl ConfigMap {
    /// The text that is meant as a response's body: that of the key `response.body`, else the first.
    pub fn response_body(&self) -> Option<&str> {
        let named = self.data.get(BODY_KEY);
        named.or_else(|| self.data.values().next()).map(|text| &**text)
    }
}

/// Reads `data`.
pub(super) fn decode(decoder: &mut Decoder, fields: &Fields<'_>) -> ConfigMap {
    let data = fields.optional("data");
    ConfigMap {
        data: data.map_or_else(BTreeMap::new, |field| metadata::texts(decoder, field, "a text")),
    }
}
