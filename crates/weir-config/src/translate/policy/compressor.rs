//! `compressor`: encodings that responses may be sent in.

use std::sync::Arc;

use weir_model::{Compressor, ContentEncoding, limits};

use super::dialect::Dialect;
use super::values::{lower, quantity, read};
use crate::resource::decode::{Decoder, Field, Fields};
use crate::resource::{Finding, format};

/// How types are written, and the block of options that belongs to each.
const TYPES: [(&str, ContentEncoding); 3] = [
    ("Gzip", ContentEncoding::Gzip),
    ("Brotli", ContentEncoding::Brotli),
    ("Zstd", ContentEncoding::Zstd),
];

/// Decodes `compressor`, or `compression` as it used to be called.
pub(super) fn compressors(decoder: &mut Decoder, policy: Fields<'_>, dialect: Dialect) -> Vec<Compressor> {
    if let (Some(_), Some(_)) = (policy.optional("compressor"), policy.optional("compression")) {
        let message = "either compression or compressor can be set, not both";
        let finding = Finding::new("E0305", policy.key_span("compression"), message);
        decoder.report(finding.label("the old name of compressor"));
        return Vec::new();
    }
    let list = policy.optional("compressor").or(policy.optional("compression"));
    let items = list
        .map(|list| decoder.items(list, TYPES.len()))
        .unwrap_or_default();
    let mut found: Vec<Compressor> = Vec::with_capacity(items.len());
    for item in items {
        let Some(one) = compressor(decoder, item, dialect) else {
            continue;
        };
        if found.iter().any(|other| other.encoding == one.encoding) {
            let finding = Finding::new("W0106", item.span(), "the list names this type twice");
            decoder.report(
                finding
                    .label("the first entry counts")
                    .effect("responses are compressed as the first entry says"),
            );
            continue;
        }
        found.push(one);
    }
    found
}

fn compressor(decoder: &mut Decoder, item: Field<'_>, dialect: Dialect) -> Option<Compressor> {
    let common = ["type", "brotli", "gzip", "zstd", "minContentLength"];
    let fields = dialect.fields(decoder, item, &common, &["level", "contentTypes"])?;
    let kind = fields.required(decoder, "type")?;
    let encoding = decoder.choice(kind, &TYPES)?.value;
    let least = read(decoder, fields, "minContentLength", |decoder, field| {
        let range = u64::from(limits::COMPRESSION_MIN_BYTES)..=u64::from(u32::MAX);
        quantity(decoder, field, range)
    });
    let level = match dialect.own(fields, "level") {
        Some(field) => Some(u8::try_from(decoder.integer(field, 1..=9)?.value).ok()?),
        None => None,
    };
    let types = dialect.own(fields, "contentTypes");
    Some(Compressor {
        encoding,
        level,
        min_bytes: least
            .and_then(|least| u32::try_from(least.value).ok())
            .unwrap_or(limits::COMPRESSION_MIN_BYTES),
        content_types: types.map_or(Some(Vec::new()), |list| content_types(decoder, list))?,
    })
}

/// Media types the compressor may name.
const CONTENT_TYPES_MAX: usize = 50;

fn content_types(decoder: &mut Decoder, list: Field<'_>) -> Option<Vec<Arc<str>>> {
    let mut found = Vec::new();
    for item in decoder.items(list, CONTENT_TYPES_MAX) {
        let text = decoder.nonempty(item)?;
        // RFC 9110 8.3.1: type and subtype are tokens.
        let is_type = text
            .split_once('/')
            .is_some_and(|(kind, subtype)| format::is_token(kind) && format::is_token(subtype));
        if !is_type {
            let message = format!("\"{}\" is not a media type", text.value);
            decoder.report(Finding::new("E0303", text.span, message).help("write types such as text/html"));
            return None;
        }
        found.push(lower(&text));
    }
    Some(found)
}
