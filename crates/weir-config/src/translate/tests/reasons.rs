//! What becomes of one rule, and with which reason.

use weir_model::{Action, Severity, Target};

use super::{BASE, route, set, status, translated, words};
use crate::status;
use crate::translate::{ENVOY_GATEWAY_CONTROLLER_NAME, Options, translate};

/// What the first rule does: `service/default/web/80*1` per destination, or the answer.
fn outcome(rules: &str, more: &str) -> (String, String) {
    let translation = translated(&[BASE, &route(rules), more]);
    let config = &translation.config;
    let action = match &config.routes[0].rules[0].action {
        Action::Answer(answer) => format!("{} {}", answer.status, answer.reason),
        Action::Redirect(redirect) => format!("redirect {}", redirect.status),
        Action::Forward(forward) => {
            let destinations = forward
                .destinations
                .iter()
                .map(|destination| match &destination.target {
                    Target::Backend(id) => {
                        format!("{}*{}", config.backend(*id).key, destination.weight.number())
                    }
                    Target::Answer(answer) => {
                        format!(
                            "{} {}*{}",
                            answer.status,
                            answer.reason,
                            destination.weight.number()
                        )
                    }
                });
            destinations.collect::<Vec<_>>().join(" ")
        }
    };
    let resolved = words(status(&translation, "HTTPRoute", "it")).into_iter();
    (action, resolved.skip(1).collect::<Vec<_>>().join(" "))
}

fn check(rows: &[(&str, &str, &str)]) {
    for (rules, action, conditions) in rows {
        let (found, said) = outcome(rules, "");
        assert_eq!((&*found, &*said), (*action, *conditions), "{rules}");
    }
}

const RESOLVED: &str = "ResolvedRefs=True/ResolvedRefs";

#[test]
fn mc02_weights_are_kept_and_all_zero_answers_500() {
    check(&[
        (
            "{backendRefs: [{name: web, port: 80}]}",
            "service/default/web/80*1",
            RESOLVED,
        ),
        (
            "{backendRefs: [{name: web, port: 80, weight: 90}, {name: idle, port: 80, weight: 0}]}",
            "service/default/web/80*90 service/default/idle/80*0",
            RESOLVED,
        ),
        (
            "{backendRefs: [{name: web, port: 80, weight: 0}]}",
            "500 AllWeightsZero",
            RESOLVED,
        ),
        ("{backendRefs: []}", "500 NoBackendRefs", RESOLVED),
        ("{}", "500 NoBackendRefs", RESOLVED),
    ]);
}

#[test]
fn mc03_a_bad_reference_costs_its_share_and_says_why() {
    check(&[
        (
            "{backendRefs: [{name: web, port: 80, weight: 9}, {name: gone, port: 80}]}",
            "service/default/web/80*9 500 BackendNotFound*1",
            "ResolvedRefs=False/BackendNotFound",
        ),
        (
            "{backendRefs: [{group: example.com, kind: Thing, name: web, port: 80}]}",
            "500 InvalidKind*1",
            "ResolvedRefs=False/InvalidKind",
        ),
        (
            "{backendRefs: [{group: multicluster.x-k8s.io, kind: ServiceImport, name: web, port: 80}]}",
            "500 InvalidKind*1",
            "ResolvedRefs=False/InvalidKind",
        ),
        (
            "{backendRefs: [{name: web, port: 8080}]}",
            "500 PortNotFound*1",
            "ResolvedRefs=False/PortNotFound",
        ),
        // The first reason stands for all of them.
        (
            "{backendRefs: [{name: web, port: 1}, {name: gone, port: 80}]}",
            "500 PortNotFound*1 500 BackendNotFound*1",
            "ResolvedRefs=False/PortNotFound",
        ),
        // A reference that decoding refused.
        (
            "{backendRefs: [{name: web}, {name: web, port: 80}]}",
            "500 InvalidBackendRef*1 service/default/web/80*1",
            "ResolvedRefs=False/InvalidBackendRef",
        ),
        // No endpoints is no invalid reference: the data plane answers 503.
        (
            "{backendRefs: [{name: idle, port: 80}]}",
            "service/default/idle/80*1",
            RESOLVED,
        ),
    ]);
}

#[test]
fn mc22_another_namespace_needs_a_grant() {
    let there = "
apiVersion: v1
kind: Service
metadata: {name: far, namespace: other}
spec: {ports: [{port: 80}]}
";
    let grant = |from: &str, to: &str, home: &str| {
        format!(
            "{there}
---
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {{name: g, namespace: {home}}}
spec: {{from: [{from}], to: [{to}]}}
"
        )
    };
    let from = "{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: default}";
    let rules = "{backendRefs: [{name: far, namespace: other, port: 80}]}";
    let service = "{group: '', kind: Service}";
    for (more, permitted) in [
        (there.to_string(), false),
        (grant(from, service, "other"), true),
        (
            grant(from, "{group: '', kind: Service, name: far}", "other"),
            true,
        ),
        (
            grant(from, "{group: '', kind: Service, name: near}", "other"),
            false,
        ),
        (grant(from, "{group: '', kind: Secret}", "other"), false),
        (grant(from, service, "default"), false),
        (
            grant(
                "{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: third}",
                service,
                "other",
            ),
            false,
        ),
        (
            grant(
                "{group: gateway.networking.k8s.io, kind: GRPCRoute, namespace: default}",
                service,
                "other",
            ),
            false,
        ),
        (
            grant(
                "{group: '', kind: HTTPRoute, namespace: default}",
                service,
                "other",
            ),
            false,
        ),
    ] {
        let expected = match permitted {
            true => ("service/other/far/80*1", RESOLVED),
            false => ("500 RefNotPermitted*1", "ResolvedRefs=False/RefNotPermitted"),
        };
        let (found, said) = outcome(rules, &more);
        assert_eq!((&*found, &*said), expected, "{more}");
    }
    // Whether the object exists is not told to those who may not refer to it.
    let (found, _) = outcome(
        "{backendRefs: [{name: absent, namespace: other, port: 80}]}",
        there,
    );
    assert_eq!(found, "500 RefNotPermitted*1");
    // One's own namespace spelt out needs no grant.
    let (found, _) = outcome("{backendRefs: [{name: web, namespace: default, port: 80}]}", "");
    assert_eq!(found, "service/default/web/80*1");
}

#[test]
fn ga03_a_filter_is_served_or_its_rule_answers_500() {
    let extension = "{type: ExtensionRef, extensionRef: {group: example.com, kind: F, name: f}}";
    let partly = "ResolvedRefs=True/ResolvedRefs PartiallyInvalid=True/UnsupportedValue";
    let web = "backendRefs: [{name: web, port: 80}]";
    check(&[
        // The only rule: not accepted at all, so nothing is partial.
        (
            &format!("{{filters: [{extension}], {web}}}"),
            "500 UnsupportedValue",
            RESOLVED,
        ),
        (
            &format!("{{filters: [{extension}], {web}}}, {{matches: [{{path: {{value: /a}}}}], {web}}}"),
            "500 UnsupportedValue",
            partly,
        ),
        (
            &format!(
                "{{backendRefs: [{{name: web, port: 80, filters: [{extension}]}}]}}, {{matches: [{{path: {{value: /a}}}}], {web}}}"
            ),
            "500 UnsupportedValue*1",
            partly,
        ),
        (
            "{filters: [{type: RequestRedirect, requestRedirect: {scheme: https}}]}",
            "redirect 302",
            RESOLVED,
        ),
        (
            &format!(
                "{{filters: [{{type: RequestMirror, requestMirror: {{backendRef: {{name: gone, port: 80}}}}}}], {web}}}"
            ),
            "service/default/web/80*1",
            "ResolvedRefs=False/BackendNotFound",
        ),
    ]);
}

#[test]
fn ga02_conditions_carry_the_generation_and_the_shape_of_the_api() {
    let text = format!(
        "{}\n---\n{}",
        BASE.replace("{name: edge}", "{name: edge, generation: 3}"),
        route("{backendRefs: [{name: web, port: 80}]}")
            .replace("[{name: edge}]", "[{name: edge, sectionName: http, port: 8080}]")
    );
    let translation = translated(&[&text]);
    let all = status::to_json(&translation.statuses);
    let conditions = |value: &serde_json::Value| {
        let conditions = value["conditions"].as_array().cloned().unwrap_or_default();
        conditions
            .iter()
            .map(|c| {
                (
                    c["type"].clone(),
                    c["status"].clone(),
                    c["observedGeneration"].clone(),
                )
            })
            .collect::<Vec<_>>()
    };
    let gateway = &all[0]["status"];
    assert_eq!(
        conditions(gateway)[0],
        ("Accepted".into(), "True".into(), 3.into())
    );
    assert_eq!(gateway["listeners"][0]["supportedKinds"][0]["kind"], "HTTPRoute");
    assert_eq!(gateway["listeners"][0]["attachedRoutes"], 1);
    assert_eq!(conditions(&gateway["listeners"][0]).len(), 4);
    let parent = &all[1]["status"]["parents"][0];
    assert_eq!(
        parent["parentRef"],
        serde_json::json!({
            "group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge", "sectionName": "http", "port": 8080
        }),
        "group and kind are repeated with their defaults; the namespace only when written"
    );
    assert_eq!(parent["controllerName"], "weir.dev/gateway-controller");
    assert_eq!(
        conditions(parent)[1],
        ("ResolvedRefs".into(), "True".into(), 5.into())
    );
}

#[test]
fn ga02_a_cluster_is_stricter_than_files() {
    let backend = "{apiVersion: gateway.envoyproxy.io/v1alpha1, kind: Backend, metadata: {name: app}, spec: {endpoints: [{ip: {address: 127.0.0.1, port: 1}}]}}";
    let class = "{apiVersion: gateway.networking.k8s.io/v1, kind: GatewayClass, metadata: {name: weir}, spec: {controllerName: weir.dev/gateway-controller}}";
    let envoy = class.replace("weir.dev/gateway-controller", ENVOY_GATEWAY_CONTROLLER_NAME);
    let route = route(
        "{backendRefs: [{name: web, port: 80}, {group: gateway.envoyproxy.io, kind: Backend, name: app}]}",
    );
    for (class, options, listeners, codes) in [
        ("", Options::files(), 1, &["N0201"][..]),
        (class, Options::files(), 1, &[]),
        (&envoy, Options::files(), 1, &[]),
        // Nobody else's Gateways, and no endpoint on weir's own host.
        ("", Options::cluster(), 0, &["E0203", "E0234"]),
        (&envoy, Options::cluster(), 0, &["N0202", "E0234"]),
        (
            class,
            Options::cluster(),
            1,
            &["W0230", "E0234", "E0228", "E0234"],
        ),
    ] {
        let translation = translate(&set(&[BASE, &route, backend, class]), &options);
        let found: Vec<&str> = translation.problems.iter().map(|problem| problem.code).collect();
        assert_eq!(
            (translation.config.listeners.len(), &*found),
            (listeners, codes),
            "{class} {options:?}"
        );
    }
}

#[test]
fn every_code_has_the_letter_of_its_severity() {
    let inputs = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/translate"));
    let mut seen = 0;
    for entry in inputs.expect("golden inputs") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let text = std::fs::read_to_string(&path).expect("readable");
            for problem in translated(&[&text]).problems {
                let letter = match problem.severity {
                    Severity::Error => "E",
                    Severity::Warning => "W",
                    Severity::Note => "N",
                };
                assert!(problem.code.starts_with(letter), "{}", problem.code);
                assert!(
                    problem.effect.is_some(),
                    "{} has no effect on traffic",
                    problem.code
                );
                assert!(
                    problem.object.is_some() && problem.origin.line > 0,
                    "{} has no place",
                    problem.code
                );
                seen += 1;
            }
        }
    }
    assert!(seen > 40, "{seen}");
}
