//! `services[].url`: where a service listens, and what stands before every path and query that it gets.

use std::sync::Arc;

use weir_model::Port;

use crate::resource::decode::{Decoder, Field};
use crate::yaml::{Finding, Spanned};

/// The URL of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceUrl {
    /// Whether the service wants TLS.
    pub is_tls: bool,
    /// Host name or address; IPv6 in brackets.
    pub host: Arc<str>,
    /// The port; the scheme's own when not written.
    pub port: Port,
    /// The port as written.
    pub written_port: Option<u16>,
    /// The path without the slash at its end; empty for none.
    pub path: Arc<str>,
    /// The query without `?`; `None` when there is none.
    pub query: Option<Arc<str>>,
}

impl ServiceUrl {
    /// `host` or `host:port`, as a `Host` field has it.
    pub fn authority(&self) -> Arc<str> {
        match self.written_port {
            Some(port) => format!("{}:{port}", self.host).into(),
            None => self.host.clone(),
        }
    }
}

/// Reads a URL.
pub(super) fn decode(decoder: &mut Decoder, field: Field<'_>) -> Option<Spanned<ServiceUrl>> {
    let text = decoder.nonempty(field)?;
    match parse(&text) {
        Ok(url) => Some(Spanned::new(url, text.span)),
        Err(help) => {
            // The text is not repeated: it may hold a password from the environment.
            let finding = Finding::new("E0404", text.span, "this is not the URL of an HTTP service");
            decoder.report(finding.help(help));
            None
        }
    }
}

/// The URL, or what to do about it.
fn parse(text: &str) -> Result<ServiceUrl, &'static str> {
    let (scheme, rest) = text
        .split_once("://")
        .ok_or("write scheme and host: http://HOST:PORT")?;
    let is_tls = match scheme.to_ascii_lowercase().as_str() {
        "http" => false,
        "https" => true,
        _ => return Err("the scheme is http or https"),
    };
    if rest.contains('#') {
        return Err("leave out the fragment: services never see it");
    }
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at(end);
    if authority.contains('@') {
        return Err("leave out the user: set the header authorization with a filter");
    }
    let host = weir_wire::host::parse(authority.as_bytes())
        .map_err(|_| "write a host name or an address, and perhaps a port, after ://")?;
    if host.name.is_empty() {
        return Err("write a host name or an address after ://");
    }
    let port = host.port.unwrap_or(if is_tls { 443 } else { 80 });
    let port = Port::new(u64::from(port)).ok_or("the port is from 1 to 65535")?;
    let normal = weir_wire::path::normalise(target.as_bytes())
        .map_err(|_| "the path may hold no %00, %2F, %5C, spaces and dot segments")?;
    let path = normal.path.strip_suffix('/').unwrap_or(&normal.path);
    Ok(ServiceUrl {
        is_tls,
        host: Arc::from(&*host.name),
        port,
        written_port: host.port,
        path: path.into(),
        query: normal.query.filter(|query| !query.is_empty()).map(Into::into),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kt08_urls_have_a_scheme_and_a_host() {
        for (text, expected) in [
            ("http://api:3001", Some("api 3001  -")),
            ("HTTP://API", Some("api 80  -")),
            ("https://api.example.com/", Some("api.example.com 443  -")),
            ("http://[::1]:8080/v1/?key=a", Some("[::1] 8080 /v1 key=a")),
            ("http://api?x=1", Some("api 80  x=1")),
            ("http://api/a/../b", Some("api 80 /b -")),
            ("api:3001", None),
            ("ftp://api", None),
            ("http://", None),
            ("http:///path", None),
            ("http://user:secret@api", None),
            ("http://api:0", None),
            ("http://api:99999", None),
            ("http://api/%2f", None),
            ("http://a b", None),
            ("http://api/#top", None),
        ] {
            let url = parse(text).ok();
            let shown = url.map(|url| {
                let query = url.query.as_deref().unwrap_or("-");
                format!("{} {} {} {query}", url.host, url.port.number(), url.path)
            });
            assert_eq!(shown.as_deref(), expected, "{text}");
        }
    }
}
