//! What stands before a tenant's requests, in the words of the model.

use std::sync::Arc;

use weir_model::{
    Cidr, ClientSelector, HeaderMatch, HeaderSelector, ParallelLimit, RateLimit, RateLimitRule,
    RequestLimits, SourceSelector, TrafficSpec, ValueMatch,
};

use crate::resource::{RateScope, Tenant, TenantRate};

/// Adds it to what the tenant's policy says of one of its rules. All rules of a tenant share counters and buckets, and no
/// other tenant does (row KT20).
pub(super) fn add(
    tenant: &Tenant,
    name: &str,
    traffic: Option<Arc<TrafficSpec>>,
) -> Option<Arc<TrafficSpec>> {
    let (own, file) = (&tenant.admission, &tenant.settings.limits);
    let request_limits = RequestLimits {
        body_bytes: own.limits.body_bytes.or(file.body_bytes),
        head_bytes: own.limits.head_bytes.or(file.head_bytes),
        target_bytes: own.limits.target_bytes.or(file.target_bytes),
        parallel: own
            .limits
            .parallel
            .or(file.parallel)
            .map(|requests| ParallelLimit {
                key: format!("tenant/{name}").into(),
                requests,
            }),
    };
    let basic_auth = own.basic_auth.clone().map(|mut auth| {
        if auth.realm.is_empty() {
            auth.realm = realm(name);
        }
        auth
    });
    if request_limits == RequestLimits::default() && basic_auth.is_none() && own.rates.is_empty() {
        return traffic;
    }
    let mut traffic = traffic.unwrap_or_default();
    let spec = Arc::make_mut(&mut traffic);
    spec.request_limits = request_limits;
    spec.basic_auth = basic_auth;
    if !own.rates.is_empty() {
        let rules = (0..)
            .zip(&own.rates)
            .flat_map(|(place, rate)| rules(rate, name, place));
        spec.rate_limit = Some(RateLimit {
            rules: rules.collect(),
            headers: own.shows_rates,
        });
    }
    Some(traffic)
}

/// A realm stands in quotes (RFC 9110 5.6.4); a tenant's name may have any letters.
fn realm(name: &str) -> Arc<str> {
    let is_plain = |letter: &char| letter.is_ascii_graphic() && *letter != '"' && *letter != '\\';
    name.chars().filter(is_plain).collect::<String>().into()
}

/// Each has a selector, so that they count side by side: one without would count only what the others do not.
fn rules(rate: &TenantRate, name: &str, place: usize) -> Vec<RateLimitRule> {
    let rule = |part: &str, selector: ClientSelector| RateLimitRule {
        key: format!("tenant/{name}/rate/{place}/{part}").into(),
        selectors: vec![selector],
        rate: rate.rate,
    };
    let by_address = |headers: &[HeaderSelector]| -> Vec<RateLimitRule> {
        let families = [("ipv4", Cidr::parse("0.0.0.0/0")), ("ipv6", Cidr::parse("::/0"))];
        let rules = families.into_iter().filter_map(|(part, cidr)| {
            let source = Some(SourceSelector {
                cidr: cidr?,
                invert: false,
                distinct: true,
            });
            let headers = headers.to_vec();
            let selector = ClientSelector {
                headers,
                source,
                ..ClientSelector::default()
            };
            Some(rule(part, selector))
        });
        rules.collect()
    };
    match &rate.scope {
        RateScope::Client => by_address(&[]),
        RateScope::Tenant => vec![rule("all", ClientSelector::default())],
        RateScope::Header(header) => {
            let each = HeaderSelector::Distinct(header.clone());
            let missing = HeaderSelector::Value {
                condition: HeaderMatch {
                    name: header.clone(),
                    value: ValueMatch::Regex("(?s).*".into()),
                },
                invert: true,
            };
            let selector = ClientSelector {
                headers: vec![each],
                ..ClientSelector::default()
            };
            let mut rules = by_address(&[missing]);
            rules.push(rule("header", selector));
            rules
        }
    }
}
