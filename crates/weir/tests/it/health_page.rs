//! `docs/health.md`, run: its policies are served as they stand, but for times that would make a test wait, and its console
//! lines are what the console says (rows HC01, HC03, HC06, HC10 to HC13).

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::docs::{blocks, documentation, policy_under, yaml_block};
use crate::harness::{Client, Gateway, Process, answer_of, free_port, gateway_and_service, scripted};

const PAGE: &str = "docs/health.md";

/// A gateway with one route, named as the page names it, to these ports, and a policy.
fn gateway(route: &str, ports: &[u16], policy: &str) -> Gateway {
    let port = free_port();
    let route = format!(
        "\
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: {route}, namespace: default}}
spec:
  parentRefs: [{{name: eg}}]
  rules: [{{backendRefs: [{{name: backend, port: 3000}}]}}]
---
"
    );
    let config = gateway_and_service(port, ports) + &route + policy;
    Gateway::start_with(port, &config, &["--reason-header"])
}

/// The policy with one of its values replaced.
fn with(policy: &str, written: &str, used: &str) -> String {
    assert_eq!(policy.matches(written).count(), 1, "{written} in {policy}");
    policy.replace(written, used)
}

/// The two lines of the console that the page shows, for an endpoint on this port.
fn console(of: &str, port: u16) -> [String; 2] {
    let text = documentation(PAGE);
    let mut found = blocks(&text, "console")
        .into_iter()
        .filter(|(_, block)| block.contains(of));
    let (_, block) = found.next().expect("a block of console lines");
    assert!(found.next().is_none(), "one block has {of}");
    let lines: Vec<String> = block
        .lines()
        .map(|line| line.replace("127.0.0.1:9002", &format!("127.0.0.1:{port}")))
        .collect();
    lines.try_into().expect("two lines")
}

/// Waits for exactly this line after the first `skipped` ones.
fn wait_for_line(gateway: &Gateway, skipped: usize, line: &str) {
    assert_eq!(gateway.process.stderr.wait_after(skipped, line), line);
}

fn echo(port: u16) -> Process {
    let process = Process::start(&["echo", "--listen", &format!("127.0.0.1:{port}")]);
    process.stdout.wait_after(0, "echo: http");
    process
}

#[test]
fn hc01_hc09_hc13_probes_of_the_page_find_a_killed_backend_and_a_new_one() {
    let ports = [free_port(), free_port()];
    let [_first, second] = ports.map(echo);
    let policy = with(&policy_under(PAGE, "Probes"), "interval: 3s", "interval: 100ms");
    let gateway = gateway("shop", &ports, &policy);
    let [dead, alive] = console("is unhealthy", ports[1]);
    wait_for_line(&gateway, 0, &alive);
    let log = &gateway.process.stderr;
    log.wait_after(0, &format!(":{} is healthy", ports[0]));
    drop(second);
    wait_for_line(&gateway, 0, &dead);
    let mut client = Client::connect(gateway.address);
    for _ in 0..20 {
        assert_eq!(client.get("/", &[]).pod(), format!("echo-{}", ports[0]));
    }
    let before = log.count();
    let _second = echo(ports[1]);
    wait_for_line(&gateway, before, &alive);
    while client.get("/", &[]).pod() != format!("echo-{}", ports[1]) {}
}

#[test]
fn hc01_hc03_statuses_of_probes_mean_what_the_page_says() {
    let (status, probes) = (Arc::new(AtomicU16::new(204)), Arc::new(AtomicUsize::new(0)));
    let (current, count) = (Arc::clone(&status), Arc::clone(&probes));
    let port = scripted(move |head| {
        assert!(head.starts_with("GET /healthz HTTP/1.1\r\n"), "{head}");
        count.fetch_add(1, Ordering::SeqCst);
        match current.load(Ordering::SeqCst) {
            204 => b"HTTP/1.1 204 X\r\n\r\n".to_vec(),
            status => answer_of("probed", status, ""),
        }
    });
    let policy = with(&policy_under(PAGE, "Probes"), "interval: 3s", "interval: 100ms");
    let gateway = gateway("shop", &[port], &policy);
    let log = &gateway.process.stderr;
    let said = |skipped, what: &str| {
        let line = log.wait_after(skipped, &format!("endpoint 127.0.0.1:{port} "));
        assert!(line.contains(what), "{line}");
    };
    let good = "is healthy: a probe was good";
    said(0, good);
    // Retriable: three in a row. Then neither expected nor retriable: one.
    for (bad, cause) in [
        (
            503,
            "is unhealthy: 3 probes in a row failed, the last with status 503",
        ),
        (500, "is unhealthy: a probe was answered 500"),
    ] {
        let before = log.count();
        status.store(bad, Ordering::SeqCst);
        said(before, cause);
        let before = log.count();
        status.store(200, Ordering::SeqCst);
        said(before, good);
    }
    assert!(probes.load(Ordering::SeqCst) >= 7);
}

/// Answers `PING` with what is given, HTTP like an echo backend, and keeps what probes send.
fn cache(pod: &'static str, pong: &'static [u8], pings: Arc<Mutex<Vec<u8>>>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let pings = Arc::clone(&pings);
            std::thread::spawn(move || {
                let (mut room, mut seen) = ([0; 4096], Vec::new());
                while let Ok(length @ 1..) = stream.read(&mut room) {
                    seen.extend_from_slice(&room[..length]);
                    let is_probe = seen.starts_with(b"PING");
                    if is_probe && seen.ends_with(b"\r\n") {
                        *pings.lock().expect("not poisoned") = std::mem::take(&mut seen);
                        let _gone = stream.write_all(pong);
                    } else if seen.ends_with(b"\r\n\r\n") {
                        seen.clear();
                        let _gone = stream.write_all(&answer_of(pod, 200, ""));
                    }
                }
            });
        }
    });
    port
}

#[test]
fn hc06_the_tcp_check_of_the_page_waits_for_the_answer() {
    let pings: [Arc<Mutex<Vec<u8>>>; 2] = Default::default();
    let ports = [
        cache("well", b"+PONG\r\n", Arc::clone(&pings[0])),
        cache("ill", b"-LOADING\r\n", Arc::clone(&pings[1])),
    ];
    let gateway = gateway("cache", &ports, &yaml_block(PAGE, "type: TCP"));
    let log = &gateway.process.stderr;
    let line = log.wait_after(0, &format!(":{} is unhealthy", ports[1]));
    assert!(
        line.contains("its first probe failed without an answer in time"),
        "{line}"
    );
    log.wait_after(0, &format!(":{} is healthy: a probe was good", ports[0]));
    let mut client = Client::connect(gateway.address);
    for _ in 0..20 {
        assert_eq!(client.get("/", &[]).pod(), "well");
    }
    for ping in pings {
        assert_eq!(*ping.lock().expect("not poisoned"), b"PING\r\n");
    }
}

/// Two backends, of which the second always answers 500.
fn good_and_bad() -> [u16; 2] {
    [("good", 200), ("bad", 500)].map(|(pod, status)| scripted(move |_| answer_of(pod, status, "")))
}

#[test]
fn hc11_ejections_of_the_page_are_as_it_says() {
    let ports = good_and_bad();
    let policy = policy_under(PAGE, "Ejections");
    let gateway = gateway("shop", &ports, &policy);
    let mut client = Client::connect(gateway.address);
    let bad = (0..60).filter(|_| client.get("/", &[]).status == 500).count();
    // Workers count together, so it is five, and no more than are under way.
    assert_eq!(bad, 5);
    let [out, _back] = console("is ejected", ports[1]);
    wait_for_line(&gateway, 0, &out);
}

#[test]
fn hc11_hc12_an_ejection_of_the_page_ends_by_time_and_the_next_is_longer() {
    let ports = good_and_bad();
    let policy = with(
        &policy_under(PAGE, "Ejections"),
        "baseEjectionTime: 30s",
        "baseEjectionTime: 300ms",
    );
    let gateway = gateway("shop", &ports, &policy);
    let mut client = Client::connect(gateway.address);
    let mut ask = |until: &str| {
        let log = &gateway.process.stderr;
        while !log.text().contains(until) {
            client.get("/", &[]);
        }
    };
    ask("is ejected for 0.3 s");
    let [_out, back] = console("is ejected", ports[1]);
    wait_for_line(&gateway, 0, &back);
    ask("is ejected for 0.6 s");
}

#[test]
fn hc11_never_more_than_the_page_allows_are_ejected() {
    let bad = || scripted(|_| answer_of("bad", 500, ""));
    let ports = [bad(), bad()];
    let policy = policy_under(PAGE, "Ejections");
    for (policy, most) in [
        (policy.clone(), 1),
        (
            with(&policy, "maxEjectionPercent: 50", "maxEjectionPercent: 0"),
            0,
        ),
        (
            with(&policy, "maxEjectionPercent: 50", "maxEjectionPercent: 100"),
            2,
        ),
    ] {
        let gateway = gateway("shop", &ports, &policy);
        let mut client = Client::connect(gateway.address);
        for _ in 0..60 {
            assert_eq!(client.get("/", &[]).status, 500);
        }
        let log = &gateway.process.stderr;
        // Both are ejected as this line is written, or never: nothing is asked any more.
        if most > 0 {
            log.wait_after(0, "is ejected");
        }
        if most == 2 {
            for port in ports {
                log.wait_after(0, &format!(":{port} is ejected"));
            }
        }
        assert_eq!(log.text().matches("is ejected").count(), most, "{}", log.text());
    }
}

#[test]
fn hc10_lb25_without_panic_nothing_is_sent_to_dead_endpoints() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let port = scripted(move |head| {
        if !head.starts_with("GET /healthz ") {
            count.fetch_add(1, Ordering::SeqCst);
        }
        answer_of("dead", 500, "")
    });
    let policy = policy_under(PAGE, "Probes");
    let without = with(&policy, "healthCheck:\n", "healthCheck:\n    panicThreshold: 0\n");
    for (policy, status, reason, sent) in [
        (policy, 500, None, 1),
        (without, 503, Some("no_endpoint_available"), 0),
    ] {
        let gateway = gateway("shop", &[port], &policy);
        gateway.process.stderr.wait_after(0, "is unhealthy");
        let before = asked.load(Ordering::SeqCst);
        let response = Client::connect(gateway.address).get("/", &[]);
        assert_eq!(
            (response.status, response.header("x-weir-reason")),
            (status, reason)
        );
        assert_eq!(asked.load(Ordering::SeqCst) - before, sent);
    }
}
