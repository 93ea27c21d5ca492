//! `consistentHash`: where hash keys come from.

use std::sync::Arc;
use std::time::Duration;

use weir_model::{
    ConsistentHash, CookieSpec, HashSource, HashTable, MissingKey, RingSize, TableSize, limits,
};

use super::dialect::Dialect;
use crate::resource::cookie::attributes;
use crate::resource::decode::{Decoder, Field, Fields};
use crate::resource::format::is_token;
use crate::resource::{Finding, policy_type};
use crate::yaml::Spanned;

/// Key sources and the field that each needs; no other source may have it (Envoy Gateway CRD rules).
const UNION: [(&str, &str); 4] = [
    ("Header", "header"),
    ("Headers", "headers"),
    ("Cookie", "cookie"),
    ("QueryParams", "queryParams"),
];

/// Fields of a key source.
const SOURCE_FIELDS: [&str; 5] = ["type", "header", "headers", "cookie", "queryParams"];

/// How `type` is written.
#[derive(Clone, Copy)]
enum SourceType {
    SourceIp,
    Header,
    Headers,
    Cookie,
    QueryParams,
}

/// Decodes the block. `None` when it cannot be used; findings say why.
pub(super) fn consistent_hash(
    decoder: &mut Decoder,
    field: Field<'_>,
    dialect: Dialect,
) -> Option<ConsistentHash> {
    let mut common = SOURCE_FIELDS.to_vec();
    common.push("tableSize");
    let fields = dialect.fields(
        decoder,
        field,
        &common,
        &["sourceIP", "fallbacks", "onMissingKey", "ringHash"],
    )?;
    let mark = decoder.mark();
    let mut sources: Vec<HashSource> = source(decoder, fields, dialect).into_iter().collect();
    let size = fields.optional("tableSize");
    let mut table = size.map_or(Some(HashTable::default()), |size| table_size(decoder, size));
    if let Some(ring) = dialect.own(fields, "ringHash") {
        if size.is_some() {
            let message = "\"tableSize\" does not go with \"ringHash\"";
            let finding = Finding::new("E0305", fields.key_span("tableSize"), message);
            decoder.report(finding.label("the size of a Maglev table"));
        }
        table = ring_size(decoder, ring);
    }
    if let Some(fallbacks) = dialect.own(fields, "fallbacks") {
        for item in decoder.items(fallbacks, 8) {
            let fields = dialect.fields(decoder, item, &SOURCE_FIELDS, &["sourceIP"]);
            sources.extend(fields.and_then(|fields| source(decoder, fields, dialect)));
        }
    }
    let missing_key = match dialect.own(fields, "onMissingKey") {
        None => MissingKey::default(),
        Some(field) => decoder.choice(field, &MISSING_KEYS)?.value,
    };
    if decoder.failed_since(mark) {
        return None;
    }
    Some(ConsistentHash {
        sources,
        table: table?,
        missing_key,
    })
}

/// weir's `onMissingKey` (row CH09).
const MISSING_KEYS: [(&str, MissingKey); 3] = [
    ("Random", MissingKey::Random),
    ("RoundRobin", MissingKey::RoundRobin),
    ("LeastRequest", MissingKey::LeastRequest),
];

/// The key source that `type` names.
fn source(decoder: &mut Decoder, fields: Fields<'_>, dialect: Dialect) -> Option<HashSource> {
    let kind = fields.required(decoder, "type")?;
    let choices = [
        ("SourceIP", SourceType::SourceIp),
        ("Header", SourceType::Header),
        ("Headers", SourceType::Headers),
        ("Cookie", SourceType::Cookie),
        ("QueryParams", SourceType::QueryParams),
    ];
    let word = policy_type::choice(decoder, kind, &choices)?;
    let name = kind.node.scalar().map_or("", |scalar| &*scalar.text);
    let mark = decoder.mark();
    for (kind_name, field) in UNION {
        union_rule(
            decoder,
            fields,
            ("consistent hash type", name, kind_name),
            field,
            kind,
        );
    }
    if decoder.failed_since(mark) {
        return None;
    }
    match word {
        SourceType::SourceIp => source_ip(decoder, dialect.own(fields, "sourceIP")),
        SourceType::Header => {
            let block = fields.required(decoder, "header")?;
            let block = decoder.fields(block, &["name"])?;
            let name = block.required(decoder, "name")?;
            header_name(decoder, name).map(|name| HashSource::Headers(vec![name]))
        }
        SourceType::Headers => names(decoder, fields, "headers", header_name).map(HashSource::Headers),
        SourceType::Cookie => {
            let block = fields.required(decoder, "cookie")?;
            cookie(decoder, block).map(HashSource::Cookie)
        }
        SourceType::QueryParams => {
            let text =
                |decoder: &mut Decoder, field: Field<'_>| decoder.nonempty(field).map(|text| text.value);
            names(decoder, fields, "queryParams", text).map(HashSource::QueryParams)
        }
    }
}

/// A field that goes with one type: required there, refused elsewhere. `words` are what has the type, its type,
/// and the type that the field goes with.
pub(super) fn union_rule(
    decoder: &mut Decoder,
    fields: Fields<'_>,
    words: (&str, &str, &str),
    name: &'static str,
    kind: Field<'_>,
) {
    let (what, actual, owner) = words;
    match fields.optional(name) {
        None if actual == owner => {
            let message = format!("{what} {owner} needs the field \"{name}\"");
            decoder
                .report(Finding::new("E0305", kind.span(), message).label(format!("\"{name}\" is missing")));
        }
        Some(_) if actual != owner => {
            let message = format!("the field \"{name}\" goes with {what} {owner} only");
            let finding = Finding::new("E0305", fields.key_span(name), message);
            decoder.report(finding.label(format!("the type is {actual}")));
        }
        None | Some(_) => {}
    }
}

/// `SourceIP`, cut to the prefixes of weir's own `sourceIP` block (row CH17).
fn source_ip(decoder: &mut Decoder, block: Option<Field<'_>>) -> Option<HashSource> {
    let (mut prefix_length_v4, mut prefix_length_v6) = (32, 128);
    if let Some(block) = block {
        let fields = decoder.fields(block, &["ipv4PrefixLength", "ipv6PrefixLength"])?;
        if let Some(field) = fields.optional("ipv4PrefixLength") {
            prefix_length_v4 = u8::try_from(decoder.integer(field, 0..=32)?.value).ok()?;
        }
        if let Some(field) = fields.optional("ipv6PrefixLength") {
            prefix_length_v6 = u8::try_from(decoder.integer(field, 0..=128)?.value).ok()?;
        }
    }
    Some(HashSource::SourceIp {
        prefix_length_v4,
        prefix_length_v6,
    })
}

/// A list of `{name: ...}`; at least one.
fn names(
    decoder: &mut Decoder,
    fields: Fields<'_>,
    name: &'static str,
    read: fn(&mut Decoder, Field<'_>) -> Option<Arc<str>>,
) -> Option<Vec<Arc<str>>> {
    let list = fields.required(decoder, name)?;
    let items = decoder.items(list, 32);
    if items.is_empty() {
        decoder
            .report(Finding::new("E0303", list.span(), format!("\"{name}\" is empty")).label("empty list"));
        return None;
    }
    let mut found = Vec::with_capacity(items.len());
    for item in items {
        let block = decoder.fields(item, &["name"])?;
        let name = block.required(decoder, "name")?;
        found.push(read(decoder, name)?);
    }
    Some(found)
}

/// A header name, in lower case (RFC 9110 5.1: a token, compared without case).
pub(super) fn header_name(decoder: &mut Decoder, field: Field<'_>) -> Option<Arc<str>> {
    let name = decoder.nonempty(field)?;
    if is_token(&name) {
        return Some(name.to_ascii_lowercase().into());
    }
    let message = format!("\"{}\" is not a header name", name.value);
    decoder.report(Finding::new("E0303", name.span, message).label("not a header name"));
    None
}

fn cookie(decoder: &mut Decoder, block: Field<'_>) -> Option<CookieSpec> {
    let fields = decoder.fields(block, &["name", "ttl", "attributes"])?;
    let name = fields.required(decoder, "name")?;
    let name = decoder.nonempty(name)?;
    if !is_token(&name) {
        // RFC 6265 4.1.1: cookie-name is a token.
        let message = format!("\"{}\" is not a cookie name", name.value);
        decoder.report(Finding::new("E0303", name.span, message).label("not a cookie name"));
        return None;
    }
    let ttl = match fields.optional("ttl") {
        None => None,
        Some(field) => Some(whole_seconds(decoder, field)?),
    };
    let attributes = match fields.optional("attributes") {
        None => Vec::new(),
        Some(field) => attributes(decoder, field)?,
    };
    Some(CookieSpec {
        name: name.value,
        ttl,
        attributes,
    })
}

/// A cookie's `Max-Age` is a whole number of seconds (RFC 6265 4.1.1).
fn whole_seconds(decoder: &mut Decoder, field: Field<'_>) -> Option<Duration> {
    let Spanned { value, span } = decoder.duration(field)?;
    if value.subsec_nanos() != 0 {
        let finding = Finding::new("W0306", span, "a cookie lives for whole seconds");
        decoder.report(
            finding
                .label("has a fraction of a second")
                .effect("the fraction is dropped"),
        );
    }
    Some(Duration::from_secs(value.as_secs()))
}

/// `tableSize`: a prime (row LB10).
fn table_size(decoder: &mut Decoder, field: Field<'_>) -> Option<HashTable> {
    let size = decoder.integer(field, 2..=i64::from(limits::MAGLEV_TABLE_MAX))?;
    let table_size = u64::try_from(size.value).ok().and_then(TableSize::new);
    if table_size.is_none() {
        let message = format!("invalid TableSize value {}: it must be a prime", size.value);
        let help = format!("the default is {}", limits::MAGLEV_TABLE_DEFAULT);
        decoder.report(
            Finding::new("E0307", size.span, message)
                .label("not a prime")
                .help(help),
        );
    }
    table_size.map(HashTable::Maglev)
}

/// weir's `ringHash` (row LB09).
fn ring_size(decoder: &mut Decoder, block: Field<'_>) -> Option<HashTable> {
    let fields = decoder.fields(block, &["minSize", "maxSize"])?;
    let size = |decoder: &mut Decoder, name: &'static str, standard: u32| match fields.optional(name) {
        Some(field) => decoder.integer(field, 1..=i64::from(limits::RING_MAX)),
        None => Some(Spanned::new(i64::from(standard), fields.span())),
    };
    let max = size(decoder, "maxSize", limits::RING_MAX)?;
    let least = i64::from(limits::RING_MIN_DEFAULT).min(max.value);
    let min = size(decoder, "minSize", u32::try_from(least).ok()?)?;
    let points = |size: i64| u64::try_from(size).unwrap_or(0);
    let ring = RingSize::new(points(min.value), points(max.value));
    if ring.is_none() {
        let message = format!("minSize {} is greater than maxSize {}", min.value, max.value);
        decoder.report(Finding::new("E0303", min.span, message).label("greater than maxSize"));
    }
    ring.map(HashTable::Ring)
}
