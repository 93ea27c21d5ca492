//! Which content coding a response goes out in, and what its head then says (row KT23).
//!
//! A response is encoded when the rule offers codings, the client takes one of them at least as gladly as the plain form, and
//! nothing speaks against it: it has a body, is whole, is of a listed type, is not encoded already and may be
//! transformed. What a HEAD is answered says the same as what a GET would be (RFC 9110 9.3.2).

use weir_model::{Compressor, ContentEncoding};
use weir_wire::accept::{coding_weight, weighted};
use weir_wire::token::list;
use weir_wire::{BodyLength, Fields, Known, Method};

use super::Exchange;
use super::respond::Outline;
use crate::compile::ResponseRules;
use crate::transit::{Edits, Encoder, Framing, ResponseScratch};

/// Media types that are encoded when a compressor lists none; besides all of `text/*` and whatever is JSON or XML.
const USUAL_TYPES: [&str; 9] = [
    "application/javascript",
    "application/json",
    "application/manifest+json",
    "application/wasm",
    "application/x-javascript",
    "application/xml",
    "font/otf",
    "font/ttf",
    "image/svg+xml",
];

/// What an encoded body is not described by: digests and ranges of the plain one (RFC 9110 8.8.1, RFC 9530 3).
const OF_PLAIN_BODY: [&str; 6] = [
    "accept-ranges",
    "content-digest",
    "content-length",
    "content-md5",
    "digest",
    "repr-digest",
];

/// Keeps endpoints from encoding what weir is going to encode (Envoy Gateway does the same). A client that takes none of
/// the rule's codings may still have another one from the endpoint.
pub(super) fn hide_from_endpoint(exchange: &mut Exchange<'_>, rules: &ResponseRules) {
    if best(exchange, &rules.compressors).is_some() {
        let mut edits = std::mem::take(&mut exchange.scratch.edits);
        edits.remove("accept-encoding", &exchange.scratch.head.fields, exchange.head());
        exchange.scratch.edits = edits;
    }
}

/// Decides over the coding of a response and writes to its edits and its outline what follows from that.
pub(super) fn choose(
    exchange: &Exchange<'_>,
    rules: &ResponseRules,
    response: &mut ResponseScratch,
    outline: &mut Outline,
) -> Option<Encoder> {
    let is_head = exchange.scratch.head.method == Method::Head;
    let (fields, bytes) = (&response.head.fields, response.input.pinned());
    // RFC 9110 15.4.5, 14.4: a 304 describes no body of its own, a part of a body is none of the encoded one.
    let has_whole_body = !matches!(response.head.status, 204 | 205 | 206 | 304)
        && (is_head || outline.body != BodyLength::Empty);
    if rules.compressors.is_empty() || !has_whole_body || !may_transform(exchange, fields, bytes) {
        return None;
    }
    let refuses_plain = refuses_plain(exchange);
    let offered = rules
        .compressors
        .iter()
        .filter(|one| refuses_plain || is_worth_it(one, fields, bytes));
    offered.clone().next()?;
    add_vary(&mut response.edits, fields, bytes);
    let compressor = best(exchange, offered)?;
    let encoder = match is_head {
        true => None,
        false => Some(Encoder::new(compressor, &exchange.worker.encoders)?),
    };
    describe(compressor.encoding, &mut response.edits, fields, bytes);
    if !is_head {
        outline.is_until_close = exchange.is_http10();
        outline.framing = if outline.is_until_close {
            Framing::Plain
        } else {
            Framing::Chunked
        };
        outline.keeps_trailers = !outline.is_until_close && exchange.request.wants_trailers;
        outline.is_persistent &= !outline.is_until_close;
    }
    encoder
}

/// The compressor that the client would like best, the rule's order deciding between equals; `None` when it would rather
/// have the plain form.
fn best<'c>(
    exchange: &Exchange<'_>,
    offered: impl IntoIterator<Item = &'c Compressor>,
) -> Option<&'c Compressor> {
    let accepted = |coding| coding_weight(accept_encoding(exchange), coding).unwrap_or(0);
    // Only what is said of `identity` itself counts: without a word it is merely allowed (RFC 9110 12.5.3).
    let of_plain = weighted(accept_encoding(exchange))
        .find(|(name, _)| name.eq_ignore_ascii_case(b"identity"))
        .map_or(0, |(_, weight)| weight);
    let mut found = None;
    let mut greatest = 0;
    for compressor in offered {
        let weight = accepted(word(compressor.encoding));
        if weight > greatest && weight >= of_plain {
            (found, greatest) = (Some(compressor), weight);
        }
    }
    found
}

fn accept_encoding<'e>(exchange: &'e Exchange<'_>) -> impl Iterator<Item = &'e [u8]> {
    let fields = &exchange.scratch.head.fields;
    fields.values(Known::AcceptEncoding, exchange.head())
}

/// Whether the client has said that it does not take the plain form (`identity;q=0`, or `*;q=0` with no word on it).
fn refuses_plain(exchange: &Exchange<'_>) -> bool {
    coding_weight(accept_encoding(exchange), "identity") == Some(0)
}

/// RFC 9110 8.4: not what is encoded already. RFC 9111 5.2.1.6, 5.2.2.6: not what the client or the endpoint forbids.
fn may_transform(exchange: &Exchange<'_>, fields: &Fields, bytes: &[u8]) -> bool {
    let is_encoded = fields
        .values(Known::ContentEncoding, bytes)
        .flat_map(list)
        .any(|coding| !coding.eq_ignore_ascii_case(b"identity"));
    let request = exchange
        .scratch
        .head
        .fields
        .values(Known::CacheControl, exchange.head());
    let is_forbidden = fields
        .values(Known::CacheControl, bytes)
        .chain(request)
        .flat_map(list)
        .any(|directive| directive.eq_ignore_ascii_case(b"no-transform"));
    !is_encoded && !is_forbidden
}

/// Whether the body is of a type that the compressor takes, and not known to be too short.
fn is_worth_it(compressor: &Compressor, fields: &Fields, bytes: &[u8]) -> bool {
    let length = fields
        .value(Known::ContentLength, bytes)
        .and_then(|value| str::from_utf8(value).ok()?.parse::<u64>().ok());
    let is_short = length.is_some_and(|length| length < u64::from(compressor.min_bytes));
    let media_type = fields
        .value(Known::ContentType, bytes)
        .and_then(|value| str::from_utf8(value).ok())
        .map(|value| value.split(';').next().unwrap_or_default().trim());
    !is_short && media_type.is_some_and(|media_type| takes(compressor, media_type))
}

fn takes(compressor: &Compressor, media_type: &str) -> bool {
    let ends_with = |suffix: &str| {
        let start = media_type.len().checked_sub(suffix.len());
        start.is_some_and(|start| media_type.as_bytes()[start..].eq_ignore_ascii_case(suffix.as_bytes()))
    };
    let is_text = media_type
        .as_bytes()
        .get(..5)
        .is_some_and(|start| start.eq_ignore_ascii_case(b"text/"));
    if compressor.content_types.is_empty() {
        return is_text
            || ends_with("+json")
            || ends_with("+xml")
            || USUAL_TYPES
                .iter()
                .any(|usual| media_type.eq_ignore_ascii_case(usual));
    }
    compressor.content_types.iter().any(|listed| {
        // `text/*` stands for all of its kind.
        let kind = listed.strip_suffix('*').filter(|kind| kind.ends_with('/'));
        kind.map_or_else(
            || media_type.eq_ignore_ascii_case(listed),
            |kind| {
                media_type
                    .get(..kind.len())
                    .is_some_and(|start| start.eq_ignore_ascii_case(kind))
            },
        )
    })
}

/// Adds `Accept-Encoding` to what the response depends on (RFC 9110 12.5.5).
fn add_vary(edits: &mut Edits, fields: &Fields, bytes: &[u8]) {
    let is_said =
        |value: &[u8]| list(value).any(|name| name == b"*" || name.eq_ignore_ascii_case(b"accept-encoding"));
    let is_added = edits
        .added()
        .any(|(name, value)| name.eq_ignore_ascii_case(b"vary") && is_said(value));
    let is_there = fields.iter().enumerate().any(|(index, field)| {
        field.known == Known::Vary && !edits.is_dropped(index) && is_said(field.value.of(bytes))
    });
    if !is_added && !is_there {
        edits.append("vary", b"Accept-Encoding", fields, bytes);
    }
}

/// Says which coding it is, and nothing that is true of the plain body only.
fn describe(encoding: ContentEncoding, edits: &mut Edits, fields: &Fields, bytes: &[u8]) {
    edits.set("content-encoding", word(encoding).as_bytes(), fields, bytes);
    for name in OF_PLAIN_BODY {
        edits.remove(name, fields, bytes);
    }
    // RFC 9110 8.8.3.3: the bytes differ from those that the tag was made for, the meaning does not.
    if let Some(tag) = fields.value(Known::Etag, bytes)
        && !tag.starts_with(b"W/")
    {
        edits.set("etag", &[b"W/", tag].concat(), fields, bytes);
    }
}

fn word(encoding: ContentEncoding) -> &'static str {
    match encoding {
        ContentEncoding::Gzip => "gzip",
        ContentEncoding::Brotli => "br",
        ContentEncoding::Zstd => "zstd",
    }
}
