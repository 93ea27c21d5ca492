//! The header that a connection to an endpoint may begin with, to say for whom it is (the PROXY protocol's
//! specification, sections 2.1 and 2.2).

use std::io::Write;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Longest header that is written here: version 1 of two IPv6 addresses.
pub const LENGTH_MAX: usize = 107;

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Version 2, a connection of the sender's own.
const LOCAL: u8 = 0x20;
/// Version 2, a connection on behalf of another.
const ON_BEHALF: u8 = 0x21;
const TCP_V4: u8 = 0x11;
const TCP_V6: u8 = 0x21;
const UNSPECIFIED: u8 = 0;

/// Writes version 1: text. `None` for a connection that is nobody else's, such as a probe's.
pub fn write_v1(out: &mut Vec<u8>, addresses: Option<(SocketAddr, SocketAddr)>) {
    let Some((source, destination)) = addresses else {
        out.extend_from_slice(b"PROXY UNKNOWN\r\n");
        return;
    };
    let (family, from, to) = match of_one_family(source.ip(), destination.ip()) {
        (from @ IpAddr::V4(_), to) => ("TCP4", from, to),
        (from @ IpAddr::V6(_), to) => ("TCP6", from, to),
    };
    let (from_port, to_port) = (source.port(), destination.port());
    // Writing into a Vec cannot fail.
    let _ = write!(out, "PROXY {family} {from} {to} {from_port} {to_port}\r\n");
}

/// Writes version 2: binary. `None` as in [`write_v1`].
pub fn write_v2(out: &mut Vec<u8>, addresses: Option<(SocketAddr, SocketAddr)>) {
    out.extend_from_slice(SIGNATURE);
    let Some((source, destination)) = addresses else {
        out.extend_from_slice(&[LOCAL, UNSPECIFIED, 0, 0]);
        return;
    };
    let mut body = Vec::with_capacity(36);
    let family = match of_one_family(source.ip(), destination.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            body.extend_from_slice(&from.octets());
            body.extend_from_slice(&to.octets());
            TCP_V4
        }
        (from, to) => {
            body.extend_from_slice(&mapped(from).octets());
            body.extend_from_slice(&mapped(to).octets());
            TCP_V6
        }
    };
    body.extend_from_slice(&source.port().to_be_bytes());
    body.extend_from_slice(&destination.port().to_be_bytes());
    out.extend_from_slice(&[ON_BEHALF, family, 0, body.len() as u8]);
    out.extend_from_slice(&body);
}

/// Both addresses in the family that can tell them: a header has one for both.
fn of_one_family(from: IpAddr, to: IpAddr) -> (IpAddr, IpAddr) {
    match (from.to_canonical(), to.to_canonical()) {
        (from @ IpAddr::V4(_), to @ IpAddr::V4(_)) => (from, to),
        (from, to) => (IpAddr::V6(mapped(from)), IpAddr::V6(mapped(to))),
    }
}

fn mapped(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(
        write: fn(&mut Vec<u8>, Option<(SocketAddr, SocketAddr)>),
        pair: Option<(&str, &str)>,
    ) -> Vec<u8> {
        let mut out = Vec::new();
        let address = |text: &str| text.parse().expect(text);
        write(&mut out, pair.map(|(from, to)| (address(from), address(to))));
        assert!(out.len() <= LENGTH_MAX);
        out
    }

    #[test]
    fn version_1() {
        for (pair, expected) in [
            (None, "PROXY UNKNOWN\r\n"),
            (
                Some(("192.168.0.1:56324", "192.168.0.11:443")),
                "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n",
            ),
            (
                Some(("[2001:db8::1]:1", "[::1]:80")),
                "PROXY TCP6 2001:db8::1 ::1 1 80\r\n",
            ),
            (
                Some(("[::ffff:10.0.0.1]:1", "10.0.0.2:80")),
                "PROXY TCP4 10.0.0.1 10.0.0.2 1 80\r\n",
            ),
            (
                Some(("10.0.0.1:1", "[2001:db8::2]:80")),
                "PROXY TCP6 ::ffff:10.0.0.1 2001:db8::2 1 80\r\n",
            ),
            (
                Some((
                    "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
                    "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe]:65535",
                )),
                "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe \
                 65535 65535\r\n",
            ),
        ] {
            assert_eq!(
                String::from_utf8(written(write_v1, pair)).as_deref(),
                Ok(expected)
            );
        }
    }

    #[test]
    fn version_2() {
        let signature = b"\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a";
        let check = |pair, rest: &[u8]| {
            let found = written(write_v2, pair);
            assert_eq!(&found[..12], signature);
            assert_eq!(&found[12..], rest, "{pair:?}");
        };
        check(None, &[0x20, 0, 0, 0]);
        check(
            Some(("10.0.0.1:258", "10.0.0.2:80")),
            &[0x21, 0x11, 0, 12, 10, 0, 0, 1, 10, 0, 0, 2, 1, 2, 0, 80],
        );
        let mut rest = vec![0x21, 0x21, 0, 36];
        rest.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1]);
        rest.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        rest.extend([0xff, 0xff, 0, 80]);
        check(Some(("10.0.0.1:65535", "[::1]:80")), &rest);
    }
}
