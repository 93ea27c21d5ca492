//! Changes of headers, and header names, in `HTTPRoute`.

use std::collections::HashSet;
use std::sync::Arc;

use weir_model::HeaderChange;

use super::decode::{Decoder, Field};
use super::format;
use crate::yaml::{Finding, Spanned};

/// Reads `requestHeaderModifier` or `responseHeaderModifier`.
pub(crate) fn header_change(decoder: &mut Decoder, field: Field<'_>) -> Option<HeaderChange> {
    let fields = decoder.fields(field, &["set", "add", "remove"])?;
    let mark = decoder.mark();
    let set = header_values(decoder, fields.optional("set"));
    let add = header_values(decoder, fields.optional("add"));
    let mut remove: Vec<Arc<str>> = Vec::new();
    if let Some(field) = fields.optional("remove") {
        for item in decoder.items(field, 16) {
            remove.extend(changed_name(decoder, item).map(|name| name.value));
        }
    }
    (!decoder.failed_since(mark)).then_some(HeaderChange { set, add, remove })
}

/// Reads a header's name and lowers it.
pub(super) fn header_name(decoder: &mut Decoder, field: Field<'_>) -> Option<Spanned<Arc<str>>> {
    let name = decoder.nonempty(field)?;
    if name.len() > 256 || !format::is_token(&name) {
        let message = format!("\"{}\" is not a header name", name.value);
        let help = "use letters, digits and -, at most 256 characters (RFC 9110 5.6.2 lists the rest)";
        decoder.report(Finding::new("E0103", name.span, message).help(help));
        return None;
    }
    let lower = match name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => Arc::from(name.to_ascii_lowercase()),
        false => name.value,
    };
    Some(Spanned::new(lower, name.span))
}

fn header_values(decoder: &mut Decoder, field: Option<Field<'_>>) -> Vec<(Arc<str>, Arc<str>)> {
    let mut headers: Vec<(Arc<str>, Arc<str>)> = Vec::new();
    let mut names = HashSet::new();
    for item in field.map(|field| decoder.items(field, 16)).unwrap_or_default() {
        let Some(fields) = decoder.fields(item, &["name", "value"]) else {
            continue;
        };
        let name = fields
            .required(decoder, "name")
            .and_then(|field| changed_name(decoder, field));
        let value = fields
            .required(decoder, "value")
            .and_then(|field| decoder.text(field));
        let (Some(name), Some(value)) = (name, value) else {
            continue;
        };
        if value.len() > 4096 || !format::is_field_value(&value) {
            let message = format!("the value of header \"{}\" cannot be sent", name.value);
            let finding = Finding::new("E0103", value.span, message);
            decoder.report(
                finding.help("use visible characters, at most 4096, without white space around them"),
            );
            continue;
        }
        if !names.insert(name.value.clone()) {
            let message = format!("header \"{}\" is listed twice", name.value);
            decoder.report(Finding::new("W0106", name.span, message).label("the first entry counts"));
            continue;
        }
        headers.push((name.value, value.value));
    }
    headers
}

/// Reads the name of a header that a filter changes; `None` for a guarded one, with a warning.
fn changed_name(decoder: &mut Decoder, field: Field<'_>) -> Option<Spanned<Arc<str>>> {
    let name = header_name(decoder, field)?;
    if HeaderChange::is_guarded(&name.value) {
        let message = format!("a filter cannot change the header \"{}\"", name.value);
        let finding = Finding::new("W0113", name.span, message).label("the entry is ignored");
        decoder.report(match &*name.value {
            "host" => finding.help("use the filter URLRewrite with a \"hostname\""),
            _ => finding.help("weir itself says where a message ends and what its connection does"),
        });
        return None;
    }
    Some(name)
}
