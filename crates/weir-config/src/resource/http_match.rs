//! Conditions of `HTTPRoute` matches.

use std::collections::HashSet;
use std::sync::Arc;

use weir_model::{HeaderMatch, PathMatch, QueryMatch, ValueMatch};
use weir_route::Pattern;

use super::decode::{Decoder, Field, Fields, portability};
use super::http_header::header_name;
use super::{format, words};
use crate::yaml::{Finding, Span, Spanned};

/// One entry of `matches`.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpMatch {
    /// `path`; the prefix `/` when not written.
    pub path: Spanned<PathMatch>,
    /// `method`.
    pub method: Option<Spanned<Arc<str>>>,
    /// `headers`, names in lower case and unique: the first of equal names counts.
    pub headers: Vec<Spanned<HeaderMatch>>,
    /// `queryParams`, names unique: the first of equal names counts.
    pub query: Vec<Spanned<QueryMatch>>,
    /// Where the match starts.
    pub span: Span,
}

impl HttpMatch {
    /// The match of a rule that names none: the prefix `/`.
    pub(super) fn everything(span: Span) -> Self {
        Self {
            path: Spanned::default_of(PathMatch::Prefix(words::shared(""))),
            method: None,
            headers: Vec::new(),
            query: Vec::new(),
            span,
        }
    }
}

const METHODS: &[(&str, &str)] = &[
    ("GET", "GET"),
    ("HEAD", "HEAD"),
    ("POST", "POST"),
    ("PUT", "PUT"),
    ("DELETE", "DELETE"),
    ("CONNECT", "CONNECT"),
    ("OPTIONS", "OPTIONS"),
    ("TRACE", "TRACE"),
    ("PATCH", "PATCH"),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum PathType {
    Exact,
    Prefix,
    Regex,
}

const PATH_TYPES: &[(&str, PathType)] = &[
    ("Exact", PathType::Exact),
    ("PathPrefix", PathType::Prefix),
    ("RegularExpression", PathType::Regex),
];

/// Whether the value is a regular expression.
const VALUE_TYPES: &[(&str, bool)] = &[("Exact", false), ("RegularExpression", true)];

/// What must not stand in a path, or at its end (Gateway API, CEL rules of `HTTPPathMatch`).
const PATH_FORBIDDEN: [&str; 6] = ["//", "/./", "/../", "%2f", "%2F", "#"];
const PATH_END_FORBIDDEN: [&str; 2] = ["/..", "/."];

/// Reads one entry of `matches`; `None` when a condition of it is unusable.
pub(super) fn decode(decoder: &mut Decoder, item: Field<'_>) -> Option<HttpMatch> {
    let mark = decoder.mark();
    let known = ["path", "method", "headers", "queryParams"];
    let fields = decoder.fields_with_vital(item, &known, known)?;
    let mut found = HttpMatch::everything(item.span());
    if let Some(field) = fields.optional("path") {
        found.path = path(decoder, field)?;
    }
    if let Some(field) = fields.optional("method") {
        let method = decoder.choice(field, METHODS)?;
        found.method = Some(Spanned::new(words::shared(method.value), method.span));
    }
    if let Some(field) = fields.optional("headers") {
        found.headers = conditions(decoder, field, "header", header_name, |name, value| HeaderMatch {
            name,
            value,
        });
    }
    if let Some(field) = fields.optional("queryParams") {
        let what = "query parameter";
        found.query = conditions(decoder, field, what, query_name, |name, value| QueryMatch {
            name,
            value,
        });
    }
    (!decoder.failed_since(mark)).then_some(found)
}

/// Reads `path`.
fn path(decoder: &mut Decoder, field: Field<'_>) -> Option<Spanned<PathMatch>> {
    let fields = decoder.fields_with_vital(field, &["type", "value"], ["type", "value"])?;
    path_condition(decoder, &fields)
}

/// Reads the condition on a path that `type` and `value` make.
pub(crate) fn path_condition(decoder: &mut Decoder, fields: &Fields<'_>) -> Option<Spanned<PathMatch>> {
    let kind = match fields.optional("type") {
        Some(field) => decoder.choice(field, PATH_TYPES)?.value,
        None => PathType::Prefix,
    };
    let value = match fields.optional("value") {
        Some(field) => decoder.text(field)?,
        None => Spanned::new(words::shared("/"), fields.span()),
    };
    if value.len() > 1024 {
        let message = format!("the path has {} characters; Kubernetes accepts 1024", value.len());
        decoder.report(portability(value.span, message));
    }
    if kind == PathType::Regex {
        return regex(decoder, &value).map(|pattern| Spanned::new(PathMatch::Regex(pattern), value.span));
    }
    if let Some(finding) = path_finding(&value) {
        decoder.report(finding);
        return None;
    }
    let path = normalised(decoder, &value)?;
    let path = match kind {
        PathType::Exact => PathMatch::Exact(path),
        // A trailing slash means nothing to a prefix (Gateway API `PathPrefix`).
        PathType::Prefix | PathType::Regex => match path.strip_suffix('/') {
            Some(prefix) => PathMatch::Prefix(prefix.into()),
            None => PathMatch::Prefix(path),
        },
    };
    Some(Spanned::new(path, value.span))
}

/// What is wrong with a path that requests are to be matched by.
pub(super) fn path_finding(value: &Spanned<Arc<str>>) -> Option<Finding> {
    let finding = |message: String| Finding::new("E0103", value.span, message);
    if !value.starts_with('/') {
        let help = format!("write \"/{}\"", value.value);
        return Some(finding(format!("the path \"{}\" does not start with \"/\"", value.value)).help(help));
    }
    let inside = PATH_FORBIDDEN.iter().find(|part| value.contains(**part));
    if let Some(part) = inside.or(PATH_END_FORBIDDEN.iter().find(|part| value.ends_with(**part))) {
        let help = "requests are matched by their normalised path, which never holds it";
        return Some(finding(format!("the path \"{}\" holds \"{part}\"", value.value)).help(help));
    }
    if !format::is_path(value) {
        let help = "write other characters percent-encoded, or use the type RegularExpression";
        return Some(
            finding(format!(
                "the path \"{}\" has characters that no path has",
                value.value
            ))
            .help(help),
        );
    }
    None
}

/// The path as requests have it when they are matched: `%c3` is `%C3`, `%41` is `A` (RFC 3986 6.2.2).
pub(super) fn normalised(decoder: &mut Decoder, value: &Spanned<Arc<str>>) -> Option<Arc<str>> {
    match weir_wire::path::normalise(value.as_bytes()) {
        Ok(normal) if *normal.path == *value.value => Some(value.value.clone()),
        Ok(normal) => Some(Arc::from(normal.path)),
        Err(_) => {
            let message = format!(
                "the path \"{}\" never matches: requests for it are refused",
                value.value
            );
            let help = "leave out %00, %2F, %5C and dot segments";
            decoder.report(Finding::new("E0103", value.span, message).help(help));
            None
        }
    }
}

/// Reads `headers` or `queryParams`: the first of equal names counts.
fn conditions<T>(
    decoder: &mut Decoder,
    field: Field<'_>,
    what: &str,
    name: fn(&mut Decoder, Field<'_>) -> Option<Spanned<Arc<str>>>,
    condition: fn(Arc<str>, ValueMatch) -> T,
) -> Vec<Spanned<T>> {
    let mut found = Vec::new();
    let mut names = HashSet::new();
    for item in decoder.items(field, 16) {
        let Some(fields) = decoder.fields(item, &["type", "name", "value"]) else {
            continue;
        };
        let name = fields
            .required(decoder, "name")
            .and_then(|field| name(decoder, field));
        let value = value_condition(decoder, &fields);
        let (Some(name), Some(value)) = (name, value) else {
            continue;
        };
        if !names.insert(name.value.clone()) {
            let message = format!("the match names the {what} \"{}\" twice", name.value);
            decoder.report(Finding::new("W0106", name.span, message).label("the first entry counts"));
            continue;
        }
        found.push(Spanned::new(condition(name.value, value), item.span()));
    }
    found
}

fn query_name(decoder: &mut Decoder, field: Field<'_>) -> Option<Spanned<Arc<str>>> {
    let name = decoder.nonempty(field)?;
    if name.len() > 256 || !format::is_token(&name) {
        let message = format!(
            "Kubernetes does not accept \"{}\" as the name of a query parameter",
            name.value
        );
        decoder.report(portability(name.span, message));
    }
    Some(name)
}

/// Reads the condition on a value that `type` and `value` make.
pub(crate) fn value_condition(decoder: &mut Decoder, fields: &Fields<'_>) -> Option<ValueMatch> {
    let is_regex = match fields.optional("type") {
        Some(field) => decoder.choice(field, VALUE_TYPES)?.value,
        None => false,
    };
    let value = fields
        .required(decoder, "value")
        .and_then(|field| decoder.nonempty(field))?;
    Some(if is_regex {
        ValueMatch::Regex(regex(decoder, &value)?)
    } else {
        ValueMatch::Exact(value.value)
    })
}

/// Checks a regular expression by the rules of the router, which compiles it to match whole values.
fn regex(decoder: &mut Decoder, pattern: &Spanned<Arc<str>>) -> Option<Arc<str>> {
    let Err(error) = Pattern::compile(pattern) else {
        return Some(pattern.value.clone());
    };
    // What the library shows on further lines is its own rewritten expression.
    let reason = error.reason.lines().next().unwrap_or_default();
    let reason = reason.strip_suffix(": regex parse error:").unwrap_or(reason);
    let help = match reason {
        _ if reason.starts_with("needs more than") => Some("use smaller counts in {} and fewer alternatives"),
        _ if reason.starts_with("look-around") => Some("look-around is not supported, as in RE2"),
        _ if reason.starts_with("cannot be anchored") => {
            Some("the flag x makes the end a comment: leave the comment out")
        }
        _ => None,
    };
    let finding = Finding::new("E0108", pattern.span, "the regular expression cannot be used").label(reason);
    decoder.report(match help {
        Some(help) => finding.help(help),
        None => finding,
    });
    None
}
