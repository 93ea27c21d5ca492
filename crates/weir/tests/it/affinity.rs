//! Consistent hashing, as Envoy Gateway's load-balancing page and its end-to-end tests show it.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use crate::harness::{
    Backends, Client, Gateway, Request, Spread, balanced_routes, endpoints, free_port, gateway,
    gateway_and_service, load,
};
use crate::load_balancing::example;

#[test]
fn ch01_one_client_address_has_one_backend() {
    let (backends, gateway) = example();
    let spread = load(
        gateway.address,
        Request {
            target: "/source",
            headers: &[],
        },
        100,
        100,
    );
    assert_eq!(spread.counts(), [100], "{spread:?}");
    let mut requests = backends.requests();
    requests.sort_unstable();
    assert_eq!(requests, [0, 0, 0, 100]);
}

#[test]
fn ch01_many_client_addresses_have_several_backends() {
    let (_backends, gateway) = example();
    let pods: BTreeSet<_> = (2..=50)
        .map(|last| {
            let source = IpAddr::V4(Ipv4Addr::new(127, 0, 0, last));
            let mut client = Client::connect_from(source, gateway.address);
            let pod = client.get("/source", &[]).pod();
            // The same address again, on another connection.
            assert_eq!(
                Client::connect_from(source, gateway.address)
                    .get("/source", &[])
                    .pod(),
                pod
            );
            pod
        })
        .collect();
    assert!(pods.len() >= 3, "{pods:?}");
}

#[test]
fn ch02_one_header_value_has_one_backend() {
    let (_backends, gateway) = example();
    let request = Request {
        target: "/header",
        headers: &[("FooBar", "1.2.3.4")],
    };
    let spread = load(gateway.address, request, 100, 100);
    assert_eq!(spread.counts(), [100], "{spread:?}");
    for value in ["5.6.7.8", "a", "b", "c", "a much longer value with spaces"] {
        let request = Request {
            target: "/header",
            headers: &[("FooBar", value)],
        };
        let spread = load(gateway.address, request, 20, 4);
        assert_eq!(spread.counts(), [20], "{value} {spread:?}");
    }
}

#[test]
fn ch02_the_header_name_has_no_case() {
    let (_backends, gateway) = example();
    let mut client = Client::connect(gateway.address);
    for value in ["1.2.3.4", "5.6.7.8", "x", "y", "z"] {
        let pods: BTreeSet<_> = ["FooBar", "foobar", "FOOBAR"]
            .into_iter()
            .map(|name| client.get("/header", &[(name, value)]).pod())
            .collect();
        assert_eq!(pods.len(), 1, "{value} {pods:?}");
    }
}

#[test]
fn ch04_one_cookie_value_has_one_backend() {
    let (_backends, gateway) = example();
    for value in ["1.2.3.4", "5.6.7.8", "a", "b", "c"] {
        let cookie = format!("other=1; FooBar={value}; last=2");
        let request = Request {
            target: "/cookie",
            headers: &[("Cookie", cookie.as_str())],
        };
        let spread = load(gateway.address, request, 10, 1);
        assert_eq!(spread.counts(), [10], "{value} {spread:?}");
        let answer = Client::connect(gateway.address).get("/cookie", request.headers);
        assert_eq!(answer.header("set-cookie"), None, "{value}");
    }
}

#[test]
fn ch05_a_missing_cookie_is_generated_and_leads_back() {
    let (_backends, gateway) = example();
    let mut pods = BTreeSet::new();
    for _ in 0..12 {
        let first = Client::connect(gateway.address).get("/cookie", &[]);
        let set = first.header("set-cookie").expect("a cookie is set").to_owned();
        let value = set
            .strip_prefix("FooBar=\"")
            .and_then(|rest| rest.strip_suffix("\"; Max-Age=60; SameSite=Strict; HttpOnly"))
            .unwrap_or_else(|| panic!("{set}"));
        assert!(
            value.len() == 16 && value.bytes().all(|byte| b"0123456789abcdef".contains(&byte)),
            "{set}"
        );
        for cookie in [format!("FooBar=\"{value}\""), format!("FooBar={value}")] {
            let mut client = Client::connect(gateway.address);
            let again = client.get("/cookie", &[("Cookie", cookie.as_str())]);
            assert_eq!(again.pod(), first.pod(), "{cookie}");
            assert_eq!(again.header("set-cookie"), None);
        }
        pods.insert(first.pod());
    }
    assert!(
        pods.len() > 1,
        "every generated cookie leads to the same backend: {pods:?}"
    );
}

/// A gateway that hashes over four backends in each of these ways, with `further` objects.
fn hashing(blocks: &[&str], further: &str) -> (Backends, Gateway) {
    let balancers: Vec<String> = blocks
        .iter()
        .map(|block| format!("{{type: ConsistentHash, reportHeader: x-pick, consistentHash: {block}}}"))
        .collect();
    let balancers: Vec<&str> = balancers.iter().map(String::as_str).collect();
    let (backends, port) = (Backends::start(4), free_port());
    let config = gateway_and_service(port, &backends.ports()) + &balanced_routes(&balancers) + further;
    let gateway = Gateway::start(port, &config);
    (backends, gateway)
}

/// Believes the last `X-Forwarded-For` entry.
const ONE_HOP: &str = "\
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: ClientTrafficPolicy
metadata: {name: hops, namespace: default}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: eg}]
  clientIPDetection: {xForwardedFor: {numTrustedHops: 1}}
";

/// The pods that serve these requests, one after the other on one connection.
fn pods<'a>(
    gateway: &Gateway,
    requests: impl IntoIterator<Item = (String, Vec<(&'a str, String)>)>,
) -> Vec<String> {
    let mut client = Client::connect(gateway.address);
    let mut pod = |(target, headers): (String, Vec<(&str, String)>)| {
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, &**value)).collect();
        client.get(&target, &headers).pod()
    };
    requests.into_iter().map(&mut pod).collect()
}

fn distinct(pods: &[String]) -> usize {
    pods.iter().collect::<BTreeSet<_>>().len()
}

#[test]
fn ch01_the_client_is_who_the_trusted_proxy_says() {
    let (_backends, gateway) = hashing(&["{type: SourceIP}"], ONE_HOP);
    let from = |address: &str| ("/0".to_owned(), vec![("X-Forwarded-For", address.to_owned())]);
    let clients = (1..=40).map(|last| format!("203.0.113.{last}"));
    let served = pods(&gateway, clients.clone().map(|client| from(&client)));
    // 40 clients that all had one backend: never.
    assert!(distinct(&served) >= 3, "{served:?}");
    // What a client puts before the proxy's word changes nothing.
    let forged = clients.map(|client| from(&format!("198.51.100.7, {client}")));
    assert_eq!(pods(&gateway, forged), served);

    let (_backends, gateway) = hashing(&["{type: SourceIP}"], "");
    let forged = (1..=40).map(|last| from(&format!("203.0.113.{last}")));
    assert_eq!(
        distinct(&pods(&gateway, forged)),
        1,
        "nobody is believed by default"
    );
}

#[test]
fn ch03_all_listed_headers_count_together() {
    let (_backends, gateway) = hashing(
        &["{type: Headers, headers: [{name: X-User}, {name: X-Tenant}]}"],
        "",
    );
    let of = |user: usize, tenant: usize| {
        let headers = vec![("x-user", format!("u{user}")), ("X-TENANT", format!("t{tenant}"))];
        ("/0".to_owned(), headers)
    };
    for (user, tenant) in [(1, 1), (1, 2), (2, 1), (2, 2), (3, 3)] {
        assert_eq!(distinct(&pods(&gateway, (0..10).map(|_| of(user, tenant)))), 1);
    }
    // Either of the two alone moves requests; that it never does over 40 values is no chance.
    assert!(distinct(&pods(&gateway, (0..40).map(|user| of(user, 1)))) >= 3);
    assert!(distinct(&pods(&gateway, (0..40).map(|tenant| of(1, tenant)))) >= 3);
}

#[test]
fn ch06_the_cookie_is_written_as_configured() {
    let cases = [
        ("ttl: 60s", Some("; Max-Age=60; HttpOnly")),
        ("ttl: 0s", Some("; HttpOnly")),
        ("", None),
        ("attributes: {SameSite: Lax}", None),
        (
            "ttl: 1h30m, attributes: {SameSite: Strict}",
            Some("; Max-Age=5400; SameSite=Strict; HttpOnly"),
        ),
        (
            "ttl: 1s, attributes: {Path: /shop, SameSite: None, Secure: '', Domain: example.com, Partitioned: ''}",
            Some("; Max-Age=1; Path=/shop; SameSite=None; Secure; Domain=example.com; Partitioned; HttpOnly"),
        ),
        ("ttl: 0s, attributes: {Secure: ''}", Some("; Secure; HttpOnly")),
        ("ttl: 1500ms", Some("; Max-Age=1; HttpOnly")),
    ];
    let blocks = cases.map(|(options, _)| format!("{{type: Cookie, cookie: {{name: C, {options}}}}}"));
    let (_backends, gateway) = hashing(&blocks.each_ref().map(String::as_str), "");
    let mut client = Client::connect(gateway.address);
    for (index, (options, expected)) in cases.into_iter().enumerate() {
        let answer = client.get(&format!("/{index}"), &[]);
        let set = answer.header("set-cookie").map(|set| {
            assert!(set.starts_with("C=\"") && set.get(19..20) == Some("\""), "{set}");
            &set[20..]
        });
        assert_eq!(set, expected, "{options}");
    }
}

#[test]
fn ch07_other_cookies_do_not_count_and_arrive_as_they_were() {
    let (_backends, gateway) = hashing(&["{type: Cookie, cookie: {name: FooBar, ttl: 60s}}"], "");
    let mut client = Client::connect(gateway.address);
    for cookie in ["foo=bar", "foobar=1", "XFooBar=1; FooBarX=2", "a=\"FooBar=1\"; b"] {
        let answer = client.get("/0", &[("Cookie", cookie)]);
        assert!(answer.header("set-cookie").is_some(), "{cookie}");
        assert_eq!(answer.json()["headers"]["Cookie"][0], cookie);
    }
    let answer = client.get("/0", &[("Cookie", "foo=bar; FooBar=x; z=1")]);
    assert_eq!(answer.header("set-cookie"), None);
    assert_eq!(answer.json()["headers"]["Cookie"][0], "foo=bar; FooBar=x; z=1");
}

#[test]
fn ch08_listed_query_parameters_count_together() {
    let (_backends, gateway) = hashing(&["{type: QueryParams, queryParams: [{name: a}, {name: b}]}"], "");
    let of = |query: String| (format!("/0?{query}"), Vec::new());
    for (a, b) in [(1, 1), (1, 2), (2, 1), (2, 2), (3, 3)] {
        // Other parameters and the order in the query mean nothing.
        let queries = [
            format!("a={a}&b={b}"),
            format!("x=9&a={a}&b={b}&y"),
            format!("b={b}&a={a}"),
        ];
        assert_eq!(distinct(&pods(&gateway, queries.map(of))), 1, "{a} {b}");
    }
    assert!(distinct(&pods(&gateway, (0..40).map(|a| of(format!("a={a}&b=1"))))) >= 3);
    assert!(distinct(&pods(&gateway, (0..40).map(|b| of(format!("a=1&b={b}"))))) >= 3);
}

#[test]
fn ch09_a_missing_key_is_looked_for_elsewhere_and_never_means_one_backend() {
    let (_backends, gateway) = hashing(
        &[
            "{type: Header, header: {name: X-User}}",
            "{type: Header, header: {name: X-User}, onMissingKey: RoundRobin}",
            "{type: Header, header: {name: X-User}, fallbacks: [{type: Cookie, cookie: {name: id}}, {type: SourceIP}]}",
        ],
        ONE_HOP,
    );
    let plain = |target| Request { target, headers: &[] };
    // Three degrees of freedom: below 16.27 but in one load of a thousand, so in one of two but once in a million.
    let spreads = [(); 2].map(|()| load(gateway.address, plain("/0"), 400, 20));
    assert!(
        spreads.iter().any(|spread| spread.chi_square(4) < 16.27),
        "{spreads:?}"
    );
    assert_eq!(load(gateway.address, plain("/1"), 40, 1).counts(), [10; 4]);

    // The first source that has a key decides, whatever the later ones say.
    let of = |user: Option<u32>, id: Option<u32>, last: u32| {
        let mut headers = vec![("X-Forwarded-For", format!("203.0.113.{last}"))];
        headers.extend(user.map(|user| ("X-User", user.to_string())));
        headers.extend(id.map(|id| ("Cookie", format!("id={id}"))));
        ("/2".to_owned(), headers)
    };
    let twenty = || 1..=20;
    let same = twenty().map(|step| of(Some(1), Some(step), step));
    assert_eq!(distinct(&pods(&gateway, same)), 1, "the header decides");
    let same = twenty().map(|step| of(None, Some(1), step));
    assert_eq!(distinct(&pods(&gateway, same)), 1, "then the cookie");
    let same = twenty().map(|_| of(None, None, 1));
    assert_eq!(distinct(&pods(&gateway, same)), 1, "then the address");
    for varying in [
        pods(&gateway, twenty().map(|step| of(Some(step), Some(1), 1))),
        pods(&gateway, twenty().map(|step| of(None, Some(step), 1))),
        pods(&gateway, twenty().map(|step| of(None, None, step))),
    ] {
        assert!(distinct(&varying) > 1, "{varying:?}");
    }
}

#[test]
fn ch10_a_key_has_the_same_backend_in_every_process_and_after_a_reload() {
    const KEYS: usize = 300;
    let backends = Backends::start(5);
    let mut ports = backends.ports();
    let hash = "{type: ConsistentHash, consistentHash: {type: Header, header: {name: k}}}";
    let config = |port: u16, ports: &[u16]| gateway(port) + &balanced_routes(&[hash]) + &endpoints(ports);
    let keys = || (0..KEYS).map(|key| ("/0".to_owned(), vec![("k", format!("key-{key}"))]));
    let port = free_port();
    let first = Gateway::start(port, &config(port, &ports));
    let expected = pods(&first, keys());
    let counts = expected.iter().fold(Spread::default(), |mut spread, pod| {
        spread.count(pod.clone());
        spread
    });
    assert_eq!(counts.pods(), 5, "{counts:?}");

    // The same endpoints in another order, in another process.
    ports.rotate_left(2);
    ports.swap(0, 1);
    let port = free_port();
    let second = Gateway::start(port, &config(port, &ports));
    assert_eq!(pods(&second, keys()), expected);

    // One backend leaves: its keys go elsewhere, hardly any other does; when it is back, everything is as before.
    let gone = "backend-3";
    let left: Vec<u16> = ports
        .iter()
        .copied()
        .filter(|port| *port != backends.ports()[2])
        .collect();
    second.rewrite(&config(port, &left), " in force (");
    let without = pods(&second, keys());
    assert!(without.iter().all(|pod| pod != gone));
    let moved = expected
        .iter()
        .zip(&without)
        .filter(|(was, is)| *was != gone && was != is)
        .count();
    assert!(
        moved <= KEYS / 20,
        "{moved} of {KEYS} keys of other backends moved"
    );
    second.rewrite(&config(port, &ports), " in force (");
    assert_eq!(pods(&second, keys()), expected);
}

#[test]
fn ch17_clients_of_one_network_share_their_backend() {
    let (_backends, gateway) = hashing(
        &[
            "{type: SourceIP, sourceIP: {ipv4PrefixLength: 24, ipv6PrefixLength: 64}}",
            "{type: SourceIP}",
        ],
        ONE_HOP,
    );
    let from = |rule: usize, address: String| (format!("/{rule}"), vec![("X-Forwarded-For", address)]);
    let hosts = |rule: usize| (1..=30).map(move |host| from(rule, format!("203.0.113.{host}")));
    let hosts_v6 = |rule: usize| (1..=30).map(move |host| from(rule, format!("2001:db8:0:1::{host}")));
    assert_eq!(distinct(&pods(&gateway, hosts(0))), 1);
    assert_eq!(distinct(&pods(&gateway, hosts_v6(0))), 1);
    assert!(
        distinct(&pods(&gateway, hosts(1))) >= 3,
        "by default the whole address counts"
    );
    assert!(distinct(&pods(&gateway, hosts_v6(1))) >= 3);
    // Other networks have other backends.
    let networks = (1..=30).map(|network| from(0, format!("203.0.{network}.1")));
    assert!(distinct(&pods(&gateway, networks)) >= 3);
    let networks = (1..=30).map(|network| from(0, format!("2001:db8:0:{network}::1")));
    assert!(distinct(&pods(&gateway, networks)) >= 3);
}

#[test]
fn ch18_the_answer_says_how_its_backend_was_picked() {
    let (backends, gateway) = hashing(
        &[
            "{type: Headers, headers: [{name: FooBar}, {name: b}]}",
            "{type: Cookie, cookie: {name: FooBar}}",
            "{type: SourceIP}",
            "{type: QueryParams, queryParams: [{name: q}]}",
            "{type: Header, header: {name: no}, onMissingKey: RoundRobin}",
        ],
        "",
    );
    let mut client = Client::connect(gateway.address);
    for (target, headers, source) in [
        ("/0", vec![("foobar", "1"), ("B", "2")], "header:foobar,b"),
        ("/1", vec![("Cookie", "FooBar=1")], "cookie:FooBar"),
        ("/2", vec![], "source-ip"),
        ("/3?q=1", vec![], "query:q"),
        ("/4", vec![], "none, round robin"),
        ("/1", vec![], "none, random"),
    ] {
        let answer = client.get(target, &headers);
        let index: usize = answer
            .pod()
            .trim_start_matches("backend-")
            .parse()
            .expect("a number");
        let port = backends.ports()[index - 1];
        let expected = format!("policy=ConsistentHash; source={source}; endpoint=127.0.0.1:{port}");
        assert_eq!(answer.header("x-pick"), Some(&*expected), "{target}");
    }
}
