//! Names of backends through the binary, asked of a name server that changes its mind (row LB32).

use std::collections::BTreeSet;
use std::net::{IpAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::harness::{Client, Gateway, NameServer, PATIENCE, Process, Says, free_port, gateway};

/// A name server that says of every name these addresses, for a second.
fn name_server(addresses: &[&str], ttl: u32) -> (NameServer, Arc<Mutex<Vec<IpAddr>>>) {
    let said = Arc::new(Mutex::new(parsed(addresses)));
    let now = Arc::clone(&said);
    let server = NameServer::start(move |name, _| {
        assert_eq!(name, "api.test");
        Says::Addresses(now.lock().expect("no panic").clone(), ttl)
    });
    (server, said)
}

fn parsed(addresses: &[&str]) -> Vec<IpAddr> {
    addresses.iter().map(|text| text.parse().expect(text)).collect()
}

/// Backends at these addresses, all on one port, each named like its address.
fn echoes(addresses: &[&str]) -> (u16, Vec<Process>) {
    let port = free_port();
    let echo = |address: &&str| {
        let listen = match address.contains(':') {
            true => format!("[{address}]:{port}"),
            false => format!("{address}:{port}"),
        };
        let process = Process::start(&["echo", "--listen", &listen, "--name", address]);
        process.stdout.wait_after(0, "echo: http");
        process
    };
    (port, addresses.iter().map(echo).collect())
}

fn start(port: u16, config: &str, server: &NameServer) -> Gateway {
    let server = server.address.to_string();
    Gateway::start_with(port, config, &["--name-server", &server])
}

/// Asks until `pod` answers, at most so long.
fn wait_for(gateway: &Gateway, pod: &str, at_most: Duration) {
    let mut client = Client::connect(gateway.address);
    let begun = Instant::now();
    loop {
        let response = client.get("/", &[]);
        if response.status == 200 && response.pod() == pod {
            return;
        }
        assert!(begun.elapsed() < at_most, "{pod} does not answer");
    }
}

/// A Backend of one name, and a rule under a policy about names.
fn config(port: u16, backend_port: u16, dns: &str) -> String {
    gateway(port)
        + &format!(
            "\
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: Backend
metadata: {{name: api, namespace: default}}
spec: {{endpoints: [{{fqdn: {{hostname: api.test, port: {backend_port}}}}}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: only, namespace: default}}
spec:
  parentRefs: [{{name: eg}}]
  rules: [{{backendRefs: [{{group: gateway.envoyproxy.io, kind: Backend, name: api}}]}}]
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: BackendTrafficPolicy
metadata: {{name: names, namespace: default}}
spec:
  targetRefs: [{{group: gateway.networking.k8s.io, kind: HTTPRoute, name: only}}]
  loadBalancer: {{type: RoundRobin}}
  dns: {dns}
"
        )
}

#[test]
fn lb32_a_backends_name_is_resolved_again_by_its_time_to_live() {
    let (backend_port, _backends) = echoes(&["127.0.0.1", "127.0.0.2"]);
    let (server, says) = name_server(&["127.0.0.1"], 1);
    let port = free_port();
    let gateway = start(port, &config(port, backend_port, "{lookupFamily: IPv4}"), &server);
    wait_for(&gateway, "127.0.0.1", PATIENCE);
    *says.lock().expect("no panic") = parsed(&["127.0.0.2"]);
    wait_for(&gateway, "127.0.0.2", Duration::from_secs(2));
    // All addresses of the answer serve.
    *says.lock().expect("no panic") = parsed(&["127.0.0.1", "127.0.0.2"]);
    wait_for(&gateway, "127.0.0.1", Duration::from_secs(2));
    let mut client = Client::connect(gateway.address);
    let pods: BTreeSet<String> = (0..10).map(|_| client.get("/", &[]).pod()).collect();
    assert_eq!(pods.len(), 2, "{pods:?}");
    // Nobody there any more: the last good answer stays.
    says.lock().expect("no panic").clear();
    let log = &gateway.process.stderr;
    let line = log.wait_after(0, "cannot resolve api.test");
    assert!(line.contains("the name has no addresses"), "{line}");
    assert_eq!(client.get("/", &[]).status, 200);
}

#[test]
fn lb32_the_policy_names_the_rate_and_the_family() {
    let (backend_port, _backends) = echoes(&["127.0.0.1", "127.0.0.2", "::1"]);
    let (server, says) = name_server(&["127.0.0.1", "::1"], 3_600);
    let port = free_port();
    let dns = "{dnsRefreshRate: 1s, respectDnsTtl: false, lookupFamily: IPv6Preferred}";
    let gateway = start(port, &config(port, backend_port, dns), &server);
    wait_for(&gateway, "::1", PATIENCE);
    *says.lock().expect("no panic") = parsed(&["127.0.0.2"]);
    wait_for(&gateway, "127.0.0.2", Duration::from_secs(3));
}

#[test]
fn lb32_both_families_of_a_name_serve_side_by_side() {
    if TcpListener::bind("[::1]:0").is_err() {
        eprintln!("this machine has no IPv6 loopback: nothing to show");
        return;
    }
    let (backend_port, _backends) = echoes(&["127.0.0.1", "::1"]);
    let (server, _says) = name_server(&["127.0.0.1", "::1"], 3_600);
    for (family, expected) in [
        ("IPv4AndIPv6", &["127.0.0.1", "::1"][..]),
        ("IPv4", &["127.0.0.1"]),
        ("IPv6", &["::1"]),
        ("IPv4Preferred", &["127.0.0.1"]),
    ] {
        let (port, dns) = (free_port(), format!("{{lookupFamily: {family}}}"));
        let gateway = start(port, &config(port, backend_port, &dns), &server);
        wait_for(&gateway, expected[0], PATIENCE);
        let mut client = Client::connect(gateway.address);
        let pods: BTreeSet<String> = (0..10).map(|_| client.get("/", &[]).pod()).collect();
        assert_eq!(
            pods,
            expected.iter().map(|pod| pod.to_string()).collect(),
            "{family}"
        );
    }
}

#[test]
fn lb32_services_of_a_tenant_have_names() {
    let (backend_port, _backends) = echoes(&["127.0.0.1", "127.0.0.2"]);
    let (server, says) = name_server(&["127.0.0.1"], 1);
    let port = free_port();
    let config = format!(
        "tenants: [{{name: api, path_prefix: /, services: [{{name: s, url: \"http://api.test:{backend_port}\"}}]}}]\n"
    );
    let (server_text, address) = (server.address.to_string(), format!("127.0.0.1:{port}"));
    let flags = ["--addr", &*address, "--name-server", &*server_text];
    let gateway = Gateway::start_with(port, &config, &flags);
    wait_for(&gateway, "127.0.0.1", PATIENCE);
    *says.lock().expect("no panic") = parsed(&["127.0.0.2"]);
    wait_for(&gateway, "127.0.0.2", Duration::from_secs(2));
}

/// Row LB32 and reliability row 29: whatever a name server says, requests go on. In files a loopback address is as good as any.
#[test]
fn lb32_a_name_server_that_flips_lies_or_breaks_costs_no_request() {
    let (backend_port, _backends) = echoes(&["127.0.0.1", "127.0.0.2"]);
    let said = Arc::new(Mutex::new(Says::Addresses(parsed(&["127.0.0.1"]), 1)));
    let now = Arc::clone(&said);
    let server = NameServer::start(move |_, _| now.lock().expect("no panic").clone());
    let port = free_port();
    let gateway = start(port, &config(port, backend_port, "{lookupFamily: IPv4}"), &server);
    wait_for(&gateway, "127.0.0.1", PATIENCE);
    let mut client = Client::connect(gateway.address);
    // Every answer is a good one until the name server's new word has been heard.
    let mut until = |says: Says, heard: &dyn Fn(&str) -> bool| {
        *said.lock().expect("no panic") = says;
        let begun = Instant::now();
        while !heard(&client.get("/", &[]).pod()) {
            assert!(begun.elapsed() < PATIENCE);
        }
    };
    for address in ["127.0.0.2", "127.0.0.1", "127.0.0.2"] {
        until(Says::Addresses(parsed(&[address]), 0), &|pod| pod == address);
    }
    let nowhere = parsed(&["0.0.0.0", "224.0.0.1", "255.255.255.255"]);
    for (says, words) in [
        (
            Says::Addresses(nowhere, 0),
            "the answer has no address that can be used",
        ),
        (Says::Code(2), "cannot resolve api.test"),
        (Says::Forgery(parsed(&["127.0.0.1"])), "cannot resolve api.test"),
        (Says::Garbage, "cannot resolve api.test"),
    ] {
        let log = &gateway.process.stderr;
        let before = log.text().len();
        until(says, &|pod| {
            assert_eq!(pod, "127.0.0.2", "the last good answer");
            log.text()[before..].contains(words)
        });
    }
    until(Says::Addresses(parsed(&["127.0.0.1"]), 60), &|pod| {
        pod == "127.0.0.1"
    });
}
