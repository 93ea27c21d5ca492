//! Following changes: what is in force, what is said about it, and that no request is lost.

use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::harness::{
    Backends, Client, Folder, Gateway, Process, Request, endpoints, example_on, free_port, gateway,
    gateway_and_service, load, route_policy, weir,
};

fn route(path: &str) -> String {
    format!(
        "\
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: only, namespace: default}}
spec:
  parentRefs: [{{name: eg}}]
  rules:
    - matches: [{{path: {{type: PathPrefix, value: {path}}}}}]
      backendRefs: [{{name: backend, port: 3000}}]
"
    )
}

#[test]
fn ga06_a_change_of_routes_comes_into_force() {
    let backends = Backends::start(1);
    let port = free_port();
    let base = gateway_and_service(port, &backends.ports());
    let gateway = Gateway::start(port, &(base.clone() + &route("/a")));
    let mut client = Client::connect(gateway.address);
    assert_eq!(
        (client.get("/a", &[]).status, client.get("/b", &[]).status),
        (200, 404)
    );
    gateway.rewrite(&(base.clone() + &route("/b")), "generation 2 in force (1 route, ");
    // The same connection: nothing was closed.
    assert_eq!(
        (client.get("/a", &[]).status, client.get("/b", &[]).status),
        (404, 200)
    );
    // Only a comment: everything stays, and nothing is announced as new.
    gateway.rewrite(&(base + "# a comment\n" + &route("/b")), "nothing to do");
    assert_eq!(client.get("/b", &[]).status, 200);
}

#[test]
fn bx14_endpoints_alone_take_the_fast_path() {
    let backends = Backends::start(3);
    let port = free_port();
    let ports = backends.ports();
    // Endpoints last: objects that move to other lines are looked at again.
    let base = gateway(port) + &route("/");
    let gateway = Gateway::start(port, &(base.clone() + &endpoints(&ports[..1])));
    let plain = Request {
        target: "/",
        headers: &[],
    };
    assert_eq!(load(gateway.address, plain, 30, 3).pods(), 1);
    gateway.rewrite(
        &(base.clone() + &endpoints(&ports)),
        "3 endpoints, 1 problem, endpoints only",
    );
    assert_eq!(load(gateway.address, plain, 90, 3).pods(), 3);
    gateway.rewrite(
        &(base + &endpoints(&ports[1..2])),
        "1 endpoint, 1 problem, endpoints only",
    );
    let spread = load(gateway.address, plain, 30, 3);
    assert_eq!(spread.of("backend-2"), 30, "{spread:?}");
}

#[test]
fn ga06_the_last_good_version_stays_in_force_and_that_is_said() {
    let backends = Backends::start(1);
    let port = free_port();
    let base = gateway_and_service(port, &backends.ports());
    let gateway = Gateway::start(port, &(base.clone() + &route("/a")));
    let mut client = Client::connect(gateway.address);
    let bad = route("/a").replace("PathPrefix", "Prefixed");
    let line = gateway.rewrite(&(base.clone() + &bad), "running differs from disk");
    assert!(
        line.contains("1 object stays in force: HTTPRoute default/only"),
        "{line}"
    );
    assert_eq!(client.get("/a", &[]).status, 200);
    assert!(
        gateway.process.stderr.text().contains("Prefixed"),
        "the problem is shown with its source line"
    );
    // Not YAML at all: everything stays.
    gateway.rewrite("kind: [\n", "running differs from disk");
    assert_eq!(client.get("/a", &[]).status, 200);
    // Gone: everything stays.
    let before = gateway.process.stderr.count();
    std::fs::remove_file(gateway.path()).expect("removed");
    gateway
        .process
        .stderr
        .wait_after(before, "running differs from disk");
    assert_eq!(client.get("/a", &[]).status, 200);
    // Asked, it says so again.
    let before = gateway.process.stderr.count();
    gateway.process.signal("HUP");
    gateway
        .process
        .stderr
        .wait_after(before, "running differs from disk");
    // Good again.
    gateway.rewrite(&(base + &route("/b")), "in force (1 route");
    assert_eq!(
        (client.get("/a", &[]).status, client.get("/b", &[]).status),
        (404, 200)
    );
}

#[test]
fn op14_strict_takes_a_configuration_with_errors_not_at_all() {
    let backends = Backends::start(1);
    let port = free_port();
    let base = gateway_and_service(port, &backends.ports());
    let gateway = Gateway::start_with(port, &(base.clone() + &route("/a")), &["--strict"]);
    let mut client = Client::connect(gateway.address);
    let bad = base.clone()
        + &route("/b")
        + &route("/c")
            .replace("only", "other")
            .replace("name: eg", "nam: eg");
    let line = gateway.rewrite(&bad, "rejected (--strict)");
    assert!(line.contains("(generation 1 runs, 2 is on disk)"), "{line}");
    assert_eq!(
        (client.get("/a", &[]).status, client.get("/b", &[]).status),
        (200, 404)
    );
    gateway.rewrite(&(base + &route("/b")), "generation 3 in force");
    assert_eq!(
        (client.get("/a", &[]).status, client.get("/b", &[]).status),
        (404, 200)
    );
}

/// Two routes, `/a` under a policy and `/b`.
fn two_routes(base: &str, policy: &str) -> String {
    base.to_owned() + &route("/a") + &route("/b").replace("only", "other") + policy
}

/// What cannot be served as written is not served as if it were not there: its own rule is denied, the others go on, and a
/// strict gateway does not start.
#[test]
fn op14_what_cannot_be_served_as_written_is_denied() {
    let backends = Backends::start(1);
    for (name, spec) in [
        ("block", "healthCheck: {active: {type: HTTP}}"),
        ("number", "timeout: {http: {requestTimeout: soon}}"),
    ] {
        let port = free_port();
        let base = gateway_and_service(port, &backends.ports());
        let gateway = Gateway::start(port, &two_routes(&base, &route_policy("odd", spec)));
        let mut client = Client::connect(gateway.address);
        let statuses = (client.get("/a", &[]).status, client.get("/b", &[]).status);
        assert_eq!(statuses, (500, 200), "{name}");
        let path = gateway.path();
        let strict = weir(&["run", "--strict", "-c", path.to_str().expect("UTF-8")], "");
        assert_eq!(strict.code, Some(3), "{name}: {strict:?}");
    }
}

/// Types of policies that nobody knows.
const UNKNOWN: [&str; 3] = [
    "loadBalancer: {type: round-robin}",
    "loadBalancer: {type: ConsistentHash, consistentHash: {type: Url}}",
    "healthCheck: {active: {type: Nonsense}}",
];

#[test]
fn op14_no_start_with_a_policy_of_an_unknown_type() {
    let folder = Folder::new();
    let base = gateway_and_service(free_port(), &[1]);
    for spec in UNKNOWN {
        let path = folder.write("weir.yaml", &two_routes(&base, &route_policy("odd", spec)));
        let refused = weir(&["run", "-c", path.to_str().expect("UTF-8")], "");
        assert_eq!(refused.code, Some(3), "{spec}: {refused:?}");
        for part in [
            "error[E0320]",
            "weir does not start with this",
            "the configuration has a policy of an unknown type",
        ] {
            assert!(refused.stderr.contains(part), "{spec}: {}", refused.stderr);
        }
        assert_eq!(refused.stderr.matches("E0320").count(), 1, "{}", refused.stderr);
        assert!(!refused.stderr.contains("listening"), "{}", refused.stderr);
    }
}

#[test]
fn op14_a_reload_with_a_policy_of_an_unknown_type_keeps_what_runs() {
    let backends = Backends::start(1);
    let port = free_port();
    let base = gateway_and_service(port, &backends.ports());
    let limited = route_policy("odd", "faultInjection: {abort: {httpStatus: 418}}");
    let gateway = Gateway::start(port, &two_routes(&base, ""));
    let mut client = Client::connect(gateway.address);
    let mut statuses = || (client.get("/a", &[]).status, client.get("/b", &[]).status);
    let unknown = UNKNOWN.map(|spec| route_policy("odd", spec));
    // A new one: its route goes on without it, and what else has changed is in force.
    let line = gateway.rewrite(
        &two_routes(&base, &unknown[0]).replace("value: /b", "value: /c"),
        "running differs from disk",
    );
    let words = "1 new object left out: BackendTrafficPolicy default/odd";
    assert!(line.contains(words), "{line}");
    assert_eq!(statuses(), (200, 404));
    // And again, with another.
    gateway.rewrite(&two_routes(&base, &unknown[1]), words);
    assert_eq!(statuses(), (200, 200));
    // One that was good before stays as it was.
    gateway.rewrite(&two_routes(&base, &limited), "generation 4 in force");
    assert_eq!(statuses(), (418, 200));
    for (generation, policy) in (5..).zip(&unknown) {
        gateway.rewrite(
            &two_routes(&base, policy),
            "the last good version of 1 object stays in force: BackendTrafficPolicy default/odd",
        );
        assert_eq!(statuses(), (418, 200), "generation {generation}");
    }
    // One that was bad before is not thereby lifted.
    gateway.rewrite(
        &two_routes(&base, &route_policy("odd", "timeout: 5")),
        "generation 8 in force",
    );
    assert_eq!(statuses(), (500, 200));
    gateway.rewrite(&two_routes(&base, &unknown[0]), "running differs from disk");
    assert_eq!(statuses(), (500, 200));
    gateway.rewrite(&two_routes(&base, ""), "generation 10 in force");
    assert_eq!(statuses(), (200, 200));
}

#[test]
fn ga06_without_watching_only_hup_reloads() {
    let backends = Backends::start(1);
    let port = free_port();
    let base = gateway_and_service(port, &backends.ports());
    let gateway = Gateway::start_with(port, &(base.clone() + &route("/a")), &["--no-watch"]);
    let mut client = Client::connect(gateway.address);
    let before = gateway.process.stderr.count();
    gateway.process.signal("HUP");
    gateway
        .process
        .stderr
        .wait_after(before, "nothing has changed: generation 1 stays in force");
    std::fs::write(gateway.path(), base + &route("/b")).expect("written");
    assert_eq!(client.get("/a", &[]).status, 200);
    gateway.process.signal("HUP");
    gateway.process.stderr.wait_after(before, "generation 2 in force");
    assert_eq!(client.get("/b", &[]).status, 200);
}

#[test]
fn ga06_the_swap_of_a_kubernetes_mount_is_followed_within_a_second() {
    let backends = Backends::start(1);
    let port = free_port();
    let base = gateway_and_service(port, &backends.ports());
    let folder = Folder::new();
    // As the kubelet does it: a folder per version, `..data` points at the newest, the file points through it.
    let version = |name: &str, text: &str| {
        std::fs::create_dir(folder.path().join(name)).expect("a folder");
        std::fs::write(folder.path().join(name).join("weir.yaml"), text).expect("written");
        symlink(name, folder.path().join("..data_tmp")).expect("a link");
        std::fs::rename(folder.path().join("..data_tmp"), folder.path().join("..data")).expect("swapped");
    };
    version("..one", &(base.clone() + &route("/a")));
    symlink("..data/weir.yaml", folder.path().join("weir.yaml")).expect("a link");
    let process = Process::start(&["run", "-c", folder.path().to_str().expect("UTF-8")]);
    process.stderr.wait_after(0, "generation 1 in force");
    let mut client = Client::connect(([127, 0, 0, 1], port).into());
    assert_eq!(client.get("/a", &[]).status, 200);
    // A busy machine may be late once, not each time.
    let mut fastest = Duration::MAX;
    for (generation, path) in [(2, "/b"), (3, "/c"), (4, "/d")] {
        let before = process.stderr.count();
        let started = Instant::now();
        version(&format!("..version-{generation}"), &(base.clone() + &route(path)));
        let expected = format!("generation {generation} in force");
        process.stderr.wait_after(before, &expected);
        fastest = fastest.min(started.elapsed());
        let statuses = (client.get("/a", &[]).status, client.get(path, &[]).status);
        assert_eq!(statuses, (404, 200), "{path}");
    }
    assert!(fastest < Duration::from_secs(1), "{fastest:?}");
}

#[test]
fn ga06_bad_objects_cost_what_depends_on_them_and_no_more() {
    let backends = Backends::start(1);
    let port = free_port();
    let bad = "\
---
kind: [
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: wrong-type, namespace: default}
spec: {parentRefs: 7, rules: nothing}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: dangling, namespace: default}
spec:
  parentRefs: [{name: eg}]
  rules:
    - matches: [{path: {value: /dangling}}]
      backendRefs: [{name: nobody, port: 3000}]
---
apiVersion: example.com/v1
kind: Widget
metadata: {name: unknown}
---
just text
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: Backend
metadata: {name: unresolved, namespace: default}
spec: {endpoints: [{fqdn: {hostname: no-such-name.invalid, port: 80}}], colour: red}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: unresolved, namespace: default}
spec:
  parentRefs: [{name: eg}]
  rules:
    - matches: [{path: {value: /unresolved}}]
      backendRefs: [{group: gateway.envoyproxy.io, kind: Backend, name: unresolved}]
";
    let config = gateway_and_service(port, &backends.ports()) + &route("/good") + bad;
    let gateway = Gateway::start(port, &config);
    let mut client = Client::connect(gateway.address);
    for (path, status) in [
        ("/good", 200),
        ("/dangling", 500),
        ("/unresolved", 503),
        ("/elsewhere", 404),
    ] {
        assert_eq!(client.get(path, &[]).status, status, "{path}");
    }
    let log = gateway.process.stderr.text();
    for part in ["nobody", "Widget", "\"parentRefs\"", "\"colour\"", "weir.yaml:"] {
        assert!(log.contains(part), "{part} {log}");
    }
    gateway.process.stderr.wait_after(0, "no-such-name.invalid");
}

#[test]
fn rl02_no_request_is_lost_while_everything_changes() {
    let backends = Backends::start(4);
    let port = free_port();
    let ports = backends.ports();
    let gateway = Gateway::start(port, &example_on(port, &ports));
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let mut count = 0;
                    let mut client = Client::connect(gateway.address);
                    while !is_over.load(Ordering::Relaxed) {
                        assert_eq!(client.get("/round", &[]).status, 200);
                        count += 1;
                    }
                    count
                })
            })
            .collect();
        let text = example_on(port, &ports);
        for generation in 2..12 {
            let changed = text.replace("value: /random", &format!("value: /random{generation}"));
            let changed = if generation % 2 == 0 {
                changed.replace(
                    "ready: true\n    targetRef:\n      kind: Pod\n      name: backend-2",
                    "ready: false\n    targetRef:\n      kind: Pod\n      name: backend-2",
                )
            } else {
                changed
            };
            gateway.rewrite(&changed, &format!("generation {generation} in force"));
        }
        is_over.store(true, Ordering::Relaxed);
        let sent: usize = clients
            .into_iter()
            .map(|client| client.join().expect("no request is lost"))
            .sum();
        assert!(sent > 100, "{sent}");
    });
}
