//! The `CORS` filter of `HTTPRoute`.

use std::sync::Arc;
use std::time::Duration;

use weir_model::{Cors, HostPattern, OriginPattern, Port};

use super::decode::{Decoder, Field, Fields};
use super::format;
use super::http_header::header_name;
use crate::yaml::{Finding, Spanned};

/// `maxAge` when none is written (Gateway API `HTTPCORSFilter`).
const MAX_AGE_SECONDS: i64 = 5;

const METHODS: &[(&str, ())] = &[
    ("GET", ()),
    ("HEAD", ()),
    ("POST", ()),
    ("PUT", ()),
    ("DELETE", ()),
    ("CONNECT", ()),
    ("OPTIONS", ()),
    ("TRACE", ()),
    ("PATCH", ()),
    ("*", ()),
];

/// Reads `cors`; `None` when anything of it is unusable, because half a CORS policy is another policy.
pub(super) fn decode(decoder: &mut Decoder, field: Field<'_>) -> Option<Cors> {
    let known = [
        "allowOrigins",
        "allowMethods",
        "allowHeaders",
        "exposeHeaders",
        "allowCredentials",
        "maxAge",
    ];
    let fields = decoder.fields(field, &known)?;
    let mark = decoder.mark();
    let allow_origins = list(decoder, &fields, "allowOrigins", origin);
    let allow_methods = list(decoder, &fields, "allowMethods", |decoder, field| {
        decoder.choice(field, METHODS)?;
        decoder.text(field)
    });
    let allow_headers = list(decoder, &fields, "allowHeaders", header_or_star);
    let expose_headers = list(decoder, &fields, "exposeHeaders", header_or_star);
    let alone = |decoder: &mut Decoder, name: &'static str, star: bool, length: usize| {
        if star && length > 1 {
            let message = format!("\"{name}\" cannot hold \"*\" beside other entries");
            decoder.conflict(
                fields.key_span(name),
                message,
                "\"*\" stands for all: remove it or the others",
            );
        }
    };
    alone(
        decoder,
        "allowOrigins",
        allow_origins.contains(&OriginPattern::Any),
        allow_origins.len(),
    );
    for (name, words) in [
        ("allowMethods", &allow_methods),
        ("allowHeaders", &allow_headers),
        ("exposeHeaders", &expose_headers),
    ] {
        alone(
            decoder,
            name,
            words.iter().any(|word| **word == *"*"),
            words.len(),
        );
    }
    let credentials = fields
        .optional("allowCredentials")
        .and_then(|field| decoder.boolean(field));
    let max_age = fields
        .optional("maxAge")
        .and_then(|field| decoder.integer(field, 1..=i64::from(i32::MAX)));
    let max_age = max_age.map_or(MAX_AGE_SECONDS, |seconds| seconds.value);
    (!decoder.failed_since(mark)).then(|| Cors {
        allow_origins,
        allow_methods,
        allow_headers,
        expose_headers,
        allow_credentials: credentials.is_some_and(|credentials| credentials.value),
        max_age: Duration::from_secs(max_age.unsigned_abs()),
    })
}

fn list<T>(
    decoder: &mut Decoder,
    fields: &Fields<'_>,
    name: &'static str,
    read: impl Fn(&mut Decoder, Field<'_>) -> Option<Spanned<T>>,
) -> Vec<T> {
    let items = fields
        .optional(name)
        .map(|field| decoder.items(field, 64))
        .unwrap_or_default();
    items
        .into_iter()
        .filter_map(|item| read(decoder, item))
        .map(|item| item.value)
        .collect()
}

fn header_or_star(decoder: &mut Decoder, field: Field<'_>) -> Option<Spanned<Arc<str>>> {
    // `*` is a token, so it is a header name by its form.
    header_name(decoder, field)
}

/// Reads `SCHEME://HOST[:PORT]`, where the host may be or start with a wildcard, or `*`.
fn origin(decoder: &mut Decoder, field: Field<'_>) -> Option<Spanned<OriginPattern>> {
    let text = decoder.nonempty(field)?;
    if *text.value == *"*" {
        return Some(Spanned::new(OriginPattern::Any, text.span));
    }
    let origin = parse_origin(&text.to_ascii_lowercase());
    if origin.is_none() {
        let message = format!("\"{}\" is not an origin", text.value);
        let help = "write a scheme, a host and maybe a port, such as https://*.example.com:8443, or *";
        decoder.report(Finding::new("E0103", text.span, message).help(help));
    }
    Some(Spanned::new(origin?, text.span))
}

fn parse_origin(text: &str) -> Option<OriginPattern> {
    let (scheme, rest) = text.split_once("://")?;
    let mut letters = scheme.bytes();
    let valid = letters.next()?.is_ascii_lowercase()
        && letters.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b));
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) => (host, Some(Port::new(port.parse().ok()?)?)),
        None => (rest, None),
    };
    let name = host.strip_prefix("*.").unwrap_or(host);
    if !valid || !(host == "*" || format::is_subdomain(name)) {
        return None;
    }
    // RFC 6454 4: an origin without port has its scheme's default port.
    let port = port.or_else(|| match scheme {
        "http" => Port::new(80),
        "https" => Port::new(443),
        _ => None,
    });
    Some(OriginPattern::Of {
        scheme: scheme.into(),
        host: HostPattern::parse(host),
        port,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_have_scheme_host_and_port() {
        let shown = |text: &str| match parse_origin(text) {
            Some(OriginPattern::Of { scheme, host, port }) => {
                format!("{scheme} {host} {:?}", port.map(Port::number))
            }
            Some(OriginPattern::Any) => "any".to_owned(),
            None => "none".to_owned(),
        };
        for (text, expected) in [
            ("https://example.com", "https example.com Some(443)"),
            ("http://*.example.com:8080", "http *.example.com Some(8080)"),
            ("https://*", "https * Some(443)"),
            ("app+x://host", "app+x host None"),
            ("example.com", "none"),
            ("https://", "none"),
            ("https://a b", "none"),
            ("https://a*.com", "none"),
            ("https://a.com:0", "none"),
            ("https://a.com:port", "none"),
            ("https://a.com/", "none"),
            ("1http://a.com", "none"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }
}
