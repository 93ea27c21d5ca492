//! Attributes of cookies that weir sets.

use std::sync::Arc;

use super::decode::{Decoder, Field};
use super::format::is_token;
use crate::yaml::{Finding, Value};

/// `attributes` in the order written.
pub(crate) fn attributes(decoder: &mut Decoder, field: Field<'_>) -> Option<Vec<(Arc<str>, Arc<str>)>> {
    if field.node.entries().is_empty() && !matches!(field.node.value, Value::Mapping(_)) {
        decoder.wrong_type(field, "a mapping");
        return None;
    }
    let mut attributes = Vec::new();
    for entry in field.node.entries() {
        let value: Arc<str> = match entry.node.is_null() {
            true => "".into(),
            false => match entry.node.scalar() {
                Some(scalar) => scalar.text.clone(),
                None => {
                    decoder.wrong_type(Field::new("attributes", &entry.node), "text");
                    return None;
                }
            },
        };
        // RFC 6265 4.1.1: attribute values hold no control characters and no semicolon.
        let clean = value
            .bytes()
            .all(|byte| (0x20..0x7f).contains(&byte) && byte != b';');
        if !is_token(&entry.key) || !clean {
            let message = format!("\"{}={value}\" is not a cookie attribute", entry.key);
            decoder.report(Finding::new("E0303", entry.key_span, message).label("not a cookie attribute"));
            return None;
        }
        attributes.push((entry.key.clone(), value));
    }
    Some(attributes)
}
