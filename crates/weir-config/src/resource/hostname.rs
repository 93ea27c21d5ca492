//! Host names as Gateway API writes them.

use std::net::IpAddr;

use weir_model::HostPattern;

use super::decode::{Decoder, Field, portability};
use super::format;
use crate::yaml::{Finding, Spanned};

/// Reads a `Hostname`: a DNS name, or `*.` and a DNS name.
pub(super) fn decode(decoder: &mut Decoder, field: Field<'_>) -> Option<Spanned<HostPattern>> {
    let text = decoder.nonempty(field)?;
    let lower = text.to_ascii_lowercase();
    let name = lower.strip_prefix("*.").unwrap_or(&lower);
    if !format::is_subdomain(name) {
        let finding = Finding::new(
            "E0103",
            text.span,
            format!("\"{}\" is not a host name", text.value),
        );
        decoder.report(match help(&text) {
            Some(help) => finding.help(help),
            None => finding.help("write a DNS name, or *. and a DNS name"),
        });
        return None;
    }
    if lower != *text.value {
        let message = format!("\"{}\" has upper-case letters", text.value);
        decoder.report(portability(text.span, message).label(format!("read as {lower}")));
    }
    if name.parse::<IpAddr>().is_ok() {
        let message = format!("\"{}\" is an IP address, not a host name", text.value);
        decoder.report(portability(text.span, message).label("matches requests to that address"));
    }
    Some(Spanned::new(HostPattern::parse(&lower), text.span))
}

/// Reads a `PreciseHostname`: a DNS name without wildcard, in lower case.
pub(super) fn decode_precise(
    decoder: &mut Decoder,
    field: Field<'_>,
) -> Option<Spanned<std::sync::Arc<str>>> {
    let host = decode(decoder, field)?;
    match host.value {
        HostPattern::Exact(name) => Some(Spanned::new(name, host.span)),
        HostPattern::Any | HostPattern::Suffix(_) => {
            let message = format!("\"{}\" takes no wildcard", field.name);
            decoder.report(Finding::new("E0103", host.span, message).help("write one host name"));
            None
        }
    }
}

/// What was probably meant by a text that is not a host name.
pub(super) fn help(text: &str) -> Option<&'static str> {
    match text {
        "*" => Some("leave the field out to match all hosts"),
        _ if text.contains("://") => Some("leave out the scheme: only the host name counts"),
        _ if text.contains(':') => Some("leave out the port: only the host name counts"),
        _ if text.contains('*') => Some("a wildcard stands for whole labels at the start: *.example.com"),
        _ if text.ends_with('.') => Some("leave out the dot at the end"),
        _ => None,
    }
}
