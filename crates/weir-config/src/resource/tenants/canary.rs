//! `canary`: some of a tenant's services get marked requests, and a part of the others (row KT32).

use std::sync::Arc;

use super::service;
use crate::resource::decode::{Decoder, Field};
use crate::yaml::{Finding, Span, Spanned};

/// Which requests go to which services.
#[derive(Clone, Debug, PartialEq)]
pub struct Canary {
    /// Names of services of the tenant. They get no other requests. Never empty.
    pub services: Vec<Spanned<Arc<str>>>,
    /// Percent of the requests without mark.
    pub percent: u8,
    /// `header` and `cookie`: marks, any of which is enough.
    pub marks: Vec<CanaryMark>,
    /// Where the block starts.
    pub span: Span,
}

/// What sends a request to the canary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CanaryMark {
    /// A header of this name, lower case, and value; any value when `None`.
    Header(Arc<str>, Option<Arc<str>>),
    /// A cookie of this name and value; any value when `None`.
    Cookie(Arc<str>, Option<Arc<str>>),
}

/// Reads the block; `None` when it cannot be used.
pub(super) fn decode(decoder: &mut Decoder, field: Field<'_>) -> Option<Canary> {
    let mark = decoder.mark();
    let known = ["services", "percent", "header", "cookie"];
    let fields = decoder.fields_with_vital(field, &known, known)?;
    let mut canary = Canary {
        services: Vec::new(),
        percent: 0,
        marks: Vec::new(),
        span: field.span(),
    };
    let list = fields.required(decoder, "services")?;
    for item in decoder.items(list, usize::MAX) {
        canary.services.extend(service::name(decoder, item));
    }
    if let Some(field) = fields.optional("percent") {
        canary.percent = u8::try_from(decoder.integer(field, 0..=100)?.value).ok()?;
    }
    if let Some(field) = fields.optional("header") {
        let (name, value) = pair(decoder, field)?;
        canary
            .marks
            .push(CanaryMark::Header(name.to_ascii_lowercase().into(), value));
    }
    if let Some(field) = fields.optional("cookie") {
        let (name, value) = pair(decoder, field)?;
        canary.marks.push(CanaryMark::Cookie(name, value));
    }
    if canary.services.is_empty() && !decoder.failed_since(mark) {
        let finding = Finding::new("E0105", field.span(), "the canary names no service");
        decoder.report(finding.help("list services of this tenant: services: [v2]"));
    }
    if canary.marks.is_empty() && canary.percent == 0 && !decoder.failed_since(mark) {
        let finding = Finding::new(
            "E0105",
            field.span(),
            "nothing says which requests the canary gets",
        );
        decoder.report(finding.help("add percent, header or cookie"));
    }
    (!decoder.failed_since(mark)).then_some(canary)
}

/// `name` and `value` of a header or cookie.
fn pair(decoder: &mut Decoder, field: Field<'_>) -> Option<(Arc<str>, Option<Arc<str>>)> {
    let fields = decoder.fields_with_vital(field, &["name", "value"], ["name", "value"])?;
    let name = fields
        .required(decoder, "name")
        .and_then(|field| decoder.nonempty(field))?;
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if !name.bytes().all(is_token) {
        let message = format!("\"{}\" is not a name of a header or cookie", name.value);
        decoder.report(Finding::new("E0103", name.span, message));
        return None;
    }
    let value = match fields.optional("value") {
        Some(field) => Some(decoder.nonempty(field)?.value),
        None => None,
    };
    Some((name.value, value))
}
