//! What a policy does to requests and responses: faults, rate limit, buffering, compression, other answers.

use std::sync::Arc;

use weir_model::{RateLimit, Rule, TrafficSpec};

use super::compressor::compressors;
use super::dialect::Dialect;
use super::fault::fault;
use super::owner::Owner;
use super::rate_limit::rate_limit;
use super::request_limits::request_limits;
use super::response_override::overrides;
use super::values::{overwrite, quantity, read};
use crate::resource::Finding;
use crate::resource::decode::{Decoder, Field, Fields};

/// What a policy does to requests and responses, before it is known which route's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TrafficDraft {
    /// All of it. Rules of the rate limit have the policy's keys.
    spec: Arc<TrafficSpec>,
    /// For each rule of the rate limit whether all routes share its buckets.
    shared: Vec<bool>,
}

impl TrafficDraft {
    /// What it means for one rule of a route; `None`: nothing.
    pub(super) fn of(spec: TrafficSpec, shared: Vec<bool>) -> Option<Self> {
        (spec != TrafficSpec::default()).then(|| Self {
            spec: Arc::new(spec),
            shared,
        })
    }

    /// The specification for one rule of a route: what is not shared gets buckets of the rule's own, requests in flight
    /// a counter of their own.
    pub(crate) fn for_rule(&self, rule: &Rule) -> Arc<TrafficSpec> {
        let mut spec = self.spec.clone();
        let counts_in_flight = spec.request_limits.parallel.is_some();
        if self.shared.iter().all(|shared| *shared) && !counts_in_flight {
            return spec;
        }
        if let Some(limit) = &mut Arc::make_mut(&mut spec).request_limits.parallel {
            limit.key = format!("{} {}", limit.key, rule.key).into();
        }
        let limits = Arc::make_mut(&mut spec).rate_limit.iter_mut();
        let limits = limits.flat_map(|limit| &mut limit.rules).zip(&self.shared);
        for (limit, _) in limits.filter(|(_, shared)| !**shared) {
            limit.key = format!("{} {}", limit.key, rule.key).into();
        }
        spec
    }

    /// How many rules the rate limit has.
    pub(super) fn limits(&self) -> usize {
        self.shared.len()
    }

    /// A merged policy with the rate limits of both: neither limit is lost (Envoy Gateway merges them by name).
    pub(super) fn with_limits(
        draft: Option<Self>,
        limits: [Option<(RateLimit, Vec<bool>)>; 2],
    ) -> Option<Self> {
        let mut draft = draft.unwrap_or_default();
        let mut merged: Option<RateLimit> = None;
        draft.shared.clear();
        for (limit, shared) in limits.into_iter().flatten() {
            let merged = merged.get_or_insert(RateLimit {
                rules: Vec::new(),
                headers: false,
            });
            merged.rules.extend(limit.rules);
            merged.headers |= limit.headers;
            draft.shared.extend(shared);
        }
        let mut spec = TrafficSpec::clone(&draft.spec);
        spec.rate_limit = merged;
        Self::of(spec, draft.shared)
    }
}

/// Decodes the blocks of a policy that are about requests and responses.
pub(super) fn traffic(
    decoder: &mut Decoder,
    policy: Fields<'_>,
    dialect: Dialect,
    owner: Owner<'_>,
) -> Option<TrafficDraft> {
    let mut spec = TrafficSpec::default();
    if let Some(block) = dialect.own(policy, "requestLimits") {
        overwrite(
            &mut spec.request_limits,
            request_limits(decoder, block, owner.object),
        );
    }
    overwrite(&mut spec.fault, read(decoder, policy, "faultInjection", fault));
    let limit = read(decoder, policy, "rateLimit", |decoder, block| {
        rate_limit(decoder, block, owner.object)
    });
    let (limit, shared) = limit.unzip();
    spec.rate_limit = limit;
    spec.request_buffer_bytes = read(decoder, policy, "requestBuffer", request_buffer);
    if let (Some(_), Some(upgrade)) = (policy.optional("requestBuffer"), policy.optional("httpUpgrade")) {
        let message = "requestBuffer cannot be used together with httpUpgrade";
        let finding = Finding::new("E0305", upgrade.span(), message);
        decoder.report(finding.label("an upgraded connection has no end that could be waited for"));
    }
    spec.compressors = compressors(decoder, policy, dialect);
    let overrides = read(decoder, policy, "responseOverride", |decoder, list| {
        Some(overrides(decoder, list, owner))
    });
    overwrite(&mut spec.overrides, overrides);
    TrafficDraft::of(spec, shared.unwrap_or_default())
}

fn request_buffer(decoder: &mut Decoder, block: Field<'_>) -> Option<u64> {
    let fields = decoder.fields(block, &["limit"])?;
    let limit = fields.required(decoder, "limit")?;
    // Envoy's filter counts in 32 bits.
    quantity(decoder, limit, 1..=u64::from(u32::MAX)).map(|limit| limit.value)
}
