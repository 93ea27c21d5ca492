//! The words for conditions, filters and reasons.

use std::collections::BTreeSet;

use weir_balance::NoPick;
use weir_config::translate::{ConsideredPolicy, PolicyLevel, PolicyVerdict};
use weir_model::{
    Algorithm, BalanceSpec, Choices, Failover, Filter, HashSource, HeaderChange, LoadBound, Match,
    MissingKey, ObjectName, PathMatch, PathRewrite, Persistence, PersistenceMode, Redirect, Retry, Tier,
    TokenCarrier, ValueMatch,
};
use weir_route::{Outranked, Refusal};

/// All conditions of a match.
pub(crate) fn condition(one: &Match) -> String {
    let mut text = match &one.path {
        PathMatch::Exact(path) => format!("Exact {path}"),
        PathMatch::Prefix(path) if path.is_empty() => "PathPrefix /".to_owned(),
        PathMatch::Prefix(path) => format!("PathPrefix {path}"),
        PathMatch::Regex(path) => format!("RegularExpression {path}"),
    };
    if let Some(method) = &one.method {
        text.push_str(&format!(", method {method}"));
    }
    for header in &one.headers {
        text.push_str(&format!(", header {}{}", header.name, value(&header.value)));
    }
    for parameter in &one.query {
        text.push_str(&format!(", query {}{}", parameter.name, value(&parameter.value)));
    }
    text
}

fn value(value: &ValueMatch) -> String {
    match value {
        ValueMatch::Exact(text) => format!("={text}"),
        ValueMatch::Regex(text) => format!("~{text}"),
    }
}

/// What a filter does.
pub(crate) fn filter(filter: &Filter) -> String {
    match filter {
        Filter::RequestHeaders(change) => format!("request headers: {}", header_change(change)),
        Filter::ResponseHeaders(change) => format!("response headers: {}", header_change(change)),
        Filter::Rewrite(rewrite) => {
            let host = rewrite.host.as_ref().map(|host| format!("host {host}"));
            let path = rewrite.path.as_ref().map(path_rewrite);
            let query = rewrite
                .query
                .as_ref()
                .map(|_| "a query before its own".to_owned());
            let parts: Vec<_> = host.into_iter().chain(path).chain(query).collect();
            format!("rewrite: {}", parts.join(", "))
        }
        Filter::Mirror(mirror) => format!("mirror: {:.0}% of the requests", mirror.fraction.ratio() * 100.0),
        Filter::Cors(_) => "CORS".to_owned(),
        Filter::Identity(_) => "forwarding headers".to_owned(),
    }
}

fn header_change(change: &HeaderChange) -> String {
    let named =
        |verb: &str, names: Vec<&str>| (!names.is_empty()).then(|| format!("{verb} {}", names.join(" ")));
    let first = |pairs: &'_ [(std::sync::Arc<str>, std::sync::Arc<str>)]| {
        pairs.iter().map(|(name, _)| name.to_string()).collect::<Vec<_>>()
    };
    let (set, add) = (first(&change.set), first(&change.add));
    [
        named("set", set.iter().map(String::as_str).collect()),
        named("add", add.iter().map(String::as_str).collect()),
        named("remove", change.remove.iter().map(|name| &**name).collect()),
    ]
    .into_iter()
    .flatten()
    .collect::<Vec<_>>()
    .join(", ")
}

fn path_rewrite(rewrite: &PathRewrite) -> String {
    match rewrite {
        PathRewrite::Full(path) => format!("path {path}"),
        PathRewrite::Prefix(path) => format!("prefix {path}"),
        PathRewrite::Start { from, to } => format!("prefix {from}/ -> {to}/"),
    }
}

/// Where a redirect leads; absent parts are the request's own.
pub(crate) fn redirect_target(redirect: &Redirect) -> String {
    let scheme = redirect.scheme.as_deref().unwrap_or("(same scheme)");
    let host = redirect.host.as_deref().unwrap_or("(same host)");
    let port = redirect
        .port
        .map(|port| format!(":{}", port.number()))
        .unwrap_or_default();
    let path = redirect
        .path
        .as_ref()
        .map_or("(same path)".to_owned(), path_rewrite);
    format!("{scheme}://{host}{port} {path}")
}

/// Why a match lost to the one that serves the request.
pub(crate) fn outranked(outranked: Outranked) -> &'static str {
    match outranked {
        Outranked::Host => "less specific host",
        Outranked::PathKind => "Exact beats RegularExpression beats PathPrefix",
        Outranked::PathLength => "shorter path",
        Outranked::Method => "names no method",
        Outranked::HeaderCount => "fewer header conditions",
        Outranked::QueryCount => "fewer query conditions",
        Outranked::Created => "younger route",
        Outranked::Name => "later in the alphabet",
        Outranked::Attachment => "attached later",
        Outranked::RuleOrder => "later rule of the same route",
        Outranked::MatchOrder => "later match of the same rule",
    }
}

/// Why a match does not hold.
pub(crate) fn refusal(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Isolated => "not attached to the listener of this host".to_owned(),
        Refusal::Host => "other host".to_owned(),
        Refusal::Path => "other path".to_owned(),
        Refusal::Method => "other method".to_owned(),
        Refusal::HeaderMissing(name) => format!("header {name} missing"),
        Refusal::HeaderDiffers(name) => format!("header {name} differs"),
        Refusal::QueryMissing(name) => format!("query parameter {name} missing"),
        Refusal::QueryDiffers(name) => format!("query parameter {name} differs"),
        Refusal::Pattern(text) => format!("the expression {text} cannot be used"),
    }
}

/// What a policy is attached to.
pub(crate) fn policy_level(level: PolicyLevel) -> &'static str {
    match level {
        PolicyLevel::Rule => "rule",
        PolicyLevel::Route => "route",
        PolicyLevel::Listener => "listener",
        PolicyLevel::Gateway => "gateway",
    }
}

/// A verdict's name for programs, and the policy that it speaks of.
pub(crate) fn policy_verdict(verdict: &PolicyVerdict) -> (&'static str, Option<&ObjectName>) {
    match verdict {
        PolicyVerdict::Applies => ("applies", None),
        PolicyVerdict::MergedOver(other) => ("merged_over", Some(other)),
        PolicyVerdict::MergedUnder(other) => ("merged_under", Some(other)),
        PolicyVerdict::Overridden(other) => ("overridden", Some(other)),
        PolicyVerdict::Conflicted { with, .. } => ("conflicted", Some(with)),
        PolicyVerdict::NoSection(_) => ("no_section", None),
    }
}

/// Why a policy has the effect that it has, or none.
pub(crate) fn policy_reason(considered: &ConsideredPolicy) -> String {
    let level = policy_level(considered.level);
    let what = match &considered.verdict {
        PolicyVerdict::Applies => format!("on the {level}: the most specific one applies as a whole"),
        PolicyVerdict::MergedOver(base) => format!("on the {level}: merged over {base}"),
        PolicyVerdict::MergedUnder(patch) => {
            format!("on the {level}: gives what {patch} leaves open (mergeType)")
        }
        PolicyVerdict::Overridden(winner) => {
            format!("on the {level}: overridden by {winner}, which is nearer")
        }
        PolicyVerdict::Conflicted { with, by_age: true } => {
            format!("on the {level}: {with} has the same target and is older")
        }
        PolicyVerdict::Conflicted { with, by_age: false } => {
            format!("on the {level}: {with} has the same target, and its name comes first")
        }
        PolicyVerdict::NoSection(section) => format!("on the {level}: there is no section named {section:?}"),
    };
    match (&considered.fault, considered.verdict.has_effect()) {
        (Some(fault), true) => format!("{what}; it is refused, so the rule answers 500: {fault}"),
        (Some(fault), false) => format!("{what}; it is not valid either: {fault}"),
        (None, _) => what,
    }
}

/// The policy in one line.
pub(crate) fn algorithm(spec: &BalanceSpec) -> String {
    match &spec.algorithm {
        Algorithm::RoundRobin => "RoundRobin".to_owned(),
        Algorithm::Random => "Random".to_owned(),
        Algorithm::LeastRequest(options) => match options.choices {
            Choices::Sample(count) => format!("LeastRequest of {count} drawn"),
            Choices::All => "LeastRequest of all".to_owned(),
        },
        Algorithm::Adaptive => "Adaptive".to_owned(),
        Algorithm::PeakEwma => "PeakEwma".to_owned(),
        Algorithm::ConsistentHash(hash) => {
            let sources: Vec<_> = hash.sources.iter().map(source).collect();
            format!("ConsistentHash by {}", sources.join(", else "))
        }
    }
}

/// How clients of a rule come back to their endpoint.
pub(crate) fn sessions(persistence: &Persistence) -> String {
    let carrier = match persistence.carrier {
        TokenCarrier::Cookie(_) => "cookie",
        TokenCarrier::Header => "header",
    };
    let stays = match persistence.mode {
        PersistenceMode::Persistent => "as long as that is usable, whatever the weights",
        PersistenceMode::Balanced => "until others take over its share of the sessions",
    };
    format!(
        "a client with a token in {carrier} {} goes to the endpoint that it names, {stays}",
        persistence.name
    )
}

/// How tiers stand in for each other; `None` when all is in one. `tiers` are those of destinations or endpoints.
pub(crate) fn tiers(tiers: impl IntoIterator<Item = Tier>, failover: &Failover) -> Option<String> {
    let tiers: BTreeSet<u8> = tiers.into_iter().map(Tier::number).collect();
    let numbers: Vec<String> = tiers.iter().map(u8::to_string).collect();
    let usable = 10_000_u32.div_ceil(failover.overprovisioning_percent.max(1));
    (tiers.len() > 1).then(|| {
        format!(
            "{} in turn: the next gets requests when fewer than {usable} % of the endpoints before it are usable",
            numbers.join(", ")
        )
    })
}

/// When stickiness gives way to load.
pub(crate) fn load_bound(bound: LoadBound) -> String {
    format!(
        "an endpoint with more than {} % of the mean load is passed over by hashes and left by sessions",
        bound.percent()
    )
}

/// What is tried again, and how often; the conditions stand in the treatment.
pub(crate) fn retries(retry: &Retry) -> String {
    let tier = match retry.attempts_per_tier {
        Some(tries) => format!(", {tries} in each tier"),
        None => String::new(),
    };
    format!(
        "up to {} after the first try, each at an endpoint that was not tried{tier}",
        retry.attempts
    )
}

/// Where a hash key comes from.
pub(crate) fn source(source: &HashSource) -> String {
    let all = |names: &[std::sync::Arc<str>]| names.join(" and ");
    match source {
        HashSource::SourceIp { .. } => "client address".to_owned(),
        HashSource::Headers(names) => format!("header {}", all(names)),
        HashSource::Cookie(cookie) => format!("cookie {}", cookie.name),
        HashSource::QueryParams(names) => format!("query parameter {}", all(names)),
    }
}

/// What decides when a request has no hash key.
pub(crate) fn missing_key(missing: MissingKey) -> &'static str {
    match missing {
        MissingKey::Random => "the request has no key: an independent draw",
        MissingKey::RoundRobin => "the request has no key: each endpoint in turn",
        MissingKey::LeastRequest => "the request has no key: fewest requests in flight",
    }
}

/// Why no endpoint is picked.
pub(crate) fn no_pick(no_pick: NoPick) -> &'static str {
    match no_pick {
        NoPick::NoEndpoints => "no endpoint is ready: 503",
        NoPick::Unavailable => "no endpoint is available: 503",
        NoPick::Pending => "no endpoint has been probed yet: 503",
        NoPick::AllTried => "every endpoint was tried: 503",
        NoPick::Override => {
            "the endpoint that the request names is not there, and the override is strict: 503"
        }
    }
}
