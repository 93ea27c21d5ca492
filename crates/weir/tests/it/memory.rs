//! What connections that rest cost (reliability row E6).

use std::time::Instant;

use crate::harness::{Backends, Client, Gateway, PATIENCE, balanced_routes, free_port, gateway_and_service};

/// Clients that have each asked once and rest.
fn resting(gateway: &Gateway, count: usize) -> Vec<Client> {
    let ask = |_| {
        let mut client = Client::connect(gateway.address);
        assert_eq!(client.get("/0", &[]).status, 200);
        client
    };
    (0..count).map(ask).collect()
}

#[test]
fn e6_a_thousand_idle_connections_are_cheap_and_do_not_grow() {
    const COUNT: u64 = 1000;
    let (backends, port) = (Backends::start(1), free_port());
    let config = gateway_and_service(port, &backends.ports()) + &balanced_routes(&["{type: RoundRobin}"]);
    let gateway = Gateway::start(port, &config);
    // What the first ones need once for all.
    let first = resting(&gateway, 50);
    let open = || {
        std::fs::read_dir(format!("/proc/{}/fd", gateway.process.id()))
            .expect("it lives")
            .count()
    };
    let (before, open_before) = (gateway.process.resident_kib(), open());
    let clients = resting(&gateway, COUNT as usize);
    let grown = gateway.process.resident_kib().saturating_sub(before);
    println!("{grown} KiB for {COUNT} idle connections");
    assert!(grown <= 4 * COUNT, "{grown} KiB for {COUNT} idle connections");
    // Others take the room of those that are gone.
    drop(clients);
    let deadline = Instant::now() + PATIENCE;
    // Connections to the backend may have come.
    while open() > open_before + 20 {
        assert!(Instant::now() < deadline, "{} are open", open());
    }
    let _others = resting(&gateway, COUNT as usize);
    let again = gateway.process.resident_kib().saturating_sub(before);
    assert!(again <= grown + grown / 10 + 512, "{again} KiB after {grown}");
    drop(first);
}
