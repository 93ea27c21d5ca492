//! `rateLimit…clientSelectors[]`: which requests a rule counts.

use std::sync::Arc;

use weir_model::{
    Cidr, ClientSelector, HeaderMatch, HeaderSelector, MethodSelector, PathSelector, QueryMatch,
    QuerySelector, SourceSelector, ValueMatch,
};

use super::hash::header_name;
use super::values::{flag, items, read};
use crate::resource::decode::{Decoder, Field, Fields};
use crate::resource::{Finding, path_condition, value_condition};

/// Entries of the lists (Envoy Gateway CRD).
const HEADERS_MAX: usize = 128;
const METHODS_MAX: usize = 16;
const QUERY_MAX: usize = 16;

/// What a selector may look at; one of them it must.
const PARTS: [&str; 5] = ["headers", "methods", "path", "sourceCIDR", "queryParams"];

/// Decodes one selector; `None` when a part of it cannot be used.
pub(super) fn selector(decoder: &mut Decoder, item: Field<'_>) -> Option<ClientSelector> {
    let fields = decoder.fields_with_vital(item, &PARTS, PARTS)?;
    if fields.has_misspelt() {
        return None;
    }
    if PARTS.iter().all(|part| fields.optional(part).is_none()) {
        let message = format!("a clientSelector needs one of {}", PARTS.join(", "));
        decoder.report(Finding::new("E0305", fields.span(), message).label("selects nothing"));
        return None;
    }
    let mark = decoder.mark();
    let mut selector = ClientSelector::default();
    for item in items(decoder, fields, "headers", HEADERS_MAX) {
        selector.headers.extend(header(decoder, item));
    }
    for item in items(decoder, fields, "methods", METHODS_MAX) {
        selector.methods.extend(method(decoder, item));
    }
    selector.path = read(decoder, fields, "path", path);
    selector.source = read(decoder, fields, "sourceCIDR", source);
    for item in items(decoder, fields, "queryParams", QUERY_MAX) {
        selector.query.extend(query(decoder, item));
    }
    (!decoder.failed_since(mark)).then_some(selector)
}

/// A condition, whether it is inverted; `None` for a value each.
type Condition = Option<(ValueMatch, bool)>;

/// Reads `type`, `value` and `invert`.
fn condition(decoder: &mut Decoder, fields: Fields<'_>) -> Option<Condition> {
    let invert = read(decoder, fields, "invert", flag).unwrap_or(false);
    let kind = fields.optional("type");
    let distinct = kind.filter(|kind| kind.node.scalar().is_some_and(|word| &*word.text == "Distinct"));
    if distinct.is_none() {
        return value_condition(decoder, &fields).map(|value| Some((value, invert)));
    }
    for (name, is_there) in [("value", fields.optional("value").is_some()), ("invert", invert)] {
        if is_there {
            let message = format!("\"{name}\" does not go with the type Distinct");
            let finding = Finding::new("E0305", fields.key_span(name), message);
            decoder.report(finding.label("every value has a bucket of its own"));
            return None;
        }
    }
    Some(None)
}

fn header(decoder: &mut Decoder, item: Field<'_>) -> Option<HeaderSelector> {
    let fields = decoder.fields(item, &["type", "name", "value", "invert"])?;
    let name = fields.required(decoder, "name")?;
    let name = header_name(decoder, name)?;
    Some(match condition(decoder, fields)? {
        None => HeaderSelector::Distinct(name),
        Some((value, invert)) => HeaderSelector::Value {
            condition: HeaderMatch { name, value },
            invert,
        },
    })
}

fn query(decoder: &mut Decoder, item: Field<'_>) -> Option<QuerySelector> {
    let fields = decoder.fields(item, &["type", "name", "value", "invert"])?;
    let name = fields.required(decoder, "name")?;
    let name: Arc<str> = decoder.nonempty(name)?.value;
    Some(match condition(decoder, fields)? {
        None => QuerySelector::Distinct(name),
        Some((value, invert)) => QuerySelector::Value {
            condition: QueryMatch { name, value },
            invert,
        },
    })
}

/// Methods as Gateway API lists them.
const METHODS: [&str; 9] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
];

fn method(decoder: &mut Decoder, item: Field<'_>) -> Option<MethodSelector> {
    let fields = decoder.fields(item, &["value", "invert"])?;
    let value = fields.required(decoder, "value")?;
    let method = decoder.choice(value, &METHODS.map(|method| (method, method)))?;
    Some(MethodSelector {
        method: method.value.into(),
        invert: read(decoder, fields, "invert", flag).unwrap_or(false),
    })
}

fn path(decoder: &mut Decoder, block: Field<'_>) -> Option<PathSelector> {
    let fields = decoder.fields(block, &["type", "value", "invert"])?;
    fields.required(decoder, "value")?;
    Some(PathSelector {
        path: path_condition(decoder, &fields)?.value,
        invert: read(decoder, fields, "invert", flag).unwrap_or(false),
    })
}

fn source(decoder: &mut Decoder, block: Field<'_>) -> Option<SourceSelector> {
    let fields = decoder.fields(block, &["type", "value", "invert"])?;
    let kinds = [("Exact", false), ("Distinct", true)];
    let distinct = read(decoder, fields, "type", |decoder, field| {
        decoder.choice(field, &kinds)
    });
    let distinct = distinct.is_some_and(|word| word.value);
    let invert = read(decoder, fields, "invert", flag).unwrap_or(false);
    let value = fields.required(decoder, "value")?;
    let text = decoder.nonempty(value)?;
    let Some(cidr) = Cidr::parse(&text) else {
        let finding = Finding::new("E0303", text.span, "not an address prefix");
        decoder.report(finding.help("write prefixes such as 10.0.0.0/8 or \"fd00::/8\""));
        return None;
    };
    if distinct && invert {
        let message = "\"invert\" does not go with the type Distinct";
        let finding = Finding::new("E0305", fields.key_span("invert"), message);
        decoder.report(finding.label("every address has a bucket of its own"));
        return None;
    }
    Some(SourceSelector {
        cidr,
        invert,
        distinct,
    })
}
