//! `rateLimit`: how often requests may come.

use std::sync::Arc;

use weir_model::{ObjectName, Rate, RateLimit, RateLimitRule, RateUnit, limits};

use super::selector::selector;
use super::values::{count, flag, items, read};
use crate::resource::Finding;
use crate::resource::decode::{Decoder, Field, Fields};

/// How units are written.
const UNITS: [(&str, RateUnit); 6] = [
    ("Second", RateUnit::Second),
    ("Minute", RateUnit::Minute),
    ("Hour", RateUnit::Hour),
    ("Day", RateUnit::Day),
    ("Month", RateUnit::Month),
    ("Year", RateUnit::Year),
];

/// Decodes the block: the local rate limit, and for each of its rules whether all routes share its buckets. Keys of
/// rules begin with the policy's name.
pub(super) fn rate_limit(
    decoder: &mut Decoder,
    block: Field<'_>,
    policy: &ObjectName,
) -> Option<(RateLimit, Vec<bool>)> {
    let fields = decoder.fields(block, &["type", "local", "global"])?;
    if let Some(kind) = fields.optional("type") {
        let words = [("Local", "local"), ("Global", "global")];
        let block = decoder.choice(kind, &words)?.value;
        if fields.optional(block).is_none() {
            return missing(decoder, fields, &format!("\"{block}\""));
        }
    }
    if fields.optional("global").is_some() {
        let message = "rateLimit.global is not supported yet";
        let finding = Finding::new("W0309", fields.key_span("global"), message)
            .label("not supported yet")
            .effect("requests are not limited over several gateways");
        decoder.report(finding.help("\"local\" limits what each gateway lets through"));
    } else if fields.optional("local").is_none() {
        return missing(decoder, fields, "\"local\" or \"global\"");
    }
    let local = fields.optional("local")?;
    let local = decoder.fields(local, &["rules"])?;
    let items = items(decoder, local, "rules", limits::RATE_LIMIT_RULES);
    if items.len() > limits::RATE_LIMIT_RULES {
        let message = format!(
            "a local rate limit has at most {} rules",
            limits::RATE_LIMIT_RULES
        );
        decoder.report(Finding::new(
            "E0303",
            items[limits::RATE_LIMIT_RULES].span(),
            message,
        ));
        return None;
    }
    let mut limit = RateLimit {
        rules: Vec::with_capacity(items.len()),
        headers: true,
    };
    let mut shared = Vec::with_capacity(items.len());
    for (place, item) in items.into_iter().enumerate() {
        let key = format!(
            "{}/{}/{}/rule/{place}",
            policy.kind.to_ascii_lowercase(),
            policy.namespace,
            policy.name
        );
        let Some(found) = rule(decoder, item, key.into()) else {
            continue;
        };
        limit.headers &= !found.headers_off;
        limit.rules.push(found.rule);
        shared.push(found.shared);
    }
    check_default(decoder, local.key_span("rules"), &limit.rules)?;
    (!limit.rules.is_empty()).then_some((limit, shared))
}

fn missing<T>(decoder: &mut Decoder, fields: Fields<'_>, what: &str) -> Option<T> {
    let message = format!("rateLimit needs {what}");
    decoder.report(Finding::new("E0305", fields.span(), message).label("missing"));
    None
}

struct FoundRule {
    rule: RateLimitRule,
    shared: bool,
    headers_off: bool,
}

fn rule(decoder: &mut Decoder, item: Field<'_>, key: Arc<str>) -> Option<FoundRule> {
    let known = [
        "clientSelectors",
        "limit",
        "cost",
        "shared",
        "shadowMode",
        "xRateLimitHeaders",
    ];
    let fields = decoder.fields(item, &known)?;
    let unserved = [
        ("cost", "each request costs one"),
        ("shadowMode", "what is over the limit is answered 429"),
    ];
    check_cost(decoder, fields);
    super::spec::report_unserved(decoder, fields, "rateLimit.local.rules.", &unserved);
    let selectors = items(decoder, fields, "clientSelectors", limits::RATE_LIMIT_SELECTORS);
    if selectors.len() > limits::RATE_LIMIT_SELECTORS {
        let message = format!(
            "a rule has at most {} clientSelectors",
            limits::RATE_LIMIT_SELECTORS
        );
        decoder.report(Finding::new(
            "E0303",
            selectors[limits::RATE_LIMIT_SELECTORS].span(),
            message,
        ));
        return None;
    }
    let mark = decoder.mark();
    let selectors: Vec<_> = selectors
        .into_iter()
        .filter_map(|item| selector(decoder, item))
        .collect();
    // A rule without the selector that failed would limit others.
    if decoder.failed_since(mark) {
        return None;
    }
    let headers = read(decoder, fields, "xRateLimitHeaders", |decoder, field| {
        decoder.choice(field, &[("Off", true), ("DraftVersion03", false)])
    });
    let limit = fields.required(decoder, "limit")?;
    Some(FoundRule {
        shared: read(decoder, fields, "shared", flag).unwrap_or(false),
        headers_off: headers.is_some_and(|off| off.value),
        rule: RateLimitRule {
            key,
            selectors,
            rate: rate(decoder, limit)?,
        },
    })
}

/// What an answer costs is not known where requests are counted locally (Envoy Gateway CRD rule).
fn check_cost(decoder: &mut Decoder, fields: Fields<'_>) {
    let response = fields
        .optional("cost")
        .and_then(|cost| decoder.fields(cost, &["request", "response"]))
        .and_then(|cost| cost.optional("response"));
    if let Some(response) = response {
        let message = "response cost is not supported for local rate limits";
        decoder.report(Finding::new("E0305", response.span(), message).label("goes with a global one"));
    }
}

fn rate(decoder: &mut Decoder, block: Field<'_>) -> Option<Rate> {
    let fields = decoder.fields(block, &["requests", "unit", "fromMetadata"])?;
    if fields.optional("fromMetadata").is_some() {
        let span = fields.key_span("fromMetadata");
        let message = "\"fromMetadata\" goes with global rate limits only";
        decoder.report(Finding::new("E0305", span, message).label("the rate limit is local"));
        return None;
    }
    let requests = fields.required(decoder, "requests");
    let requests = requests.and_then(|field| count(decoder, field));
    let unit = fields.required(decoder, "unit")?;
    let unit = decoder.choice(unit, &UNITS)?.value;
    Some(Rate {
        requests: requests?,
        unit,
    })
}

/// Envoy Gateway's rules about the rule without selectors: there is one at most, and units are multiples of its unit.
fn check_default(decoder: &mut Decoder, span: crate::yaml::Span, rules: &[RateLimitRule]) -> Option<()> {
    let mut defaults = rules.iter().filter(|rule| rule.selectors.is_empty());
    let default = defaults.next();
    let message = if defaults.next().is_some() {
        "local rateLimit can not have more than one rule without clientSelectors"
    } else if let Some(default) = default
        && rules.iter().any(|rule| {
            let unit = |rule: &RateLimitRule| rule.rate.unit.duration().as_secs();
            !unit(rule).is_multiple_of(unit(default))
        })
    {
        "local rateLimit rule limit unit must be a multiple of the default limit unit"
    } else {
        return Some(());
    };
    decoder.report(Finding::new("E0305", span, message).label("in these rules"));
    None
}
