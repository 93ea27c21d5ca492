//! Targets, precedence, merging, conflicts and statuses (rows LB19, LB20, LB21, LB22, LB23).

use weir_model::{Action, Algorithm, ClientIp};

use crate::resource::ResourceSet;
use crate::status::{Status, StatusBody};
use crate::translate::{Options, Translation, translate};

/// One Gateway with two listeners, one route with a named and an unnamed rule.
const WORLD: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: eg}
spec: {controllerName: weir.dev/gateway-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: eg}
spec:
  gatewayClassName: eg
  listeners:
  - {name: web, port: 8080, protocol: HTTP}
  - {name: alt, port: 8081, protocol: HTTP}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop, labels: {team: a}}
spec:
  parentRefs: [{name: eg}]
  rules:
  - name: pinned
    matches: [{path: {value: /pinned}}]
    backendRefs: [{name: app, port: 80}]
  - backendRefs: [{name: app, port: 80}]
---
apiVersion: v1
kind: Service
metadata: {name: app}
spec: {ports: [{port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: app-1, labels: {kubernetes.io/service-name: app}}
addressType: IPv4
ports: [{port: 9000}]
endpoints: [{addresses: [127.0.0.1]}]
";

/// A policy on one target, `target` being the fields of its targetRef.
fn policy(name: &str, target: &str, rest: &str) -> String {
    format!(
        "---\napiVersion: gateway.envoyproxy.io/v1alpha1\nkind: BackendTrafficPolicy\nmetadata: {{name: {name}}}\nspec:\n  targetRefs: [{{group: gateway.networking.k8s.io, {target}}}]\n  {rest}\n"
    )
}

fn balanced(name: &str, target: &str, kind: &str) -> String {
    policy(name, target, &format!("loadBalancer: {{type: {kind}}}"))
}

fn world(policies: &[String]) -> Translation {
    let text = format!("{WORLD}{}", policies.concat());
    let set = ResourceSet::from_texts([("test.yaml", text.as_str())]);
    let errors: Vec<_> = set
        .problems
        .iter()
        .filter(|problem| problem.code.starts_with('E'))
        .collect();
    assert!(errors.is_empty(), "{errors:?}");
    translate(&set, &Options::files())
}

/// What happens to requests, as `PORT/RULE=ALGORITHM` for each port and rule index.
fn effects(translation: &Translation) -> Vec<String> {
    let config = &translation.config;
    let mut found = Vec::new();
    for listener in &config.listeners {
        for attachment in listener.sections.iter().flat_map(|section| &section.attachments) {
            for (number, rule) in config.route(attachment.route).rules.iter().enumerate() {
                let word = match &rule.action {
                    Action::Forward(forward) => match forward.balance.algorithm {
                        Algorithm::RoundRobin => "RoundRobin",
                        Algorithm::Random => "Random",
                        Algorithm::LeastRequest(_) => "LeastRequest",
                        Algorithm::Adaptive => "Adaptive",
                        Algorithm::PeakEwma => "PeakEwma",
                        Algorithm::ConsistentHash(_) => "ConsistentHash",
                    },
                    Action::Answer(answer) => &*answer.reason,
                    Action::Redirect(_) => "redirect",
                };
                found.push(format!("{}/{number}={word}", listener.key.address.port()));
            }
        }
    }
    found
}

/// The conditions of a policy as `GATEWAY[/SECTION] TYPE=STATUS REASON`.
fn conditions(translation: &Translation, name: &str) -> Vec<String> {
    let policies = translation
        .statuses
        .iter()
        .filter(|status| *status.object.name == *name);
    policies.flat_map(shown).collect()
}

fn shown(status: &Status) -> Vec<String> {
    let StatusBody::Policy(ancestors) = &status.body else {
        panic!("a policy has ancestors")
    };
    let mut lines = Vec::new();
    for ancestor in ancestors {
        let section = ancestor
            .parent
            .section_name
            .as_deref()
            .map_or(String::new(), |name| format!("/{name}"));
        for condition in ancestor.conditions.iter() {
            lines.push(format!(
                "{}{section} {}={} {}",
                ancestor.parent.name, condition.kind, condition.holds, condition.reason
            ));
        }
    }
    lines
}

#[test]
fn lb01_without_a_policy_the_default_is_least_request() {
    let translation = world(&[]);
    assert_eq!(
        effects(&translation),
        [
            "8080/0=LeastRequest",
            "8080/1=LeastRequest",
            "8081/0=LeastRequest",
            "8081/1=LeastRequest"
        ]
    );
}

#[test]
fn lb19_lb22_each_kind_of_target_reaches_what_it_names() {
    let cases: [(&str, [&str; 4]); 4] = [
        ("kind: Gateway, name: eg", ["Random"; 4]),
        (
            "kind: Gateway, name: eg, sectionName: alt",
            ["LeastRequest", "LeastRequest", "Random", "Random"],
        ),
        ("kind: HTTPRoute, name: shop", ["Random"; 4]),
        (
            "kind: HTTPRoute, name: shop, sectionName: pinned",
            ["Random", "LeastRequest", "Random", "LeastRequest"],
        ),
    ];
    for (target, expected) in cases {
        let translation = world(&[balanced("p", target, "Random")]);
        let places = ["8080/0", "8080/1", "8081/0", "8081/1"];
        let expected: Vec<_> = places
            .iter()
            .zip(expected)
            .map(|(place, word)| format!("{place}={word}"))
            .collect();
        assert_eq!(effects(&translation), expected, "{target}");
        assert!(
            translation.problems.is_empty(),
            "{target}: {:?}",
            translation.problems
        );
    }
}

#[test]
fn lb19_a_selector_finds_routes_by_label() {
    let selecting = |labels: &str| {
        format!(
            "---\napiVersion: gateway.envoyproxy.io/v1alpha1\nkind: BackendTrafficPolicy\nmetadata: {{name: p}}\nspec:\n  targetSelectors: [{{kind: HTTPRoute, matchLabels: {labels}}}]\n  loadBalancer: {{type: Random}}\n"
        )
    };
    assert!(
        effects(&world(&[selecting("{team: a}")]))
            .iter()
            .all(|effect| effect.ends_with("=Random"))
    );
    assert!(
        effects(&world(&[selecting("{team: b}")]))
            .iter()
            .all(|effect| effect.ends_with("=LeastRequest"))
    );
}

/// Another namespace with a route of its own on the same Gateway, which lets it attach.
const FAR: &str = "
---
apiVersion: v1
kind: Namespace
metadata: {name: far, labels: {trusted: 'yes'}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: far, namespace: far}
spec:
  gatewayClassName: eg
  listeners: [{name: web, port: 9090, protocol: HTTP}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop, namespace: far, labels: {team: a}}
spec:
  parentRefs: [{name: far}]
  rules: [{backendRefs: [{name: app, port: 80}]}]
---
apiVersion: v1
kind: Service
metadata: {name: app, namespace: far}
spec: {ports: [{port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: app-1, namespace: far, labels: {kubernetes.io/service-name: app}}
addressType: IPv4
ports: [{port: 9001}]
endpoints: [{addresses: [127.0.0.1]}]
";

/// Lets policies of the default namespace have the routes of `far`.
const GRANT: &str = "
---
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: policies, namespace: far}
spec:
  from: [{group: gateway.envoyproxy.io, kind: BackendTrafficPolicy, namespace: default}]
  to: [{group: gateway.networking.k8s.io, kind: HTTPRoute}]
";

/// A policy with this list of target selectors.
fn selecting(selectors: &str) -> String {
    format!(
        "---\napiVersion: gateway.envoyproxy.io/v1alpha1\nkind: BackendTrafficPolicy\nmetadata: {{name: p}}\nspec:\n  \
         targetSelectors: [{selectors}]\n  loadBalancer: {{type: Random}}\n"
    )
}

/// Whether the policy has the route of its own namespace, and the one of the other.
fn selected(further: &str, selectors: &str) -> (bool, bool) {
    let translation = world(&[FAR.to_owned(), further.to_owned(), selecting(selectors)]);
    let effects = effects(&translation);
    (
        effects.contains(&"8080/0=Random".to_owned()),
        effects.contains(&"9090/0=Random".to_owned()),
    )
}

#[test]
fn lb19_a_selector_finds_by_labels_and_expressions() {
    for (expression, expected) in [
        ("matchLabels: {team: a}", true),
        ("matchLabels: {team: a, tier: web}", false),
        (
            "matchExpressions: [{key: team, operator: In, values: [a, b]}]",
            true,
        ),
        (
            "matchExpressions: [{key: team, operator: In, values: [b]}]",
            false,
        ),
        (
            "matchExpressions: [{key: team, operator: NotIn, values: [a]}]",
            false,
        ),
        (
            "matchExpressions: [{key: tier, operator: NotIn, values: [a]}]",
            true,
        ),
        ("matchExpressions: [{key: team, operator: Exists}]", true),
        ("matchExpressions: [{key: tier, operator: Exists}]", false),
        ("matchExpressions: [{key: team, operator: DoesNotExist}]", false),
        ("matchExpressions: [{key: tier, operator: DoesNotExist}]", true),
        (
            "matchLabels: {team: a}, matchExpressions: [{key: tier, operator: Exists}]",
            false,
        ),
        // Nothing asked: all of the kind.
        ("namespaces: {from: Same}", true),
    ] {
        let found = selected("", &format!("{{kind: HTTPRoute, {expression}}}"));
        assert_eq!(found, (expected, false), "{expression}");
    }
    // Any of several selectors is enough.
    let several = "{kind: HTTPRoute, matchLabels: {team: b}}, {kind: HTTPRoute, matchLabels: {team: a}}";
    assert_eq!(selected("", several), (true, false));
}

#[test]
fn lb19_another_namespace_is_reached_by_selector_and_grant_only() {
    for (namespaces, with_grant) in [
        ("from: All", true),
        ("from: Selector, selector: {matchLabels: {trusted: 'yes'}}", true),
        ("from: Selector, selector: {matchLabels: {trusted: 'no'}}", false),
        ("from: Same", false),
    ] {
        let selector = format!("{{kind: HTTPRoute, namespaces: {{{namespaces}}}}}");
        assert!(!selected("", &selector).1, "no grant: {namespaces}");
        assert_eq!(selected(GRANT, &selector).1, with_grant, "{namespaces}");
    }
    let all = "{kind: HTTPRoute, namespaces: {from: All}}";
    for (what, with) in [
        ("kind: BackendTrafficPolicy", "kind: TrafficPolicy"),
        ("namespace: default}", "namespace: other}"),
        ("kind: HTTPRoute}", "kind: Gateway}"),
        ("kind: HTTPRoute}", "kind: HTTPRoute, name: other}"),
    ] {
        assert!(GRANT.contains(what), "{what}");
        assert!(!selected(&GRANT.replace(what, with), all).1, "{with}");
    }
    let named = GRANT.replace("kind: HTTPRoute}", "kind: HTTPRoute, name: shop}");
    assert!(selected(&named, all).1);
    // A targetRef names objects of its own namespace, whatever is granted.
    let own = balanced("p", "kind: HTTPRoute, name: shop", "Random")
        .replace("{name: p}", "{name: p, namespace: far}");
    let effects = effects(&world(&[FAR.to_owned(), GRANT.to_owned(), own]));
    assert!(effects.contains(&"9090/0=Random".to_owned()), "{effects:?}");
    assert!(!effects.contains(&"8080/0=Random".to_owned()), "{effects:?}");
}

#[test]
fn lb19_kinds_that_are_not_served_are_named() {
    for kind in ["GRPCRoute", "TCPRoute", "TLSRoute", "UDPRoute", "ListenerSet"] {
        let object = format!(
            "---\napiVersion: gateway.networking.k8s.io/v1\nkind: {kind}\nmetadata: {{name: other}}\nspec: {{}}\n"
        );
        let translation = world(&[
            object,
            balanced("p", &format!("kind: {kind}, name: other"), "Random"),
        ]);
        let codes: Vec<_> = translation.problems.iter().map(|problem| problem.code).collect();
        assert!(codes.contains(&"W0313"), "{kind} {codes:?}");
        assert!(
            effects(&translation)
                .iter()
                .all(|effect| effect.ends_with("=LeastRequest")),
            "{kind}"
        );
        assert!(conditions(&translation, "p").is_empty(), "{kind}");
    }
}

#[test]
fn lb19_the_deprecated_target_ref_works_and_is_told_of() {
    let policy = balanced("p", "kind: HTTPRoute, name: shop", "Random");
    let policy = policy
        .replace("targetRefs: [{", "targetRef: {")
        .replace("}]\n", "}\n");
    let translation = world(&[policy]);
    assert!(
        effects(&translation)
            .iter()
            .all(|effect| effect.ends_with("=Random"))
    );
    let expected = ["eg Accepted=true Accepted", "eg Warning=true DeprecatedField"];
    assert_eq!(conditions(&translation, "p"), expected);
    assert_eq!(
        messages(&translation, "p")[1],
        "spec.targetRef is deprecated, use spec.targetRefs instead"
    );
}

/// The messages of a policy's conditions.
fn messages(translation: &Translation, name: &str) -> Vec<String> {
    let statuses = translation
        .statuses
        .iter()
        .filter(|status| *status.object.name == *name);
    let mut found = Vec::new();
    for status in statuses {
        if let StatusBody::Policy(ancestors) = &status.body {
            let conditions = ancestors.iter().flat_map(|ancestor| ancestor.conditions.iter());
            found.extend(conditions.map(|condition| condition.message.to_string()));
        }
    }
    found
}

#[test]
fn lb23_an_ancestor_is_the_gateway_with_the_section_that_the_route_names() {
    let sectioned = WORLD.replace(
        "parentRefs: [{name: eg}]",
        "parentRefs: [{name: eg, sectionName: alt}]",
    );
    let text = sectioned + &balanced("p", "kind: HTTPRoute, name: shop", "Random");
    let set = ResourceSet::from_texts([("test.yaml", text.as_str())]);
    let translation = translate(&set, &Options::files());
    assert_eq!(conditions(&translation, "p"), ["eg/alt Accepted=true Accepted"]);
    assert_eq!(messages(&translation, "p"), ["Policy has been accepted."]);
}

#[test]
fn lb23_no_more_than_sixteen_ancestors_are_listed() {
    let mut text = WORLD.to_owned();
    let mut parents = String::new();
    for number in 0..17 {
        text.push_str(&format!(
            "---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: g{number:02}}}\nspec:\n  \
             gatewayClassName: eg\n  listeners: [{{name: web, port: {}, protocol: HTTP}}]\n",
            7000 + number
        ));
        parents.push_str(&format!("{{name: g{number:02}}}, "));
    }
    for (count, is_cut) in [(16, false), (17, true)] {
        let parents = parents.split_inclusive(", ").take(count).collect::<String>();
        let text = text.replace("parentRefs: [{name: eg}]", &format!("parentRefs: [{parents}]"))
            + &balanced("p", "kind: HTTPRoute, name: shop", "Random");
        let set = ResourceSet::from_texts([("test.yaml", text.as_str())]);
        let conditions = conditions(&translate(&set, &Options::files()), "p");
        let accepted = conditions
            .iter()
            .filter(|line| line.ends_with("Accepted=true Accepted"))
            .count();
        assert_eq!(accepted, 16, "{conditions:?}");
        let last = conditions.last().expect("some").as_str();
        assert_eq!(last == "g15 Aggregated=true Aggregated", is_cut, "{last}");
    }
}

#[test]
fn lb20_the_nearest_policy_applies_and_the_others_say_so() {
    let mut policies = vec![
        balanced(
            "rule",
            "kind: HTTPRoute, name: shop, sectionName: pinned",
            "Random",
        ),
        balanced("route", "kind: HTTPRoute, name: shop", "RoundRobin"),
        policy(
            "listener",
            "kind: Gateway, name: eg, sectionName: web",
            "loadBalancer: {type: ConsistentHash, consistentHash: {type: SourceIP}}",
        ),
        balanced("gateway", "kind: Gateway, name: eg", "Random"),
    ];
    let expected = [
        [
            "8080/0=Random",
            "8080/1=RoundRobin",
            "8081/0=Random",
            "8081/1=RoundRobin",
        ],
        [
            "8080/0=RoundRobin",
            "8080/1=RoundRobin",
            "8081/0=RoundRobin",
            "8081/1=RoundRobin",
        ],
        [
            "8080/0=ConsistentHash",
            "8080/1=ConsistentHash",
            "8081/0=Random",
            "8081/1=Random",
        ],
        ["8080/0=Random", "8080/1=Random", "8081/0=Random", "8081/1=Random"],
        [
            "8080/0=LeastRequest",
            "8080/1=LeastRequest",
            "8081/0=LeastRequest",
            "8081/1=LeastRequest",
        ],
    ];
    let all = world(&policies);
    assert_eq!(conditions(&all, "rule"), ["eg Accepted=true Accepted"]);
    assert_eq!(
        conditions(&all, "route"),
        ["eg Accepted=true Accepted", "eg Overridden=true Overridden"]
    );
    assert_eq!(
        conditions(&all, "listener"),
        [
            "eg/web Accepted=true Accepted",
            "eg/web Overridden=true Overridden"
        ]
    );
    assert_eq!(
        conditions(&all, "gateway"),
        ["eg Accepted=true Accepted", "eg Overridden=true Overridden"]
    );
    for effects_now in expected {
        assert_eq!(effects(&world(&policies)), effects_now);
        if !policies.is_empty() {
            policies.remove(0);
        }
    }
}

#[test]
fn lb20_two_policies_on_one_target_the_first_by_name_has_it() {
    let target = "kind: HTTPRoute, name: shop";
    let translation = world(&[
        balanced("b", target, "RoundRobin"),
        balanced("a", target, "Random"),
    ]);
    assert!(
        effects(&translation)
            .iter()
            .all(|effect| effect.ends_with("=Random"))
    );
    assert_eq!(conditions(&translation, "a"), ["eg Accepted=true Accepted"]);
    assert_eq!(conditions(&translation, "b"), ["eg Accepted=false Conflicted"]);
    let codes: Vec<_> = translation.problems.iter().map(|problem| problem.code).collect();
    assert_eq!(codes, ["E0315"]);
    assert_eq!(
        translation.problems[0].message,
        "Unable to target HTTPRoute shop, another BackendTrafficPolicy has already attached to it"
    );
}

#[test]
fn lb20_the_older_policy_has_the_target_whatever_its_name() {
    let dated = |name: &str, kind: &str, created: &str| {
        balanced(name, "kind: Gateway, name: eg", kind).replace(
            &format!("{{name: {name}}}"),
            &format!("{{name: {name}, creationTimestamp: \"{created}\"}}"),
        )
    };
    let translation = world(&[
        dated("a", "RoundRobin", "2026-02-01T00:00:00Z"),
        dated("z", "Random", "2026-01-01T00:00:00Z"),
    ]);
    assert!(
        effects(&translation)
            .iter()
            .all(|effect| effect.ends_with("=Random"))
    );
}

#[test]
fn lb21_a_route_policy_is_merged_over_the_nearest_parent() {
    let gateway = policy(
        "gateway",
        "kind: Gateway, name: eg",
        "loadBalancer: {type: RoundRobin, slowStart: {window: 10s}}\n  timeout: {http: {requestTimeout: 3s}}",
    );
    for merge_type in ["StrategicMerge", "JSONMerge"] {
        let route = policy(
            "route",
            "kind: HTTPRoute, name: shop",
            &format!("mergeType: {merge_type}\n  timeout: {{tcp: {{connectTimeout: 2s}}}}"),
        );
        let translation = world(&[gateway.clone(), route]);
        let rule = &translation.config.routes[0].rules[0];
        let Action::Forward(forward) = &rule.action else {
            panic!("{rule:?}")
        };
        assert_eq!(
            forward.balance.algorithm,
            Algorithm::RoundRobin,
            "the parent's balancing stays"
        );
        assert!(forward.balance.slow_start.is_some());
        assert_eq!(
            rule.timeouts.connect.as_secs(),
            2,
            "the route's own bound is added"
        );
        assert_eq!(
            rule.timeouts.request.map(|bound| bound.as_secs()),
            Some(3),
            "the parent's bound stays"
        );
        assert_eq!(
            conditions(&translation, "route"),
            ["eg Accepted=true Accepted", "eg Merged=true Merged"]
        );
        assert_eq!(
            conditions(&translation, "gateway"),
            ["eg Accepted=true Accepted", "eg Merged=true Merged"]
        );
        assert_eq!(
            messages(&translation, "route")[1],
            "Merged with policy default/gateway"
        );
        assert_eq!(
            messages(&translation, "gateway")[1],
            "This policy is being merged by other backendTrafficPolicies for these routes: [default/shop]"
        );
    }
}

#[test]
fn lb21_a_merge_is_over_the_nearest_parent_of_each_listener() {
    let policies = [
        balanced("gateway", "kind: Gateway, name: eg", "Random"),
        balanced(
            "listener",
            "kind: Gateway, name: eg, sectionName: alt",
            "RoundRobin",
        ),
        policy(
            "route",
            "kind: HTTPRoute, name: shop",
            "mergeType: StrategicMerge\n  timeout: {http: {requestTimeout: 3s}}",
        ),
    ];
    let translation = world(&policies);
    let expected = [
        "8080/0=Random",
        "8080/1=Random",
        "8081/0=RoundRobin",
        "8081/1=RoundRobin",
    ];
    assert_eq!(effects(&translation), expected);
    for route in &translation.config.routes {
        for rule in &route.rules {
            assert_eq!(rule.timeouts.request.map(|bound| bound.as_secs()), Some(3));
        }
    }
}

#[test]
fn a_refused_policy_makes_its_rules_answer_500_and_no_others() {
    let refused = "loadBalancer: {type: ConsistentHash}";
    let translation = world(&[policy(
        "p",
        "kind: HTTPRoute, name: shop, sectionName: pinned",
        refused,
    )]);
    assert_eq!(
        effects(&translation),
        [
            "8080/0=Invalid",
            "8080/1=LeastRequest",
            "8081/0=Invalid",
            "8081/1=LeastRequest"
        ]
    );
    assert_eq!(conditions(&translation, "p"), ["eg Accepted=false Invalid"]);
}

#[test]
fn targets_that_are_not_there_are_problems() {
    let code = |target: &str| {
        let translation = world(&[balanced("p", target, "Random")]);
        let codes: Vec<_> = translation.problems.iter().map(|problem| problem.code).collect();
        (
            codes,
            conditions(&translation, "p"),
            translation.problems[0].help.clone(),
        )
    };
    assert_eq!(
        code("kind: HTTPRoute, name: shopp"),
        (vec!["W0311"], vec![], Some("did you mean \"shop\"?".into()))
    );
    let (codes, conditions, _) = code("kind: HTTPRoute, name: shop, sectionName: nope");
    assert_eq!(codes, ["E0316"]);
    assert_eq!(conditions, ["eg Accepted=false TargetNotFound"]);
    let (codes, conditions, _) = code("kind: Gateway, name: eg, sectionName: nope");
    assert_eq!(codes, ["E0316"]);
    assert_eq!(conditions, ["eg Accepted=false TargetNotFound"]);
}

#[test]
fn a_client_traffic_policy_says_whose_word_counts_for_the_clients_address() {
    let client = |target: &str, detection: &str| {
        format!(
            "---\napiVersion: gateway.envoyproxy.io/v1alpha1\nkind: ClientTrafficPolicy\nmetadata: {{name: c}}\nspec:\n  targetRefs: [{{group: gateway.networking.k8s.io, {target}}}]\n  clientIPDetection: {{xForwardedFor: {{{detection}}}}}\n"
        )
    };
    let rules = |text: String| {
        let translation = world(&[text]);
        translation
            .config
            .listeners
            .iter()
            .map(|listener| listener.client_ip.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        rules(client("kind: Gateway, name: eg", "numTrustedHops: 2")),
        [ClientIp::TrustedHops(2), ClientIp::TrustedHops(2)]
    );
    let found = rules(client(
        "kind: Gateway, name: eg, sectionName: alt",
        "trustedCIDRs: [10.0.0.0/8]",
    ));
    assert_eq!(found[0], ClientIp::Peer);
    assert!(matches!(&found[1], ClientIp::TrustedCidrs(cidrs) if cidrs.len() == 1));
    let both = rules(client(
        "kind: Gateway, name: eg",
        "numTrustedHops: 1, trustedCIDRs: [10.0.0.0/8]",
    ));
    assert_eq!(
        both,
        [ClientIp::Peer, ClientIp::Peer],
        "a refused policy trusts nobody"
    );
}
