//! One bad document per rule, and what each valid document means (rows LB10, LB15, LB18, CH06, EO06).

use std::time::Duration;

use weir_model::{
    Algorithm, BalanceSpec, Choices, HashSource, LeastRequest, LoadReport, MissingKey, ObjectName, Period,
    Severity,
};

use super::super::merge::merged;
use super::super::owner::Owner;
use super::super::spec::settings;
use crate::resource::MergeType;
use crate::resource::decode::Decoder;
use crate::yaml::{Node, Parser};

/// The tree of a document.
fn tree(text: &str) -> Node {
    Parser::new().parse(text).root.expect(text)
}

/// Decodes a `spec` and shows its findings as `CODE line:column message` with the errors' refusal.
fn judge(kind: &str, spec: &str) -> (Option<BalanceSpec>, Vec<String>) {
    let mut decoder = Decoder::default();
    let object = ObjectName::new(kind, "default", "p");
    let found = settings(&mut decoder, &tree(spec), Owner::alone(&object));
    let findings = decoder.into_findings();
    let refused = findings.iter().any(|finding| finding.severity == Severity::Error);
    assert_eq!(
        found.is_none(),
        refused,
        "an error refuses the policy, a warning does not:\n{spec}\n{findings:?}"
    );
    let shown = findings.iter().map(|finding| {
        format!(
            "{} {}:{} {}",
            finding.code, finding.span.line, finding.span.column, finding.message
        )
    });
    (found.map(|found| (*found.balance).clone()), shown.collect())
}

/// The findings about `loadBalancer: {...}` of a BackendTrafficPolicy.
fn check(load_balancer: &str, expected: &[&str]) {
    let (_, findings) = judge("BackendTrafficPolicy", &format!("loadBalancer: {load_balancer}"));
    assert_eq!(findings, expected, "{load_balancer}");
}

#[test]
fn lb18_each_rule_of_the_crd_is_checked_by_itself() {
    check("{type: RoundRobin}", &[]);
    check("{}", &["E0102 1:15 loadBalancer has no \"type\""]);
    check(
        "{type: roundrobin}",
        &["E0320 1:22 \"type\" cannot be \"roundrobin\""],
    );
    check(
        "{type: ConsistentHash}",
        &["E0305 1:22 load balancer type ConsistentHash needs the field \"consistentHash\""],
    );
    check(
        "{type: Random, consistentHash: {type: SourceIP}}",
        &["E0305 1:30 the field \"consistentHash\" goes with load balancer type ConsistentHash only"],
    );
    check(
        "{type: RoundRobin, backendUtilization: {}}",
        &["E0305 1:34 the field \"backendUtilization\" goes with load balancer type BackendUtilization only"],
    );
    check(
        "{type: DynamicModule}",
        &["E0305 1:22 load balancer type DynamicModule needs the field \"dynamicModule\""],
    );
    check(
        "{type: DynamicModule, dynamicModule: {}}",
        &["E0310 1:22 DynamicModule load balancers are not supported"],
    );
    check(
        "{type: ConsistentHash, consistentHash: {type: SourceIP}, zoneAware: {preferLocal: {}}}",
        &["E0308 1:84 zoneAware.preferLocal is not supported for ConsistentHash and BackendUtilization"],
    );
    check(
        "{type: RoundRobin, zoneAware: {preferLocal: {}, weightedZones: [{zone: a, weight: 1}]}}",
        &["E0308 1:63 zoneAware takes preferLocal or weightedZones, not both"],
    );
    check(
        "{type: BackendUtilization, zoneAware: {preferLocal: {}}}",
        &["E0308 1:54 zoneAware.preferLocal is not supported for ConsistentHash and BackendUtilization"],
    );
    check(
        "{type: ConsistentHash, consistentHash: {type: SourceIP}, zoneAware: {weightedZones: [{zone: a, weight: 1}]}}",
        &["W0309 1:72 loadBalancer.zoneAware is not supported yet"],
    );
    for (block, place) in [
        (
            "slowStart: {window: 10s}",
            "slowStart is supported for RoundRobin, LeastRequest and BackendUtilization only",
        ),
        ("zoneAware: {}", "zoneAware is not supported for DynamicModule"),
        (
            "endpointOverride: {extractFrom: [{header: a}]}",
            "endpointOverride is not supported for DynamicModule",
        ),
    ] {
        check(
            &format!("{{type: DynamicModule, dynamicModule: {{}}, {block}}}"),
            &[&format!("E0308 1:56 {place}")],
        );
    }
    check(
        "{type: LeastRequest, dynamicModule: {}}",
        &["E0305 1:36 the field \"dynamicModule\" goes with load balancer type DynamicModule only"],
    );
    check(
        "{type: RoundRobin, zoneAware: {preferLocal: {}}}",
        &["W0309 1:34 loadBalancer.zoneAware is not supported yet"],
    );
    check(
        "{type: BackendUtilization}",
        &["W0309 1:22 BackendUtilization is not supported yet"],
    );
    check(
        "[RoundRobin]",
        &["E0101 1:15 \"loadBalancer\" must be a mapping, found a list"],
    );
}

#[test]
fn bx01_lb08_balancers_that_learn_are_weirs_own() {
    for (name, algorithm) in [
        ("Adaptive", Algorithm::Adaptive),
        ("PeakEwma", Algorithm::PeakEwma),
    ] {
        let spec = format!("loadBalancer: {{type: {name}, slowStart: {{window: 10s}}}}");
        let (balance, findings) = judge("TrafficPolicy", &spec);
        assert_eq!(findings, Vec::<String>::new());
        assert_eq!(balance.map(|balance| balance.algorithm), Some(algorithm));
        check(
            &format!("{{type: {name}}}"),
            &[&format!("E0320 1:22 \"type\" cannot be \"{name}\"")],
        );
    }
}

#[test]
fn lb15_slow_start_goes_with_round_robin_and_least_request_only() {
    let message = "slowStart is supported for RoundRobin, LeastRequest and BackendUtilization only";
    check(
        "{type: Random, slowStart: {window: 10s}}",
        &[&format!("E0308 1:30 {message}")],
    );
    check(
        "{type: ConsistentHash, consistentHash: {type: SourceIP}, slowStart: {window: 10s}}",
        &[&format!("E0308 1:72 {message}")],
    );
    check("{type: RoundRobin, slowStart: {window: 10s}}", &[]);
    check("{type: LeastRequest, slowStart: {window: 1m}}", &[]);
    check(
        "{type: RoundRobin, slowStart: {}}",
        &["E0102 1:45 slowStart has no \"window\""],
    );
    check(
        "{type: RoundRobin, slowStart: {window: 0s}}",
        &["E0303 1:54 slowStart.window must be longer than 0s"],
    );
}

#[test]
fn lb18_a_hash_type_has_its_own_field_and_no_other() {
    let hash = |block: &str| format!("{{type: ConsistentHash, consistentHash: {block}}}");
    check(&hash("{type: SourceIP}"), &[]);
    check(&hash("{type: Header, header: {name: FooBar}}"), &[]);
    check(&hash("{type: Headers, headers: [{name: a}, {name: b}]}"), &[]);
    check(&hash("{type: QueryParams, queryParams: [{name: a}]}"), &[]);
    check(
        &hash("{type: Header}"),
        &["E0305 1:61 consistent hash type Header needs the field \"header\""],
    );
    check(
        &hash("{type: SourceIP, header: {name: a}}"),
        &["E0305 1:71 the field \"header\" goes with consistent hash type Header only"],
    );
    check(
        &hash("{type: Cookie}"),
        &["E0305 1:61 consistent hash type Cookie needs the field \"cookie\""],
    );
    for (name, field, value) in [
        ("Headers", "headers", "[{name: a}]"),
        ("QueryParams", "queryParams", "[{name: a}]"),
        ("Cookie", "cookie", "{name: a}"),
    ] {
        check(
            &hash(&format!("{{type: {name}}}")),
            &[&format!(
                "E0305 1:61 consistent hash type {name} needs the field \"{field}\""
            )],
        );
        check(
            &hash(&format!("{{type: SourceIP, {field}: {value}}}")),
            &[&format!(
                "E0305 1:71 the field \"{field}\" goes with consistent hash type {name} only"
            )],
        );
    }
    check(
        &hash("{type: QueryParams, queryParams: []}"),
        &["E0303 1:87 \"queryParams\" is empty"],
    );
    check(&hash("{}"), &["E0102 1:54 consistentHash has no \"type\""]);
    check(
        &hash("{type: Headers, headers: []}"),
        &["E0303 1:79 \"headers\" is empty"],
    );
    check(
        &hash("{type: Header, header: {name: 'a b'}}"),
        &["E0303 1:84 \"a b\" is not a header name"],
    );
    check(
        &hash("{type: Source}"),
        &["E0320 1:61 \"type\" cannot be \"Source\""],
    );
}

#[test]
fn lb10_a_table_size_that_is_no_prime_is_refused() {
    let sized = |size: &str| {
        format!("{{type: ConsistentHash, consistentHash: {{type: SourceIP, tableSize: {size}}}}}")
    };
    check(&sized("65537"), &[]);
    check(&sized("5000011"), &[]);
    check(
        &sized("65536"),
        &["E0307 1:82 invalid TableSize value 65536: it must be a prime"],
    );
    check(
        &sized("1"),
        &["E0103 1:82 \"tableSize\" is 1, which is out of range"],
    );
    check(
        &sized("5000012"),
        &["E0103 1:82 \"tableSize\" is 5000012, which is out of range"],
    );
}

#[test]
fn eo06_override_sources_are_one_to_ten_and_each_names_a_header() {
    let from = |items: &str| format!("{{type: RoundRobin, endpointOverride: {{extractFrom: {items}}}}}");
    check(&from("[{header: x-custom-host}]"), &[]);
    check(
        &from("[]"),
        &["E0303 1:66 endpointOverride.extractFrom takes 1 to 10 entries, not 0"],
    );
    check(
        &from("[{}]"),
        &["E0102 1:67 an entry of extractFrom has no \"header\""],
    );
    let eleven = ["{header: a}"; 11].join(", ");
    let (found, findings) = judge(
        "BackendTrafficPolicy",
        &format!("loadBalancer: {}", from(&format!("[{eleven}]"))),
    );
    assert!(found.is_none());
    assert!(
        findings
            .iter()
            .any(|finding| finding.contains("takes 1 to 10 entries, not 11")),
        "{findings:?}"
    );
}

#[test]
fn ch06_cookie_attributes_keep_their_order_and_must_be_sendable() {
    let cookie = |block: &str| {
        format!("loadBalancer: {{type: ConsistentHash, consistentHash: {{type: Cookie, cookie: {block}}}}}")
    };
    let spec = |block: &str| match judge("BackendTrafficPolicy", &cookie(block))
        .0
        .map(|spec| spec.algorithm)
    {
        Some(Algorithm::ConsistentHash(hash)) => match hash.sources.into_iter().next() {
            Some(HashSource::Cookie(cookie)) => Some(cookie),
            _ => None,
        },
        _ => None,
    };
    let found =
        spec("{name: FooBar, ttl: 60s, attributes: {SameSite: Strict, Path: /, Secure: }}").expect("valid");
    assert_eq!(found.ttl.map(|ttl| ttl.as_secs()), Some(60));
    let shown: Vec<String> = found
        .attributes
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    assert_eq!(shown, ["SameSite=Strict", "Path=/", "Secure="]);
    assert_eq!(spec("{name: a}").expect("valid").ttl, None);
    assert_eq!(
        spec("{name: a, ttl: 0s}")
            .expect("valid")
            .ttl
            .map(|ttl| ttl.as_secs()),
        Some(0)
    );
    for refused in [
        "{name: 'a b'}",
        "{name: a, attributes: {Path: '/;x'}}",
        "{name: a, ttl: soon}",
        "{ttl: 1s}",
    ] {
        assert_eq!(spec(refused), None, "{refused}");
    }
}

#[test]
fn weirs_own_fields_belong_to_weirs_own_kind() {
    let spec = "loadBalancer:\n  type: LeastRequest\n  leastRequest: {choices: All, bias: 0.5}\n  reportHeader: X-Weir-Pick\n";
    let (found, findings) = judge("TrafficPolicy", spec);
    let found = found.expect("valid");
    assert_eq!(findings, Vec::<String>::new());
    assert_eq!(
        found.algorithm,
        Algorithm::LeastRequest(LeastRequest {
            choices: Choices::All,
            bias_milli: 500
        })
    );
    assert_eq!(found.report_header.as_deref(), Some("x-weir-pick"));
    let (found, findings) = judge("BackendTrafficPolicy", spec);
    assert_eq!(
        found,
        Some(BalanceSpec::default()),
        "ignored fields change nothing"
    );
    assert_eq!(
        findings,
        [
            "W0301 3:3 BackendTrafficPolicy has no field \"leastRequest\"",
            "W0301 4:3 BackendTrafficPolicy has no field \"reportHeader\"",
        ]
    );
}

#[test]
fn hc15_load_reports_have_a_header_and_an_expiry() {
    let spec = |own: &str| format!("loadBalancer:\n  type: RoundRobin\n  loadReport: {own}\n");
    let report = |own: &str| {
        judge("TrafficPolicy", &spec(own))
            .0
            .and_then(|found| found.load_report)
    };
    assert_eq!(report("{}"), Some(LoadReport::default()));
    assert_eq!(
        report("{header: X-Capacity, expiry: 5s, keepHeader: true}"),
        Some(LoadReport {
            header: "x-capacity".into(),
            expiry: Period::clamped(Duration::from_secs(5)),
            keep: true,
        })
    );
    for (kind, text, found) in [
        ("BackendTrafficPolicy", spec("{}"), "W0301 3:3"),
        ("TrafficPolicy", spec("{expiry: 0s}"), "E0303 3:"),
        ("TrafficPolicy", spec("{header: 'a b'}"), "E0303 3:"),
        (
            "TrafficPolicy",
            spec("{}").replace("RoundRobin", "Random"),
            "E0308 3:3",
        ),
    ] {
        let findings = judge(kind, &text).1;
        assert!(
            findings.iter().any(|finding| finding.starts_with(found)),
            "{text}: {findings:?}"
        );
    }
}

#[test]
fn ch09_fallback_sources_are_kept_in_order() {
    let spec = "loadBalancer:\n  type: ConsistentHash\n  consistentHash:\n    type: Header\n    header: {name: X-User}\n    fallbacks:\n    - {type: Cookie, cookie: {name: id}}\n    - {type: SourceIP, sourceIP: {ipv4PrefixLength: 24}}\n    onMissingKey: LeastRequest\n";
    let (found, findings) = judge("TrafficPolicy", spec);
    assert_eq!(findings, Vec::<String>::new());
    let Some(Algorithm::ConsistentHash(hash)) = found.map(|found| found.algorithm) else {
        panic!("a consistent hash")
    };
    assert_eq!(hash.missing_key, MissingKey::LeastRequest);
    assert_eq!(hash.sources.len(), 3);
    assert_eq!(
        hash.sources[2],
        HashSource::SourceIp {
            prefix_length_v4: 24,
            prefix_length_v6: 128
        }
    );
}

#[test]
fn fields_that_have_no_effect_yet_are_named_with_their_place() {
    let (found, findings) = judge(
        "BackendTrafficPolicy",
        "http2: {}\nhealthChek: {}\ndns: {}\nbandwidthLimit: {}\n",
    );
    assert_eq!(found, Some(BalanceSpec::default()));
    assert_eq!(
        findings,
        [
            "W0101 2:1 spec has no field \"healthChek\"",
            "W0309 1:1 http2 is not supported yet",
            "W0309 4:1 bandwidthLimit is not supported yet",
        ]
    );
}

#[test]
fn lb21_policies_merge_as_trees() {
    let base = "mergeType: x\nloadBalancer: {type: RoundRobin, slowStart: {window: 10s}}\nretry: {numRetries: 1}\ncompressor: [{type: Gzip, minContentLength: 50}]\n";
    let both = |patch: &str, merge_type: MergeType| merged(&tree(base), &tree(patch), merge_type);
    let text = |node: Option<&Node>| node.and_then(Node::scalar).map(|scalar| scalar.text.to_string());

    let result = both("loadBalancer: {type: LeastRequest}\n", MergeType::JsonMerge);
    let balancer = result.field("loadBalancer").expect("kept");
    assert_eq!(text(balancer.field("type")).as_deref(), Some("LeastRequest"));
    assert!(
        balancer.field("slowStart").is_some(),
        "what the patch does not name stays"
    );
    assert!(result.field("retry").is_some(), "fields of the parent stay");
    assert!(
        result.entry("mergeType").is_none(),
        "where the parent applies is not merged"
    );

    let result = both(
        "loadBalancer: {slowStart: null}\nretry: null\n",
        MergeType::JsonMerge,
    );
    assert!(
        result.entry("retry").is_none()
            && result
                .field("loadBalancer")
                .expect("kept")
                .entry("slowStart")
                .is_none()
    );

    let patch = "compressor: [{type: Brotli}, {type: Gzip, minContentLength: 90}]\n";
    let strategic = both(patch, MergeType::StrategicMerge);
    let items = strategic.field("compressor").expect("kept").items();
    let shown: Vec<_> = items
        .iter()
        .map(|item| (text(item.field("type")), text(item.field("minContentLength"))))
        .collect();
    let word = |word: &str| Some(word.to_string());
    assert_eq!(
        shown,
        [(word("Gzip"), word("90")), (word("Brotli"), None)],
        "lists with keys merge by key"
    );
    let json = both(patch, MergeType::JsonMerge);
    assert_eq!(
        text(json.field("compressor").expect("kept").items()[0].field("type")),
        word("Brotli"),
        "lists replace"
    );
}
