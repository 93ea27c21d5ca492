//! Decisions about endpoints by hand: what they do to traffic, how long they hold (row HC18).

use std::collections::BTreeMap;

use super::api::start;
use crate::harness::{
    ADMIN, Admin, Backends, Client, Gateway, ROUTE, free_port, gateway_and_service, route_policy,
};

/// Turns, so that counts are exact.
fn turns() -> String {
    route_policy("turns", "loadBalancer: {type: RoundRobin}")
}

/// How many of `requests` each backend answered.
fn counts(client: &mut Client, requests: usize) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for _ in 0..requests {
        *counts.entry(client.get("/", &[]).pod()).or_default() += 1;
    }
    counts
}

fn expected<const N: usize>(counts: [(&str, usize); N]) -> BTreeMap<String, usize> {
    counts
        .iter()
        .map(|(pod, count)| ((*pod).to_owned(), *count))
        .collect()
}

fn state(admin: &mut Admin, index: usize) -> serde_json::Value {
    admin.get("/status").json()["backends"][0]["endpoints"][index].clone()
}

#[test]
fn hc18_drain_disable_weight_and_back() {
    let backends = Backends::start(3);
    let port = free_port();
    let config = gateway_and_service(port, &backends.ports()) + ROUTE + &turns();
    let gateway = Gateway::start_with(port, &config, &ADMIN);
    let mut admin = Admin::of_gateway(&gateway);
    let mut client = Client::connect(gateway.address);
    let address = format!("127.0.0.1:{}", backends.ports()[0]);
    let ask = |admin: &mut Admin, verb: &str| {
        let answer = admin.post(&format!("/endpoints/{address}/{verb}"));
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.json()["endpoints"][0], address.as_str());
    };
    let even = expected([("backend-1", 3), ("backend-2", 3), ("backend-3", 3)]);
    let without = expected([("backend-2", 3), ("backend-3", 3)]);
    assert_eq!(counts(&mut client, 9), even);
    for verb in ["drain?reason=new+disk", "disable"] {
        ask(&mut admin, verb);
        assert_eq!(counts(&mut client, 6), without, "{verb}");
    }
    assert_eq!(state(&mut admin, 0)["state"], "disabled");
    assert_eq!(admin.get("/status").json()["status"], "healthy", "it is meant so");
    ask(&mut admin, "enable");
    assert_eq!(counts(&mut client, 9), even);

    ask(&mut admin, "weight?weight=4");
    let heavy = expected([("backend-1", 8), ("backend-2", 2), ("backend-3", 2)]);
    assert_eq!(counts(&mut client, 12), heavy);
    let found = state(&mut admin, 0);
    assert_eq!(
        (&found["weight"], &found["weight_in_force"]),
        (&1.into(), &4.into())
    );
    ask(&mut admin, "drain");
    assert_eq!(state(&mut admin, 0)["decided"], "draining, weight 4");
    ask(&mut admin, "reset");
    assert_eq!(counts(&mut client, 9), even);
    assert_eq!(admin.get("/status").json()["overrides"], serde_json::json!([]));
}

#[test]
fn hc18_decisions_outlive_reloads_also_of_endpoints_that_went_away() {
    let backends = Backends::start(2);
    let port = free_port();
    let config = |ports: &[u16]| gateway_and_service(port, ports) + ROUTE + &turns();
    let both = backends.ports();
    let gateway = Gateway::start_with(port, &config(&both), &ADMIN);
    let mut admin = Admin::of_gateway(&gateway);
    let mut client = Client::connect(gateway.address);
    let drain = format!("/endpoints/127.0.0.1:{}/drain?reason=disk", both[0]);
    assert_eq!(admin.post(&drain).status, 200);
    let only = expected([("backend-2", 4)]);
    assert_eq!(counts(&mut client, 4), only);

    let other = config(&both).replace("type: RoundRobin", "type: Random");
    gateway.rewrite(&other, "generation 2 in force");
    assert_eq!(counts(&mut client, 4), only, "another balancer");
    gateway.rewrite(&config(&both[1..]), "generation 3 in force");
    let shown = admin.get("/status").json()["overrides"][0].clone();
    assert_eq!(
        (&shown["is_listed"], &shown["reason"]),
        (&false.into(), &"disk".into())
    );
    gateway.rewrite(&config(&both), "generation 4 in force");
    assert_eq!(counts(&mut client, 4), only, "it has come back as it went");
    assert_eq!(state(&mut admin, 0)["state"], "draining");

    gateway.rewrite(&config(&both[1..]), "generation 5 in force");
    let reset = format!("/endpoints/127.0.0.1:{}/reset", both[0]);
    assert_eq!(admin.post(&reset).status, 200, "also while nobody lists it");
    gateway.rewrite(&config(&both), "generation 6 in force");
    assert_eq!(
        counts(&mut client, 4),
        expected([("backend-1", 2), ("backend-2", 2)])
    );
}

#[test]
fn hc18_a_decision_with_a_time_ends_by_itself() {
    let backends = Backends::start(1);
    let (gateway, mut admin) = start(&backends);
    let drain = format!("/endpoints/127.0.0.1:{}/drain?for=1s", backends.ports()[0]);
    assert_eq!(admin.post(&drain).status, 200);
    let mut client = Client::connect(gateway.address);
    assert_eq!(client.get("/", &[]).status, 503, "nothing else is there");
    assert_eq!(admin.get("/status").json()["status"], "unhealthy");
    gateway
        .process
        .stderr
        .wait_after(0, "serves again: a person decided");
    assert_eq!(client.get("/", &[]).status, 200);
}

#[test]
fn hc18_what_cannot_be_decided_is_said() {
    let backends = Backends::start(1);
    let (_gateway, mut admin) = start(&backends);
    let address = format!("127.0.0.1:{}", backends.ports()[0]);
    for (target, status, part) in [
        (
            "/endpoints/127.0.0.1:1/drain".to_owned(),
            404,
            "no endpoint 127.0.0.1:1",
        ),
        ("/endpoints/nothing/drain".to_owned(), 404, "no endpoint nothing"),
        (
            format!("/endpoints/{address}/drain?backend=other"),
            404,
            "no backend other",
        ),
        (
            format!("/endpoints/{address}/stop"),
            400,
            "drain, disable, enable",
        ),
        (format!("/endpoints/{address}/weight?weight=0"), 400, "drain it"),
        (format!("/endpoints/{address}/drain?for=soon"), 400, "for:"),
    ] {
        let answer = admin.post(&target);
        assert_eq!(answer.status, status, "{target}: {answer:?}");
        let message = answer.json()["message"].as_str().expect("a message").to_owned();
        assert!(message.contains(part), "{target}: {message}");
    }
    let within = format!("/endpoints/{address}/drain?backend=default%2Fbackend");
    assert_eq!(admin.post(&within).status, 200);
}
