//! The shop: weir before echo backends that can be killed, and clients that keep their pace.

use std::collections::BTreeSet;
use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use peers::pace::{self, Outcome, Plan};

use crate::docs::policy_under;
use crate::harness::{Folder, Gateway, Process, free_port, gateway_and_service};

/// An HTTPRoute to the Service `backend`, named as the documentation names it.
pub(super) const ROUTE: &str = "\
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop, namespace: default}
spec:
  parentRefs: [{name: eg}]
  rules: [{backendRefs: [{name: backend, port: 3000}]}]
---
";

/// weir and the backends behind it.
pub(super) struct Shop {
    pub(super) gateway: Gateway,
    pub(super) ports: Vec<u16>,
    pub(super) backends: Vec<Process>,
    folder: Folder,
}

impl Shop {
    /// Three backends, weir before them with this policy.
    pub(super) fn open(policy: &str) -> Self {
        Self::open_with(policy, &[])
    }

    /// The same with further flags of `weir run`.
    pub(super) fn open_with(policy: &str, flags: &[&str]) -> Self {
        let (port, ports) = (free_port(), vec![free_port(), free_port(), free_port()]);
        let folder = Folder::new();
        let journal = folder.path().join("journal");
        let backends = ports.iter().map(|port| echo(&[*port], &journal)).collect();
        let config = gateway_and_service(port, &ports) + ROUTE + policy;
        Self {
            gateway: Gateway::start_with(port, &config, flags),
            ports,
            backends,
            folder,
        }
    }

    /// The same with the policy of the documentation.
    pub(super) fn documented(heading: &str) -> Self {
        Self::open(&policy_under("docs/resilience.md", heading))
    }

    /// `kill -9`.
    pub(super) fn kill(&mut self, index: usize) {
        self.backends[index].signal("KILL");
        self.backends[index].wait();
    }

    /// Starts a killed backend again.
    pub(super) fn revive(&mut self, index: usize) {
        self.backends[index] = echo(&[self.ports[index]], &self.journal());
    }

    /// A load of `posts_percent` POSTs.
    pub(super) fn plan(&self, rate: f64, duration: Duration, posts_percent: u32) -> Plan {
        Plan {
            posts_percent,
            ..Plan::new(target(&self.gateway), rate, duration)
        }
    }

    /// Every POST that a backend has received must have been received once.
    pub(super) fn expect_posts_once(&self) {
        let journal = std::fs::read_to_string(self.journal()).expect("a journal");
        let mut seen = BTreeSet::new();
        for post in journal.lines().filter_map(|line| line.split(" POST ").nth(1)) {
            assert!(seen.insert(post), "{post} was served twice");
        }
        assert!(!seen.is_empty(), "there were POSTs");
    }

    fn journal(&self) -> PathBuf {
        self.folder.path().join("journal")
    }
}

/// One process that is an echo backend on each of these ports.
pub(super) fn echo(ports: &[u16], journal: &std::path::Path) -> Process {
    let listen: Vec<String> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    let (listen, journal) = (listen.join(","), journal.to_str().expect("UTF-8"));
    let process = Process::start(&[
        "echo",
        "--listen",
        &listen,
        "--delay",
        "5ms",
        "--journal",
        journal,
    ]);
    let last = ports.last().expect("a port");
    process.stdout.wait_after(0, &format!("is echo-{last}"));
    process
}

/// Where weir listens.
pub(super) fn target(gateway: &Gateway) -> SocketAddrV4 {
    match gateway.address {
        std::net::SocketAddr::V4(address) => address,
        std::net::SocketAddr::V6(address) => panic!("{address} is not IPv4"),
    }
}

/// Runs a load while `act`, which gets the moment of its beginning, does something.
pub(super) fn under_load<T>(plan: &Plan, act: impl FnOnce(Instant) -> T) -> (Outcome, T) {
    std::thread::scope(|scope| {
        let begin = Instant::now();
        let load = scope.spawn(|| pace::run(plan));
        let acted = act(begin);
        let outcome = load.join().expect("no panic").expect("this machine works");
        (outcome, acted)
    })
}

/// What happens in a load is planned by the clock, as the load is.
pub(super) fn sleep_until(begin: Instant, time_ms: u64) {
    std::thread::sleep(Duration::from_millis(time_ms).saturating_sub(begin.elapsed()));
}
