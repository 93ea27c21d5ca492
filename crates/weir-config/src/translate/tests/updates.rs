//! Following changes: endpoints alone, nothing at all, everything.

use std::sync::Arc;

use weir_model::{Backend, EndpointSource};

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
fn reload(before: &ResourceSet, after: ResourceSet) -> ResourceSet {
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
        objects: after.objects.into_iter().map(reuse).collect(),
        problems: after.problems,
    }
}

fn addresses(backend: &Backend) -> Vec<String> {
    match &backend.endpoints {
        EndpointSource::Static(endpoints) => endpoints.iter().map(|one| one.address.to_string()).collect(),
        EndpointSource::Names(names) => names.iter().map(|(name, _)| name.to_string()).collect(),
    }
}

/// Goes from one set of documents to the next; what the update did, and whether the result is what a
/// translation from nothing gives.
fn follow(steps: &[(&[&str], &str)]) {
    let mut last = set(steps[0].0);
    let mut translator = Translator::new(&last, Options::files());
    for (documents, expected) in &steps[1..] {
        let next = reload(&last, set(documents));
        let before = translator.translation().config.clone();
        let update = translator.update(&next);
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
        let fresh = translate(&next, &Options::files());
        let now = translator.translation();
        assert_eq!(now.config, fresh.config);
        assert_eq!(now.statuses, fresh.statuses);
        assert_eq!(now.problems, fresh.problems);
        assert_eq!(
            now.problems
                .iter()
                .map(|problem| problem.origin.line)
                .collect::<Vec<_>>(),
            fresh
                .problems
                .iter()
                .map(|problem| problem.origin.line)
                .collect::<Vec<_>>(),
        );
        assert_eq!(
            update == Update::Unchanged,
            Arc::ptr_eq(&before, &now.config),
            "{found}"
        );
        if let Update::Endpoints(changes) = update {
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
        last = next;
    }
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
