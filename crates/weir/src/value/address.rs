//! Addresses: what to listen on, and where to send.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// One address, and a range of ports on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListenRange {
    address: IpAddr,
    first_port: u16,
    last_port: u16,
}

impl ListenRange {
    /// The addresses in ascending order of ports.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = SocketAddr> + use<> {
        let address = self.address;
        (self.first_port..=self.last_port).map(move |port| SocketAddr::new(address, port))
    }
}

/// Where `weir proxy` sends requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// An address.
    Ip(SocketAddr),
    /// A host name that is resolved, and a port.
    Name(String, u16),
    /// A Unix stream socket.
    Unix(String),
}

/// Reads `HOST:PORT` with an IP address or `localhost` as host, or `:PORT` for every address. Port 0 is allowed.
///
/// # Errors
/// Anything else, in words for the user.
pub(crate) fn bind_address(text: &str) -> Result<SocketAddr, String> {
    let (address, port) = split(text)?;
    let port = port
        .parse()
        .map_err(|_| format!("expected a port from 0 to 65535, got {port:?}"))?;
    Ok(SocketAddr::new(address, port))
}

/// Reads `10.0.0.53`, `10.0.0.53:5353`, `::1` or `[::1]:53`: a name server, on port 53 when nothing is said.
///
/// # Errors
/// Anything else, in words for the user.
pub(crate) fn parse_name_server(text: &str) -> Result<SocketAddr, String> {
    let alone = text.parse::<IpAddr>().map(|address| SocketAddr::new(address, 53));
    alone
        .or_else(|_| text.parse())
        .map_err(|_| format!("expected an IP address with or without a port, got {text:?}"))
}

/// Reads `127.0.0.1:9001-9004`, `:9001` or `9001`.
///
/// # Errors
/// Anything else, in words for the user.
pub(crate) fn parse_listen_range(text: &str) -> Result<ListenRange, String> {
    let (address, ports) = split(text)?;
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    let number = |port: &str| {
        port.parse::<u16>()
            .map_err(|_| format!("expected a port from 0 to 65535, got {port:?}"))
    };
    let (first_port, last_port) = (number(first)?, number(last)?);
    if first_port > last_port {
        return Err(format!(
            "the port range {ports} is empty: the first port is greater than the last"
        ));
    }
    if first_port == 0 && last_port != 0 {
        return Err("port 0 takes any free port and cannot start a range".to_owned());
    }
    Ok(ListenRange {
        address,
        first_port,
        last_port,
    })
}

/// Reads `10.0.0.7:9000`, `[::1]:9000`, `api.internal:9000` or `unix:/run/app.sock`.
///
/// # Errors
/// Anything else, in words for the user.
pub(crate) fn parse_target(text: &str) -> Result<Target, String> {
    let expected = || format!("expected HOST:PORT or unix:/PATH, got {text:?}");
    if let Some(path) = text.strip_prefix("unix:") {
        return if path.starts_with('/') {
            Ok(Target::Unix(path.to_owned()))
        } else {
            Err(expected())
        };
    }
    if text.contains("://") {
        return Err(format!("expected HOST:PORT without a scheme, got {text:?}"));
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return if address.port() == 0 {
            Err(expected())
        } else {
            Ok(Target::Ip(address))
        };
    }
    let (host, port) = text.rsplit_once(':').ok_or_else(expected)?;
    let port: u16 = port.parse().ok().filter(|port| *port > 0).ok_or_else(expected)?;
    if host.is_empty() || host == "localhost" {
        return Ok(Target::Ip(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)));
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if host.len() > 253 || !host.split('.').all(label) || host.parse::<Ipv4Addr>().is_ok() {
        return Err(expected());
    }
    Ok(Target::Name(host.to_ascii_lowercase(), port))
}

/// Splits into host and port text; a bare number is a port on loopback, an empty host is every address.
fn split(text: &str) -> Result<(IpAddr, &str), String> {
    let expected = || format!("expected ADDRESS:PORT, got {text:?}");
    let Some((host, port)) = text.rsplit_once(':') else {
        return if text.starts_with(|first: char| first.is_ascii_digit()) && !text.contains('.') {
            Ok((Ipv4Addr::LOCALHOST.into(), text))
        } else {
            Err(expected())
        };
    };
    let address = match host {
        "" | "*" => Ipv4Addr::UNSPECIFIED.into(),
        "localhost" => Ipv4Addr::LOCALHOST.into(),
        _ => match host.strip_prefix('[') {
            Some(inner) => inner
                .strip_suffix(']')
                .and_then(|inner| inner.parse::<IpAddr>().ok()),
            None => host.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        }
        .ok_or_else(expected)?,
    };
    Ok((address, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn op11_listen_ranges_name_an_address_and_ports() {
        for (text, expected) in [
            (
                "127.0.0.1:9001-9004",
                Some("127.0.0.1:9001 127.0.0.1:9002 127.0.0.1:9003 127.0.0.1:9004"),
            ),
            ("9001", Some("127.0.0.1:9001")),
            ("9001-9002", Some("127.0.0.1:9001 127.0.0.1:9002")),
            (":9001", Some("0.0.0.0:9001")),
            ("[::1]:9001", Some("[::1]:9001")),
            ("localhost:0", Some("127.0.0.1:0")),
            ("127.0.0.1:0-3", None),
            ("127.0.0.1:9004-9001", None),
            ("127.0.0.1", None),
            ("::1:80", None),
            ("127.0.0.1:65536", None),
            ("host:80", None),
            ("", None),
        ] {
            let found = parse_listen_range(text).ok().map(|range| {
                range
                    .addresses()
                    .map(|address| address.to_string())
                    .collect::<Vec<_>>()
                    .join(" ")
            });
            assert_eq!(found.as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn name_servers_are_addresses_with_or_without_a_port() {
        for (text, expected) in [
            ("10.0.0.53", Some("10.0.0.53:53")),
            ("10.0.0.53:5353", Some("10.0.0.53:5353")),
            ("::1", Some("[::1]:53")),
            ("[::1]:54", Some("[::1]:54")),
            ("localhost", None),
            ("10.0.0.53:", None),
            ("", None),
        ] {
            let found = parse_name_server(text).ok().map(|found| found.to_string());
            assert_eq!(found.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn op11_targets_are_addresses_names_or_sockets() {
        let ip = |text: &str| Some(Target::Ip(text.parse().expect(text)));
        for (text, expected) in [
            ("10.0.0.7:9000", ip("10.0.0.7:9000")),
            ("[::1]:9000", ip("[::1]:9000")),
            (":9000", ip("127.0.0.1:9000")),
            ("localhost:9000", ip("127.0.0.1:9000")),
            (
                "API.internal:9000",
                Some(Target::Name("api.internal".into(), 9000)),
            ),
            ("unix:/run/app.sock", Some(Target::Unix("/run/app.sock".into()))),
            ("unix:app.sock", None),
            ("http://a:9000", None),
            ("a", None),
            ("a:0", None),
            ("10.0.0.7:0", None),
            ("-a:9000", None),
            ("a..b:9000", None),
            ("a b:9000", None),
        ] {
            assert_eq!(parse_target(text).ok(), expected, "{text:?}");
        }
    }
}
