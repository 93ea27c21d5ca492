//! What policies come to in rules: precedence against the route's own fields, sharing, names, tiers, rate limits
//! (rows HC19, LB26, LB28, LB32, CH13).

use std::sync::Arc;

use weir_model::{Action, Config, Forward, Probe, Rule, Target};

use crate::resource::ResourceSet;
use crate::translate::{Options, Translation, Translator, translate};

const BASE: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge}
spec: {gatewayClassName: weir, listeners: [{name: http, port: 8080, protocol: HTTP}]}
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: Backend
metadata: {name: app}
spec: {endpoints: [{ip: {address: 127.0.0.1, port: 9001}}]}
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: Backend
metadata: {name: named}
spec: {endpoints: [{fqdn: {hostname: app.example.com, port: 80}}]}
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: Backend
metadata: {name: spare}
spec: {fallback: true, endpoints: [{ip: {address: 127.0.0.1, port: 9002}, hostname: spare.example.com}]}
";

/// A route with one rule that forwards to these Backends of the base.
fn route(name: &str, backends: &[&str], rest: &str) -> String {
    let backends: Vec<String> = backends
        .iter()
        .map(|backend| format!("{{group: gateway.envoyproxy.io, kind: Backend, name: {backend}}}"))
        .collect();
    format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: {name}}}\nspec:\n  parentRefs: [{{name: edge}}]\n  hostnames: [{name}.example.com]\n  rules: [{{backendRefs: [{}]{rest}}}]\n",
        backends.join(", ")
    )
}

/// A policy on a target such as `Gateway, name: edge`.
fn policy(kind: &str, name: &str, target: &str, rest: &str) -> String {
    let group = if kind == "TrafficPolicy" {
        "weir.dev"
    } else {
        "gateway.envoyproxy.io"
    };
    format!(
        "---\napiVersion: {group}/v1alpha1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec:\n  targetRefs: [{{group: gateway.networking.k8s.io, kind: {target}}}]\n{rest}\n"
    )
}

fn envoy(name: &str, target: &str, rest: &str) -> String {
    policy("BackendTrafficPolicy", name, target, rest)
}

fn set(parts: &[String]) -> ResourceSet {
    let text = format!("{BASE}{}", parts.concat());
    ResourceSet::from_texts([("test.yaml", text.as_str())])
}

fn world(parts: &[String]) -> Translation {
    let translation = translate(&set(parts), &Options::files());
    let errors: Vec<_> = translation
        .problems
        .iter()
        .filter(|problem| problem.code.starts_with('E'))
        .collect();
    assert!(errors.is_empty(), "{errors:?}");
    translation
}

fn rule<'c>(config: &'c Config, route: &str) -> &'c Rule {
    let mut routes = config.routes.iter();
    &routes
        .find(|found| &*found.object.name == route)
        .expect(route)
        .rules[0]
}

fn forward<'c>(config: &'c Config, route: &str) -> &'c Forward {
    match &rule(config, route).action {
        Action::Forward(forward) => forward,
        other => panic!("{route}: {other:?}"),
    }
}

fn backend_keys(config: &Config, route: &str) -> Vec<String> {
    let keys = forward(config, route)
        .destinations
        .iter()
        .map(|destination| match destination.target {
            Target::Backend(backend) => config.backend(backend).key.to_string(),
            Target::Answer(_) => panic!("an answer"),
        });
    keys.collect()
}

#[test]
fn hc19_equal_specifications_of_many_rules_are_one() {
    let check = "  healthCheck: {active: {type: HTTP, http: {path: /healthz}}}";
    let mut parts: Vec<String> = (0..20)
        .map(|number| route(&format!("r{number}"), &["app"], ""))
        .collect();
    parts.push(envoy("gateway", "Gateway, name: edge", check));
    // Another policy that asks for the same.
    parts.push(envoy(
        "other",
        "HTTPRoute, name: r7",
        &check.replace("path: /healthz", "path: /healthz, hostname: a.b"),
    ));
    parts.push(envoy(
        "third",
        "HTTPRoute, name: r8",
        &check.replace("path: /healthz", "path: /healthz, hostname: a.b"),
    ));
    let translation = world(&parts);
    let config = &translation.config;
    let first = &forward(config, "r0").upstream;
    assert!(first.health.active.is_some());
    for number in (0..20).filter(|number| ![7, 8].contains(number)) {
        let other = &forward(config, &format!("r{number}")).upstream;
        assert!(Arc::ptr_eq(first, other), "r{number}");
    }
    let (seven, eight) = (&forward(config, "r7").upstream, &forward(config, "r8").upstream);
    assert!(Arc::ptr_eq(seven, eight) && !Arc::ptr_eq(first, seven));
}

#[test]
fn hc07_probes_are_sent_to_the_host_of_policy_endpoint_or_route_in_that_order() {
    let host = |backends: &[&str], target: &str, name: &str| {
        let check = format!("  healthCheck: {{active: {{type: HTTP, http: {{path: /{name}}}}}}}");
        let translation = world(&[route("r", backends, ""), envoy("p", target, &check)]);
        let active = forward(&translation.config, "r").upstream.health.active.clone();
        match &active.expect("a check").probe {
            Probe::Http(probe) => probe.host.as_deref().map(str::to_owned),
            Probe::Tcp(_) => panic!("an HTTP probe"),
        }
    };
    let (of_route, of_gateway) = ("HTTPRoute, name: r", "Gateway, name: edge");
    assert_eq!(
        host(&["app"], of_route, ", hostname: p.example.com").as_deref(),
        Some("p.example.com")
    );
    assert_eq!(host(&["app"], of_route, "").as_deref(), Some("r.example.com"));
    assert_eq!(
        host(&["app", "spare"], of_route, ""),
        None,
        "an endpoint has its own"
    );
    assert_eq!(host(&["named"], of_route, ""), None, "it is found by its name");
    assert_eq!(
        host(&["app"], of_gateway, ""),
        None,
        "one specification for all routes"
    );
}

#[test]
fn lb28_the_routes_own_retry_and_timeouts_win() {
    let base = "  retry: {numRetries: 7, perRetry: {timeout: 1s}}\n  timeout: {http: {requestTimeout: 9s}}";
    let translation = world(&[
        route(
            "own",
            &["app"],
            ", retry: {attempts: 1, codes: [500]}, timeouts: {request: 3s}",
        ),
        route("tried", &["app"], ", timeouts: {backendRequest: 2s}"),
        route("plain", &["app"], ""),
        envoy("p", "Gateway, name: edge", base),
    ]);
    let config = &translation.config;
    let retry = |name: &str| forward(config, name).retry.clone().expect(name);
    let seconds = |name: &str| rule(config, name).timeouts.request.map(|time| time.as_secs());
    assert_eq!((retry("own").attempts, retry("plain").attempts), (1, 7));
    assert!(retry("own").statuses.contains(500) && !retry("own").statuses.contains(503));
    assert_eq!((seconds("own"), seconds("plain")), (Some(3), Some(9)));
    assert_eq!(
        retry("plain").try_timeout.map(|time| time.milliseconds()),
        Some(1_000)
    );
    assert_eq!(retry("tried").try_timeout, None, "the route bounds each try");
    assert_eq!(retry("tried").attempts, 7);
}

#[test]
fn ch13_the_routes_own_persistence_wins() {
    let translation = world(&[
        route(
            "own",
            &["app"],
            ", sessionPersistence: {type: Header, sessionName: X-Session}",
        ),
        route("plain", &["app"], ""),
        policy(
            "TrafficPolicy",
            "p",
            "Gateway, name: edge",
            "  sessionPersistence: {mode: Balanced, cookie: {name: c}}",
        ),
    ]);
    let name = |route: &str| {
        let persistence = forward(&translation.config, route).persistence.clone();
        persistence.expect(route).name.to_string()
    };
    assert_eq!(
        (name("own"), name("plain")),
        ("x-session".to_owned(), "c".to_owned())
    );
}

#[test]
fn lb26_tiers_come_from_reference_policy_or_backend_in_that_order() {
    let tiers = |parts: &[String]| -> Vec<u8> {
        let translation = world(parts);
        let destinations = &forward(&translation.config, "r").destinations;
        destinations
            .iter()
            .map(|destination| destination.tier.number())
            .collect()
    };
    let own = |priorities: &str| {
        let rest = format!("  failover: {{priorities: [{priorities}]}}");
        policy("TrafficPolicy", "p", "Gateway, name: edge", &rest)
    };
    let plain = route("r", &["app", "spare"], "");
    let spare = "{group: gateway.envoyproxy.io, kind: Backend, name: spare, priority: 2}";
    assert_eq!(tiers(std::slice::from_ref(&plain)), [0, 1]);
    assert_eq!(tiers(&[plain.clone(), own(spare)]), [0, 2]);
    assert_eq!(
        tiers(&[plain.clone(), own("{name: spare, priority: 2}")]),
        [0, 1],
        "a Service is meant"
    );
    let elsewhere = spare.replace("priority", "namespace: other, priority");
    assert_eq!(tiers(&[plain.clone(), own(&elsewhere)]), [0, 1]);
    let written = plain.replace("name: spare}", "name: spare, priority: 5}");
    assert_eq!(tiers(&[written, own(spare)]), [0, 5]);
}

#[test]
fn lb32_names_resolved_in_two_ways_are_two_backends() {
    let parts = |refresh: &str| {
        [
            route("a", &["named", "app"], ""),
            route("b", &["named", "app"], ""),
            envoy(
                "p",
                "HTTPRoute, name: b",
                &format!("  dns: {{dnsRefreshRate: {refresh}}}"),
            ),
        ]
    };
    let translation = world(&parts("5s"));
    let config = &translation.config;
    assert_eq!(
        backend_keys(config, "a"),
        ["backend/default/named", "backend/default/app"]
    );
    assert_eq!(
        backend_keys(config, "b"),
        [
            "backend/default/named/dns/5000-ttl-PreferV4",
            "backend/default/app"
        ],
        "addresses are not resolved"
    );
    let same = world(&parts("30s"));
    assert_eq!(
        backend_keys(&same.config, "b"),
        ["backend/default/named", "backend/default/app"]
    );
    // New endpoints reach both.
    let mut translator = Translator::new(&set(&parts("5s")), Options::files());
    let text = format!("{BASE}{}", parts("5s").concat())
        .replace("hostname: app.example.com", "hostname: new.example.com");
    let changed = ResourceSet::from_texts([("test.yaml", text.as_str())]);
    let update = translator.update(&changed);
    assert_eq!(
        translator.translation().config,
        translate(&changed, &Options::files()).config,
        "{update:?}"
    );
}

#[test]
fn kt33_merged_policies_keep_both_rate_limits() {
    let limit = |requests: u32| {
        format!("  rateLimit: {{local: {{rules: [{{limit: {{requests: {requests}, unit: Hour}}}}]}}}}")
    };
    let child = |rest: &str| {
        envoy(
            "child",
            "HTTPRoute, name: r",
            &format!("  mergeType: StrategicMerge\n{rest}"),
        )
    };
    let limits = |child: String| -> Vec<(u32, String)> {
        let parts = [
            route("r", &["app"], ""),
            envoy("parent", "Gateway, name: edge", &limit(1)),
            child,
        ];
        let translation = world(&parts);
        let traffic = rule(&translation.config, "r").traffic.clone().expect("traffic");
        let rules = &traffic.rate_limit.as_ref().expect("a limit").rules;
        rules
            .iter()
            .map(|rule| (rule.rate.requests, rule.key.to_string()))
            .collect()
    };
    let key =
        |policy: &str| format!("backendtrafficpolicy/default/{policy}/rule/0 httproute/default/r/rule/0");
    assert_eq!(limits(child(&limit(2))), [(2, key("child")), (1, key("parent"))]);
    assert_eq!(
        limits(child("  retry: {}")),
        [(1, key("parent"))],
        "the parent's names are kept"
    );
}

#[test]
fn a_merge_of_too_many_rate_limits_is_refused() {
    let rules = |count: usize| {
        let rule = "{clientSelectors: [{path: {value: /}}], limit: {requests: 1, unit: Hour}}";
        format!(
            "  rateLimit: {{local: {{rules: [{}]}}}}",
            vec![rule; count].join(", ")
        )
    };
    for (own, refused) in [(7, false), (8, false), (9, true)] {
        let parts = [
            route("r", &["app"], ""),
            envoy("parent", "Gateway, name: edge", &rules(8)),
            envoy(
                "child",
                "HTTPRoute, name: r",
                &format!("  mergeType: JSONMerge\n{}", rules(own)),
            ),
        ];
        let translation = translate(&set(&parts), &Options::files());
        let said = translation.problems.iter().any(|problem| problem.code == "E0314");
        let answers = matches!(rule(&translation.config, "r").action, Action::Answer(_));
        assert_eq!((said, answers), (refused, refused), "{own}");
    }
}

#[test]
fn traffic_goes_with_redirects_and_not_with_refusals() {
    let fault = envoy(
        "p",
        "Gateway, name: edge",
        "  faultInjection: {abort: {httpStatus: 503}}",
    );
    let redirect = route(
        "r",
        &[],
        ", filters: [{type: RequestRedirect, requestRedirect: {hostname: a.example.com}}]",
    );
    let translation = world(&[redirect, route("nowhere", &[], ""), fault]);
    assert!(rule(&translation.config, "r").traffic.is_some());
    assert!(rule(&translation.config, "nowhere").traffic.is_none());
}
