//! Following changes: endpoints alone, nothing at all, everything.

use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::subsequence;
use weir_model::{Backend, Config, EndpointSource, Problem};

use super::isolation::{BROKEN, GOOD};
use super::{BASE, route, set};
use crate::resource::{Placed, ResourceSet};
use crate::translate::{Options, Translator, Update, translate};

fn slice(name: &str, service: &str, addresses: &str) -> String {
    format!(
        "
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {name}, labels: {{kubernetes.io/service-name: {service}}}}}
addressType: IPv4
ports: [{{name: http, port: 9000}}]
endpoints: [{addresses}]
"
    )
}

fn both() -> String {
    route("{backendRefs: [{name: web, port: 80}, {name: idle, port: 80}]}")
}

/// The set of `after`, with the allocations of `before` wherever an object is written in the same way at the
/// same place: what a source hands out after a reload.
pub(super) fn reload(before: &ResourceSet, after: ResourceSet) -> ResourceSet {
    let reuse = |new: Placed| {
        let same = before.objects.iter().find(|old| *old.resource == *new.resource);
        match same {
            Some(old) => Placed {
                resource: old.resource.clone(),
                ..new
            },
            None => new,
        }
    };
    ResourceSet {
        objects: Arc::new(after.objects.iter().cloned().map(reuse).collect()),
        problems: after.problems,
    }
}

fn addresses(backend: &Backend) -> Vec<String> {
    match &backend.endpoints {
        EndpointSource::Static(endpoints) => endpoints.iter().map(|one| one.address.to_string()).collect(),
        EndpointSource::Names(names) => names.iter().map(|named| named.host.to_string()).collect(),
    }
}

/// Goes from one set of documents to the next and compares what the updates did with what is expected.
fn follow(steps: &[(&[&str], &str)]) {
    let mut last = set(steps[0].0);
    let mut translator = Translator::new(&last, Options::files());
    for (documents, expected) in &steps[1..] {
        let next = reload(&last, set(documents));
        let update = step(&mut translator, &next);
        let found = match &update {
            Update::Unchanged => "unchanged".to_string(),
            Update::Config => "config".to_string(),
            Update::Endpoints(changes) => {
                let keys = changes
                    .iter()
                    .map(|change| format!("{} {:?}", change.value.key, addresses(&change.value)));
                keys.collect::<Vec<_>>().join(", ")
            }
        };
        assert_eq!(found, *expected, "{documents:?}");
        last = next;
    }
}

/// One update, whose result must be what a translation from nothing gives.
pub(super) fn step(translator: &mut Translator, next: &ResourceSet) -> Update {
    let before = translator.translation().config.clone();
    let update = translator.update(next);
    let (now, fresh) = (translator.translation(), translate(next, &Options::files()));
    assert_eq!(now.config, fresh.config);
    assert_eq!(now.statuses, fresh.statuses);
    assert_eq!(now.problems, fresh.problems);
    assert_eq!(lines(&now.problems), lines(&fresh.problems));
    assert_eq!(places(&now.config), places(&fresh.config));
    assert_eq!(update == Update::Unchanged, before == now.config);
    if let Update::Endpoints(changes) = &update {
        for change in changes {
            assert!(Arc::ptr_eq(now.config.backend(change.backend), &change.value));
        }
        assert!(
            before
                .routes
                .iter()
                .zip(&now.config.routes)
                .all(|(old, new)| Arc::ptr_eq(old, new))
        );
    }
    update
}

fn lines(problems: &[Problem]) -> Vec<u32> {
    problems.iter().map(|problem| problem.origin.line).collect()
}

/// Where everything of a `Config` is written, which its own equality does not see.
fn places(config: &Config) -> Vec<String> {
    let routes = config.routes.iter().flat_map(|route| {
        let rules = route
            .rules
            .iter()
            .map(|rule| format!("{} {}", rule.key, rule.origin));
        rules.chain([format!("{} {}", route.object, route.origin)])
    });
    let backends = config
        .backends
        .iter()
        .map(|backend| format!("{} {}", backend.key, backend.origin));
    routes.chain(backends).collect()
}

#[test]
fn a_policy_for_tls_takes_its_service_away_and_gives_it_back() {
    let route = route("{backendRefs: [{name: web, port: 80}]}");
    let policy = "
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: tls}
spec: {targetRefs: [{group: '', kind: Service, name: web}]}
";
    let moved = format!("# A line more.{policy}");
    follow(&[
        (&[BASE, &route], ""),
        (&[BASE, &route, policy], "config"),
        (&[BASE, &route, &moved], "unchanged"),
        (&[BASE, &route], "config"),
    ]);
}

#[test]
fn bx14_endpoints_change_without_a_translation() {
    let both = both();
    let one = slice("idle-1", "idle", "{addresses: [10.0.0.1]}");
    let two = slice(
        "idle-1",
        "idle",
        "{addresses: [10.0.0.1]}, {addresses: [10.0.0.2]}",
    );
    let drained = slice(
        "idle-1",
        "idle",
        "{addresses: [10.0.0.1], conditions: {ready: false}}",
    );
    follow(&[
        (&[BASE, &both], ""),
        // A slice comes, grows, leaves; its problems come and go with it.
        (
            &[BASE, &both, &one],
            "service/default/idle/80 [\"10.0.0.1:9000\"]",
        ),
        (
            &[BASE, &both, &two],
            "service/default/idle/80 [\"10.0.0.1:9000\", \"10.0.0.2:9000\"]",
        ),
        (&[BASE, &both, &two], "unchanged"),
        (
            &[BASE, &both, &drained],
            "service/default/idle/80 [\"10.0.0.1:9000\"]",
        ),
        (&[BASE, &both], "service/default/idle/80 []"),
        // Of a Service that nobody uses.
        (
            &[BASE, &both, &slice("other-1", "other", "{addresses: [10.0.0.1]}")],
            "unchanged",
        ),
        // From one Service to another.
        (
            &[BASE, &both, &slice("other-1", "idle", "{addresses: [10.0.0.3]}")],
            "service/default/idle/80 [\"10.0.0.3:9000\"]",
        ),
    ]);
}

#[test]
fn bx14_a_backend_changes_its_endpoints_without_a_translation() {
    let backend = |endpoints: &str, more: &str| {
        format!(
            "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: Backend\nmetadata: {{name: app{more}}}\nspec: {{endpoints: [{endpoints}]}}"
        )
    };
    let route = route("{backendRefs: [{group: gateway.envoyproxy.io, kind: Backend, name: app}]}");
    let one = backend("{ip: {address: 127.0.0.1, port: 1}}", "");
    let two = backend("{ip: {address: 127.0.0.1, port: 2}}", ", generation: 2");
    let name = backend("{fqdn: {hostname: a.example.com, port: 2}}", "");
    follow(&[
        (&[BASE, &route, &one], ""),
        (&[BASE, &route, &two], "backend/default/app [\"127.0.0.1:2\"]"),
        // Names are resolved elsewhere: not a matter of endpoints alone.
        (&[BASE, &route, &name], "config"),
        (
            &[BASE, &route, &format!("{name}\n  # the same, at the same place")],
            "unchanged",
        ),
    ]);
}

#[test]
fn everything_else_is_translated_again_and_shares_what_is_equal() {
    let both = both();
    let renamed = both.replace("name: it,", "name: other,");
    let far = BASE.replace("port: 8080", "port: 8081");
    follow(&[
        (&[BASE, &both], ""),
        (&[BASE, &renamed], "config"),
        (&[&far, &renamed], "config"),
        (
            &[
                &far.replace("{name: http, port: 80}", "{name: httq, port: 80}"),
                &renamed,
            ],
            "config",
        ),
        (&[&far, &renamed], "config"),
        // The same objects on other lines: nothing changes but where problems are.
        (&[&far, &renamed, &both], "config"),
        (&[&far, &both, &renamed], "unchanged"),
        (&[&far, "# a comment", &both, &renamed], "unchanged"),
    ]);
    let before = set(&[BASE, &both, &renamed]);
    let mut translator = Translator::new(&before, Options::files());
    let old = translator.translation().config.clone();
    let changed = renamed.replace("port: 80}, {name: idle", "port: 80, weight: 2}, {name: idle");
    let after = reload(&before, set(&[BASE, &both, &changed]));
    assert_eq!(translator.update(&after), Update::Config);
    let new = &translator.translation().config;
    assert!(Arc::ptr_eq(&old.routes[0], &new.routes[0]), "the other route");
    assert!(!Arc::ptr_eq(&old.routes[1], &new.routes[1]), "the changed route");
    assert!(
        old.backends
            .iter()
            .zip(&new.backends)
            .all(|(old, new)| Arc::ptr_eq(old, new))
    );
    assert!(Arc::ptr_eq(&old.listeners[0], &new.listeners[0]));
}

/// Other versions of good objects: every pair of sets that the property visits differs in something.
const OTHER: &[&str] = &[
    "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}, addressType: IPv4, ports: [{name: http, port: 9000}], endpoints: [{addresses: [10.0.0.3]}]}",
    "{apiVersion: gateway.envoyproxy.io/v1alpha1, kind: Backend, metadata: {name: app}, spec: {endpoints: [{ip: {address: 127.0.0.1, port: 9002}}]}}",
    "{apiVersion: v1, kind: Service, metadata: {name: aaa}, spec: {ports: [{port: 80}]}}",
    "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: first}, spec: {parentRefs: [{name: edge}], rules: [{backendRefs: [{name: aaa, port: 80}, {name: web, port: 80}]}]}}",
    "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: third}, spec: {parentRefs: [{name: edge}], hostnames: [third.example.com], rules: [{name: a, backendRefs: [{name: web, port: 80}]}]}}",
    "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: fourth}, spec: {parentRefs: [{name: edge}], hostnames: [fourth.example.com], rules: [{filters: [{type: RequestMirror, requestMirror: {backendRef: {name: aaa, port: 80}}}], backendRefs: [{group: gateway.envoyproxy.io, kind: Backend, name: app}]}]}}",
];

#[test]
fn what_is_wrong_with_an_unchanged_route_is_said_again() {
    let weir = GOOD.join("\n---\n");
    let references = "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: z-references}, spec: {parentRefs: [{name: edge}], hostnames: [z.example.com], rules: [{backendRefs: [{name: gone, port: 80}]}]}}";
    // A rule that decoding refused: nothing is said of it here, but its status knows.
    let faulty = "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: z-faulty}, spec: {parentRefs: [{name: edge}], hostnames: [y.example.com], rules: [{filters: [{type: URLRewrite}]}, {matches: [{path: {value: /a}}], backendRefs: [{name: web, port: 80}]}]}}";
    let mut last = set(&[&weir, references, faulty]);
    let mut translator = Translator::new(&last, Options::files());
    for documents in [
        &[&*weir, references, faulty, OTHER[4]][..],
        &[&weir, references, faulty],
    ] {
        last = reload(&last, set(documents));
        assert_eq!(step(&mut translator, &last), Update::Config);
    }
}

#[test]
fn unchanged_routes_are_used_again_under_new_numbers() {
    let weir = GOOD.join("\n---\n");
    let (aaa, third, fourth) = (OTHER[2], OTHER[4], OTHER[5]);
    let mut last = set(&[&weir, aaa, third]);
    let mut translator = Translator::new(&last, Options::files());
    let route = |translator: &Translator, name: &str| {
        let mut routes = translator.translation().config.routes.iter();
        routes.find(|route| &*route.object.name == name).cloned()
    };
    let first = route(&translator, "first");
    // A route that uses the same backends comes and goes.
    for documents in [&[&*weir, aaa][..], &[&weir, aaa, third]] {
        last = reload(&last, set(documents));
        assert_eq!(step(&mut translator, &last), Update::Config);
        assert!(Arc::ptr_eq(
            &first.clone().expect("a route"),
            &route(&translator, "first").expect("a route")
        ));
    }
    // One that uses a backend more moves the numbers of the others.
    last = reload(&last, set(&[&weir, aaa, third, fourth]));
    assert_eq!(step(&mut translator, &last), Update::Config);
    assert_ne!(first, route(&translator, "first"));
    last = reload(&last, set(&[&weir, aaa, third]));
    assert_eq!(step(&mut translator, &last), Update::Config);
    assert_eq!(first, route(&translator, "first"));
}

proptest! {
    #[test]
    fn any_update_gives_what_a_translation_from_nothing_gives(
        steps in prop::collection::vec(
            (subsequence(GOOD, GOOD.len() / 2..=GOOD.len()), subsequence(OTHER, 0..=OTHER.len()), subsequence(BROKEN, 0..6)),
            2..6,
        ),
    ) {
        let sets = steps.iter().map(|(good, other, broken)| {
            let other = other.iter().chain(broken).copied();
            // The last of equal names counts as the only one: versions replace each other.
            good.iter().copied().filter(|good| !OTHER.iter().any(|other| same_name(good, other))).chain(other).collect::<Vec<_>>()
        });
        // Each document in a file of its own: then nothing moves, and routes are used again.
        let files = |documents: &[&str]| {
            let pool = || GOOD.iter().chain(OTHER).chain(BROKEN);
            let name = |document: &&str| pool().position(|known| known == document).map(|place| format!("{place:02}.yaml"));
            let named: Vec<(String, &str)> = documents.iter().map(|document| (name(document).unwrap_or_default(), *document)).collect();
            ResourceSet::from_texts(named.iter().map(|(name, text)| (name.as_str(), *text)))
        };
        let (mut last, mut last_of_files) = (set(&[]), set(&[]));
        let mut translator = Translator::new(&last, Options::files());
        let mut translator_of_files = Translator::new(&last, Options::files());
        for documents in sets {
            last = reload(&last, set(&documents));
            step(&mut translator, &last);
            last_of_files = reload(&last_of_files, files(&documents));
            step(&mut translator_of_files, &last_of_files);
        }
    }
}

fn same_name(left: &str, right: &str) -> bool {
    let head = |text: &str| text.split("spec:").next().map(str::to_string);
    head(left) == head(right)
}
