//! One object that is not valid costs what depends on it and no more; order in the files means nothing.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::translated;
use crate::translate::{Translation, dump};

/// A set in which everything is good and most kinds occur.
pub(super) const GOOD: &[&str] = &[
    "{apiVersion: v1, kind: Namespace, metadata: {name: team, labels: {team: a}}}",
    "{apiVersion: gateway.networking.k8s.io/v1, kind: GatewayClass, metadata: {name: weir}, spec: {controllerName: weir.dev/gateway-controller}}",
    "{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: edge}, spec: {gatewayClassName: weir, listeners: [{name: http, port: 80, protocol: HTTP}, {name: team, port: 81, protocol: HTTP, hostname: '*.example.com', allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {team: a}}}}}]}}",
    "{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {ports: [{name: http, port: 80}]}}",
    "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}, addressType: IPv4, ports: [{name: http, port: 9000}], endpoints: [{addresses: [10.0.0.1]}, {addresses: [10.0.0.2]}]}",
    "{apiVersion: gateway.envoyproxy.io/v1alpha1, kind: Backend, metadata: {name: app}, spec: {endpoints: [{ip: {address: 127.0.0.1, port: 9001}}]}}",
    "{apiVersion: gateway.networking.k8s.io/v1beta1, kind: ReferenceGrant, metadata: {name: grant}, spec: {from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: team}], to: [{group: '', kind: Service}]}}",
    "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: first}, spec: {parentRefs: [{name: edge}], hostnames: [one.example.com], rules: [{name: a, matches: [{path: {value: /a}}], backendRefs: [{name: web, port: 80, weight: 3}, {group: gateway.envoyproxy.io, kind: Backend, name: app}]}, {backendRefs: [{name: web, port: 80}]}]}}",
    "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: second, namespace: team}, spec: {parentRefs: [{name: edge, namespace: default, sectionName: team}], rules: [{backendRefs: [{name: web, namespace: default, port: 80}]}]}}",
    "{apiVersion: gateway.envoyproxy.io/v1alpha1, kind: BackendTrafficPolicy, metadata: {name: policy}, spec: {targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: first, sectionName: a}], loadBalancer: {type: RoundRobin}}}",
];

/// Objects with something wrong in or about them. None of them is senior to a good one.
pub(super) const BROKEN: &[&str] = &[
    "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: z-dangling}, spec: {parentRefs: [{name: nowhere}], rules: [{backendRefs: [{name: web, port: 80}]}]}}",
    "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: z-references}, spec: {parentRefs: [{name: edge}], rules: [{backendRefs: [{name: gone, port: 80}, {name: web, port: 1}, {kind: Odd, name: x}]}]}}",
    "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: z-filters}, spec: {parentRefs: [{name: edge}], hostnames: [one.example.com], rules: [{matches: [{path: {value: /a}}], filters: [{type: ExtensionRef, extensionRef: {group: a.b, kind: C, name: d}}]}]}}",
    "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: z-types}, spec: {parentRefs: 7, rules: maybe}}",
    "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: z-regex}, spec: {parentRefs: [{name: edge}], rules: [{matches: [{path: {type: RegularExpression, value: '('}}]}]}}",
    "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, spec: {}}",
    "{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: z-taken}, spec: {gatewayClassName: weir, listeners: [{name: http, port: 80, protocol: HTTP}, {name: other, port: 80, protocol: TCP}]}}",
    "{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: z-address}, spec: {gatewayClassName: weir, addresses: [{type: Hostname, value: a.b}], listeners: [{name: http, port: 80, protocol: HTTP}]}}",
    "{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: z-port}, spec: {gatewayClassName: weir, listeners: [{name: http, port: 0, protocol: HTTP}]}}",
    "{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: z-class}, spec: {gatewayClassName: absent, listeners: [{name: tls, port: 443, protocol: TLS}]}}",
    "{apiVersion: gateway.networking.k8s.io/v1, kind: GatewayClass, metadata: {name: z-other}, spec: {controllerName: example.com/other}}",
    "{apiVersion: gateway.envoyproxy.io/v1alpha1, kind: BackendTrafficPolicy, metadata: {name: z-conflict}, spec: {targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: first, sectionName: a}], loadBalancer: {type: Random}}}",
    "{apiVersion: gateway.envoyproxy.io/v1alpha1, kind: BackendTrafficPolicy, metadata: {name: z-lost}, spec: {targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: nobody}], loadBalancer: {type: Odd}}}",
    "{apiVersion: v1, kind: Service, metadata: {name: z-outside}, spec: {type: ExternalName, externalName: example.com}}",
    "{apiVersion: v1, kind: Service, metadata: {name: z-none}, spec: {ports: []}}",
    "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: z-lost}, addressType: IPv4, endpoints: []}",
    "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: z-odd, labels: {kubernetes.io/service-name: z-none}}, addressType: IPv4, ports: [{port: 1}], endpoints: [{addresses: [not-an-address]}]}",
    "{apiVersion: gateway.envoyproxy.io/v1alpha1, kind: Backend, metadata: {name: z-tls}, spec: {tls: {insecureSkipVerify: true}, endpoints: [{ip: {address: 10.0.0.1, port: 1}}]}}",
    "{apiVersion: gateway.networking.k8s.io/v1beta1, kind: ReferenceGrant, metadata: {name: z-grant}, spec: {from: []}}",
    "{apiVersion: example.com/v1, kind: Unknown, metadata: {name: z}}",
    "{apiVersion: v1, kind: Namespace, metadata: {name: default, labels: {team: 7}}}",
    "not: [closed",
    "just text",
    "\u{1}",
];

/// Everything of the `Config` that belongs to the good objects, without numbers that others may shift.
fn view(translation: &Translation) -> BTreeMap<String, String> {
    let text = dump(&translation.config);
    let mut view = BTreeMap::new();
    let mut block = String::new();
    let mut section = String::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if !line.starts_with(' ') {
            block = words
                .iter()
                .enumerate()
                .filter(|(n, word)| *n != 1 || words[0] != "route" || word.is_empty())
                .map(|(_, word)| *word)
                .collect::<Vec<_>>()
                .join(" ");
            section.clear();
        } else if words[0] == "section" {
            section = line.to_string();
        } else if words[0] == "route" {
            let entry = format!("{block} {section} {}", words[2..].join(" "));
            view.insert(entry, String::new());
            continue;
        }
        let lines: &mut String = view.entry(format!("{block} {section}")).or_default();
        lines.push_str(if words[0] == "route" || !section.is_empty() {
            ""
        } else {
            line.trim()
        });
        lines.push('\n');
    }
    view.retain(|key, _| !key.contains("/z-") && !key.starts_with("route HTTPRoute default/z-"));
    view
}

#[test]
fn the_good_set_is_good() {
    let translation = translated(GOOD);
    assert_eq!(translation.problems, []);
    assert_eq!(
        (translation.config.routes.len(), translation.config.backends.len()),
        (2, 2)
    );
    let words = view(&translation).into_keys().collect::<Vec<_>>().join("\n");
    assert!(
        words.contains("section default/edge/team host *.example.com port 81 HTTPRoute team/second for"),
        "{words}"
    );
}

#[test]
fn each_broken_object_is_reported_or_harmless_and_changes_nothing_else() {
    let good = view(&translated(GOOD));
    for broken in BROKEN {
        for place in [0, GOOD.len() / 2, GOOD.len()] {
            let mut documents = GOOD.to_vec();
            documents.insert(place, broken);
            assert_eq!(view(&translated(&documents)), good, "{broken}");
        }
    }
}

proptest! {
    #[test]
    fn broken_objects_never_change_what_the_good_ones_mean(
        broken in subsequence(BROKEN, 1..BROKEN.len()),
        places in prop::collection::vec(0..GOOD.len(), BROKEN.len()),
        cut in select(BROKEN),
        at in 0_usize..400,
    ) {
        let mut documents = GOOD.to_vec();
        for (document, place) in broken.iter().zip(places) {
            documents.insert(place, document);
        }
        // A document that breaks off in the middle.
        let cut: String = cut.chars().take(at).filter(|c| *c != '\n').collect();
        if !GOOD.iter().any(|good| good.starts_with(&cut)) {
            documents.push(&cut);
        }
        prop_assert_eq!(view(&translated(&documents)), view(&translated(GOOD)));
    }

    #[test]
    fn the_order_of_documents_means_nothing(
        order in Just((0..GOOD.len() + BROKEN.len()).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let readable: Vec<&str> = GOOD.iter().chain(BROKEN).copied().collect();
        let shuffled: Vec<&str> = order.iter().map(|place| readable[*place]).collect();
        let (one, other) = (translated(&readable), translated(&shuffled));
        prop_assert_eq!(&one.config, &other.config);
        prop_assert_eq!(&one.statuses, &other.statuses);
    }
}
