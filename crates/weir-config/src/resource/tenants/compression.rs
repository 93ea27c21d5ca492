//! `compression`: the codings that responses of all tenants of a file may be sent in (row KT23).

use std::sync::Arc;

use weir_model::{Compressor, ContentEncoding, limits};

use crate::resource::decode::{Decoder, Field, Fields};
use crate::resource::format;
use crate::yaml::{Finding, Spanned};

/// How hard encoders try when nothing is said (keystone-gateway).
const LEVEL: u8 = 5;
/// Shorter bodies are left alone when nothing is said: what is won is less than the coding costs.
const MIN_BYTES: u32 = 256;
/// Media types that may be named.
const CONTENT_TYPES_MAX: usize = 50;

const CODINGS: [(&str, ContentEncoding); 3] = [
    ("gzip", ContentEncoding::Gzip),
    ("br", ContentEncoding::Brotli),
    ("zstd", ContentEncoding::Zstd),
];

/// Reads the block. None, when it is switched off or cannot be used.
pub(super) fn decode(decoder: &mut Decoder, field: Field<'_>) -> Vec<Compressor> {
    let mark = decoder.mark();
    let known = ["enabled", "level", "content_types", "min_size", "algorithms"];
    let found = decoder
        .fields(field, &known)
        .and_then(|fields| compressors(decoder, fields));
    decoder.effect_since(mark, "responses pass as the services send them");
    if decoder.failed_since(mark) {
        return Vec::new();
    }
    found.unwrap_or_default()
}

fn compressors(decoder: &mut Decoder, fields: Fields<'_>) -> Option<Vec<Compressor>> {
    let level = match fields.optional("level") {
        Some(field) => u8::try_from(decoder.integer(field, 1..=9)?.value).ok()?,
        None => LEVEL,
    };
    let min_bytes = match fields.optional("min_size") {
        Some(field) => {
            let range = u64::from(limits::COMPRESSION_MIN_BYTES)..=u64::from(u32::MAX);
            u32::try_from(decoder.quantity(field, range)?.value).ok()?
        }
        None => MIN_BYTES,
    };
    let content_types = match fields.optional("content_types") {
        Some(field) => content_types(decoder, field)?,
        None => Vec::new(),
    };
    let mut encodings: Vec<ContentEncoding> = Vec::new();
    match fields.optional("algorithms") {
        Some(field) => {
            for item in decoder.items(field, CODINGS.len()) {
                let encoding = decoder.choice(item, &CODINGS)?.value;
                if !encodings.contains(&encoding) {
                    encodings.push(encoding);
                }
            }
        }
        None => encodings.extend(CODINGS.map(|(_, encoding)| encoding)),
    }
    let enabled = fields
        .optional("enabled")
        .and_then(|field| decoder.boolean(field));
    if enabled.is_some_and(|enabled| !enabled.value) {
        return None;
    }
    let compressor = |encoding| Compressor {
        encoding,
        level: Some(level),
        min_bytes,
        content_types: content_types.clone(),
    };
    Some(encodings.into_iter().map(compressor).collect())
}

fn content_types(decoder: &mut Decoder, field: Field<'_>) -> Option<Vec<Arc<str>>> {
    let mut found = Vec::new();
    for item in decoder.items(field, CONTENT_TYPES_MAX) {
        let text = decoder.nonempty(item)?;
        if !is_media_type(&text) {
            let message = format!("\"{}\" is not a media type", text.value);
            let finding = Finding::new("E0103", text.span, message);
            decoder.report(finding.help("write types such as text/html, or text/* for all of a kind"));
            return None;
        }
        found.push(text.to_ascii_lowercase().into());
    }
    Some(found)
}

/// RFC 9110 8.3.1: type and subtype are tokens.
fn is_media_type(text: &Spanned<Arc<str>>) -> bool {
    text.split_once('/')
        .is_some_and(|(kind, subtype)| format::is_token(kind) && format::is_token(subtype))
}
