//! `HTTPRoute` filters.

use std::collections::HashSet;
use std::mem;

use weir_model::{Cors, Fraction, HeaderChange, PathRewrite, Redirect, Rewrite};

use super::decode::{Decoder, Field};
use super::http_header::header_change;
use super::{BackendReference, Reference, cors, format, hostname, words};
use crate::yaml::{Finding, Spanned};

/// One entry of `filters`, in the model's own terms where nothing has to be resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpFilter {
    /// `RequestHeaderModifier`.
    RequestHeaders(HeaderChange),
    /// `ResponseHeaderModifier`.
    ResponseHeaders(HeaderChange),
    /// `RequestRedirect`.
    Redirect(Redirect),
    /// `URLRewrite`.
    Rewrite(Rewrite),
    /// `RequestMirror`.
    Mirror(MirrorFilter),
    /// `CORS`.
    Cors(Cors),
    /// `ExternalAuth`, which is not served.
    ExternalAuth,
    /// `ExtensionRef`: an implementation-specific filter in the route's own namespace.
    Extension(Reference),
}

/// `RequestMirror`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirrorFilter {
    /// Where the copies go.
    pub backend: BackendReference,
    /// Which part of the requests is copied.
    pub fraction: Fraction,
}

/// Types of filters: the word, the field that belongs to it.
const TYPES: &[(&str, &str)] = &[
    ("RequestHeaderModifier", "requestHeaderModifier"),
    ("ResponseHeaderModifier", "responseHeaderModifier"),
    ("RequestRedirect", "requestRedirect"),
    ("URLRewrite", "urlRewrite"),
    ("RequestMirror", "requestMirror"),
    ("CORS", "cors"),
    ("ExternalAuth", "externalAuth"),
    ("ExtensionRef", "extensionRef"),
];

const STATUS_CODES: [i64; 5] = [301, 302, 303, 307, 308];

/// Reads a list of filters and applies the rules about filters beside each other (Gateway API `HTTPRouteRule`
/// and `HTTPBackendRef`). Filters that cannot be read are left out: the caller refuses what they belong to.
pub(super) fn decode_list(decoder: &mut Decoder, field: Field<'_>) -> Vec<Spanned<HttpFilter>> {
    let mut filters: Vec<Spanned<HttpFilter>> = Vec::new();
    let mut kinds = HashSet::new();
    for item in decoder.items(field, 16) {
        let Some(filter) = decode(decoder, item) else {
            continue;
        };
        if !kinds.insert(mem::discriminant(&filter)) && filter.is_single() {
            let message = format!("the filter {} cannot be repeated", filter.type_word());
            decoder.conflict(item.span(), message, "make one filter of the two");
        }
        filters.push(Spanned::new(filter, item.span()));
    }
    let rewrite = filters
        .iter()
        .any(|filter| matches!(filter.value, HttpFilter::Rewrite(_)));
    if let Some(redirect) = filters
        .iter()
        .find(|filter| matches!(filter.value, HttpFilter::Redirect(_)))
        && rewrite
    {
        let message = "RequestRedirect and URLRewrite cannot be used together";
        decoder.conflict(
            redirect.span,
            message,
            "a redirected request is not forwarded: remove one of the two",
        );
    }
    filters
}

impl HttpFilter {
    /// The word of `type`.
    pub fn type_word(&self) -> &'static str {
        match self {
            Self::RequestHeaders(_) => "RequestHeaderModifier",
            Self::ResponseHeaders(_) => "ResponseHeaderModifier",
            Self::Redirect(_) => "RequestRedirect",
            Self::Rewrite(_) => "URLRewrite",
            Self::Mirror(_) => "RequestMirror",
            Self::Cors(_) => "CORS",
            Self::ExternalAuth => "ExternalAuth",
            Self::Extension(_) => "ExtensionRef",
        }
    }

    /// Whether it replaces the matched prefix, which needs exactly one PathPrefix match.
    pub(super) fn replaces_prefix(&self) -> bool {
        let path = match self {
            Self::Redirect(redirect) => &redirect.path,
            Self::Rewrite(rewrite) => &rewrite.path,
            _ => return false,
        };
        matches!(path, Some(PathRewrite::Prefix(_)))
    }

    /// Whether a rule may have it only once.
    fn is_single(&self) -> bool {
        !matches!(self, Self::Mirror(_) | Self::Extension(_) | Self::ExternalAuth)
    }
}

fn decode(decoder: &mut Decoder, item: Field<'_>) -> Option<HttpFilter> {
    let known: Vec<_> = ["type"]
        .into_iter()
        .chain(TYPES.iter().map(|(_, field)| *field))
        .collect();
    let fields = decoder.fields(item, &known)?;
    let own = fields
        .required(decoder, "type")
        .and_then(|field| decoder.choice(field, TYPES))?;
    let word = TYPES
        .iter()
        .find(|(_, field)| *field == own.value)
        .map_or("", |(word, _)| word);
    for (_, other) in TYPES.iter().filter(|(_, field)| *field != own.value) {
        if fields.optional(other).is_some() {
            let message = format!("\"{other}\" does not belong in a filter of type {word}");
            decoder.conflict(
                fields.key_span(other),
                message,
                "one filter does one thing: make two list entries",
            );
            return None;
        }
    }
    let Some(field) = fields.optional(own.value) else {
        let message = format!("a filter of type {word} needs \"{}\"", own.value);
        decoder.conflict(
            own.span,
            message,
            format!("add \"{}\" beside \"type\"", own.value),
        );
        return None;
    };
    match own.value {
        "requestHeaderModifier" => header_change(decoder, field).map(HttpFilter::RequestHeaders),
        "responseHeaderModifier" => header_change(decoder, field).map(HttpFilter::ResponseHeaders),
        "requestRedirect" => redirect(decoder, field).map(HttpFilter::Redirect),
        "urlRewrite" => rewrite(decoder, field).map(HttpFilter::Rewrite),
        "requestMirror" => mirror(decoder, field).map(HttpFilter::Mirror),
        "cors" => cors::decode(decoder, field).map(HttpFilter::Cors),
        "externalAuth" => Some(HttpFilter::ExternalAuth),
        _ => {
            let fields = decoder.fields(field, &["group", "kind", "name"])?;
            fields.required(decoder, "group")?;
            fields.required(decoder, "kind")?;
            Reference::from_fields(decoder, &fields, ("", "")).map(HttpFilter::Extension)
        }
    }
}

/// Reads `requestRedirect`.
pub(crate) fn redirect(decoder: &mut Decoder, field: Field<'_>) -> Option<Redirect> {
    let fields = decoder.fields(field, &["scheme", "hostname", "path", "port", "statusCode"])?;
    let mark = decoder.mark();
    let schemes = &[("http", "http"), ("https", "https")];
    let scheme = fields
        .optional("scheme")
        .and_then(|field| decoder.choice(field, schemes));
    let host = fields
        .optional("hostname")
        .and_then(|field| hostname::decode_precise(decoder, field));
    let path = fields
        .optional("path")
        .and_then(|field| path_rewrite(decoder, field));
    let port = fields.optional("port").and_then(|field| decoder.port(field));
    let status = fields
        .optional("statusCode")
        .and_then(|field| decoder.integer(field, 300..=399));
    if let Some(code) = status.filter(|code| !STATUS_CODES.contains(code)) {
        let message = format!("a redirect cannot have the status {}", code.value);
        decoder.report(
            Finding::new("E0104", code.span, message).help("possible are 301, 302, 303, 307 and 308"),
        );
    }
    let status = status.map_or(302, |code| u16::try_from(code.value).unwrap_or(302));
    (!decoder.failed_since(mark)).then(|| Redirect {
        scheme: scheme.map(|scheme| words::shared(scheme.value)),
        host: host.map(|host| host.value),
        path,
        port: port.map(|port| port.value),
        status,
        is_relative: false,
    })
}

fn rewrite(decoder: &mut Decoder, field: Field<'_>) -> Option<Rewrite> {
    let fields = decoder.fields(field, &["hostname", "path"])?;
    let mark = decoder.mark();
    let host = fields
        .optional("hostname")
        .and_then(|field| hostname::decode_precise(decoder, field));
    let path = fields
        .optional("path")
        .and_then(|field| path_rewrite(decoder, field));
    (!decoder.failed_since(mark)).then(|| Rewrite {
        host: host.map(|host| host.value),
        path,
        query: None,
    })
}

fn path_rewrite(decoder: &mut Decoder, field: Field<'_>) -> Option<PathRewrite> {
    let fields = decoder.fields(field, &["type", "replaceFullPath", "replacePrefixMatch"])?;
    let kinds: &[(&'static str, (&'static str, &'static str))] = &[
        ("ReplaceFullPath", ("replaceFullPath", "replacePrefixMatch")),
        ("ReplacePrefixMatch", ("replacePrefixMatch", "replaceFullPath")),
    ];
    let kind = fields
        .required(decoder, "type")
        .and_then(|field| decoder.choice(field, kinds))?;
    let (own, other) = kind.value;
    if fields.optional(other).is_some() {
        let message = format!("\"{other}\" does not go with this type");
        decoder.conflict(
            fields.key_span(other),
            message,
            format!("this type goes with \"{own}\""),
        );
        return None;
    }
    let Some(value) = fields.optional(own) else {
        decoder.conflict(
            kind.span,
            format!("this type needs \"{own}\""),
            format!("add \"{own}\""),
        );
        return None;
    };
    let path = decoder.text(value)?;
    if path.len() > 1024 || !format::is_path(&path) || !(path.is_empty() || path.starts_with('/')) {
        let message = format!("\"{}\" is not a path", path.value);
        let help = "start with \"/\", write what no path has (spaces, \"?\", \"#\") percent-encoded, at most 1024 characters";
        decoder.report(Finding::new("E0103", path.span, message).help(help));
        return None;
    }
    Some(if own == "replaceFullPath" {
        PathRewrite::Full(path.value)
    } else {
        PathRewrite::Prefix(path.value)
    })
}

fn mirror(decoder: &mut Decoder, field: Field<'_>) -> Option<MirrorFilter> {
    let fields = decoder.fields_with_vital(
        field,
        &["backendRef", "percent", "fraction"],
        ["percent", "fraction"],
    )?;
    let backend = fields.required(decoder, "backendRef").and_then(|field| {
        let known = ["group", "kind", "namespace", "name", "port"];
        let fields = decoder.fields_with_vital(field, &known, ["group", "kind", "namespace"])?;
        BackendReference::from_fields(decoder, &fields)
    });
    let fraction = match (fields.optional("percent"), fields.optional("fraction")) {
        (Some(_), Some(fraction)) => {
            let message = "a mirror takes \"percent\" or \"fraction\", not both";
            decoder.conflict(fraction.span(), message, "remove one of the two");
            None
        }
        (Some(field), None) => {
            let percent = decoder.integer(field, 0..=100)?;
            Fraction::new(u32::try_from(percent.value).ok()?, 100)
        }
        (None, Some(field)) => part(decoder, field),
        (None, None) => Some(Fraction::ALL),
    };
    Some(MirrorFilter {
        backend: backend?,
        fraction: fraction?,
    })
}

fn part(decoder: &mut Decoder, field: Field<'_>) -> Option<Fraction> {
    let fields = decoder.fields(field, &["numerator", "denominator"])?;
    let whole = i64::from(i32::MAX);
    let numerator = fields
        .required(decoder, "numerator")
        .and_then(|field| decoder.integer(field, 0..=whole))?;
    let denominator = match fields.optional("denominator") {
        Some(field) => decoder.integer(field, 1..=whole)?.value,
        None => 100,
    };
    let fraction = Fraction::new(
        u32::try_from(numerator.value).ok()?,
        u32::try_from(denominator).ok()?,
    );
    if fraction.is_none() {
        let message = format!("{} of {denominator} is more than the whole", numerator.value);
        decoder.conflict(
            numerator.span,
            message,
            "the numerator must not be greater than the denominator",
        );
    }
    fraction
}
