//! How endpoints are treated, when it is not the default: health, limits, connections, retries, tiers, sessions.

use std::fmt::Debug;
use std::time::Duration;

use weir_model::{
    ActiveCheck, Breakers, ConnectionSpec, CookiePath, DnsSpec, Failover, Forward, HealthSpec, PassiveCheck,
    Payload, Persistence, Probe, Retry, RetryCondition, RetryLimit, StatusSet, Timeouts, TokenCarrier,
};

use super::list;

/// Words of what differs from a default.
#[derive(Default)]
pub(super) struct Differences(String);

impl Differences {
    /// Says `value` after `word`, unless it is the default.
    pub(super) fn add<T: PartialEq>(
        &mut self,
        word: &str,
        value: T,
        default: T,
        show: impl Fn(&T) -> String,
    ) {
        if value != default {
            self.0 += &format!(" {word} {}", show(&value));
        }
    }

    /// A line with everything that was said; none when that is nothing.
    pub(super) fn line(self, label: &str) -> Option<String> {
        (!self.0.is_empty()).then(|| format!("{label}{}", self.0))
    }
}

/// One line each for what a rule's forwarding has besides balance and destinations.
pub(super) fn lines(forward: &Forward) -> Vec<String> {
    let upstream = &forward.upstream;
    let mut lines = health_lines(&upstream.health);
    lines.extend(breakers(&upstream.breakers));
    lines.extend(connection(&upstream.connection));
    lines.extend(forward.retry.as_ref().map(|retry| describe_retry(retry)));
    lines.extend(failover(&forward.failover));
    if let Some(bound) = forward.balance.load_bound {
        lines.push(format!("load bound {} % of the mean", bound.percent()));
    }
    lines.extend(
        forward
            .persistence
            .as_ref()
            .map(|persistence| describe_persistence(persistence)),
    );
    lines
}

/// The bounds that few policies set.
pub(super) fn stream_bounds(timeouts: &Timeouts) -> String {
    let (mut text, standard) = (Differences::default(), Timeouts::default());
    text.add("stream", timeouts.stream, standard.stream, bound);
    text.add("idle", timeouts.stream_idle, standard.stream_idle, bound);
    text.0
}

/// How names are resolved.
pub(super) fn dns(spec: &DnsSpec) -> Option<String> {
    let (mut text, standard) = (Differences::default(), DnsSpec::default());
    text.add(
        "every",
        spec.refresh.duration(),
        standard.refresh.duration(),
        debug,
    );
    text.add("by ttl", spec.respect_ttl, standard.respect_ttl, debug);
    text.add("family", spec.family, standard.family, debug);
    text.line("dns")
}

fn health_lines(health: &HealthSpec) -> Vec<String> {
    let mut lines = Vec::new();
    lines.extend(health.active.as_ref().map(|check| active(check)));
    lines.extend(health.passive.as_ref().map(|check| passive(check)));
    let standard = HealthSpec::default().panic_threshold;
    if health.panic_threshold != standard {
        lines.push(format!("panic below {} %", health.panic_threshold.number()));
    }
    lines
}

fn active(check: &ActiveCheck) -> String {
    let mut text = match &check.probe {
        Probe::Http(probe) => {
            let mut text = format!(
                "probe {} {} expects {}",
                probe.method,
                probe.path,
                statuses(&probe.expected)
            );
            if let Some(host) = &probe.host {
                text += &format!(" host {host}");
            }
            for (word, payload) in [("sends", &probe.body), ("wants", &probe.expected_body)] {
                text += &described(word, payload.as_ref());
            }
            if !probe.retriable.is_empty() {
                text += &format!(" counts {}", statuses(&probe.retriable));
            }
            text
        }
        Probe::Tcp(probe) => {
            let words = [("sends", &probe.send), ("wants", &probe.receive)];
            let words = words.map(|(word, payload)| described(word, payload.as_ref()));
            format!("probe tcp{}", words.concat())
        }
    };
    text += &format!(
        " every {:?} within {:?} down {} up {}",
        check.interval.duration(),
        check.timeout.duration(),
        check.unhealthy_threshold,
        check.healthy_threshold
    );
    let (mut more, standard) = (Differences::default(), ActiveCheck::default());
    more.add(
        "first within",
        check.initial_jitter,
        standard.initial_jitter,
        debug,
    );
    more.add(
        "jitter %",
        check.interval_jitter.number(),
        standard.interval_jitter.number(),
        debug,
    );
    more.add("start", check.start, standard.start, debug);
    more.add("port", check.port, None, |port| {
        port.map_or(0, weir_model::Port::number).to_string()
    });
    text + &more.0
}

fn passive(check: &PassiveCheck) -> String {
    let standard = PassiveCheck::default();
    let number =
        |number: &Option<std::num::NonZeroU32>| number.map_or("off".to_owned(), |number| number.to_string());
    let mut text = Differences::default();
    text.add(
        "every",
        check.interval.duration(),
        standard.interval.duration(),
        debug,
    );
    text.add(
        "for",
        check.base_ejection.duration(),
        standard.base_ejection.duration(),
        debug,
    );
    text.add(
        "at most",
        check.max_ejection.duration(),
        standard.max_ejection.duration(),
        debug,
    );
    text.add(
        "at most %",
        check.max_ejection_percent.number(),
        standard.max_ejection_percent.number(),
        debug,
    );
    text.add(
        "always one",
        check.always_eject_one,
        standard.always_eject_one,
        debug,
    );
    text.add("5xx", check.consecutive_5xx, standard.consecutive_5xx, number);
    text.add(
        "gateway",
        check.consecutive_gateway,
        standard.consecutive_gateway,
        number,
    );
    text.add(
        "local",
        check.consecutive_local,
        standard.consecutive_local,
        number,
    );
    text.add("split", check.split_local, standard.split_local, debug);
    text.add("failure percentage", check.failure_percentage, None, |rule| {
        rule.map_or(String::new(), |rule| {
            format!(
                "{} of {}x{}",
                rule.threshold.number(),
                rule.endpoints_min,
                rule.requests_min
            )
        })
    });
    text.add("success rate", check.success_rate, None, |rule| {
        rule.map_or(String::new(), |rule| {
            format!(
                "{}/1000 of {}x{}",
                rule.factor_milli, rule.endpoints_min, rule.requests_min
            )
        })
    });
    format!("eject{}", text.0)
}

fn breakers(breakers: &Breakers) -> Option<String> {
    let (mut text, standard) = (Differences::default(), Breakers::default());
    for (word, value, default) in [
        ("connections", breakers.connections, standard.connections),
        ("pending", breakers.pending_requests, standard.pending_requests),
        ("requests", breakers.parallel_requests, standard.parallel_requests),
        (
            "connections of each",
            breakers.endpoint_connections,
            standard.endpoint_connections,
        ),
        (
            "requests of each",
            breakers.endpoint_requests,
            standard.endpoint_requests,
        ),
    ] {
        text.add(word, value, default, debug);
    }
    text.add(
        "retries",
        breakers.retries,
        standard.retries,
        |limit| match limit {
            RetryLimit::Parallel(number) => number.to_string(),
            RetryLimit::Budget(budget) => {
                format!("{} % min {}", budget.percent.number(), budget.min_concurrency)
            }
        },
    );
    text.line("limit")
}

fn connection(spec: &ConnectionSpec) -> Option<String> {
    let (mut text, standard) = (Differences::default(), ConnectionSpec::default());
    text.add("idle", spec.idle_timeout, standard.idle_timeout, bound);
    text.add("age", spec.duration_max, standard.duration_max, bound);
    text.add("requests", spec.requests_max, standard.requests_max, |number| {
        number.map_or(0, std::num::NonZeroU32::get).to_string()
    });
    text.add("keepalive", spec.keepalive, standard.keepalive, |keepalive| {
        keepalive.map_or("off".to_owned(), |keepalive| {
            let (idle, interval) = (keepalive.idle.duration(), keepalive.interval.duration());
            format!("{} after {idle:?} every {interval:?}", keepalive.probes)
        })
    });
    text.add("buffer", spec.buffer_bytes, standard.buffer_bytes, |bytes| {
        bytes.map_or(0, std::num::NonZeroU32::get).to_string()
    });
    text.add(
        "socket buffers",
        spec.socket_buffer_bytes,
        standard.socket_buffer_bytes,
        |bytes| bytes.map_or(0, std::num::NonZeroU32::get).to_string(),
    );
    text.add(
        "proxy protocol",
        spec.proxy_protocol,
        standard.proxy_protocol,
        |version| version.map_or(String::new(), |version| format!("{version:?}")),
    );
    if let Some(preconnect) = spec.preconnect {
        let show = |percent: &Option<u32>| percent.map_or(String::new(), |percent| percent.to_string());
        text.add("ahead of each %", preconnect.endpoint_percent, None, show);
        text.add("ahead of all %", preconnect.predictive_percent, None, show);
    }
    text.line("connection")
}

/// How conditions are written in policies.
const CONDITIONS: [(RetryCondition, &str); 14] = [
    (RetryCondition::ServerError, "5xx"),
    (RetryCondition::GatewayError, "gateway-error"),
    (RetryCondition::Reset, "reset"),
    (RetryCondition::ResetBeforeRequest, "reset-before-request"),
    (RetryCondition::ConnectFailure, "connect-failure"),
    (RetryCondition::Retriable4xx, "retriable-4xx"),
    (RetryCondition::RefusedStream, "refused-stream"),
    (RetryCondition::Status, "status"),
    (RetryCondition::TryTimeout, "timeout"),
    (RetryCondition::GrpcCancelled, "cancelled"),
    (RetryCondition::GrpcDeadlineExceeded, "deadline-exceeded"),
    (RetryCondition::GrpcInternal, "internal"),
    (RetryCondition::GrpcResourceExhausted, "resource-exhausted"),
    (RetryCondition::GrpcUnavailable, "unavailable"),
];

fn describe_retry(retry: &Retry) -> String {
    let held = CONDITIONS
        .iter()
        .filter(|(condition, _)| retry.conditions.holds(*condition));
    let held: Vec<&str> = held.map(|(_, word)| *word).collect();
    let mut text = format!(
        "retry {} on {} statuses {} after {}{:?} to {:?}",
        retry.attempts,
        held.join(","),
        statuses(&retry.statuses),
        if retry.backoff.is_minimum { "at least " } else { "" },
        retry.backoff.base,
        retry.backoff.max
    );
    if let Some(timeout) = retry.try_timeout {
        text += &format!(" each within {:?}", timeout.duration());
    }
    if let Some(attempts) = retry.attempts_per_tier {
        text += &format!(" tries of a tier {attempts}");
    }
    text
}

fn failover(failover: &Failover) -> Option<String> {
    let (mut text, standard) = (Differences::default(), Failover::default());
    let (percent, default) = (
        failover.overprovisioning_percent,
        standard.overprovisioning_percent,
    );
    text.add("carries %", percent, default, debug);
    text.add(
        "back after",
        failover.failback_delay,
        standard.failback_delay,
        debug,
    );
    text.add(
        "redistribute",
        failover.redistribute,
        standard.redistribute,
        debug,
    );
    text.line("failover")
}

fn describe_persistence(persistence: &Persistence) -> String {
    let mut text = match &persistence.carrier {
        TokenCarrier::Header => format!("session header {}", persistence.name),
        TokenCarrier::Cookie(cookie) => {
            let path = match &cookie.path {
                CookiePath::OfMatch => "of match",
                CookiePath::Fixed(path) => path,
            };
            let mut text = format!(
                "session cookie {} {:?} path {path}",
                persistence.name, cookie.lifetime
            );
            if !cookie.attributes.is_empty() {
                text += " with ";
                text += &list(&cookie.attributes, |(name, value)| format!("{name}={value}"));
            }
            text
        }
    };
    if let Some(timeout) = persistence.absolute_timeout {
        text += &format!(" for {:?}", timeout.duration());
    }
    text + &format!(" {:?}", persistence.mode)
}

/// The ranges of a set.
pub(super) fn statuses(set: &StatusSet) -> String {
    list(set.ranges(), |range| match range.start() == range.end() {
        true => range.start().to_string(),
        false => format!("{}-{}", range.start(), range.end()),
    })
}

fn described(word: &str, payload: Option<&Payload>) -> String {
    payload.map_or(String::new(), |payload| {
        format!(" {word} \"{}\"", payload.bytes().escape_ascii())
    })
}

/// A bound on a time.
pub(super) fn bound(span: &Option<Duration>) -> String {
    span.map_or("off".to_owned(), |span| format!("{span:?}"))
}

fn debug<T: Debug>(value: &T) -> String {
    format!("{value:?}")
}
