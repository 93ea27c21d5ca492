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
        Algorithm::RoundRobin
        | Algorithm::Random
        | Algorithm::LeastRequest(_)
        | Algorithm::Adaptive
        | Algorithm::PeakEwma => None,
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use weir_model::{ConsistentHash, HashTable, MissingKey};

    use super::*;
    use crate::world::{Request, World, balancer, spec};
    use crate::{Balancer, PickReason, write_set_cookie};

    fn headers(names: &[&str]) -> HashSource {
        HashSource::Headers(names.iter().map(|name| Arc::from(*name)).collect())
    }

    fn query(names: &[&str]) -> HashSource {
        HashSource::QueryParams(names.iter().map(|name| Arc::from(*name)).collect())
    }

    fn cookie(ttl_s: Option<u64>) -> HashSource {
        let attributes = vec![("SameSite".into(), "Strict".into())];
        HashSource::Cookie(CookieSpec {
            name: "FooBar".into(),
            ttl: ttl_s.map(Duration::from_secs),
            attributes,
        })
    }

    fn source_ip(prefix_length_v4: u8, prefix_length_v6: u8) -> HashSource {
        HashSource::SourceIp {
            prefix_length_v4,
            prefix_length_v6,
        }
    }

    fn key(source: HashSource, request: &Request) -> Option<u64> {
        hash_key(&[source], request).map(|key| key.hash)
    }

    fn hashed(sources: Vec<HashSource>) -> Algorithm {
        let table = HashTable::default();
        Algorithm::ConsistentHash(ConsistentHash {
            sources,
            table,
            missing_key: MissingKey::Random,
        })
    }

    /// The endpoint of a request under `balancer`, which has one hash source.
    fn endpoint(balancer: &Balancer, source: &HashSource, request: &Request, world: &mut World) -> u32 {
        let key = hash_key(std::slice::from_ref(source), request).expect("a key");
        world.pick_by(balancer, key.hash)
    }

    #[test]
    fn hashes_are_those_of_envoy() {
        // Expected values of Envoy's hash_test.cc.
        let foo = 3_728_699_739_546_630_719;
        let bar = 5_234_164_152_756_840_025;
        let foo_bar = 17_745_830_980_996_999_794;
        let request = Request::default()
            .header("a", "foo")
            .header("b", "bar")
            .header("c", "bar")
            .header("c", "foo");
        assert_eq!(key(headers(&["a"]), &request), Some(foo));
        assert_eq!(key(headers(&["b"]), &request), Some(bar));
        // The values of one header are sorted and hashed in sequence; of several headers the hashes are combined.
        assert_eq!(
            key(headers(&["c"]), &request),
            Some(sorted_hash(&mut [b"foo", b"bar"]))
        );
        assert_eq!(
            [&b"foo"[..], b"bar"]
                .iter()
                .fold(0, |seed, value| xxh64(value, seed)),
            foo_bar
        );
        assert_eq!(
            key(headers(&["a", "b"]), &request),
            Some(foo.rotate_left(1) ^ bar)
        );
        assert_eq!(key(headers(&["absent", "b"]), &request), Some(bar));
        assert_eq!(key(headers(&["absent"]), &request), None);
    }

    #[test]
    fn ch02_one_value_one_endpoint() {
        let source = headers(&["foobar"]);
        let (balancer, mut world) = (balancer(hashed(vec![source.clone()]), &[1; 4]), World::new(0));
        let mut seen = [false; 4];
        for value in [
            "1.2.3.4",
            "5.6.7.8",
            "9.10.11.12",
            "alice",
            "bob",
            "carol",
            "dave",
            "eve",
        ] {
            let request = Request::default().header("foobar", value);
            let first = endpoint(&balancer, &source, &request, &mut world);
            assert!(
                (0..100).all(|_| endpoint(&balancer, &source, &request, &mut world) == first),
                "{value}"
            );
            seen[first as usize] = true;
        }
        assert!(seen.iter().filter(|seen| **seen).count() >= 2, "{seen:?}");
    }

    #[test]
    fn ch02_the_order_of_equal_headers_does_not_matter() {
        for count in [2, 8, 9, 20] {
            let (mut straight, mut reversed) = (Request::default(), Request::default());
            for number in 0..count {
                straight = straight.header("foobar", &format!("value {number}"));
                reversed = reversed.header("foobar", &format!("value {}", count - 1 - number));
            }
            let first = key(headers(&["foobar"]), &straight);
            assert!(
                first.is_some() && first == key(headers(&["foobar"]), &reversed),
                "{count} values"
            );
            let another = straight.header("foobar", "another");
            assert_ne!(first, key(headers(&["foobar"]), &another), "{count} values");
        }
    }

    #[test]
    fn ch03_all_listed_headers_count() {
        let source = headers(&["one", "two"]);
        let request = |one: &str, two: &str| Request::default().header("one", one).header("two", two);
        let base = key(source.clone(), &request("a", "b"));
        assert_eq!(base, key(source.clone(), &request("a", "b")));
        assert_ne!(base, key(source.clone(), &request("a", "c")));
        assert_ne!(base, key(source.clone(), &request("c", "b")));
        assert_ne!(base, key(source.clone(), &request("b", "a")));
        // Equal values do not cancel each other out.
        assert_ne!(
            key(source.clone(), &request("a", "a")),
            key(source, &request("b", "b"))
        );
    }

    #[test]
    fn ch04_a_present_cookie_decides_and_none_is_set() {
        for value in ["88358b9442700c56", "\"88358b9442700c56\""] {
            let found =
                hash_key(&[cookie(Some(60))], &Request::default().cookie("FooBar", value)).expect("a key");
            assert_eq!(
                found,
                HashKey {
                    hash: xxh64(b"88358b9442700c56", 0),
                    source: 0,
                    new_cookie: None
                }
            );
        }
    }

    #[test]
    fn ch05_a_generated_cookie_leads_back_to_the_same_endpoint() {
        let source = cookie(Some(60));
        let HashSource::Cookie(cookie_spec) = &source else {
            panic!("a cookie")
        };
        let balancer = Balancer::new(
            &spec(hashed(vec![source.clone()])),
            crate::world::members(&[1; 4]),
        );
        let mut world = World::new(0);
        for port in 40_000..40_050 {
            let first = Request {
                peer: SocketAddr::from(([127, 0, 0, 1], port)),
                ..Request::default()
            };
            let found = hash_key(std::slice::from_ref(&source), &first).expect("a key");
            let value = found.new_cookie.expect("a cookie to set");
            assert_eq!(
                hash_key(std::slice::from_ref(&source), &first),
                Some(found),
                "one value per connection"
            );

            let mut text = Vec::new();
            write_set_cookie(cookie_spec, value.as_bytes(), &mut text);
            let text = String::from_utf8(text).expect("text");
            let (pair, attributes) = text.split_once("; ").expect("attributes");
            assert_eq!(attributes, "Max-Age=60; SameSite=Strict; HttpOnly");
            let (name, value) = pair.split_once('=').expect("a pair");
            assert!(
                value.len() == 18
                    && value
                        .trim_matches('"')
                        .bytes()
                        .all(|digit| digit.is_ascii_hexdigit())
            );

            let again = Request {
                peer: SocketAddr::from(([127, 0, 0, 1], port + 1_000)),
                ..Request::default()
            };
            let again = again.cookie(name, value);
            let first = endpoint(&balancer, &source, &first, &mut world);
            assert_eq!(endpoint(&balancer, &source, &again, &mut world), first);
        }
    }

    #[test]
    fn ch05_the_value_is_the_hash_of_both_ends_of_the_connection() {
        let request = Request::default();
        let value = hash_key(&[cookie(Some(0))], &request)
            .and_then(|key| key.new_cookie)
            .expect("a cookie");
        let text = format!("{}{}", request.peer, request.local);
        assert_eq!(
            value.as_bytes(),
            format!("{:016x}", xxh64(text.as_bytes(), 0)).as_bytes()
        );
        let six = Request {
            peer: "[2001:db8:1111:2222:3333:4444:5555:6666]:65535"
                .parse()
                .expect("an address"),
            ..request
        };
        let six = Request {
            local: six.peer,
            ..six
        };
        let value = hash_key(&[cookie(Some(0))], &six)
            .and_then(|key| key.new_cookie)
            .expect("a cookie");
        let text = format!("{}{}", six.peer, six.local);
        assert_eq!(
            value.as_bytes(),
            format!("{:016x}", xxh64(text.as_bytes(), 0)).as_bytes()
        );
    }

    #[test]
    fn ch06_without_a_lifetime_no_cookie_is_generated() {
        assert_eq!(hash_key(&[cookie(None)], &Request::default()), None);
    }

    #[test]
    fn ch07_other_and_empty_cookies_do_not_count() {
        for request in [
            Request::default().cookie("foo", "bar"),
            Request::default().cookie("foobar", "lower case"),
            Request::default().cookie("FooBar", ""),
            Request::default().cookie("FooBar", "\"\""),
        ] {
            assert!(hash_key(&[cookie(Some(60))], &request).is_some_and(|key| key.new_cookie.is_some()));
            assert_eq!(hash_key(&[cookie(None)], &request), None);
        }
    }

    #[test]
    fn ch08_listed_parameters_are_combined() {
        let request = |one: &str, two: &str| Request::default().query("one", one).query("two", two);
        let source = || query(&["one", "two"]);
        let base = key(source(), &request("a", "b"));
        assert_eq!(base, Some(xxh64(b"a", 0).rotate_left(1) ^ xxh64(b"b", 0)));
        assert_ne!(base, key(source(), &request("a", "c")));
        assert_eq!(
            key(source(), &Request::default().query("two", "b")),
            Some(xxh64(b"b", 0))
        );
        // The first value counts, as sent.
        assert_eq!(
            key(
                query(&["one"]),
                &Request::default().query("one", "%41").query("one", "b")
            ),
            Some(xxh64(b"%41", 0))
        );
        assert_eq!(key(query(&["One"]), &request("a", "b")), None);
    }

    #[test]
    fn ch09_sources_are_asked_in_order() {
        let sources = [
            headers(&["user"]),
            cookie(None),
            query(&["user"]),
            source_ip(32, 128),
        ];
        for (request, source) in [
            (Request::default().header("user", "a").cookie("FooBar", "b"), 0),
            (Request::default().cookie("FooBar", "b").query("user", "c"), 1),
            (Request::default().query("user", "c"), 2),
            (Request::default(), 3),
        ] {
            assert_eq!(hash_key(&sources, &request).map(|key| key.source), Some(source));
        }
        // A cookie that is generated always yields a key: nothing after it is asked.
        let generating = [headers(&["user"]), cookie(Some(60)), source_ip(32, 128)];
        assert_eq!(
            hash_key(&generating, &Request::default()).map(|key| key.source),
            Some(1)
        );
    }

    #[test]
    fn ch09_without_a_key_the_stand_in_decides() {
        for missing_key in [
            MissingKey::Random,
            MissingKey::RoundRobin,
            MissingKey::LeastRequest,
        ] {
            let algorithm = Algorithm::ConsistentHash(ConsistentHash {
                sources: vec![headers(&["user"])],
                table: HashTable::default(),
                missing_key,
            });
            let (balancer, mut world) = (balancer(algorithm, &[1; 4]), World::new(4));
            let picked = world.try_pick(&balancer, None).expect("an endpoint");
            assert_eq!(picked.reason, PickReason::MissingKey(missing_key));
            let counts = world.counts(&balancer, 1_000);
            let chi_square: f64 = counts
                .iter()
                .map(|count| (f64::from(*count) - 250.0).powi(2) / 250.0)
                .sum();
            assert!(chi_square < 16.27, "{missing_key:?}: {counts:?}");
        }
    }

    #[test]
    fn ch17_addresses_are_cut_to_a_prefix() {
        let from = |address: &str| Request {
            client_ip: address.parse().expect("an address"),
            ..Request::default()
        };
        for (v4, v6, address, text) in [
            (32, 128, "127.0.0.1", "127.0.0.1"),
            (32, 128, "192.168.100.200", "192.168.100.200"),
            (32, 128, "10.0.9.99", "10.0.9.99"),
            (24, 128, "10.1.2.3", "10.1.2.0"),
            (20, 128, "10.1.255.3", "10.1.240.0"),
            (0, 128, "10.1.2.3", "0.0.0.0"),
            (32, 128, "::ffff:10.1.2.3", "10.1.2.3"),
            (32, 128, "2001:db8::1", "2001:db8::1"),
            (32, 64, "2001:db8:0:1:2:3:4:5", "2001:db8:0:1::"),
            (32, 0, "2001:db8::1", "::"),
        ] {
            assert_eq!(
                key(source_ip(v4, v6), &from(address)),
                Some(xxh64(text.as_bytes(), 0)),
                "{address}/{v4}/{v6}"
            );
        }
        assert_eq!(
            key(source_ip(24, 64), &from("10.1.2.3")),
            key(source_ip(24, 64), &from("10.1.2.99"))
        );
        assert_ne!(
            key(source_ip(24, 64), &from("10.1.2.3")),
            key(source_ip(24, 64), &from("10.1.3.3"))
        );
    }

    #[test]
    fn ch01_clients_spread_over_the_endpoints() {
        let source = source_ip(32, 128);
        let (balancer, mut world) = (balancer(hashed(vec![source.clone()]), &[1; 4]), World::new(0));
        let mut seen = [false; 4];
        for last in 2..=50 {
            let request = Request {
                client_ip: IpAddr::from([127, 0, 0, last]),
                ..Request::default()
            };
            seen[endpoint(&balancer, &source, &request, &mut world) as usize] = true;
        }
        assert!(seen.iter().filter(|seen| **seen).count() >= 3, "{seen:?}");
    }
}
