//! Hash keys: from a request to the 64 bits that consistent hash places (Envoy's `hash_policy.cc`).
//!
//! All hashes are xxHash64. Nothing is allocated unless a request repeats a header more than eight times.

use std::fmt::{self, Write};
use std::net::{IpAddr, SocketAddr};

use weir_model::{Algorithm, BalanceSpec, CookieSpec, HashSource};
use xxhash_rust::xxh64::xxh64;

use crate::cookie::CookieValue;

/// What a key is made of, as the data plane sees the request.
pub trait KeyView {
    /// Calls `each` with the value of every field named `name` (lower case), in order.
    fn header_values<'a>(&'a self, name: &str, each: &mut dyn FnMut(&'a [u8]));
    /// The value of the first cookie named `name`, case-sensitive. Enclosing quotes may be left on.
    fn cookie(&self, name: &str) -> Option<&[u8]>;
    /// The first value of the query parameter `name`, case-sensitive, not decoded.
    fn query_parameter(&self, name: &str) -> Option<&[u8]>;
    /// The client's address after the trusted-proxy rule.
    fn client_ip(&self) -> IpAddr;
    /// The other end of the client's connection.
    fn peer(&self) -> SocketAddr;
    /// Our end of the client's connection.
    fn local(&self) -> SocketAddr;
}

/// The key of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashKey {
    /// What consistent hash places.
    pub hash: u64,
    /// Index of the source that gave it.
    pub source: u8,
    /// The source is a cookie that the request lacks: the response has to set it to this value.
    pub new_cookie: Option<CookieValue>,
}

/// The key that `spec` asks for: `None` when its algorithm is not consistent hash, or when no source yields one.
#[inline]
pub fn request_key<V: KeyView + ?Sized>(spec: &BalanceSpec, view: &V) -> Option<HashKey> {
    match &spec.algorithm {
        Algorithm::ConsistentHash(hash) => hash_key(&hash.sources, view),
        Algorithm::RoundRobin | Algorithm::Random | Algorithm::LeastRequest(_) => None,
    }
}

/// The key from the first of `sources` that yields one (row CH09).
pub fn hash_key<V: KeyView + ?Sized>(sources: &[HashSource], view: &V) -> Option<HashKey> {
    sources.iter().zip(0u8..).find_map(|(source, number)| {
        let mut new_cookie = None;
        let hash = match source {
            HashSource::SourceIp {
                prefix_length_v4,
                prefix_length_v6,
            } => Some(address_hash(
                view.client_ip(),
                *prefix_length_v4,
                *prefix_length_v6,
            )),
            HashSource::Headers(names) => combined(names.iter().map(|name| header_hash(name, view))),
            HashSource::Cookie(spec) => cookie_hash(spec, view, &mut new_cookie),
            HashSource::QueryParams(names) => combined(
                names
                    .iter()
                    .map(|name| view.query_parameter(name).map(|value| xxh64(value, 0))),
            ),
        }?;
        Some(HashKey {
            hash,
            source: number,
            new_cookie,
        })
    })
}

/// Several hashes as one, absent ones skipped. Rotating keeps equal values from cancelling each other out.
fn combined(hashes: impl Iterator<Item = Option<u64>>) -> Option<u64> {
    hashes
        .flatten()
        .reduce(|so_far, hash| so_far.rotate_left(1) ^ hash)
}

/// All values of a header, sorted so that their order does not matter; each hash is the seed of the next.
fn header_hash<V: KeyView + ?Sized>(name: &str, view: &V) -> Option<u64> {
    let mut first: [&[u8]; 8] = [&[]; 8];
    let mut count = 0;
    view.header_values(name, &mut |value| {
        if let Some(place) = first.get_mut(count) {
            *place = value;
        }
        count += 1;
    });
    match count {
        0 => None,
        1 => Some(xxh64(first[0], 0)),
        _ => match first.get_mut(..count) {
            Some(values) => Some(sorted_hash(values)),
            None => {
                let mut values = Vec::with_capacity(count);
                view.header_values(name, &mut |value| values.push(value));
                Some(sorted_hash(&mut values))
            }
        },
    }
}

fn sorted_hash(values: &mut [&[u8]]) -> u64 {
    values.sort_unstable();
    values.iter().fold(0, |seed, value| xxh64(value, seed))
}

/// An empty cookie counts as absent. A generated value is the same for all requests of one connection.
fn cookie_hash<V: KeyView + ?Sized>(
    spec: &CookieSpec,
    view: &V,
    generated: &mut Option<CookieValue>,
) -> Option<u64> {
    let present = view
        .cookie(&spec.name)
        .map(unquoted)
        .filter(|value| !value.is_empty());
    if let Some(value) = present {
        return Some(xxh64(value, 0));
    }
    spec.ttl?;
    let mut text = Text::default();
    // Writing to a text that is long enough does not fail.
    let _ = write!(text, "{}{}", view.peer(), view.local());
    let value = CookieValue::from_hash(xxh64(text.as_bytes(), 0));
    *generated = Some(value);
    Some(xxh64(value.as_bytes(), 0))
}

/// RFC 6265 4.1.1: a cookie value may be enclosed in quotes, and the cookies that weir sets are.
fn unquoted(value: &[u8]) -> &[u8] {
    value
        .strip_prefix(b"\"")
        .and_then(|value| value.strip_suffix(b"\""))
        .unwrap_or(value)
}

/// The hash of the address's text after its first bits; an IPv4-mapped address counts as IPv4.
fn address_hash(address: IpAddr, prefix_length_v4: u8, prefix_length_v6: u8) -> u64 {
    let mut text = Text::default();
    let _ = match address.to_canonical() {
        IpAddr::V4(v4) => {
            let kept = u32::MAX
                .checked_shl(32 - u32::from(prefix_length_v4.min(32)))
                .unwrap_or(0);
            text.push_v4(v4.to_bits() & kept);
            Ok(())
        }
        IpAddr::V6(v6) => {
            let kept = u128::MAX
                .checked_shl(128 - u32::from(prefix_length_v6.min(128)))
                .unwrap_or(0);
            write!(text, "{}", std::net::Ipv6Addr::from_bits(v6.to_bits() & kept))
        }
    };
    xxh64(text.as_bytes(), 0)
}

/// Text on the stack, long enough for two socket addresses (58 bytes each with scope).
struct Text {
    bytes: [u8; 128],
    length: usize,
}

impl Default for Text {
    fn default() -> Self {
        Self {
            bytes: [0; 128],
            length: 0,
        }
    }
}

impl Text {
    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// The text of an IPv4 address. By hand, because the formatter costs four times the rest of the key.
    fn push_v4(&mut self, bits: u32) {
        for (place, number) in bits.to_be_bytes().into_iter().enumerate() {
            if place > 0 {
                self.push(b'.');
            }
            if number >= 100 {
                self.push(b'0' + number / 100);
            }
            if number >= 10 {
                self.push(b'0' + number / 10 % 10);
            }
            self.push(b'0' + number % 10);
        }
    }

    #[inline]
    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.length) {
            *place = byte;
            self.length += 1;
        }
    }
}

impl Write for Text {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let place = self
            .bytes
            .get_mut(self.length..self.length + part.len())
            .ok_or(fmt::Error)?;
        place.copy_from_slice(part.as_bytes());
        self.length += part.len();
        Ok(())
    }
}
