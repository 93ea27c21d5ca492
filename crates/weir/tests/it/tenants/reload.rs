//! Tenants files that change while they are served.

use std::sync::atomic::{AtomicBool, Ordering};

use super::get;
use crate::harness::{Backends, Client, Folder, Gateway, Process, endpoints, free_port, gateway, weir};

fn tenant(name: &str, prefix: &str, backend: u16) -> String {
    format!(
        "  - {{name: {name}, path_prefix: {prefix}, services: [{{name: s, url: 'http://127.0.0.1:{backend}'}}]}}\n"
    )
}

#[test]
fn kt28_a_bad_tenant_keeps_its_last_good_version_and_costs_nobody_else() {
    let backends = Backends::start(2);
    let (port, ports) = (free_port(), backends.ports());
    let top = format!("server: {{port: {port}}}\ntenants:\n");
    let (a, b) = (tenant("a", "/a/", ports[0]), tenant("b", "/b/", ports[1]));
    let gateway = Gateway::start(port, &format!("{top}{a}{b}"));
    let mut client = Client::connect(gateway.address);
    assert_eq!(get(&mut client, "h", "/a/").pod(), "backend-1");
    // `a` is broken, `b` moves.
    let bad = a.replace("127.0.0.1:", "127.0.0.1:x");
    let moved = tenant("b", "/c/", ports[1]);
    gateway.rewrite(
        &format!("{top}{bad}{moved}"),
        "the last good version of 1 object stays in force: Tenant a",
    );
    assert_eq!(get(&mut client, "h", "/a/").pod(), "backend-1");
    assert_eq!(get(&mut client, "h", "/c/").pod(), "backend-2");
    assert_eq!(get(&mut client, "h", "/b/").status, 404);
    // Not YAML at all: everything stays.
    gateway.rewrite("tenants: [", "last good version of 2 objects");
    assert_eq!(get(&mut client, "h", "/c/").pod(), "backend-2");
    // Repaired, and `b` is gone.
    gateway.rewrite(&format!("{top}{a}"), "generation 4 in force");
    assert_eq!(get(&mut client, "h", "/a/").pod(), "backend-1");
    assert_eq!(get(&mut client, "h", "/c/").status, 404);
    // A comment changes nothing.
    gateway.rewrite(&format!("# comment\n{top}{a}"), "nothing to do");
    gateway.rewrite(
        &format!("server: {{port: {port}}}\ntenants: []\n"),
        "generation 6 in force (0 routes",
    );
}

/// Types of balancers that nobody knows, as other programs have them.
const UNKNOWN: [&str; 4] = [
    "load_balancer: {type: round-robin}",
    "load_balancer: least-connections",
    "load_balancer: {loadBalancer: {type: failover}}",
    "policy: {healthCheck: {active: {type: ping}}}",
];

#[test]
fn op14_no_start_with_a_tenant_of_an_unknown_type_and_a_reload_keeps_what_runs() {
    let backends = Backends::start(2);
    let (port, ports) = (free_port(), backends.ports());
    let top = format!("server: {{port: {port}}}\ntenants:\n");
    let good = top + &tenant("a", "/a/", ports[0]) + &tenant("b", "/b/", ports[1]);
    let gateway = Gateway::start(port, &good);
    let mut client = Client::connect(gateway.address);
    let folder = Folder::new();
    for unknown in UNKNOWN {
        let bad = good.replace("{name: a, ", &format!("{{name: a, {unknown}, "));
        let path = folder.write("weir.yaml", &bad);
        let refused = weir(&["run", "-c", path.to_str().expect("UTF-8")], "");
        assert_eq!(refused.code, Some(3), "{unknown}: {refused:?}");
        assert_eq!(
            refused.stderr.matches("error[E0320]").count(),
            1,
            "{}",
            refused.stderr
        );
        assert!(
            refused
                .stderr
                .contains("the configuration has a policy of an unknown type"),
            "{}",
            refused.stderr
        );
        gateway.rewrite(&bad, "last good version of 1 object stays in force: Tenant a");
        for (target, pod) in [("/a/", "backend-1"), ("/b/", "backend-2")] {
            assert_eq!(get(&mut client, "h", target).pod(), pod, "{unknown}");
        }
    }
    // A new tenant of that kind is not there at all.
    let more = good.clone()
        + &tenant("c", "/c/", ports[0]).replace("services", &format!("{}, services", UNKNOWN[1]));
    gateway.rewrite(&more, "1 new object left out: Tenant c");
    let statuses = ["/a/", "/b/", "/c/"].map(|target| get(&mut client, "h", target).status);
    assert_eq!(statuses, [200, 200, 404]);
}

#[test]
fn tenants_and_gateway_api_documents_share_a_folder_and_a_port() {
    let backends = Backends::start(2);
    let (port, ports) = (free_port(), backends.ports());
    let folder = Folder::new();
    let route = "\
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: only, namespace: default}
spec:
  parentRefs: [{name: eg}]
  rules:
    - matches: [{path: {type: PathPrefix, value: /route}}]
      backendRefs: [{name: backend, port: 3000}]
";
    folder.write("gateway.yaml", &(gateway(port) + &endpoints(&ports[..1]) + route));
    let server = format!("server: {{port: {port}, address: 127.0.0.1}}\ntenants:\n");
    folder.write(
        "tenants.yaml",
        &(server.clone() + &tenant("t", "/tenant/", ports[1])),
    );
    let process = Process::start(&["run", "-c", folder.path().to_str().expect("UTF-8")]);
    process
        .stderr
        .wait_after(0, "generation 1 in force (2 routes, 2 backends");
    let mut client = Client::connect(std::net::SocketAddr::from(([127, 0, 0, 1], port)));
    assert_eq!(get(&mut client, "h", "/route").pod(), "backend-1");
    assert_eq!(get(&mut client, "h", "/tenant/").pod(), "backend-2");
    let before = process.stderr.count();
    folder.write(
        "gateway.yaml",
        &(gateway(port) + &endpoints(&ports[..1]) + &route.replace("/route", "/other")),
    );
    process
        .stderr
        .wait_after(before, "generation 2 in force (2 routes, 2 backends");
    assert_eq!(get(&mut client, "h", "/other").pod(), "backend-1");
    assert_eq!(get(&mut client, "h", "/tenant/").pod(), "backend-2");
}

#[test]
fn kt28_fifty_reloads_under_load_fail_no_request() {
    let backends = Backends::start(2);
    let (port, ports) = (free_port(), backends.ports());
    let config = |round: usize| {
        let top = format!("server: {{port: {port}}}\ntenants:\n");
        let other = format!("/other-{round}/");
        format!(
            "{top}{}{}",
            tenant("a", "/a/", ports[0]),
            tenant("b", &other, ports[round % 2])
        )
    };
    let gateway = Gateway::start(port, &config(0));
    let (is_over, address) = (AtomicBool::new(false), gateway.address);
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let (mut client, mut served) = (Client::connect(address), 0);
                    while !is_over.load(Ordering::Relaxed) {
                        assert_eq!(get(&mut client, "h", "/a/").pod(), "backend-1");
                        served += 1;
                    }
                    served
                })
            })
            .collect();
        for round in 1..=50 {
            gateway.rewrite(&config(round), &format!("generation {} in force", round + 1));
        }
        is_over.store(true, Ordering::Relaxed);
        // Each on one connection, from the first generation to the last.
        for client in clients {
            assert!(client.join().expect("every request is served") > 50);
        }
    });
}

#[test]
fn kt01_a_flag_says_where_tenants_are_served() {
    let backends = Backends::start(1);
    let port = free_port();
    let config = format!(
        "server: {{port: 1}}\ntenants:\n{}",
        tenant("a", "/a/", backends.ports()[0])
    );
    let address = format!("127.0.0.1:{port}");
    let gateway = Gateway::start_with(port, &config, &["--addr", &address]);
    assert_eq!(
        get(&mut Client::connect(gateway.address), "h", "/a/").pod(),
        "backend-1"
    );
}
