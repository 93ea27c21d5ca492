//! Routes that change by themselves are translated by themselves.

use proptest::prelude::*;
use proptest::sample::select;

use super::isolation::GOOD;
use super::updates::{reload, step};
use crate::resource::ResourceSet;
use crate::translate::change::changes;
use crate::translate::excerpt::changed_routes;
use crate::translate::{Options, Translator, translate};

/// What an HTTPRoute of the good set may be instead; each document names `first` or `second`, the ones that the set has.
const VERSIONS: &[(&str, &str)] = &[
    (
        "first",
        "hostnames: [one.example.com], rules: [{name: a, matches: [{path: {value: /a}}], backendRefs: [{name: web, port: 80, weight: 3}, {group: gateway.envoyproxy.io, kind: Backend, name: app}]}, {backendRefs: [{name: web, port: 80}]}]",
    ),
    (
        "first",
        "hostnames: [one.example.com], rules: [{name: a, matches: [{path: {value: /a}}], backendRefs: [{name: web, port: 80}, {group: gateway.envoyproxy.io, kind: Backend, name: app, weight: 9}]}, {backendRefs: [{name: web, port: 80}]}]",
    ),
    (
        "first",
        "hostnames: [one.example.com], rules: [{name: a, matches: [{path: {value: /a}}], filters: [{type: RequestMirror, requestMirror: {backendRef: {name: web, port: 80}}}], backendRefs: [{group: gateway.envoyproxy.io, kind: Backend, name: app}]}, {backendRefs: [{name: web, port: 80}]}]",
    ),
    (
        "first",
        "hostnames: [one.example.com], rules: [{name: a, matches: [{path: {value: /b}}], backendRefs: [{group: gateway.envoyproxy.io, kind: Backend, name: app}]}, {backendRefs: [{name: web, port: 80}]}]",
    ),
    (
        "first",
        "hostnames: [two.example.com], rules: [{name: a, matches: [{path: {value: /a}}], backendRefs: [{group: gateway.envoyproxy.io, kind: Backend, name: app}]}, {backendRefs: [{name: web, port: 80}]}]",
    ),
    (
        "first",
        "hostnames: [one.example.com], rules: [{name: b, matches: [{path: {value: /a}}], backendRefs: [{group: gateway.envoyproxy.io, kind: Backend, name: app}]}, {backendRefs: [{name: web, port: 80}]}]",
    ),
    (
        "first",
        "hostnames: [one.example.com], rules: [{name: a, matches: [{path: {value: /a}}], backendRefs: [{name: web, port: 80}]}, {backendRefs: [{name: web, port: 80}]}]",
    ),
    (
        "first",
        "hostnames: [one.example.com], rules: [{name: a, matches: [{path: {value: /a}}], backendRefs: [{name: gone, port: 80}]}, {backendRefs: [{name: web, port: 80}]}]",
    ),
    (
        "first",
        "hostnames: [one.example.com], rules: [{name: a, matches: [{path: {value: /a}}], timeouts: {request: 7x}, backendRefs: [{name: web, port: 80}]}, {backendRefs: [{name: web, port: 80}]}]",
    ),
    (
        "first, generation: 2",
        "hostnames: [one.example.com], rules: [{name: a, matches: [{path: {value: /a}}], backendRefs: [{group: gateway.envoyproxy.io, kind: Backend, name: app}]}, {backendRefs: [{name: web, port: 80}]}]",
    ),
    (
        "first",
        "parentRefs: [{name: edge}, {name: inner}, {group: '', kind: Service, name: web}], hostnames: [one.example.com], rules: [{name: a, matches: [{path: {value: /a}}], backendRefs: [{group: gateway.envoyproxy.io, kind: Backend, name: app}]}, {backendRefs: [{name: web, port: 80}]}]",
    ),
    (
        "second",
        "rules: [{backendRefs: [{name: web, namespace: default, port: 80}]}]",
    ),
    (
        "second",
        "rules: [{filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: x, value: y}]}}], backendRefs: [{name: web, namespace: default, port: 80}]}]",
    ),
    (
        "second",
        "rules: [{backendRefs: [{name: web, namespace: default, port: 80}]}, {matches: [{path: {value: /a}}]}]",
    ),
];
/// What stays.
const OTHERS: &[&str] = &[
    "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: a-third}, spec: {parentRefs: [{name: edge}], hostnames: [three.example.com], rules: [{backendRefs: [{name: web, port: 80}]}]}}",
    "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: z-third}, spec: {parentRefs: [{name: edge}], hostnames: [z.example.com], rules: [{backendRefs: [{name: aaa, port: 80}, {name: web, port: 80}]}]}}",
    "{apiVersion: v1, kind: Service, metadata: {name: aaa}, spec: {ports: [{port: 80}]}}",
    "{apiVersion: gateway.envoyproxy.io/v1alpha1, kind: BackendTrafficPolicy, metadata: {name: of-all}, spec: {targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: edge}], timeout: {http: {requestTimeout: 5s}}}}",
    "{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: inner}, spec: {gatewayClassName: weir, listeners: [{name: http, port: 90, protocol: HTTP}, {name: calm, port: 91, protocol: HTTP}]}}",
    "{apiVersion: gateway.envoyproxy.io/v1alpha1, kind: BackendTrafficPolicy, metadata: {name: of-calm}, spec: {targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: inner, sectionName: calm}], loadBalancer: {type: Random}}}",
    "{apiVersion: gateway.envoyproxy.io/v1alpha1, kind: BackendTrafficPolicy, metadata: {name: of-team}, spec: {targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: edge, sectionName: team}], loadBalancer: {type: Random}}}",
];

fn route((name, spec): (&str, &str)) -> String {
    let (namespace, parents) = match name {
        "second" => (
            "team",
            "parentRefs: [{name: edge, namespace: default, sectionName: team}], ",
        ),
        _ if spec.contains("parentRefs") => ("default", ""),
        // Three routes of the `Config`: the policy of one listener differs from that of each other Gateway.
        _ => ("default", "parentRefs: [{name: edge}, {name: inner}], "),
    };
    format!(
        "{{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {{name: {name}, namespace: {namespace}}}, spec: {{{parents}{spec}}}}}"
    )
}

/// The good set with these versions of its routes, each object in a file of its own.
fn with(versions: &[(&str, &str)]) -> ResourceSet {
    let kept = GOOD.iter().filter(|text| !text.contains("HTTPRoute, metadata"));
    let others = kept.chain(OTHERS).map(|text| (*text).to_owned());
    let texts: Vec<String> = others.chain(versions.iter().copied().map(route)).collect();
    let named = texts
        .iter()
        .enumerate()
        .map(|(nth, text)| (format!("{nth:02}.yaml"), text));
    let named: Vec<(String, &String)> = named.collect();
    ResourceSet::from_texts(named.iter().map(|(name, text)| (name.as_str(), text.as_str())))
}

#[test]
fn bx14_what_only_changes_what_a_rule_does_is_told_from_the_rest() {
    let before = with(&[VERSIONS[0], VERSIONS[11]]);
    let last = translate(&before, &Options::files());
    for (versions, expected) in [
        // Weights, filters, and which of the backends in use.
        ([1, 11], Some(3)),
        ([2, 11], Some(3)),
        ([0, 12], Some(1)),
        ([1, 12], Some(4)),
        ([0, 11], Some(0)),
        // Another match may hide, and another name, host, backend, generation or mistake may say, something of others.
        ([3, 11], None),
        ([4, 11], None),
        ([5, 11], None),
        ([6, 11], None),
        ([7, 11], None),
        ([8, 11], None),
        ([9, 11], None),
        ([10, 11], None),
        ([0, 13], None),
    ] {
        let after = reload(&before, with(&versions.map(|version: usize| VERSIONS[version])));
        let changes = changes(&before.objects, &after.objects);
        let found = changed_routes(&last, &changes, &after, &Options::files());
        assert_eq!(found.map(|routes| routes.len()), expected, "{versions:?}");
    }
}

proptest! {
    #[test]
    fn bx14_any_routes_that_change_by_themselves_mean_what_they_mean_among_all(
        steps in prop::collection::vec((select(&VERSIONS[..11]), select(&VERSIONS[11..])), 2..8),
    ) {
        let mut last = with(&[VERSIONS[0], VERSIONS[11]]);
        let mut translator = Translator::new(&last, Options::files());
        for (first, second) in steps {
            last = reload(&last, with(&[first, second]));
            step(&mut translator, &last);
        }
    }
}
