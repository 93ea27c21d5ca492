//! `retry`, `circuitBreaker`, `connection`, `tcpKeepalive`, `proxyProtocol`, `dns`, `timeout`, weir's own `failover`
//! and `sessionPersistence`: defaults, rules, bounds (rows LB26, LB27, LB28, LB29, LB30, LB32, MC04, CH15).

use std::time::Duration;

use weir_model::{
    Breakers, ConnectionSpec, CookiePath, Failover, LookupFamily, PersistenceMode, Preconnect, ProxyProtocol,
    Retry, RetryCondition, RetryLimit, TokenCarrier,
};

use super::judge::{bounds, check, judge, period_bounds, valid, valid_own};

const MANY: i64 = u32::MAX as i64;

fn retry(spec: &str) -> Retry {
    Retry::clone(valid(spec).retry.as_ref().expect(spec))
}

fn connection(spec: &str) -> ConnectionSpec {
    valid(spec).upstream.connection
}

#[test]
fn lb28_an_empty_block_has_envoy_gateways_defaults_and_none_has_no_retries() {
    assert_eq!(retry("retry: {}"), Retry::default());
    assert_eq!(valid("circuitBreaker: {}").retry, None);
    let found = retry("retry: {retryOn: {triggers: [], httpStatusCodes: []}, numAttemptsPerPriority: 0}");
    assert_eq!(found, Retry::default(), "empty lists are as good as none");
    let found =
        retry("retry: {retryOn: {triggers: [reset]}, numAttemptsPerPriority: 1, perRetry: {timeout: 0s}}");
    assert!(found.conditions.holds(RetryCondition::Reset));
    assert!(!found.conditions.holds(RetryCondition::Status));
    assert!(found.statuses.contains(503) && found.try_timeout.is_none());
}

#[test]
fn lb28_every_trigger_has_its_condition() {
    let words = [
        "5xx",
        "gateway-error",
        "reset",
        "reset-before-request",
        "connect-failure",
        "retriable-4xx",
        "refused-stream",
        "retriable-status-codes",
        "cancelled",
        "deadline-exceeded",
        "internal",
        "resource-exhausted",
        "unavailable",
    ];
    let mut seen = Vec::new();
    for word in words {
        let conditions = retry(&format!("retry: {{retryOn: {{triggers: [{word}]}}}}")).conditions;
        assert!(!seen.contains(&conditions), "{word}");
        seen.push(conditions);
    }
    check(&[(
        "retry: {retryOn: {triggers: [5xx, resets]}}",
        &["E0104 1:35 an entry of \"triggers\" cannot be \"resets\""],
    )]);
}

#[test]
fn lb28_numbers_of_retries_are_bounded() {
    for (written, made) in [(0, 0), (31, 31), (32, 32)] {
        assert_eq!(retry(&format!("retry: {{numRetries: {written}}}")).attempts, made);
    }
    let (found, findings) = judge(false, "retry: {numRetries: 33}");
    assert_eq!(
        findings,
        ["W0317 1:21 \"numRetries\" is 33; weir makes at most 32"]
    );
    assert_eq!(
        found
            .and_then(|found| found.retry.clone())
            .map(|retry| retry.attempts),
        Some(32)
    );
    bounds("retry: {numRetries: N}", 0, i64::from(i32::MAX));
    bounds("retry: {numAttemptsPerPriority: N}", 0, MANY);
    bounds("retry: {retryOn: {httpStatusCodes: [N]}}", 100, 599);
}

#[test]
fn lb28_backoff_never_shrinks() {
    let backoff = |fields: &str| {
        let backoff = retry(&format!("retry: {{perRetry: {{backOff: {{{fields}}}}}}}")).backoff;
        (
            backoff.base.as_millis(),
            backoff.max.as_millis(),
            backoff.is_minimum,
        )
    };
    assert_eq!(backoff(""), (25, 250, false));
    assert_eq!(backoff("baseInterval: 10ms"), (10, 100, false));
    assert_eq!(backoff("maxInterval: 1s"), (25, 1000, false));
    assert_eq!(backoff("maxInterval: 20ms"), (20, 20, false));
    assert_eq!(backoff("baseInterval: 20ms, maxInterval: 20ms"), (20, 20, false));
    check(&[
        (
            "retry: {perRetry: {backOff: {baseInterval: 20ms, maxInterval: 19ms}}}",
            &["E0303 1:50 maxInterval cannot be less than baseInterval"],
        ),
        (
            "retry: {perRetry: {backOff: {baseInterval: 0s}}}",
            &["E0303 1:44 baseInterval cannot be set to 0s"],
        ),
        (
            "retry: {perRetry: {backOff: {maxInterval: 0s}}}",
            &["E0303 1:43 maxInterval cannot be set to 0s"],
        ),
    ]);
}

#[test]
fn lb30_limits_are_1024_each_unless_written() {
    assert_eq!(valid("circuitBreaker: {}").upstream.breakers, Breakers::default());
    let found = valid(
        "circuitBreaker: {maxConnections: 1, maxPendingRequests: 2, maxParallelRequests: 3, maxParallelRetries: 4, maxRequestsPerConnection: 5, perEndpoint: {maxConnections: 6}}",
    );
    let breakers = found.upstream.breakers;
    assert_eq!(
        (
            breakers.connections,
            breakers.pending_requests,
            breakers.parallel_requests
        ),
        (1, 2, 3)
    );
    assert_eq!(breakers.retries, RetryLimit::Parallel(4));
    assert_eq!(breakers.endpoint_connections, 6);
    assert_eq!(found.upstream.connection.requests_max.map(u32::from), Some(5));
    for field in [
        "maxConnections",
        "maxPendingRequests",
        "maxParallelRequests",
        "maxParallelRetries",
        "maxRequestsPerConnection",
    ] {
        bounds(&format!("circuitBreaker: {{{field}: N}}"), 0, MANY);
    }
    bounds("circuitBreaker: {perEndpoint: {maxConnections: N}}", 0, MANY);
    bounds("circuitBreaker: {perEndpoint: {maxRequests: N}}", 0, MANY);
    check(&[(
        "circuitBreaker: {perEndpoint: {maxRequests: 1}}",
        &["W0301 1:32 BackendTrafficPolicy has no field \"maxRequests\""],
    )]);
}

#[test]
fn lb29_a_retry_budget_wins_over_a_number_of_retries() {
    let retries = |fields: &str| match valid(&format!("circuitBreaker: {{{fields}}}"))
        .upstream
        .breakers
        .retries
    {
        RetryLimit::Budget(budget) => (budget.percent.number(), budget.min_concurrency),
        RetryLimit::Parallel(number) => panic!("a number: {number}"),
    };
    assert_eq!(retries(""), (20, 3));
    assert_eq!(retries("retryBudget: {}"), (20, 3));
    assert_eq!(
        retries("maxParallelRetries: 9, retryBudget: {percent: {numerator: 50}}"),
        (50, 3)
    );
    assert_eq!(
        retries("retryBudget: {percent: {numerator: 1, denominator: 4}, minRetryConcurrency: 0}"),
        (25, 0)
    );
    bounds("circuitBreaker: {retryBudget: {minRetryConcurrency: N}}", 0, MANY);
    bounds("circuitBreaker: {retryBudget: {percent: {numerator: N}}}", 0, 100);
    check(&[
        (
            "circuitBreaker: {retryBudget: {percent: {numerator: 1, denominator: 3}}}",
            &["W0317 1:41 the fraction is rounded to 33 %"],
        ),
        (
            "circuitBreaker: {retryBudget: {percent: {numerator: 5, denominator: 4}}}",
            &["E0303 1:53 numerator must be less than or equal to denominator"],
        ),
        (
            "circuitBreaker: {retryBudget: {percent: {numerator: 0, denominator: 0}}}",
            &["E0103 1:69 \"denominator\" is 0, which is out of range"],
        ),
    ]);
}

#[test]
fn quantities_are_kubernetes_and_bounded() {
    for (text, bytes) in [
        ("1", Some(1)),
        ("32768", Some(32_768)),
        ("32Ki", Some(32_768)),
        ("64k", Some(64_000)),
        ("4294967295", Some(u32::MAX)),
        ("4294967296", None),
        ("4Gi", None),
        ("16Ei", None),
        ("0", None),
        ("1.5Mi", None),
        ("Ki", None),
        ("1 Ki", None),
        ("-1", None),
    ] {
        let (found, findings) = judge(false, &format!("connection: {{bufferLimit: \"{text}\"}}"));
        let found = found.and_then(|found| found.upstream.connection.buffer_bytes);
        assert_eq!(found.map(u32::from), bytes, "{text}: {findings:?}");
        let (found, findings) = judge(false, &format!("connection: {{socketBufferLimit: \"{text}\"}}"));
        let found = found.and_then(|found| found.upstream.connection.socket_buffer_bytes);
        assert_eq!(found.map(u32::from), bytes, "{text}: {findings:?}");
    }
}

#[test]
fn lb30_connections_are_opened_ahead_as_written() {
    let found = |spec: &str| connection(spec).preconnect;
    let ahead = |endpoint_percent, predictive_percent| {
        Some(Preconnect {
            endpoint_percent,
            predictive_percent,
        })
    };
    for spec in ["connection: {}", "connection: {preconnect: {}}"] {
        assert_eq!(found(spec), None, "off unless it is asked for");
    }
    let both = "connection: {preconnect: {perEndpointPercent: 150, predictivePercent: 400}}";
    assert_eq!(
        found("connection: {preconnect: {perEndpointPercent: 150}}"),
        ahead(Some(150), None)
    );
    for kind in ["Random", "RoundRobin"] {
        let spec = format!("{both}\nloadBalancer: {{type: {kind}}}");
        assert_eq!(found(&spec), ahead(Some(150), Some(400)), "{kind}");
    }
    bounds("connection: {preconnect: {perEndpointPercent: N}}", 100, 300);
    let predictive = "connection: {preconnect: {predictivePercent: N}}\nloadBalancer: {type: Random}";
    bounds(predictive, 100, MANY);
    check(&[(
        "connection: {preconnect: {perEndpointPercent: 99}}",
        &["E0103 1:47 \"perEndpointPercent\" is 99, which is out of range"],
    )]);
    // Without effect, it is said so, and what is beside it counts.
    for balancer in [
        "",
        "loadBalancer: {type: LeastRequest}",
        "loadBalancer: {type: BackendUtilization}",
    ] {
        let (settings, findings) = judge(false, &format!("{both}\n{balancer}"));
        let warned = "W0321 1:52 \"predictivePercent\" has no effect with this load balancer".to_owned();
        assert!(findings.contains(&warned), "{balancer}: {findings:?}");
        let preconnect = settings.expect(balancer).upstream.connection.preconnect;
        assert_eq!(preconnect, ahead(Some(150), None), "{balancer}");
    }
    let (settings, findings) = judge(
        false,
        "connection: {preconnect: {perEndpointPercent: 150}}\nproxyProtocol: {version: V1}",
    );
    let warned = "W0321 1:26 \"preconnect\" has no effect with \"proxyProtocol\"";
    assert_eq!(findings, [warned]);
    assert_eq!(settings.expect("a warning").upstream.connection.preconnect, None);
}

#[test]
fn connections_are_as_written() {
    let found = connection("tcpKeepalive: {}").keepalive.expect("on");
    assert_eq!(
        (
            found.probes.get(),
            found.idle.milliseconds(),
            found.interval.milliseconds()
        ),
        (9, 7_200_000, 75_000)
    );
    bounds("tcpKeepalive: {probes: N}", 1, MANY);
    period_bounds("tcpKeepalive: {idleTime: N}");
    period_bounds("tcpKeepalive: {interval: N}");
    for (word, version) in [("V1", ProxyProtocol::V1), ("V2", ProxyProtocol::V2)] {
        let found = connection(&format!("proxyProtocol: {{version: {word}}}"));
        assert_eq!(found.proxy_protocol, Some(version));
    }
    check(&[
        (
            "proxyProtocol: {}",
            &["E0102 1:16 proxyProtocol has no \"version\""],
        ),
        (
            "proxyProtocol: {version: v2}",
            &["E0104 1:26 \"version\" cannot be \"v2\""],
        ),
    ]);
}

#[test]
fn lb32_names_are_resolved_as_written() {
    for (word, family) in [
        ("IPv4", LookupFamily::V4),
        ("IPv6", LookupFamily::V6),
        ("IPv4Preferred", LookupFamily::PreferV4),
        ("IPv6Preferred", LookupFamily::PreferV6),
        ("IPv4AndIPv6", LookupFamily::Both),
    ] {
        let found = valid(&format!(
            "dns: {{lookupFamily: {word}, respectDnsTtl: false, dnsRefreshRate: 1s}}"
        ));
        let dns = found.dns.expect("dns");
        assert_eq!(
            (dns.family, dns.respect_ttl, dns.refresh.milliseconds()),
            (family, false, 1_000)
        );
    }
    assert_eq!(valid("dns: {}").dns, Some(weir_model::DnsSpec::default()));
    period_bounds("dns: {dnsRefreshRate: N}");
}

#[test]
fn zero_switches_a_time_bound_off() {
    let hour = Some(Duration::from_secs(3600));
    let found = valid(
        "timeout: {tcp: {connectTimeout: 0s}, http: {requestTimeout: 0s, connectionIdleTimeout: 0s, maxConnectionDuration: 0s, maxStreamDuration: 0s, streamIdleTimeout: 0s}}",
    );
    let times = found.timeouts;
    assert_eq!(times.connect, None, "connecting is always bounded");
    assert_eq!(
        (times.request, times.stream, times.stream_idle),
        (Some(None), Some(None), Some(None))
    );
    assert_eq!(found.upstream.connection.idle_timeout, None);
    assert_eq!(found.upstream.connection.duration_max, None);
    let found = valid(
        "timeout: {http: {connectionIdleTimeout: 1h, maxConnectionDuration: 1h, maxStreamDuration: 1h, streamIdleTimeout: 1h}}",
    );
    assert_eq!(
        (found.timeouts.stream, found.timeouts.stream_idle),
        (Some(hour), Some(hour))
    );
    assert_eq!(found.upstream.connection.idle_timeout, hour);
    assert_eq!(found.upstream.connection.duration_max, hour);
    let found = valid("timeout: {http: {}}");
    assert_eq!(found.upstream.connection, ConnectionSpec::default());
}

#[test]
fn lb27_failover_is_weirs_own() {
    let found = valid_own("failover: {overprovisioningPercent: 100, failbackDelay: 1m, redistribute: true}");
    assert_eq!(
        found.failover.failover,
        Failover {
            overprovisioning_percent: 100,
            failback_delay: Duration::from_secs(60),
            redistribute: true
        }
    );
    bounds("failover: {overprovisioningPercent: N}", 100, 1_000);
    bounds("failover: {priorities: [{name: a, priority: N}]}", 0, 127);
    check(&[(
        "failover: {}",
        &["W0301 1:1 BackendTrafficPolicy has no field \"failover\""],
    )]);
}

#[test]
fn ch15_sessions_of_a_policy_persist_or_balance() {
    let found = valid_own(
        "sessionPersistence: {mode: Balanced, absoluteTimeout: 1h, cookie: {name: websocket-route, lifetimeType: Permanent}}",
    );
    let persistence = found
        .persistence
        .expect("sessions")
        .for_rule("httproute/a/b/rule/0");
    assert_eq!(persistence.mode, PersistenceMode::Balanced);
    assert_eq!(&*persistence.name, "websocket-route");
    let TokenCarrier::Cookie(cookie) = &persistence.carrier else {
        panic!("a cookie")
    };
    assert_eq!(cookie.path, CookiePath::Fixed("/".into()));
    let named = valid_own("sessionPersistence: {}").persistence.expect("sessions");
    assert_eq!(
        &*named.for_rule("httproute/a/b/rule/0").name,
        "httproute-a-b-rule-0"
    );
}
