//! How often requests may come (row KT33).

use weir_balance::{BucketEmpty, ClientHash, KeyView, Level};
use weir_model::RateLimit;
use weir_route::RequestParts;
use weir_wire::query;

use super::super::super::view::Fields;
use super::super::super::{Exchange, Failure};
use super::Admitted;
use super::admitted::{Quota, seconds};
use crate::compile::{CompiledLimit, CompiledSelector};

/// A bucket that a request takes a token from.
struct Taken<'l> {
    limit: &'l CompiledLimit,
    /// `None`: all clients share it.
    client: Option<ClientHash>,
}

/// Takes a token of every limit that counts the request. One without selectors counts it only when no other does, as in
/// Envoy Gateway.
pub(super) fn take(
    exchange: &Exchange<'_>,
    limits: &[CompiledLimit],
    spec: &RateLimit,
    admitted: &mut Admitted,
) -> Result<(), Failure> {
    let buckets = buckets(exchange, limits);
    let now_ns = exchange.worker.clock.read_us().saturating_mul(1000);
    let mut scarcest: Option<Quota> = None;
    for (index, bucket) in buckets.iter().enumerate() {
        let taken = bucket.take(now_ns);
        let (Ok(level) | Err(BucketEmpty(level))) = taken;
        let tokens = bucket.limit.live.refill.tokens();
        let quota = Quota { tokens, level };
        if taken.is_err() {
            buckets[..index].iter().for_each(Taken::put_back);
            admitted.quota = spec.headers.then_some(quota);
            // Somebody else may take the token that comes next, so there is no point in being early.
            admitted.retry_after_s = Some(seconds(level.next_ns).max(1));
            return Err(Failure::answered(429, "rate_limited"));
        }
        if scarcest.is_none_or(|other| level.remaining < other.level.remaining) {
            scarcest = Some(quota);
        }
    }
    admitted.quota = scarcest.filter(|_| spec.headers);
    Ok(())
}

impl Taken<'_> {
    fn take(&self, now_ns: u64) -> Result<Level, BucketEmpty> {
        let live = &self.limit.live;
        match self.client {
            Some(client) => live.clients.take(client, &live.refill, now_ns),
            None => live.bucket.take(&live.refill, now_ns),
        }
    }

    fn put_back(&self) {
        let live = &self.limit.live;
        match self.client {
            Some(client) => live.clients.put_back(client, &live.refill),
            None => live.bucket.put_back(&live.refill),
        }
    }
}

fn buckets<'l>(exchange: &Exchange<'_>, limits: &'l [CompiledLimit]) -> Vec<Taken<'l>> {
    let fields = Fields::of_request(exchange);
    let request = exchange.parts(&fields);
    let counting = limits.iter().filter(|limit| !limit.selectors.is_empty());
    let mut buckets: Vec<_> = counting
        .filter_map(|limit| bucket(exchange, &request, limit))
        .collect();
    if buckets.is_empty() {
        let others = limits.iter().filter(|limit| limit.selectors.is_empty());
        buckets.extend(others.map(|limit| Taken { limit, client: None }));
    }
    buckets
}

/// The bucket of the request under a limit; `None` when the limit does not count it.
fn bucket<'l>(
    exchange: &Exchange<'_>,
    request: &RequestParts<'_>,
    limit: &'l CompiledLimit,
) -> Option<Taken<'l>> {
    let mut client = limit.live.client();
    let mut is_distinct = false;
    for selector in &limit.selectors {
        if !counts(exchange, request, selector) {
            return None;
        }
        for name in &selector.distinct_headers {
            let mut is_there = false;
            exchange.header_values(name, &mut |value| {
                is_there = true;
                client = client.with(value);
            });
            if !is_there {
                return None;
            }
            // Values of one header are told from those of the next.
            client = client.with(b"");
            is_distinct = true;
        }
        for name in &selector.distinct_query {
            client = client.with(query::value(request.query?, name)?.as_bytes());
            is_distinct = true;
        }
        if selector.source.is_some_and(|source| source.distinct) {
            client = match exchange.request.client_ip.to_canonical() {
                std::net::IpAddr::V4(address) => client.with(&address.octets()),
                std::net::IpAddr::V6(address) => client.with(&address.octets()),
            };
            is_distinct = true;
        }
    }
    Some(Taken {
        limit,
        client: is_distinct.then_some(client),
    })
}

fn counts(exchange: &Exchange<'_>, request: &RequestParts<'_>, selector: &CompiledSelector) -> bool {
    let methods = &selector.methods;
    let is_method = methods.is_empty()
        || methods
            .iter()
            .any(|one| (*one.method == *request.method) != one.invert);
    let is_source = selector
        .source
        .is_none_or(|source| source.cidr.contains(exchange.request.client_ip) != source.invert);
    is_method
        && is_source
        && selector
            .criteria
            .iter()
            .all(|(criterion, expected)| criterion.holds(request) == *expected)
}
