//! Consistent hashing, as Envoy Gateway's load-balancing page and its end-to-end tests show it.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use crate::harness::{Client, Request, load};
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
