//! Who the client is: `X-Forwarded-For` read under a rule, and extended.
//!
//! The list is read from the right, because only the entries that a trusted hop has appended are worth
//! anything. An entry that is no address stops the reading there: what stands left of it was not written by
//! anybody we trust.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use crate::token::trim;

/// How far to believe `X-Forwarded-For`.
#[derive(Clone, Copy)]
pub enum ClientRule<'a> {
    /// Not at all: the client is the peer.
    Peer,
    /// The client is the N-th entry from the right; the peer when there are fewer, when it is no address, or
    /// when N is 0.
    Hops(u32),
    /// Walking from the peer to the left, the client is the first address that this says is not trusted; the
    /// leftmost when all are; the last one read when an entry is no address.
    Trusted(&'a dyn Fn(IpAddr) -> bool),
}

/// The client's address. `values` are the values of all `X-Forwarded-For` fields in order. IPv4 in IPv6
/// (`::ffff:a.b.c.d`) becomes IPv4.
pub fn client_address<'b>(
    peer: IpAddr,
    values: impl DoubleEndedIterator<Item = &'b [u8]>,
    rule: ClientRule<'_>,
) -> IpAddr {
    let peer = peer.to_canonical();
    let mut entries = values
        .rev()
        .flat_map(|value| value.rsplit(|&byte| byte == b','))
        .map(address);
    match rule {
        ClientRule::Peer | ClientRule::Hops(0) => peer,
        ClientRule::Hops(hops) => {
            // Entries to the right of the wanted one need not be addresses: the count is what is trusted.
            entries.nth(hops as usize - 1).flatten().unwrap_or(peer)
        }
        ClientRule::Trusted(is_trusted) => {
            let mut client = peer;
            while is_trusted(client) {
                match entries.next() {
                    Some(Some(next)) => client = next,
                    Some(None) | None => break,
                }
            }
            client
        }
    }
}

/// Writes one `x-forwarded-for` line: the old `values` in order, which come from a parsed head, then the peer.
pub fn append<'b>(out: &mut Vec<u8>, values: impl Iterator<Item = &'b [u8]>, peer: IpAddr) {
    out.extend_from_slice(b"x-forwarded-for: ");
    for value in values.filter(|value| !value.is_empty()) {
        out.extend_from_slice(value);
        out.extend_from_slice(b", ");
    }
    address_text(out, peer);
    out.extend_from_slice(b"\r\n");
}

/// Writes an address as text, IPv4 in IPv6 as IPv4.
#[inline]
pub fn address_text(out: &mut Vec<u8>, address: IpAddr) {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            for (index, octet) in address.octets().into_iter().enumerate() {
                if index > 0 {
                    out.push(b'.');
                }
                if octet >= 100 {
                    out.push(b'0' + octet / 100);
                }
                if octet >= 10 {
                    out.push(b'0' + octet / 10 % 10);
                }
                out.push(b'0' + octet % 10);
            }
        }
        IpAddr::V6(address) => {
            use std::io::Write;
            // Writing into a Vec cannot fail.
            let _ = write!(out, "{address}");
        }
    }
}

/// One entry: an address, with a port or in brackets or quotes as some proxies write it.
fn address(entry: &[u8]) -> Option<IpAddr> {
    let entry = trim(entry);
    let entry = match entry {
        [b'"', inner @ .., b'"'] => inner,
        _ => entry,
    };
    // The longest address with brackets and a port; longer is never one.
    if entry.len() > 64 {
        return None;
    }
    let text = str::from_utf8(entry).ok()?;
    let address = text
        .parse::<IpAddr>()
        .or_else(|_| text.parse::<SocketAddr>().map(|socket| socket.ip()))
        .ok()
        .or_else(|| {
            text.strip_prefix('[')?
                .strip_suffix(']')?
                .parse::<Ipv6Addr>()
                .ok()
                .map(IpAddr::V6)
        })?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests;
