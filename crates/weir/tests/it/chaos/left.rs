//! One of four backends is killed under the load of several clients (row LB24).

use std::io::Read;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::stage::ROUTE;
use crate::harness::{
    ADMIN, Admin, Client, Gateway, PATIENCE, Process, RaisedAtEnd, Response, free_port, gateway_and_service,
    head, listen_on,
};

const CLIENTS: usize = 6;
/// Requests of all clients together before the kill, and after it was found out.
const BEFORE: u64 = 300;
const AFTER: u64 = 1_500;
const CHECK: &str = "\
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: BackendTrafficPolicy
metadata: {name: shop, namespace: default}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: shop}]
  healthCheck: {active: {type: HTTP, interval: 100ms, timeout: 2s, unhealthyThreshold: 2, http: {path: /healthz}}}
";

/// What the clients have seen.
#[derive(Default)]
struct Seen {
    is_over: AtomicBool,
    answered: AtomicU64,
    /// When the kill had been found out.
    found_out: OnceLock<Instant>,
    /// Requests of each client that began after that, and those of all that were lost.
    begun_after: [AtomicU64; CLIENTS],
    lost_after: AtomicU64,
}

impl Seen {
    /// Asks as one of the clients until it is over.
    fn ask(&self, number: usize, gateway: &Gateway) {
        let mut client = Client::connect(gateway.address);
        while !self.is_over.load(SeqCst) {
            let begun = Instant::now();
            client.send(head("GET", "/", &[]));
            let response: Response = client.response("GET");
            self.answered.fetch_add(1, SeqCst);
            if self.found_out.get().is_some_and(|found_out| begun > *found_out) {
                self.begun_after[number].fetch_add(1, SeqCst);
                self.lost_after
                    .fetch_add(u64::from(response.status != 200), SeqCst);
            }
        }
    }

    /// Counts all clients' requests that began when the kill had been found out.
    fn all_begun_after(&self) -> u64 {
        self.begun_after.iter().map(|count| count.load(SeqCst)).sum()
    }
}

fn wait_until(is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "requests are answered");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Takes the dead backend's port and counts the connections on which no probe is asked. Probes go on failing: it answers
/// nothing.
fn take_place(port: u16) -> Arc<AtomicU64> {
    let strangers: Arc<AtomicU64> = Arc::default();
    let listener = listen_on(port);
    let count = Arc::clone(&strangers);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut room = [0; 1024];
            let length = stream.read(&mut room).unwrap_or(0);
            if !room[..length].starts_with(b"GET /healthz ") {
                count.fetch_add(1, SeqCst);
            }
        }
    });
    strangers
}

/// Tries that were begun at an endpoint.
fn tries(admin: &mut Admin, port: u16) -> f64 {
    let metrics = String::from_utf8(admin.get("/metrics").body).expect("text");
    let series = format!("weir_endpoint_tries_total{{endpoint=\"127.0.0.1:{port}\"}} ");
    let mut values = metrics.lines().filter_map(|line| line.strip_prefix(&*series));
    values.next().expect("a series").parse().expect("a number")
}

#[test]
fn lb24_nothing_is_sent_to_a_killed_backend_once_it_is_found_out() {
    let ports = [free_port(), free_port(), free_port(), free_port()];
    let mut backends: Vec<Process> = ports
        .iter()
        .map(|port| {
            let process =
                Process::start(&["echo", "--listen", &format!("127.0.0.1:{port}"), "--delay", "2ms"]);
            process.stdout.wait_after(0, "echo: http");
            process
        })
        .collect();
    let port = free_port();
    let config = gateway_and_service(port, &ports) + ROUTE + CHECK;
    let gateway = Gateway::start_with(port, &config, &ADMIN);
    let mut admin = Admin::of_gateway(&gateway);
    let log = &gateway.process.stderr;
    for port in ports {
        log.wait_after(0, &format!(":{port} is healthy"));
    }
    let seen = Seen::default();
    std::thread::scope(|scope| {
        for number in 0..CLIENTS {
            let (seen, gateway) = (&seen, &gateway);
            scope.spawn(move || seen.ask(number, gateway));
        }
        let _over = RaisedAtEnd(&seen.is_over);
        wait_until(|| seen.answered.load(SeqCst) >= BEFORE);
        let dead = ports[1];
        backends[1].signal("KILL");
        backends[1].wait();
        log.wait_after(0, &format!("endpoint 127.0.0.1:{dead} is unhealthy"));
        seen.found_out.set(Instant::now()).expect("once");
        // Each client has asked once more: what had been on its way to it has come back from there.
        wait_until(|| seen.begun_after.iter().all(|count| count.load(SeqCst) > 0));
        let strangers = take_place(dead);
        let before = ports.map(|port| tries(&mut admin, port));
        let goal = seen.all_begun_after() + AFTER;
        wait_until(|| seen.all_begun_after() >= goal);
        let after = ports.map(|port| tries(&mut admin, port));
        assert_eq!(after[1] - before[1], 0.0, "tries at the dead one");
        for alive in [0, 2, 3] {
            assert!(
                after[alive] - before[alive] > AFTER as f64 / 10.0,
                "{before:?} {after:?}"
            );
        }
        assert_eq!(strangers.load(SeqCst), 0, "connections to its port");
    });
    assert_eq!(
        seen.lost_after.into_inner(),
        0,
        "requests that began when it was known"
    );
}
