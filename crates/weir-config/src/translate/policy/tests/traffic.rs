//! `faultInjection`, `rateLimit`, `requestBuffer`, `compressor`, `responseOverride`: every rule of the CRD, bounds
//! (rows KT26, KT33).

use std::sync::Arc;

use weir_model::{
    ContentEncoding, HeaderSelector, QuerySelector, RateUnit, Replacement, Rule, Timeouts, TrafficSpec,
};

use super::judge::{bounds, check, judge, valid, valid_own};
use crate::translate::effective::PolicySettings;

/// What the settings mean for a rule of that key.
fn for_rule(settings: &PolicySettings, key: &str) -> Arc<TrafficSpec> {
    let rule = Rule {
        key: key.into(),
        name: None,
        matches: Vec::new(),
        filters: Vec::new(),
        action: weir_model::Action::Answer(weir_model::FixedAnswer {
            status: 500,
            reason: "".into(),
            allow: None,
        }),
        timeouts: Timeouts::default(),
        traffic: None,
        origin: weir_model::Origin::default(),
    };
    settings.traffic.as_ref().expect("traffic").for_rule(&rule)
}

fn traffic(spec: &str) -> Arc<TrafficSpec> {
    for_rule(&valid(spec), "r")
}

#[test]
fn faults_need_a_kind_and_are_for_all_requests_unless_written() {
    let fault =
        traffic("faultInjection: {delay: {fixedDelay: 1s}, abort: {httpStatus: 503, percentage: 0.5}}").fault;
    assert_eq!(fault.delay.expect("delay").fraction.ratio(), 1.0);
    assert_eq!(fault.abort.expect("abort").fraction.ratio(), 0.005);
    let least = traffic("faultInjection: {delay: {fixedDelay: 1s, percentage: 0.0001}}").fault;
    assert_eq!(least.delay.expect("delay").fraction.ratio(), 0.000_001);
    bounds("faultInjection: {abort: {httpStatus: N}}", 200, 599);
    for (percentage, valid) in [
        ("0", true),
        ("100", true),
        ("100.1", false),
        ("-0.1", false),
        ("a", false),
    ] {
        let spec = format!("faultInjection: {{abort: {{httpStatus: 500, percentage: {percentage}}}}}");
        assert_eq!(judge(false, &spec).0.is_some(), valid, "{percentage}");
    }
    check(&[
        (
            "faultInjection: {}",
            &["E0305 1:17 faultInjection needs \"delay\", \"abort\" or both"],
        ),
        (
            "faultInjection: {abort: {httpStatus: 500, grpcStatus: 1}}",
            &["E0305 1:55 httpStatus and grpcStatus cannot be simultaneously defined"],
        ),
        (
            "faultInjection: {abort: {}}",
            &["E0305 1:25 abort needs \"httpStatus\" or \"grpcStatus\""],
        ),
        (
            "faultInjection: {abort: {grpcStatus: 16}}",
            &["W0309 1:26 faultInjection.abort.grpcStatus is not supported yet"],
        ),
        (
            "faultInjection: {abort: {grpcStatus: 17}}",
            &["E0103 1:38 \"grpcStatus\" is 17, which is out of range"],
        ),
        (
            "faultInjection: {delay: {}}",
            &["E0102 1:25 delay has no \"fixedDelay\""],
        ),
    ]);
}

fn rules(rules: &str) -> String {
    format!("rateLimit: {{local: {{rules: [{rules}]}}}}")
}

#[test]
fn kt33_each_rule_about_rate_limits_is_checked_by_itself() {
    let default = "{limit: {requests: 1, unit: Minute}}";
    for (spec, message) in [
        (
            "rateLimit: {}".to_owned(),
            "E0305 rateLimit needs \"local\" or \"global\"",
        ),
        (
            "rateLimit: {type: Local}".to_owned(),
            "E0305 rateLimit needs \"local\"",
        ),
        (
            "rateLimit: {type: Global, local: {rules: []}}".to_owned(),
            "E0305 rateLimit needs \"global\"",
        ),
        (
            "rateLimit: {global: {rules: []}}".to_owned(),
            "W0309 rateLimit.global is not supported yet",
        ),
        (rules("{}"), "E0102 an entry of rules has no \"limit\""),
        (rules("{limit: {unit: Hour}}"), "E0102 limit has no \"requests\""),
        (rules("{limit: {requests: 1}}"), "E0102 limit has no \"unit\""),
        (
            rules("{limit: {requests: 1, unit: Week}}"),
            "E0104 \"unit\" cannot be \"Week\"",
        ),
        (
            rules("{limit: {fromMetadata: {namespace: a, key: b}}}"),
            "E0305 \"fromMetadata\" goes with global rate limits only",
        ),
        (
            rules(&format!("{default}, {default}")),
            "E0305 local rateLimit can not have more than one rule without clientSelectors",
        ),
        (
            rules(&format!(
                "{default}, {{clientSelectors: [{{path: {{value: /}}}}], limit: {{requests: 1, unit: Second}}}}"
            )),
            "E0305 local rateLimit rule limit unit must be a multiple of the default limit unit",
        ),
        (
            rules("{limit: {requests: 1, unit: Hour}, cost: {response: {from: Number, number: 1}}}"),
            "E0305 response cost is not supported for local rate limits",
        ),
        (
            rules("{limit: {requests: 1, unit: Hour}, shadowMode: true}"),
            "W0309 rateLimit.local.rules.shadowMode is not supported yet",
        ),
        (
            rules("{clientSelectors: [{}], limit: {requests: 1, unit: Hour}}"),
            "E0305 a clientSelector needs one of headers, methods, path, sourceCIDR, queryParams",
        ),
        (
            rules("{clientSelectors: [{header: []}], limit: {requests: 1, unit: Hour}}"),
            "E0114 an entry of clientSelectors has no field \"header\"",
        ),
        (
            rules(
                "{clientSelectors: [{headers: [{name: a, type: Distinct, value: b}]}], limit: {requests: 1, unit: Hour}}",
            ),
            "E0305 \"value\" does not go with the type Distinct",
        ),
        (
            rules(
                "{clientSelectors: [{headers: [{name: a, type: Distinct, invert: true}]}], limit: {requests: 1, unit: Hour}}",
            ),
            "E0305 \"invert\" does not go with the type Distinct",
        ),
        (
            rules("{clientSelectors: [{headers: [{name: a}]}], limit: {requests: 1, unit: Hour}}"),
            "E0102 an entry of headers has no \"value\"",
        ),
        (
            rules(
                "{clientSelectors: [{headers: [{name: a, type: RegularExpression, value: \"(\"}]}], limit: {requests: 1, unit: Hour}}",
            ),
            "E0108 the regular expression cannot be used",
        ),
        (
            rules(
                "{clientSelectors: [{sourceCIDR: {value: 10.0.0.0/33}}], limit: {requests: 1, unit: Hour}}",
            ),
            "E0303 not an address prefix",
        ),
        (
            rules(
                "{clientSelectors: [{sourceCIDR: {value: 10.0.0.0/8, type: Distinct, invert: true}}], limit: {requests: 1, unit: Hour}}",
            ),
            "E0305 \"invert\" does not go with the type Distinct",
        ),
        (
            rules("{clientSelectors: [{methods: [{value: get}]}], limit: {requests: 1, unit: Hour}}"),
            "E0104 \"value\" cannot be \"get\"",
        ),
        (
            rules("{clientSelectors: [{path: {type: Exact}}], limit: {requests: 1, unit: Hour}}"),
            "E0102 path has no \"value\"",
        ),
    ] {
        let findings = judge(false, &spec).1;
        let found: Vec<String> = findings
            .iter()
            .map(|finding| {
                let (code, rest) = finding.split_once(' ').expect("a code");
                format!("{code} {}", rest.split_once(' ').expect("a place").1)
            })
            .collect();
        assert!(
            found.iter().any(|found| found == message),
            "{spec}\n{message}\n{found:?}"
        );
    }
}

#[test]
fn kt33_numbers_of_rate_limits_are_bounded() {
    bounds(
        &rules("{limit: {requests: N, unit: Year}}"),
        0,
        i64::from(u32::MAX),
    );
    let selected = "{clientSelectors: [{path: {value: /}}], limit: {requests: 1, unit: Hour}}";
    let selector = "{path: {value: /}}";
    for (count, valid) in [(15, true), (16, true), (17, false)] {
        let spec = rules(&vec![selected; count].join(", "));
        assert_eq!(judge(false, &spec).0.is_some(), valid, "{count} rules");
    }
    for (count, valid) in [(7, true), (8, true), (9, false)] {
        let selectors = vec![selector; count].join(", ");
        let spec = rules(&format!(
            "{{clientSelectors: [{selectors}], limit: {{requests: 1, unit: Hour}}}}"
        ));
        assert_eq!(judge(false, &spec).0.is_some(), valid, "{count} selectors");
    }
}

#[test]
fn kt33_buckets_are_the_rules_own_unless_they_are_shared() {
    let settings = valid(&rules(
        "{clientSelectors: [{headers: [{name: X-A, type: Distinct}], queryParams: [{name: q, value: v}]}], limit: {requests: 5, unit: Month}}, {limit: {requests: 9, unit: Day}, shared: true, xRateLimitHeaders: DraftVersion03}",
    ));
    let keys = |key: &str| -> Vec<String> {
        let limit = for_rule(&settings, key).rate_limit.clone().expect("a limit");
        assert!(limit.headers);
        limit.rules.iter().map(|rule| rule.key.to_string()).collect()
    };
    let policy = "backendtrafficpolicy/default/p/rule";
    assert_eq!(keys("one"), [format!("{policy}/0 one"), format!("{policy}/1")]);
    assert_eq!(keys("two"), [format!("{policy}/0 two"), format!("{policy}/1")]);
    let limit = for_rule(&settings, "one").rate_limit.clone().expect("a limit");
    let selector = &limit.rules[0].selectors[0];
    assert_eq!(selector.headers, [HeaderSelector::Distinct("x-a".into())]);
    assert!(matches!(
        &selector.query[..],
        [QuerySelector::Value { invert: false, .. }]
    ));
    assert_eq!(limit.rules[0].rate.unit, RateUnit::Month);
    let quiet = traffic(&rules(
        "{limit: {requests: 1, unit: Hour}, xRateLimitHeaders: \"Off\"}",
    ));
    assert!(!quiet.rate_limit.as_ref().expect("a limit").headers);
}

#[test]
fn buffering_needs_a_limit_and_no_upgrade() {
    assert_eq!(
        traffic("requestBuffer: {limit: 1Mi}").request_buffer_bytes,
        Some(1_048_576)
    );
    check(&[
        (
            "requestBuffer: {}",
            &["E0102 1:16 requestBuffer has no \"limit\""],
        ),
        (
            "requestBuffer: {limit: 4Gi}",
            &["E0303 1:24 \"limit\" is out of range"],
        ),
        (
            "{requestBuffer: {limit: 1}, httpUpgrade: [{type: websocket}]}",
            &[
                "W0309 1:29 httpUpgrade is not supported yet",
                "E0305 1:42 requestBuffer cannot be used together with httpUpgrade",
            ],
        ),
    ]);
}

#[test]
fn compressors_are_kept_in_order_under_either_name() {
    for name in ["compressor", "compression"] {
        let found = traffic(&format!(
            "{name}: [{{type: Brotli}}, {{type: Gzip, minContentLength: 1Ki}}]"
        ));
        let found: Vec<_> = found
            .compressors
            .iter()
            .map(|one| (one.encoding, one.min_bytes, one.level))
            .collect();
        let (brotli, gzip) = (ContentEncoding::Brotli, ContentEncoding::Gzip);
        assert_eq!(found, [(brotli, 30, None), (gzip, 1_024, None)]);
    }
    bounds(
        "compressor: [{type: Zstd, minContentLength: N}]",
        30,
        i64::from(u32::MAX),
    );
    bounds("compressor: [{type: Zstd, level: N}]", 1, 9);
    let own = valid_own("compressor: [{type: Zstd, level: 3, contentTypes: [Text/CSS]}]");
    let own = for_rule(&own, "r");
    assert_eq!(own.compressors[0].level, Some(3));
    assert_eq!(own.compressors[0].content_types, ["text/css".into()]);
    assert!(
        judge(true, "compressor: [{type: Zstd, contentTypes: [text]}]")
            .0
            .is_none()
    );
    check(&[
        (
            "{compressor: [{type: Gzip}], compression: [{type: Gzip}]}",
            &["E0305 1:30 either compression or compressor can be set, not both"],
        ),
        (
            "compressor: [{type: Deflate}]",
            &["E0104 1:21 \"type\" cannot be \"Deflate\""],
        ),
        (
            "compressor: [{type: Gzip}, {type: Gzip}]",
            &["W0106 1:28 the list names this type twice"],
        ),
        (
            "compressor: [{gzip: {}}]",
            &["E0102 1:14 an entry of compressor has no \"type\""],
        ),
    ]);
}

#[test]
fn overrides_say_when_and_what() {
    let one =
        |fields: &str| format!("responseOverride: [{{match: {{statusCodes: [{{value: 404}}]}}, {fields}}}]");
    let matched = |fields: &str| format!("responseOverride: [{{match: {{{fields}}}, response: {{}}}}]");
    for (spec, code) in [
        (one("response: {statusCode: 200}"), None),
        (one("redirect: {hostname: a.example.com}"), None),
        (one("response: {}, redirect: {}"), Some("E0305")),
        ("responseOverride: [{response: {}}]".to_owned(), Some("E0102")),
        (
            "responseOverride: [{match: {statusCodes: [{value: 404}]}}]".to_owned(),
            Some("E0305"),
        ),
        (matched(""), Some("E0305")),
        (matched("source: Local"), Some("E0305")),
        (matched("statusCode: []"), Some("E0114")),
        (
            matched("responseHeaders: [{name: a, value: b}], source: Local"),
            None,
        ),
        (
            matched("statusCodes: [{type: Range, range: {start: 500, end: 501}}]"),
            None,
        ),
        (
            matched("statusCodes: [{type: Range, range: {start: 500, end: 500}}]"),
            Some("E0305"),
        ),
        (matched("statusCodes: [{type: Range, value: 500}]"), Some("E0305")),
        (
            matched("statusCodes: [{type: Value, range: {start: 1, end: 2}}]"),
            Some("E0305"),
        ),
        (
            one("response: {body: {inline: a, type: ValueRef}}"),
            Some("E0305"),
        ),
        (one("response: {body: {type: Inline}}"), Some("E0305")),
        (
            one("response: {body: {type: ValueRef, valueRef: {kind: Secret, name: a}}}"),
            Some("E0104"),
        ),
        (
            one("response: {body: {type: ValueRef, valueRef: {kind: ConfigMap, name: a}}}"),
            Some("E0319"),
        ),
        (one("response: {contentType: \"a\\r\\nb\"}"), Some("E0303")),
        (
            one("response: {header: {set: [{name: content-length, value: \"1\"}]}}"),
            Some("W0113"),
        ),
        (one("redirect: {statusCode: 307}"), Some("E0305")),
        (
            one("redirect: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /a}}"),
            Some("E0305"),
        ),
    ] {
        let findings = judge(false, &spec).1;
        let found = findings.first().map(|finding| &finding[..5]);
        assert_eq!(found, code, "{spec}: {findings:?}");
    }
    bounds(&one("response: {statusCode: N}"), 200, 599);
    bounds(&matched("statusCodes: [{value: N}]"), 100, 599);
    for (count, valid) in [(49, true), (50, true), (51, false)] {
        let codes: Vec<String> = (0..count)
            .map(|code| format!("{{value: {}}}", 200 + 2 * code))
            .collect();
        let spec = matched(&format!("statusCodes: [{}]", codes.join(", ")));
        assert_eq!(judge(false, &spec).0.is_some(), valid, "{count}");
    }
    let found = traffic(&one("response: {body: {inline: \"\"}, contentType: text/plain}"));
    let Replacement::Answer(answer) = &found.overrides[0].replacement else {
        panic!("an answer")
    };
    assert_eq!(answer.body.as_deref(), Some(&b""[..]), "an empty body is one");
    assert_eq!(answer.status, None);
}

#[test]
fn kt26_request_limits_are_weirs_own_and_bounded() {
    let settings = valid_own(
        "requestLimits: {body: 10Mi, headers: 8Ki, target: 100, parallelRequests: 5}\n\
         rateLimit: {local: {rules: [{limit: {requests: 1, unit: Second}, shared: true}]}}",
    );
    let limits = |key: &str| for_rule(&settings, key).request_limits.clone();
    let found = limits("r");
    assert_eq!(
        (found.body_bytes, found.head_bytes, found.target_bytes),
        (Some(10 << 20), Some(8 << 10), Some(100))
    );
    let parallel = found.parallel.expect("a limit");
    assert_eq!(parallel.requests, 5);
    assert_ne!(
        limits("s").parallel.expect("a limit").key,
        parallel.key,
        "each rule counts for itself"
    );
    bounds("requestLimits: {headers: N}", 1, 32_768);
    bounds("requestLimits: {target: N}", 1, 8_192);
    bounds("requestLimits: {parallelRequests: N}", 0, i64::from(u32::MAX));
    check(&[(
        "requestLimits: {body: 1}",
        &["W0301 1:1 BackendTrafficPolicy has no field \"requestLimits\""],
    )]);
    let (found, findings) = judge(true, "requestLimits: {boddy: 1}");
    assert!(found.is_none(), "{findings:?}");
}
