//! Endpoints that a request names itself, beyond Envoy Gateway's page (rows EO04 to EO10).

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use crate::harness::{
    Backends, Client, Gateway, Request, balanced_routes, free_port, gateway_and_service, load,
};

/// A gateway with one rule per `endpointOverride` block, each over these endpoints and round robin otherwise.
fn overriding(ports: &[u16], blocks: &[&str]) -> Gateway {
    let balancers: Vec<String> = blocks
        .iter()
        .map(|block| format!("{{type: RoundRobin, endpointOverride: {block}}}"))
        .collect();
    let balancers: Vec<&str> = balancers.iter().map(String::as_str).collect();
    let port = free_port();
    Gateway::start(
        port,
        &(gateway_and_service(port, ports) + &balanced_routes(&balancers)),
    )
}

fn at(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

#[test]
fn eo04_the_first_of_a_list_that_is_available_serves() {
    let backends = Backends::start(3);
    let mut ports = backends.ports();
    // A member that refuses connections: the try after it takes the next of the list.
    let dead = free_port();
    ports.push(dead);
    let gateway = overriding(&ports, &["{extractFrom: [{header: x-host}]}"]);
    for (list, pod) in [
        (format!("{},{}", at(ports[1]), at(ports[2])), "backend-2"),
        (format!("{} , {}", at(ports[2]), at(ports[1])), "backend-3"),
        (format!("10.9.9.9:1,abc,{}", at(ports[2])), "backend-3"),
        (
            format!("{},{},{}", at(dead), at(ports[1]), at(ports[0])),
            "backend-2",
        ),
    ] {
        let headers = [("x-host", list.as_str())];
        let request = Request {
            target: "/0",
            headers: &headers,
        };
        assert_eq!(load(gateway.address, request, 10, 2).of(pod), 10, "{list}");
    }
}

#[test]
fn eo05_an_ipv6_endpoint_is_named_in_brackets() {
    let Some(backend) = Backends::start_v6() else {
        eprintln!("this machine has no IPv6 loopback: nothing to show");
        return;
    };
    let other = Backends::start(1);
    let v6 = backend.ports()[0];
    let port = free_port();
    let slice = format!(
        "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: six, labels: \
         {{kubernetes.io/service-name: backend}}}}\naddressType: IPv6\nports: [{{name: http, port: {v6}}}]\n\
         endpoints: [{{addresses: ['::1']}}]\n"
    );
    let rule =
        "{type: RoundRobin, endpointOverride: {extractFrom: [{header: x-host}], reportHeader: x-served-by}}";
    let config = gateway_and_service(port, &other.ports()) + &slice + &balanced_routes(&[rule]);
    let gateway = Gateway::start(port, &config);
    let mut client = Client::connect(gateway.address);
    for named in [format!("[::1]:{v6}"), format!("[0:0::0:1]:{v6}")] {
        for _ in 0..4 {
            let answer = client.get("/0", &[("x-host", &named)]);
            assert_eq!(answer.header("x-served-by"), Some(&*format!("[::1]:{v6}")));
        }
    }
    // Without brackets it is no address with a port.
    let unbracketed = format!("::1:{v6}");
    let request = Request {
        target: "/0",
        headers: &[("x-host", &unbracketed)],
    };
    assert_eq!(load(gateway.address, request, 10, 1).total(), 10);
    assert_eq!(
        other.requests(),
        [5],
        "{unbracketed} names nothing, so each has its turn"
    );
}

#[test]
fn eo06_several_headers_count_in_their_order() {
    let backends = Backends::start(3);
    let gateway = overriding(
        &backends.ports(),
        &["{extractFrom: [{header: x-first}, {header: X-Second}]}"],
    );
    let [one, two, three] = [0, 1, 2].map(|index| at(backends.ports()[index]));
    let mut client = Client::connect(gateway.address);
    for (headers, pod) in [
        (vec![("x-first", &*one), ("x-second", &*two)], "backend-1"),
        (vec![("x-second", &*two), ("x-first", &*one)], "backend-1"),
        (vec![("X-SECOND", &*three)], "backend-3"),
        (vec![("x-first", "10.9.9.9:1"), ("x-second", &*two)], "backend-2"),
        // Only the first value of a header counts, as with Envoy.
        (vec![("x-first", &*three), ("x-first", &*one)], "backend-3"),
    ] {
        for _ in 0..6 {
            assert_eq!(client.get("/0", &headers).pod(), pod, "{headers:?}");
        }
    }
}

#[test]
fn eo07_nothing_outside_the_rules_own_endpoints_is_reached() {
    let (backends, stranger) = (Backends::start(2), Backends::start(1));
    let (ports, foreign) = (backends.ports(), at(stranger.ports()[0]));
    let port = free_port();
    // The stranger serves another Service of the same gateway, and one member of this Service is not ready.
    let other = "\
---
apiVersion: v1
kind: Service
metadata: {name: other, namespace: default}
spec: {ports: [{name: http, port: 3000}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: other, namespace: default}
spec:
  parentRefs: [{name: eg}]
  rules: [{matches: [{path: {value: /other}}], backendRefs: [{name: other, port: 3000}]}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: other, namespace: default, labels: {kubernetes.io/service-name: other}}
addressType: IPv4
ports: [{name: http, port: STRANGER}]
endpoints: [{addresses: [127.0.0.1]}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: unready, namespace: default, labels: {kubernetes.io/service-name: backend}}
addressType: IPv4
ports: [{name: http, port: STRANGER}]
endpoints: [{addresses: [127.0.0.1], conditions: {ready: false}}]
"
    .replace("STRANGER", &stranger.ports()[0].to_string());
    let rule = "{type: RoundRobin, endpointOverride: {extractFrom: [{header: x-host}]}}";
    let config = gateway_and_service(port, &ports) + &other + &balanced_routes(&[rule]);
    let gateway = Gateway::start(port, &config);
    assert_eq!(Client::connect(gateway.address).get("/other", &[]).status, 200);
    let request = Request {
        target: "/0",
        headers: &[("x-host", &foreign)],
    };
    let spread = load(gateway.address, request, 20, 2);
    assert_eq!(stranger.requests(), [1], "only the request to its own route");
    assert_eq!(backends.requests(), [10, 10], "{spread:?}");
}

#[test]
fn eo08_a_strict_override_has_no_fallback() {
    let backends = Backends::start(2);
    let gateway = overriding(
        &backends.ports(),
        &["{extractFrom: [{header: x-host}], strict: true}"],
    );
    let mut client = Client::connect(gateway.address);
    for named in ["10.9.9.9:1", "abc"] {
        assert_eq!(client.get("/0", &[("x-host", named)]).status, 503, "{named}");
    }
    assert_eq!(backends.requests(), [0, 0]);
    // A request that names none is balanced as usual.
    assert_eq!(client.get("/0", &[]).status, 200);
    let own = at(backends.ports()[1]);
    assert_eq!(client.get("/0", &[("x-host", &own)]).pod(), "backend-2");
}

#[test]
fn eo09_only_trusted_peers_name_endpoints_and_the_header_can_stay_here() {
    let backends = Backends::start(2);
    let gateway = overriding(
        &backends.ports(),
        &[
            "{extractFrom: [{header: x-host}], trustedCIDRs: [127.0.0.9/32], stripHeaders: true}",
            "{extractFrom: [{header: x-host}]}",
        ],
    );
    let named = at(backends.ports()[1]);
    let pods = |last: u8, target: &str| {
        let source = IpAddr::V4(Ipv4Addr::new(127, 0, 0, last));
        let mut client = Client::connect_from(source, gateway.address);
        (0..8)
            .map(|_| {
                let answer = client.get(target, &[("X-Host", &named)]);
                let seen = answer.json();
                assert_eq!(seen["headers"]["X-Host"].is_null(), target == "/0", "{seen}");
                answer.pod()
            })
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(pods(9, "/0"), BTreeSet::from(["backend-2".to_owned()]), "trusted");
    assert_eq!(pods(8, "/0").len(), 2, "a spoofed header names nothing");
    assert_eq!(
        pods(8, "/1"),
        BTreeSet::from(["backend-2".to_owned()]),
        "no list trusts all"
    );
}

#[test]
fn eo10_the_answer_says_which_endpoint_served_it() {
    let backends = Backends::start(3);
    let gateway = overriding(
        &backends.ports(),
        &[
            "{extractFrom: [{header: x-host}], reportHeader: X-Served-By}",
            "{extractFrom: [{header: x-host}]}",
        ],
    );
    let mut client = Client::connect(gateway.address);
    for _ in 0..6 {
        let answer = client.get("/0", &[]);
        let index: usize = answer
            .pod()
            .trim_start_matches("backend-")
            .parse()
            .expect("a number");
        let port = backends.ports()[index - 1];
        assert_eq!(answer.header("x-served-by"), Some(&*at(port)));
    }
    assert_eq!(
        client.get("/1", &[]).header("x-served-by"),
        None,
        "only when asked for"
    );
}
