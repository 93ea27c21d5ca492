//! `responseOverride`: answers in place of others.

use std::ops::RangeInclusive;
use std::sync::Arc;

use weir_model::{
    HeaderChange, HeaderMatch, PathRewrite, ReplacedAnswer, Replacement, ResponseOverride, ResponseSource,
    StatusSet, limits,
};

use super::hash::{header_name, union_rule};
use super::owner::Owner;
use super::values::{out_of_bounds, read, status};
use crate::resource::decode::{Decoder, Field};
use crate::resource::{Finding, format, header_change, redirect, value_condition};

/// Entries of the list, and conditions on headers of one entry (Envoy Gateway CRD).
const OVERRIDES_MAX: usize = 64;
const HEADERS_MAX: usize = 16;

/// Decodes the list. Entries that cannot be read are left out: the caller refuses the policy.
pub(super) fn overrides(decoder: &mut Decoder, list: Field<'_>, owner: Owner<'_>) -> Vec<ResponseOverride> {
    let items = decoder.items(list, OVERRIDES_MAX);
    items
        .into_iter()
        .filter_map(|item| one(decoder, item, owner))
        .collect()
}

fn one(decoder: &mut Decoder, item: Field<'_>, owner: Owner<'_>) -> Option<ResponseOverride> {
    let fields = decoder.fields(item, &["match", "response", "redirect"])?;
    let condition = fields.required(decoder, "match")?;
    let mut found = matched(decoder, condition)?;
    found.replacement = match (fields.optional("response"), fields.optional("redirect")) {
        (Some(block), None) => Replacement::Answer(answer(decoder, block, owner)?),
        (None, Some(block)) => redirected(decoder, block)?,
        (response, _) => {
            let message = "exactly one of response or redirect must be specified";
            let label = if response.is_some() {
                "both are there"
            } else {
                "neither is there"
            };
            decoder.report(Finding::new("E0305", fields.span(), message).label(label));
            return None;
        }
    };
    Some(found)
}

/// How `source` is written.
const SOURCES: [(&str, ResponseSource); 3] = [
    ("All", ResponseSource::All),
    ("Local", ResponseSource::Local),
    ("Backend", ResponseSource::Backend),
];

/// The conditions of an entry, with a replacement that changes nothing.
fn matched(decoder: &mut Decoder, block: Field<'_>) -> Option<ResponseOverride> {
    let known = ["statusCodes", "responseHeaders", "source"];
    let fields = decoder.fields_with_vital(block, &known, known)?;
    if fields.has_misspelt() {
        return None;
    }
    let mut ranges = Vec::new();
    if let Some(list) = fields.optional("statusCodes") {
        let items = decoder.items(list, limits::STATUS_RANGES);
        if items.len() > limits::STATUS_RANGES {
            out_of_bounds(
                decoder,
                list,
                &format!("at most {} entries", limits::STATUS_RANGES),
            );
            return None;
        }
        for item in items {
            ranges.push(status_range(decoder, item)?);
        }
    }
    let mut headers = Vec::new();
    if let Some(list) = fields.optional("responseHeaders") {
        for item in decoder.items(list, HEADERS_MAX) {
            headers.push(header(decoder, item)?);
        }
    }
    if ranges.is_empty() && headers.is_empty() {
        let message = "match needs statusCodes or responseHeaders";
        decoder.report(Finding::new("E0305", fields.span(), message).label("would match every response"));
        return None;
    }
    let source = match fields.optional("source") {
        Some(field) => decoder.choice(field, &SOURCES)?.value,
        None => ResponseSource::default(),
    };
    Some(ResponseOverride {
        statuses: StatusSet::of(ranges)?,
        headers,
        source,
        replacement: Replacement::Answer(ReplacedAnswer::default()),
    })
}

fn status_range(decoder: &mut Decoder, item: Field<'_>) -> Option<RangeInclusive<u16>> {
    let fields = decoder.fields(item, &["type", "value", "range"])?;
    let kinds = [("Value", "Value"), ("Range", "Range")];
    let (kind, word) = match fields.optional("type") {
        Some(field) => (field, decoder.choice(field, &kinds)?.value),
        None => (item, "Value"),
    };
    let mark = decoder.mark();
    for (owner, name) in [("Value", "value"), ("Range", "range")] {
        union_rule(decoder, fields, ("status code type", word, owner), name, kind);
    }
    if decoder.failed_since(mark) {
        return None;
    }
    if let Some(value) = fields.optional("value") {
        let code = status(decoder, value, 100..=599)?;
        return Some(code..=code);
    }
    let range = decoder.fields(fields.optional("range")?, &["start", "end"])?;
    let bound = |decoder: &mut Decoder, name| {
        let field = range.required(decoder, name)?;
        status(decoder, field, 100..=599)
    };
    let (start, end) = (bound(decoder, "start")?, bound(decoder, "end")?);
    if end <= start {
        let message = "end must be greater than start";
        decoder
            .report(Finding::new("E0305", range.key_span("end"), message).label(format!("start is {start}")));
        return None;
    }
    Some(start..=end)
}

fn header(decoder: &mut Decoder, item: Field<'_>) -> Option<HeaderMatch> {
    let fields = decoder.fields(item, &["type", "name", "value"])?;
    let name = fields.required(decoder, "name")?;
    Some(HeaderMatch {
        name: header_name(decoder, name)?,
        value: value_condition(decoder, &fields)?,
    })
}

fn answer(decoder: &mut Decoder, block: Field<'_>, owner: Owner<'_>) -> Option<ReplacedAnswer> {
    let fields = decoder.fields(block, &["contentType", "body", "statusCode", "header"])?;
    let mark = decoder.mark();
    let answer = ReplacedAnswer {
        status: read(decoder, fields, "statusCode", |decoder, field| {
            status(decoder, field, 200..=599)
        }),
        content_type: read(decoder, fields, "contentType", content_type),
        body: read(decoder, fields, "body", |decoder, block| {
            body(decoder, block, owner)
        }),
        headers: read(decoder, fields, "header", header_change).unwrap_or(HeaderChange::default()),
    };
    (!decoder.failed_since(mark)).then_some(answer)
}

fn content_type(decoder: &mut Decoder, field: Field<'_>) -> Option<Arc<str>> {
    let text = decoder.nonempty(field)?;
    if format::is_field_value(&text) {
        return Some(text.value);
    }
    decoder.report(Finding::new(
        "E0303",
        text.span,
        "\"contentType\" cannot be sent in a header",
    ));
    None
}

fn body(decoder: &mut Decoder, block: Field<'_>, owner: Owner<'_>) -> Option<Arc<[u8]>> {
    let fields = decoder.fields(block, &["type", "inline", "valueRef"])?;
    let kinds = [("Inline", "Inline"), ("ValueRef", "ValueRef")];
    let (kind, word) = match fields.optional("type") {
        Some(field) => (field, decoder.choice(field, &kinds)?.value),
        None => (block, "Inline"),
    };
    let mark = decoder.mark();
    for (owner, name) in [("Inline", "inline"), ("ValueRef", "valueRef")] {
        union_rule(decoder, fields, ("body type", word, owner), name, kind);
    }
    if decoder.failed_since(mark) {
        return None;
    }
    if let Some(inline) = fields.optional("inline") {
        let text = decoder.text(inline)?;
        return Some(text.as_bytes().into());
    }
    value_reference(decoder, fields.optional("valueRef")?, owner)
}

/// The text of a ConfigMap of the policy's namespace.
fn value_reference(decoder: &mut Decoder, block: Field<'_>, owner: Owner<'_>) -> Option<Arc<[u8]>> {
    let fields = decoder.fields(block, &["group", "kind", "name"])?;
    let kind = fields.required(decoder, "kind")?;
    decoder.choice(kind, &[("ConfigMap", ())])?;
    let field = fields.required(decoder, "name")?;
    let name = decoder.nonempty(field)?;
    if let Some(text) = owner.response_body(&name) {
        return Some(text.as_bytes().into());
    }
    let message = format!(
        "there is no ConfigMap \"{}\" with a text for the body",
        name.value
    );
    let finding = Finding::new("E0319", name.span, message);
    decoder.report(
        finding
            .label(format!("not found in namespace \"{}\"", owner.object.namespace))
            .help("define it, with the text under the key response.body, or write the text into \"inline\""),
    );
    None
}

fn redirected(decoder: &mut Decoder, block: Field<'_>) -> Option<Replacement> {
    let redirect = redirect(decoder, block)?;
    let wrong = if matches!(redirect.path, Some(PathRewrite::Prefix(_))) {
        Some("only ReplaceFullPath is supported for path.type")
    } else if !matches!(redirect.status, 301 | 302) {
        Some("statusCode must be 301 or 302")
    } else {
        None
    };
    if let Some(message) = wrong {
        decoder.report(Finding::new("E0305", block.span(), message).label("in this redirect"));
        return None;
    }
    Some(Replacement::Redirect(redirect))
}
