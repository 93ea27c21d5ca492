//! `healthCheck`: defaults, every rule of the CRD, bounds (rows HC01, HC02, HC03, HC06, HC07, HC11, LB25).

use std::sync::Arc;

use weir_model::{ActiveCheck, HealthStart, PassiveCheck, Probe, UpstreamSpec};

use super::judge::{bounds, check, judge, period_bounds, valid, valid_own};

const HTTP: &str = "healthCheck: {active: {type: HTTP, http: {path: /}}}";

fn active(spec: &str) -> ActiveCheck {
    let check = valid(spec).upstream.health.active.clone();
    ActiveCheck::clone(&check.expect(spec))
}

fn passive(spec: &str) -> PassiveCheck {
    let check = valid(spec).upstream.health.passive.clone();
    PassiveCheck::clone(&check.expect(spec))
}

#[test]
fn hc01_an_http_check_has_envoy_gateways_defaults() {
    let found = active(HTTP);
    assert_eq!(found, ActiveCheck::default());
    let Probe::Http(probe) = found.probe else {
        panic!("an HTTP probe")
    };
    assert_eq!((&*probe.method, &*probe.path, probe.host), ("GET", "/", None));
    assert_eq!(probe.expected.ranges(), [200..=200]);
    assert!(probe.retriable.is_empty());
}

#[test]
fn hc01_statuses_are_joined_to_ranges_and_an_empty_list_is_none() {
    for (list, ranges) in [
        ("[200, 201, 204, 200]", vec![200..=201, 204..=204]),
        ("[]", vec![200..=200]),
        ("[599, 100]", vec![100..=100, 599..=599]),
    ] {
        let spec =
            format!("healthCheck: {{active: {{type: HTTP, http: {{path: /, expectedStatuses: {list}}}}}}}");
        let Probe::Http(probe) = active(&spec).probe else {
            panic!("an HTTP probe")
        };
        assert_eq!(probe.expected.ranges(), ranges, "{list}");
    }
    for field in ["expectedStatuses", "retriableStatuses"] {
        bounds(
            &format!("healthCheck: {{active: {{type: HTTP, http: {{path: /, {field}: [N]}}}}}}"),
            100,
            599,
        );
    }
}

#[test]
fn hc03_thresholds_and_times_are_bounded() {
    for field in ["unhealthyThreshold", "healthyThreshold"] {
        bounds(
            &format!("healthCheck: {{active: {{type: HTTP, http: {{path: /}}, {field}: N}}}}"),
            1,
            i64::from(u32::MAX),
        );
    }
    for field in ["timeout", "interval"] {
        period_bounds(&format!(
            "healthCheck: {{active: {{type: HTTP, http: {{path: /}}, {field}: N}}}}"
        ));
    }
    let found = active(
        "healthCheck: {active: {type: HTTP, http: {path: /}, initialJitter: 0s, unhealthyThreshold: 7, healthyThreshold: 2}}",
    );
    assert_eq!(
        (found.unhealthy_threshold.get(), found.healthy_threshold.get()),
        (7, 2)
    );
    assert!(found.initial_jitter.is_zero());
}

#[test]
fn hc06_each_rule_about_types_is_checked_by_itself() {
    check(&[
        (
            "healthCheck: {active: {http: {path: /}}}",
            &["E0102 1:23 active has no \"type\""],
        ),
        (
            "healthCheck: {active: {type: HTTP}}",
            &["E0305 1:30 health check type HTTP needs the field \"http\""],
        ),
        (
            "healthCheck: {active: {type: TCP}}",
            &["E0305 1:30 health check type TCP needs the field \"tcp\""],
        ),
        (
            "healthCheck: {active: {type: TCP, tcp: {}, http: {path: /}}}",
            &["E0305 1:44 the field \"http\" goes with health check type HTTP only"],
        ),
        (
            "healthCheck: {active: {type: HTTP, http: {path: /}, grpc: {}}}",
            &["E0305 1:53 the field \"grpc\" goes with health check type GRPC only"],
        ),
        (
            "healthCheck: {active: {type: GRPC}}",
            &["W0309 1:30 health checks of type GRPC are not supported yet"],
        ),
        (
            "healthCheck: {active: {type: HTTP, http: {path: /}, initial: Healthy}}",
            &["W0301 1:53 BackendTrafficPolicy has no field \"initial\""],
        ),
        (
            "healthCheck: {active: {type: HTTP, http: {path: /}, unhealtyThreshold: 1}}",
            &["W0101 1:53 active has no field \"unhealtyThreshold\""],
        ),
        (
            "healthCheck: []",
            &["E0101 1:14 \"healthCheck\" must be a mapping, found a list"],
        ),
    ]);
    let Probe::Tcp(probe) = active("healthCheck: {active: {type: TCP, tcp: {}}}").probe else {
        panic!("a TCP probe")
    };
    assert_eq!((probe.send, probe.receive), (None, None), "connecting is enough");
}

#[test]
fn hc06_payloads_are_text_or_base64() {
    let send = |payload: &str| format!("healthCheck: {{active: {{type: TCP, tcp: {{send: {payload}}}}}}}");
    for (payload, bytes) in [
        ("{type: Text, text: PING}", &b"PING"[..]),
        ("{type: Binary, binary: UElORw==}", b"PING"),
    ] {
        let Probe::Tcp(probe) = active(&send(payload)).probe else {
            panic!("a TCP probe")
        };
        assert_eq!(probe.send.expect("sent").bytes(), bytes);
    }
    for (payload, message) in [
        (
            "{type: Text}",
            "E0305 1:54 payload type Text needs the field \"text\"",
        ),
        (
            "{type: Binary, text: a}",
            "E0305 1:54 payload type Binary needs the field \"binary\"",
        ),
        ("{type: Binary, binary: a}", "E0303 1:70 \"binary\" is not base64"),
        ("{type: Text, text: \"\"}", "E0103 1:66 \"text\" is empty"),
        ("{text: a}", "E0102 1:47 send has no \"type\""),
    ] {
        let findings = judge(false, &send(payload)).1;
        assert_eq!(findings.last().map(String::as_str), Some(message), "{payload}");
    }
}

#[test]
fn hc07_path_method_host_port_and_body_are_checked() {
    let http = |fields: &str| format!("healthCheck: {{active: {{type: HTTP, http: {{{fields}}}}}}}");
    let long = |length: usize| format!("path: /{}", "a".repeat(length - 1));
    for (fields, code) in [
        ("path: /a", None),
        ("path: \"/a?b=c\"", None),
        ("hostname: h", Some("E0102")),
        ("path: a", Some("E0303")),
        ("path: \"/a b\"", Some("E0303")),
        ("path: \"/a#b\"", Some("E0303")),
        ("path: \"/a\\r\\nHost: b\"", Some("E0303")),
        ("path: \"\"", Some("E0103")),
        (&*long(1023), None),
        (&*long(1024), None),
        (&*long(1025), Some("E0303")),
        ("path: /, hostname: a.example.com", None),
        ("path: /, hostname: \"a:80\"", Some("E0303")),
        ("path: /, hostname: \"a\\r\\nb\"", Some("E0303")),
        ("path: /, method: get", None),
        ("path: /, method: ABCDEFGHIJKLMNO", None),
        ("path: /, method: ABCDEFGHIJKLMNOP", None),
        ("path: /, method: ABCDEFGHIJKLMNOPQ", Some("E0303")),
        ("path: /, method: \"G T\"", Some("E0303")),
        ("path: /, requestBody: {type: Text, text: a}", Some("E0305")),
        (
            "path: /, method: get, requestBody: {type: Text, text: a}",
            Some("E0305"),
        ),
        ("path: /, method: post, requestBody: {type: Text, text: a}", None),
        ("path: /, method: PUT, requestBody: {type: Text, text: a}", None),
    ] {
        let findings = judge(false, &http(fields)).1;
        let found = findings.first().map(|finding| &finding[..5]);
        assert_eq!(found, code, "{fields}: {findings:?}");
    }
    bounds(
        "healthCheck: {active: {type: HTTP, http: {path: /}, overrides: {port: N}}}",
        1,
        65_535,
    );
    let found =
        active("healthCheck: {active: {type: HTTP, http: {path: /, method: get}, overrides: {port: 81}}}");
    assert_eq!(found.port.map(weir_model::Port::number), Some(81));
    let Probe::Http(probe) = found.probe else {
        panic!("an HTTP probe")
    };
    assert_eq!(&*probe.method, "GET");
}

#[test]
fn hc02_weirs_own_kind_says_how_endpoints_start() {
    for (word, start) in [
        ("Probe", HealthStart::Probe),
        ("Healthy", HealthStart::Healthy),
        ("Unhealthy", HealthStart::Unhealthy),
    ] {
        let spec = format!(
            "healthCheck: {{active: {{type: HTTP, http: {{path: /}}, initial: {word}, intervalJitterPercent: 7}}}}"
        );
        let check = valid_own(&spec).upstream.health.active.clone().expect("a check");
        assert_eq!((check.start, check.interval_jitter.number()), (start, 7));
    }
    bounds(
        "healthCheck: {active: {type: HTTP, http: {path: /}, intervalJitterPercent: N}}",
        0,
        100,
    );
}

#[test]
fn hc11_passive_checks_have_envoy_gateways_defaults_and_zero_is_honoured() {
    assert_eq!(passive("healthCheck: {passive: {}}"), PassiveCheck::default());
    let off = passive(
        "healthCheck: {passive: {consecutive5XxErrors: 0, consecutiveGatewayErrors: 0, consecutiveLocalOriginFailures: 0, maxEjectionPercent: 0}}",
    );
    assert_eq!(
        (
            off.consecutive_5xx,
            off.consecutive_gateway,
            off.consecutive_local
        ),
        (None, None, None)
    );
    assert_eq!(off.max_ejection_percent.number(), 0);
    let rate = passive("healthCheck: {passive: {failurePercentageThreshold: 90}}").failure_percentage;
    let rate = rate.expect("judged");
    assert_eq!(
        (rate.threshold.number(), rate.endpoints_min, rate.requests_min),
        (90, 5, 50)
    );
    for field in ["maxEjectionPercent", "failurePercentageThreshold"] {
        bounds(&format!("healthCheck: {{passive: {{{field}: N}}}}"), 0, 100);
    }
    for field in [
        "consecutive5XxErrors",
        "consecutiveGatewayErrors",
        "consecutiveLocalOriginFailures",
        "failurePercentageMinEndpoints",
        "failurePercentageMinRequests",
    ] {
        bounds(
            &format!("healthCheck: {{passive: {{{field}: N}}}}"),
            0,
            i64::from(u32::MAX),
        );
    }
    for field in ["interval", "baseEjectionTime", "maxEjectionTime"] {
        period_bounds(&format!("healthCheck: {{passive: {{{field}: N}}}}"));
    }
    check(&[(
        "healthCheck: {passive: {consecutive5xxErrors: 1, successRate: {}}}",
        &[
            "W0301 1:50 BackendTrafficPolicy has no field \"successRate\"",
            "W0101 1:25 passive has no field \"consecutive5xxErrors\"",
        ],
    )]);
}

#[test]
fn lb25_the_panic_threshold_is_a_percentage() {
    bounds("healthCheck: {panicThreshold: N}", 0, 100);
    let threshold = |spec: &str| valid(spec).upstream.health.panic_threshold.number();
    assert_eq!(threshold("healthCheck: {panicThreshold: 0}"), 0);
    assert_eq!(threshold("healthCheck: {}"), 50);
    assert_eq!(valid("healthCheck: {}").upstream, Arc::<UpstreamSpec>::default());
}
