//! The request that is explained.

use std::net::{IpAddr, SocketAddr};

use weir_balance::KeyView;
use weir_model::ClientIp;
use weir_wire::forwarded::{ClientRule, client_address};
use weir_wire::{cookie, host, path, query};

/// A request as the data plane would see it: host and path normalised, as they are matched.
#[derive(Clone, Debug)]
pub(crate) struct ExplainedRequest {
    pub(crate) method: String,
    pub(crate) host: String,
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    /// The port of the URL, when it names one.
    pub(crate) port: Option<u16>,
    /// `http` or `https`.
    pub(crate) scheme: &'static str,
    /// Names as given.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) peer: IpAddr,
}

/// The request on one connection to one listener.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival<'a> {
    request: &'a ExplainedRequest,
    client_ip: IpAddr,
    peer: SocketAddr,
    local: SocketAddr,
}

impl ExplainedRequest {
    /// Reads method, URL, headers and cookies.
    ///
    /// # Errors
    /// What cannot be understood, in words for the user.
    pub(crate) fn new(
        method: &str,
        url: &str,
        headers: &[(String, String)],
        peer: IpAddr,
    ) -> Result<Self, String> {
        let (scheme, rest) = match url.split_once("://") {
            Some(("http", rest)) => ("http", rest),
            Some(("https", rest)) => ("https", rest),
            Some((other, _)) => {
                return Err(format!("expected a URL that starts with http://, got {other}://"));
            }
            None => ("http", url),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        // A fragment never leaves the client (RFC 9110 4.2.4).
        let target = target.split_once('#').map_or(target, |(target, _)| target);
        let written = host::parse(authority.as_bytes()).map_err(|error| format!("{url}: {error}"))?;
        let named = match headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("host")) {
            Some((_, value)) => host::parse(value.as_bytes()).map_err(|error| format!("{value}: {error}"))?,
            None => written.clone(),
        };
        let normal = path::normalise(target.as_bytes())
            .map_err(|error| format!("{target}: {error}; weir answers 400 to such a request"))?;
        Ok(Self {
            method: method.to_owned(),
            host: named.name.into_owned(),
            path: normal.path.into_owned(),
            query: normal.query.map(str::to_owned),
            port: written.port,
            scheme,
            headers: headers.to_vec(),
            peer,
        })
    }

    /// As `(name, value)` pairs, which the router understands.
    pub(crate) fn header_pairs(&self) -> Vec<(&str, &str)> {
        self.headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect()
    }

    /// The request on a connection from `peer_port` to a listener.
    pub(crate) fn arrive(&self, local: SocketAddr, rule: &ClientIp, peer_port: u16) -> Arrival<'_> {
        let forwarded = self
            .headers
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case("x-forwarded-for"))
            .map(|(_, value)| value.as_bytes());
        let client_ip = match rule {
            ClientIp::Peer => client_address(self.peer, forwarded, ClientRule::Peer),
            ClientIp::TrustedHops(hops) => client_address(self.peer, forwarded, ClientRule::Hops(*hops)),
            ClientIp::TrustedCidrs(cidrs) => {
                let trusted = |address| cidrs.iter().any(|cidr| cidr.contains(address));
                client_address(self.peer, forwarded, ClientRule::Trusted(&trusted))
            }
        };
        Arrival {
            request: self,
            client_ip,
            peer: SocketAddr::new(self.peer, peer_port),
            local,
        }
    }
}

impl KeyView for Arrival<'_> {
    fn header_values<'a>(&'a self, name: &str, each: &mut dyn FnMut(&'a [u8])) {
        for (field, value) in &self.request.headers {
            if field.eq_ignore_ascii_case(name) {
                each(value.as_bytes());
            }
        }
    }

    fn cookie(&self, name: &str) -> Option<&[u8]> {
        let fields = self
            .request
            .headers
            .iter()
            .filter(|(field, _)| field.eq_ignore_ascii_case("cookie"));
        cookie::value(fields.map(|(_, value)| value.as_bytes()), name.as_bytes())
    }

    fn query_parameter(&self, name: &str) -> Option<&[u8]> {
        query::value(self.request.query.as_deref()?, name).map(str::as_bytes)
    }

    fn client_ip(&self) -> IpAddr {
        self.client_ip
    }

    fn peer(&self) -> SocketAddr {
        self.peer
    }

    fn local(&self) -> SocketAddr {
        self.local
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bx11_a_url_is_read_the_way_a_request_is() {
        let peer = "10.0.0.9".parse().expect("an address");
        let read = |url: &str, host: Option<&str>| {
            let headers: Vec<_> = host
                .map(|host| ("Host".to_owned(), host.to_owned()))
                .into_iter()
                .collect();
            ExplainedRequest::new("GET", url, &headers, peer).map(|request| {
                let query = request.query.map(|query| format!("?{query}")).unwrap_or_default();
                format!("{} {:?} {}{query}", request.host, request.port, request.path)
            })
        };
        for (url, host, expected) in [
            (
                "http://WWW.Example.com:8080/a//b/../c?x=1#f",
                None,
                Some("www.example.com Some(8080) /a/c?x=1"),
            ),
            ("www.example.com", None, Some("www.example.com None /")),
            ("https://h?q", None, Some("h None /?q")),
            (
                "http://127.0.0.1:8080/x",
                Some("www.example.com"),
                Some("www.example.com Some(8080) /x"),
            ),
            ("ftp://h/", None, None),
            ("http:///x", None, None),
            ("http://h/%2f", None, None),
            ("http://h/../..", None, None),
            ("http://h/", Some("a b"), None),
        ] {
            assert_eq!(read(url, host).ok().as_deref(), expected, "{url}");
        }
    }

    #[test]
    fn bx11_the_client_is_found_as_the_listener_says() {
        let headers = [("X-Forwarded-For".to_owned(), "1.1.1.1, 2.2.2.2".to_owned())];
        let peer = "10.0.0.9".parse().expect("an address");
        let request = ExplainedRequest::new("GET", "http://h/", &headers, peer).expect("a request");
        let local = "127.0.0.1:80".parse().expect("an address");
        let cidr = weir_model::Cidr::parse("10.0.0.0/8").expect("a prefix");
        for (rule, expected) in [
            (ClientIp::Peer, "10.0.0.9"),
            (ClientIp::TrustedHops(1), "2.2.2.2"),
            (ClientIp::TrustedHops(2), "1.1.1.1"),
            (ClientIp::TrustedCidrs(vec![cidr]), "2.2.2.2"),
        ] {
            assert_eq!(
                request.arrive(local, &rule, 1).client_ip().to_string(),
                expected,
                "{rule:?}"
            );
        }
    }
}
