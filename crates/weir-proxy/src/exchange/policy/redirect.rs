//! Redirects (Gateway API `HTTPRequestRedirectFilter`).

use weir_model::Redirect;

use super::super::route::Found;
use super::super::{Exchange, outbound};
use crate::transit::Edits;

/// Writes the `location`.
pub(in crate::exchange) fn write(
    redirect: &Redirect,
    exchange: &Exchange<'_>,
    found: &Found<'_>,
    edits: &mut Edits,
) {
    let scheme = redirect.scheme.as_deref().unwrap_or("http");
    let host = redirect.host.as_deref().unwrap_or(&exchange.scratch.host);
    let port = port_text(redirect, scheme, found.section.port);
    edits.add_with(b"location", |out| {
        if !redirect.is_relative {
            for part in [scheme, "://", host, &port] {
                out.extend_from_slice(part.as_bytes());
            }
        }
        match &redirect.path {
            Some(change) => out.extend_from_slice(&outbound::rewritten_target(exchange, found, change)),
            None => out.extend_from_slice(exchange.scratch.target.as_bytes()),
        }
    });
}

/// Gateway API: the filter's port, else the scheme's own if the filter names a scheme, else the listener's; the
/// well-known ones are left out.
fn port_text(redirect: &Redirect, scheme: &str, listener_port: u16) -> String {
    let well_known = if scheme == "https" { 443 } else { 80 };
    let port = match (redirect.port, &redirect.scheme) {
        (Some(port), _) => port.number(),
        (None, Some(_)) => well_known,
        (None, None) => listener_port,
    };
    if port == well_known {
        String::new()
    } else {
        format!(":{port}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_model::Port;

    #[test]
    fn redirect_ports() {
        for (scheme, port, listener, expected) in [
            (None, None, 80, ""),
            (None, None, 8080, ":8080"),
            (Some("https"), None, 8080, ""),
            (Some("http"), None, 8080, ""),
            (Some("https"), Some(443), 80, ""),
            (Some("https"), Some(8443), 80, ":8443"),
            (Some("http"), Some(443), 80, ":443"),
            (None, Some(80), 8080, ""),
        ] {
            let redirect = Redirect {
                scheme: scheme.map(Into::into),
                host: None,
                path: None,
                port: port.and_then(Port::new),
                status: 302,
                is_relative: false,
            };
            let text = port_text(&redirect, scheme.unwrap_or("http"), listener);
            assert_eq!(text, expected, "{scheme:?} {port:?} {listener}");
        }
    }
}
