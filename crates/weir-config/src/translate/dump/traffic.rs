//! What a rule does to requests and responses: faults, limits, buffering, compression, other answers.

use weir_model::{
    ClientSelector, Compressor, HeaderSelector, PathMatch, QuerySelector, RateLimit, Replacement,
    RequestLimits, ResponseOverride, TrafficSpec,
};

use super::upstream::statuses;
use super::{describe_change, describe_redirect, describe_value, list};

/// One line for each thing.
pub(super) fn lines(spec: &TrafficSpec) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(delay) = spec.fault.delay {
        let percent = delay.fraction.ratio() * 100.0;
        lines.push(format!("fault delay {:?} of {percent} %", delay.duration));
    }
    if let Some(abort) = spec.fault.abort {
        let percent = abort.fraction.ratio() * 100.0;
        lines.push(format!("fault abort {} of {percent} %", abort.status));
    }
    lines.extend(spec.rate_limit.iter().flat_map(rate_limit));
    if let Some(bytes) = spec.request_buffer_bytes {
        lines.push(format!("buffer request {bytes}"));
    }
    lines.extend(spec.compressors.iter().map(compressor));
    lines.extend(spec.overrides.iter().map(describe_override));
    lines.extend(request_limits(&spec.request_limits));
    if let Some(auth) = &spec.basic_auth {
        let users = list(&auth.users, |user| user.name.to_string());
        lines.push(format!("basic auth \"{}\" {users}", auth.realm));
    }
    lines
}

fn request_limits(limits: &RequestLimits) -> Option<String> {
    let number = |name: &str, number: Option<u64>| number.map(|number| format!("{name} {number}"));
    let parallel = limits.parallel.as_ref();
    let parallel = parallel.map(|limit| format!("parallel {} of \"{}\"", limit.requests, limit.key));
    let parts = [
        number("body", limits.body_bytes),
        number("head", limits.head_bytes.map(u64::from)),
        number("target", limits.target_bytes.map(u64::from)),
        parallel,
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| format!("request limits {}", parts.join(", ")))
}

fn rate_limit(limit: &RateLimit) -> Vec<String> {
    let rule = |rule: &weir_model::RateLimitRule| {
        let selectors = list(&rule.selectors, describe_selector);
        let (requests, unit) = (rule.rate.requests, rule.rate.unit);
        let headers = if limit.headers { "" } else { " without headers" };
        format!(
            "rate limit {requests} per {unit:?} of {selectors} key \"{}\"{headers}",
            rule.key
        )
    };
    limit.rules.iter().map(rule).collect()
}

fn describe_selector(selector: &ClientSelector) -> String {
    let not = |invert: bool| if invert { "not " } else { "" };
    let mut parts = Vec::new();
    for header in &selector.headers {
        parts.push(match header {
            HeaderSelector::Distinct(name) => format!("each header {name}"),
            HeaderSelector::Value { condition, invert } => {
                let value = describe_value(&condition.value);
                format!("{}header {} {value}", not(*invert), condition.name)
            }
        });
    }
    for method in &selector.methods {
        parts.push(format!("{}method {}", not(method.invert), method.method));
    }
    if let Some(path) = &selector.path {
        let condition = match &path.path {
            PathMatch::Exact(path) => format!("path = {path}"),
            PathMatch::Prefix(path) => format!("path under {path}/"),
            PathMatch::Regex(path) => format!("path ~ {path}"),
        };
        parts.push(format!("{}{condition}", not(path.invert)));
    }
    if let Some(source) = &selector.source {
        let each = if source.distinct { "each of " } else { "" };
        parts.push(format!("{}source {each}{}", not(source.invert), source.cidr));
    }
    for query in &selector.query {
        parts.push(match query {
            QuerySelector::Distinct(name) => format!("each query {name}"),
            QuerySelector::Value { condition, invert } => {
                let value = describe_value(&condition.value);
                format!("{}query {} {value}", not(*invert), condition.name)
            }
        });
    }
    if parts.is_empty() {
        return "every request".to_owned();
    }
    parts.join(" and ")
}

fn compressor(compressor: &Compressor) -> String {
    let mut text = format!(
        "compress {:?} from {} bytes",
        compressor.encoding, compressor.min_bytes
    );
    if let Some(level) = compressor.level {
        text += &format!(" level {level}");
    }
    if !compressor.content_types.is_empty() {
        text += &format!(
            " types {}",
            list(&compressor.content_types, |one| one.to_string())
        );
    }
    text
}

fn describe_override(one: &ResponseOverride) -> String {
    let headers = list(&one.headers, |header| {
        format!("{} {}", header.name, describe_value(&header.value))
    });
    let statuses = statuses(&one.statuses);
    let replacement = match &one.replacement {
        Replacement::Redirect(redirect) => format!("redirect {}", describe_redirect(redirect)),
        Replacement::Answer(answer) => {
            let mut text = "answer".to_owned();
            if let Some(status) = answer.status {
                text += &format!(" {status}");
            }
            if let Some(content_type) = &answer.content_type {
                text += &format!(" type {content_type}");
            }
            if let Some(body) = &answer.body {
                text += &format!(" body \"{}\"", body.escape_ascii());
            }
            text + " headers " + &describe_change(&answer.headers)
        }
    };
    format!(
        "override {statuses} {headers} of {:?} by {replacement}",
        one.source
    )
}
