//! Cross-origin requests (Gateway API `HTTPCORSFilter`, the Fetch standard's CORS protocol).

use std::sync::Arc;

use weir_model::{Cors, HostPattern, OriginPattern, Port};
use weir_wire::{Fields, Known, Method, host};

use super::super::Exchange;
use crate::transit::Edits;

/// Whether the request asks what a cross-origin request may do.
pub(super) fn is_preflight(exchange: &Exchange<'_>) -> bool {
    let head = &exchange.scratch.head;
    head.method == Method::Options
        && head.fields.has(Known::Origin)
        && head.fields.has(Known::AccessControlRequestMethod)
}

/// Writes the answer to a preflight; nothing for an origin that may not.
pub(super) fn write_preflight(cors: &Cors, exchange: &Exchange<'_>, edits: &mut Edits) {
    let (fields, bytes) = (&exchange.scratch.head.fields, exchange.head());
    if !write_origin(cors, fields, bytes, edits) {
        return;
    }
    let asked = |name| fields.value(name, bytes);
    if let Some(method) = asked(Known::AccessControlRequestMethod) {
        write_list(
            cors,
            &cors.allow_methods,
            b"access-control-allow-methods",
            method,
            edits,
        );
    }
    if let Some(headers) = asked(Known::AccessControlRequestHeaders) {
        write_list(
            cors,
            &cors.allow_headers,
            b"access-control-allow-headers",
            headers,
            edits,
        );
    }
    let age = cors.max_age.as_secs().to_string();
    edits.add(b"access-control-max-age", age.as_bytes());
}

/// Adds what a script needs to read the response; replaces what the endpoint said of it.
pub(super) fn decorate(cors: &Cors, exchange: &Exchange<'_>, edits: &mut Edits, response: (&Fields, &[u8])) {
    let (fields, bytes) = (&exchange.scratch.head.fields, exchange.head());
    if !fields.has(Known::Origin) {
        return;
    }
    for name in [
        "access-control-allow-origin",
        "access-control-allow-credentials",
        "access-control-expose-headers",
    ] {
        edits.remove(name, response.0, response.1);
    }
    if write_origin(cors, fields, bytes, edits) && !cors.expose_headers.is_empty() {
        edits.add_with(b"access-control-expose-headers", |out| {
            join(&cors.expose_headers, out);
        });
    }
}

/// Writes the allowed origin; `false` when the request's is not allowed.
fn write_origin(cors: &Cors, fields: &Fields, bytes: &[u8], edits: &mut Edits) -> bool {
    let Some(origin) = fields.value(Known::Origin, bytes) else {
        return false;
    };
    if fields.is_repeated(Known::Origin) || !cors.allow_origins.iter().any(|pattern| covers(pattern, origin))
    {
        return false;
    }
    let is_any = cors.allow_origins.contains(&OriginPattern::Any);
    if is_any && !cors.allow_credentials {
        edits.add(b"access-control-allow-origin", b"*");
    } else {
        edits.add(b"access-control-allow-origin", origin);
        edits.add(b"vary", b"origin");
    }
    if cors.allow_credentials {
        edits.add(b"access-control-allow-credentials", b"true");
    }
    true
}

/// Writes a list of methods or headers. With credentials a browser does not take `*` for all, so what was asked for
/// is allowed by name.
fn write_list(cors: &Cors, allowed: &[Arc<str>], name: &[u8], asked: &[u8], edits: &mut Edits) {
    if allowed.is_empty() {
        return;
    }
    let is_any = allowed.iter().any(|item| &**item == "*");
    match (is_any, cors.allow_credentials) {
        (true, true) => edits.add(name, asked),
        (true, false) => edits.add(name, b"*"),
        (false, _) => edits.add_with(name, |out| join(allowed, out)),
    }
}

fn join(items: &[Arc<str>], out: &mut Vec<u8>) {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(b", ");
        }
        out.extend_from_slice(item.as_bytes());
    }
}

/// Whether a pattern covers the value of an `Origin` field (RFC 6454 6.1: `scheme://host[:port]`, or `null`).
fn covers(pattern: &OriginPattern, origin: &[u8]) -> bool {
    let OriginPattern::Of {
        scheme,
        host: wanted,
        port,
    } = pattern
    else {
        return true;
    };
    let Some(rest) = origin
        .strip_prefix(scheme.as_bytes())
        .and_then(|rest| rest.strip_prefix(b"://"))
    else {
        return false;
    };
    let Ok(found) = host::parse(rest) else {
        return false;
    };
    let well_known = match &**scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    };
    let is_host = match wanted {
        HostPattern::Any => true,
        _ => wanted.matches(&found.name),
    };
    is_host && found.port.or(well_known) == port.map(Port::number).or(well_known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_match_by_scheme_host_and_port() {
        let pattern = |scheme: &str, host: &str, port: Option<u64>| OriginPattern::Of {
            scheme: scheme.into(),
            host: HostPattern::parse(host),
            port: port.and_then(Port::new),
        };
        for (pattern, origin, covered) in [
            (OriginPattern::Any, "null", true),
            (pattern("https", "www.foo.com", None), "https://www.foo.com", true),
            (
                pattern("https", "www.foo.com", None),
                "https://www.foo.com:443",
                true,
            ),
            (
                pattern("https", "www.foo.com", Some(443)),
                "https://www.foo.com",
                true,
            ),
            (pattern("https", "www.foo.com", None), "http://www.foo.com", false),
            (
                pattern("https", "www.foo.com", None),
                "https://www.foo.com:8443",
                false,
            ),
            (pattern("https", "*.bar.com", None), "https://a.b.bar.com", true),
            (pattern("https", "*.bar.com", None), "https://bar.com", false),
            (pattern("http", "*", Some(8080)), "http://x:8080", true),
            (pattern("https", "www.foo.com", None), "null", false),
            (
                pattern("https", "www.foo.com", None),
                "https://www.foo.com/",
                false,
            ),
            (
                pattern("https", "www.foo.com", None),
                "https://www.foo.com.evil.com",
                false,
            ),
        ] {
            assert_eq!(
                covers(&pattern, origin.as_bytes()),
                covered,
                "{pattern:?} {origin}"
            );
        }
    }
}
