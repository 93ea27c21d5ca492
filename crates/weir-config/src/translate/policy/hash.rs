//! `consistentHash`: where hash keys come from.

use std::sync::Arc;
use std::time::Duration;

use weir_model::{ConsistentHash, CookieSpec, HashSource, MissingKey, TableSize, limits};

use super::fields::{Fields, is_token};
use super::load_balancer::Dialect;
use crate::yaml::{Finding, Node, Spanned};

/// Fields that belong to one key source; `type` says which of them must be there (Envoy Gateway CRD rules).
const UNION: [(&str, &str); 4] =
    [("Header", "header"), ("Headers", "headers"), ("Cookie", "cookie"), ("QueryParams", "queryParams")];

/// Decodes the block. `None` when it cannot be used; findings say why.
pub(super) fn consistent_hash(mut fields: Fields<'_, '_>, dialect: Dialect) -> Option<ConsistentHash> {
    let mut known = vec!["type", "header", "headers", "cookie", "queryParams", "tableSize"];
    if dialect == Dialect::Weir {
        known.extend(["sourceIP", "fallbacks", "onMissingKey"]);
    }
    fields.expect_only(&known, |name| dialect.hint(name));
    let first = source(&mut fields);
    let table_size = table_size(&mut fields);
    let (fallbacks, missing_key) = match dialect {
        Dialect::Envoy => (Some(Vec::new()), MissingKey::default()),
        Dialect::Weir => (fallbacks(&mut fields), missing_key(&mut fields)),
    };
    let mut sources = vec![first?];
    sources.extend(fallbacks?);
    Some(ConsistentHash { sources, table_size: table_size?, missing_key })
}

/// The key source that `type` names.
fn source(fields: &mut Fields<'_, '_>) -> Option<HashSource> {
    let kind = fields.required_text("type")?;
    let before = fields.findings().len();
    for (kind_name, field) in UNION {
        let wanted = *kind.value == *kind_name;
        match fields.node(field) {
            None if wanted => {
                let message = format!("consistent hash type {kind_name} needs the field \"{field}\"");
                let finding = Finding::new("E0305", kind.span, message);
                fields.findings().push(finding.label(format!("\"{field}\" is missing")));
            }
            Some(node) if !wanted => {
                let message = format!("the field \"{field}\" goes with consistent hash type {kind_name} only");
                let finding = Finding::new("E0305", node.span, message);
                fields.findings().push(finding.label(format!("the type is {}", kind.value)));
            }
            _ => {}
        }
    }
    let source = match &*kind.value {
        "SourceIP" => source_ip(fields),
        "Header" => header(fields).map(|name| HashSource::Headers(vec![name])),
        "Headers" => names(fields, "headers", Fields::header_name).map(HashSource::Headers),
        "Cookie" => fields.mapping("cookie").and_then(cookie).map(HashSource::Cookie),
        "QueryParams" => names(fields, "queryParams", Fields::required_text).map(HashSource::QueryParams),
        other => {
            let message = format!("\"{other}\" is not a consistent hash type");
            let finding = Finding::new("E0303", kind.span, message)
                .label("unknown type")
                .help("use SourceIP, Header, Headers, Cookie or QueryParams");
            fields.findings().push(finding);
            None
        }
    };
    source.filter(|_| fields.findings().len() == before)
}

/// `SourceIP`, cut to the prefixes of weir's own `sourceIP` block (row CH17).
fn source_ip(fields: &mut Fields<'_, '_>) -> Option<HashSource> {
    let (mut prefix_length_v4, mut prefix_length_v6) = (32, 128);
    if let Some(mut block) = fields.mapping("sourceIP") {
        block.expect_only(&["ipv4PrefixLength", "ipv6PrefixLength"], |_| None);
        prefix_length_v4 = block.integer("ipv4PrefixLength", 0..=32).map_or(32, |length| length.value as u8);
        prefix_length_v6 = block.integer("ipv6PrefixLength", 0..=128).map_or(128, |length| length.value as u8);
    }
    Some(HashSource::SourceIp { prefix_length_v4, prefix_length_v6 })
}

fn header(fields: &mut Fields<'_, '_>) -> Option<Arc<str>> {
    let mut block = fields.mapping("header")?;
    block.expect_only(&["name"], |_| None);
    block.header_name("name").map(|name| name.value)
}

/// A list of `{name: ...}`; at least one.
fn names(
    fields: &mut Fields<'_, '_>,
    key: &str,
    read: fn(&mut Fields<'_, '_>, &str) -> Option<Spanned<Arc<str>>>,
) -> Option<Vec<Arc<str>>> {
    let items = fields.list(key)?;
    let path = fields.path_of(key);
    if items.is_empty() {
        let finding = Finding::new("E0303", items.span, format!("{path} must not be empty"));
        fields.findings().push(finding.label("empty list"));
        return None;
    }
    let mut found = Vec::with_capacity(items.len());
    for (number, item) in items.iter().enumerate() {
        let mut block = Fields::open(item, format!("{path}[{number}]"), fields.findings())?;
        block.expect_only(&["name"], |_| None);
        found.push(read(&mut block, "name")?.value);
    }
    Some(found)
}

fn cookie(mut fields: Fields<'_, '_>) -> Option<CookieSpec> {
    fields.expect_only(&["name", "ttl", "attributes"], |_| None);
    let name = fields.required_text("name")?;
    if !is_token(&name.value) {
        // RFC 6265 4.1.1: cookie-name is a token.
        let message = format!("\"{}\" is not a cookie name", name.value);
        fields.findings().push(Finding::new("E0303", name.span, message).label("not a cookie name"));
        return None;
    }
    let ttl = fields.duration("ttl");
    if fields.node("ttl").is_some() && ttl.is_none() {
        return None;
    }
    if let Some(ttl) = ttl.filter(|ttl| ttl.subsec_nanos() != 0) {
        let finding = Finding::new("W0306", ttl.span, "a cookie lives for whole seconds")
            .label("has a fraction of a second")
            .effect("the fraction is dropped");
        fields.findings().push(finding);
    }
    let ttl = ttl.map(|ttl| Duration::from_secs(ttl.as_secs()));
    let attributes = match fields.node("attributes") {
        None => Vec::new(),
        Some(node) => attributes(&mut fields, node)?,
    };
    Some(CookieSpec { name: name.value, ttl, attributes })
}

/// `attributes` in the order written.
fn attributes(fields: &mut Fields<'_, '_>, node: &Node) -> Option<Vec<(Arc<str>, Arc<str>)>> {
    let path = fields.path_of("attributes");
    let block = Fields::open(node, path, fields.findings())?;
    drop(block);
    let mut attributes = Vec::new();
    for entry in node.entries() {
        let value: Arc<str> = match (entry.node.is_null(), entry.node.scalar()) {
            (true, _) => "".into(),
            (false, Some(scalar)) => scalar.text.clone(),
            (false, None) => {
                let finding = Finding::new("E0304", entry.node.span, "a cookie attribute must be text");
                fields.findings().push(finding.label("expected text"));
                return None;
            }
        };
        // RFC 6265 4.1.1: attribute values hold no control characters and no semicolon.
        let clean = |text: &str| text.bytes().all(|byte| (0x20..0x7f).contains(&byte) && byte != b';');
        if !is_token(&entry.key) || !clean(&value) {
            let message = format!("\"{}={value}\" is not a cookie attribute", entry.key);
            let finding = Finding::new("E0303", entry.key_span, message);
            fields.findings().push(finding.label("not a cookie attribute"));
            return None;
        }
        attributes.push((entry.key.clone(), value));
    }
    Some(attributes)
}

/// `tableSize`: a prime (row LB10).
fn table_size(fields: &mut Fields<'_, '_>) -> Option<TableSize> {
    if fields.node("tableSize").is_none() {
        return Some(TableSize::default());
    }
    let size = fields.integer("tableSize", 2..=i64::from(limits::MAGLEV_TABLE_MAX))?;
    let table_size = u64::try_from(size.value).ok().and_then(TableSize::new);
    if table_size.is_none() {
        let message = format!("invalid TableSize value {}: it must be a prime", size.value);
        let finding = Finding::new("E0307", size.span, message)
            .label("not a prime")
            .help(format!("the default is {}", limits::MAGLEV_TABLE_DEFAULT));
        fields.findings().push(finding);
    }
    table_size
}

/// weir's `fallbacks`: further key sources, tried in order (row CH09).
fn fallbacks(fields: &mut Fields<'_, '_>) -> Option<Vec<HashSource>> {
    let Some(items) = fields.list("fallbacks") else {
        return fields.node("fallbacks").is_none().then(Vec::new);
    };
    let path = fields.path_of("fallbacks");
    let mut sources = Vec::new();
    for (number, item) in items.iter().enumerate() {
        let mut block = Fields::open(item, format!("{path}[{number}]"), fields.findings())?;
        block.expect_only(&["type", "header", "headers", "cookie", "queryParams", "sourceIP"], |_| None);
        sources.push(source(&mut block)?);
    }
    Some(sources)
}

/// weir's `onMissingKey` (row CH09).
fn missing_key(fields: &mut Fields<'_, '_>) -> MissingKey {
    let Some(name) = fields.text("onMissingKey") else { return MissingKey::default() };
    match &*name.value {
        "Random" => MissingKey::Random,
        "RoundRobin" => MissingKey::RoundRobin,
        "LeastRequest" => MissingKey::LeastRequest,
        other => {
            let finding = Finding::new("E0303", name.span, format!("\"{other}\" is not a fallback policy"));
            fields.findings().push(finding.label("use Random, RoundRobin or LeastRequest"));
            MissingKey::default()
        }
    }
}
