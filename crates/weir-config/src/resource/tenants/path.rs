//! `domains` and `path_prefix`: where a tenant is reached.

use std::net::Ipv6Addr;
use std::sync::Arc;

use weir_model::HostPattern;

use crate::resource::decode::{Decoder, Field};
use crate::resource::{format, hostname, http_match};
use crate::yaml::{Finding, Spanned};

/// What a request for the prefix without its slash gets (row KT11).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BarePrefix {
    /// 308 to the prefix with its slash, so that relative links keep working.
    #[default]
    Redirect,
    /// The same as the prefix itself.
    Match,
    /// 404.
    NotFound,
}

/// How it is written.
pub(super) const BARE_PREFIXES: &[(&str, BarePrefix)] = &[
    ("redirect", BarePrefix::Redirect),
    ("match", BarePrefix::Match),
    ("not_found", BarePrefix::NotFound),
];

/// Reads one of `domains`: a DNS name, `*.` and a DNS name, an IP address, or `*`.
pub(super) fn domain(decoder: &mut Decoder, field: Field<'_>) -> Option<Spanned<HostPattern>> {
    let text = decoder.nonempty(field)?;
    let lower = text.trim_end_matches('.').to_ascii_lowercase();
    let pattern = match lower.strip_prefix("*.") {
        Some(suffix) => format::is_subdomain(suffix).then(|| HostPattern::Suffix(suffix.into())),
        None if lower == "*" => Some(HostPattern::Any),
        None => {
            let literal = lower.parse::<Ipv6Addr>().map(|address| format!("[{address}]"));
            let written = literal.unwrap_or(lower);
            weir_wire::host::parse(written.as_bytes())
                .ok()
                .filter(|host| host.port.is_none() && !host.name.is_empty() && !written.ends_with(':'))
                .map(|host| HostPattern::Exact(Arc::from(host.name)))
        }
    };
    if pattern.is_none() {
        let finding = Finding::new("E0402", text.span, format!("\"{}\" is not a domain", text.value));
        let help = hostname::help(&text).unwrap_or("write a host name, *.example.com, or an IP address");
        decoder.report(finding.help(help));
    }
    pattern.map(|pattern| Spanned::new(pattern, text.span))
}

/// Reads a prefix that starts and ends with `/`. Held without the slash at its end, so that `/` is empty.
pub(super) fn prefix(decoder: &mut Decoder, field: Field<'_>) -> Option<Spanned<Arc<str>>> {
    let text = decoder.nonempty(field)?;
    if !text.starts_with('/') || !text.ends_with('/') {
        let message = format!(
            "\"{}\" is not a prefix: it starts and ends with \"/\"",
            text.value
        );
        let inner = text.trim_matches('/');
        let meant = if inner.is_empty() {
            "/".to_owned()
        } else {
            format!("/{inner}/")
        };
        decoder.report(Finding::new("E0403", text.span, message).help(format!("write {meant}")));
        return None;
    }
    let path = path(decoder, &text)?;
    Some(Spanned::new(path[..path.len() - 1].into(), text.span))
}

/// A path as requests have it when they are matched.
pub(super) fn path(decoder: &mut Decoder, text: &Spanned<Arc<str>>) -> Option<Arc<str>> {
    if let Some(finding) = http_match::path_finding(text) {
        decoder.report(Finding {
            code: "E0403",
            ..finding
        });
        return None;
    }
    http_match::normalised(decoder, text)
}
