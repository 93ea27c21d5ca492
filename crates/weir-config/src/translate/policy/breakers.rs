//! `circuitBreaker`: how much may be going on at once.

use weir_model::{Breakers, RetryBudget, RetryLimit};

use super::dialect::Dialect;
use super::values::{count, count_or_off, fraction, overwrite, read};
use crate::resource::decode::{Decoder, Field};

use std::num::NonZeroU32;

/// The limits, and how many requests one connection may serve, which belongs to connections.
pub(super) fn breakers(
    decoder: &mut Decoder,
    block: Field<'_>,
    dialect: Dialect,
) -> Option<(Breakers, Option<NonZeroU32>)> {
    let known = [
        "maxConnections",
        "maxPendingRequests",
        "maxParallelRequests",
        "maxParallelRetries",
        "maxRequestsPerConnection",
        "perEndpoint",
        "retryBudget",
    ];
    let fields = decoder.fields(block, &known)?;
    let mut breakers = Breakers::default();
    for (name, place) in [
        ("maxConnections", &mut breakers.connections),
        ("maxPendingRequests", &mut breakers.pending_requests),
        ("maxParallelRequests", &mut breakers.parallel_requests),
    ] {
        overwrite(place, read(decoder, fields, name, count));
    }
    if let Some(endpoint) = fields.optional("perEndpoint") {
        let own = &["maxRequests"];
        let fields = dialect.fields(decoder, endpoint, &["maxConnections"], own)?;
        let connections = read(decoder, fields, "maxConnections", count);
        overwrite(&mut breakers.endpoint_connections, connections);
        if let Some(field) = dialect.own(fields, "maxRequests") {
            overwrite(&mut breakers.endpoint_requests, count(decoder, field));
        }
    }
    let parallel = read(decoder, fields, "maxParallelRetries", count);
    let budget = read(decoder, fields, "retryBudget", retry_budget);
    // A budget wins over a number (Envoy). Without either, weir has a budget where Envoy Gateway has 1024 retries:
    // retries in proportion to requests cannot become most of a struggling backend's load.
    if let Some(retries) = budget
        .map(RetryLimit::Budget)
        .or(parallel.map(RetryLimit::Parallel))
    {
        breakers.retries = retries;
    }
    let requests = read(decoder, fields, "maxRequestsPerConnection", count_or_off);
    Some((breakers, requests.flatten()))
}

fn retry_budget(decoder: &mut Decoder, block: Field<'_>) -> Option<RetryBudget> {
    let fields = decoder.fields(block, &["percent", "minRetryConcurrency"])?;
    let mut budget = RetryBudget::STANDARD;
    overwrite(&mut budget.percent, read(decoder, fields, "percent", fraction));
    overwrite(
        &mut budget.min_concurrency,
        read(decoder, fields, "minRetryConcurrency", count),
    );
    Some(budget)
}
