//! Health checks through the binary: backends that are killed, stopped and started again (rows HC01, HC09, HC12, HC13).

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::harness::{Client, Gateway, PATIENCE, Process, free_port, gateway_and_service};

/// A Service over these ports whose endpoints are checked as `health_check` says.
fn config(port: u16, backend_ports: &[u16], health_check: &str) -> String {
    gateway_and_service(port, backend_ports)
        + &format!(
            "\
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: only, namespace: default}}
spec:
  parentRefs: [{{name: eg}}]
  rules: [{{backendRefs: [{{name: backend, port: 3000}}]}}]
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: BackendTrafficPolicy
metadata: {{name: checked, namespace: default}}
spec:
  targetRefs: [{{group: gateway.networking.k8s.io, kind: HTTPRoute, name: only}}]
  healthCheck: {health_check}
"
        )
}

const PROBES: &str =
    "{active: {type: HTTP, http: {path: /healthz}, interval: 50ms, timeout: 500ms, unhealthyThreshold: 2}}";

fn echo(port: u16, flags: &[&str]) -> Process {
    let listen = format!("127.0.0.1:{port}");
    let process = Process::start(&[&["echo", "--listen", &listen], flags].concat());
    process.stdout.wait_after(0, "echo: http");
    process
}

/// Asks until `pod` has answered. Every answer is a good one.
fn wait_for_pod(client: &mut Client, pod: &str) {
    let deadline = Instant::now() + PATIENCE;
    while client.get("/", &[]).pod() != pod {
        assert!(Instant::now() < deadline, "{pod} never answers");
    }
}

/// Who answers 40 requests. Every answer is a good one.
fn pods(client: &mut Client) -> BTreeSet<String> {
    (0..40).map(|_| client.get("/", &[]).pod()).collect()
}

#[test]
fn hc01_hc13_a_killed_backend_loses_its_traffic_and_gets_it_back() {
    let ports = [free_port(), free_port(), free_port()];
    let names = ports.map(|port| format!("echo-{port}"));
    let mut backends: Vec<Process> = ports.iter().map(|port| echo(*port, &[])).collect();
    let port = free_port();
    let gateway = Gateway::start(port, &config(port, &ports, PROBES));
    let log = &gateway.process.stderr;
    for port in ports {
        log.wait_after(0, &format!(":{port} is healthy"));
    }
    let mut client = Client::connect(gateway.address);
    assert_eq!(pods(&mut client), names.iter().cloned().collect());

    drop(backends.remove(1));
    // Between its death and the probes' verdict, nobody notices either: nothing was sent to a closed port.
    let others = BTreeSet::from([names[0].clone(), names[2].clone()]);
    assert_eq!(pods(&mut client), others);
    let dead = format!("endpoint 127.0.0.1:{} is unhealthy: ", ports[1]);
    let line = log.wait_after(0, &dead);
    assert!(
        line.ends_with("2 probes in a row failed, the last with a refused connection (check GET /healthz)"),
        "{line}"
    );
    assert_eq!(pods(&mut client), others);

    let before = log.count();
    backends.push(echo(ports[1], &[]));
    let begun = Instant::now();
    log.wait_after(before, &format!("endpoint 127.0.0.1:{} is healthy", ports[1]));
    wait_for_pod(&mut client, &names[1]);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert_eq!(
        log.text().matches(&dead).count(),
        1,
        "one line per change (HC09): {}",
        log.text()
    );
}

#[test]
fn hc01_a_backend_that_is_stopped_is_found_by_silence() {
    let ports = [free_port(), free_port()];
    let backends = ports.map(|port| echo(port, &[]));
    let port = free_port();
    let gateway = Gateway::start(port, &config(port, &ports, PROBES));
    let log = &gateway.process.stderr;
    log.wait_after(0, &format!(":{} is healthy", ports[0]));
    log.wait_after(0, &format!(":{} is healthy", ports[1]));
    backends[0].signal("STOP");
    log.wait_after(0, "the last without an answer in time");
    let mut client = Client::connect(gateway.address);
    assert_eq!(pods(&mut client), BTreeSet::from([format!("echo-{}", ports[1])]));
    let before = log.count();
    backends[0].signal("CONT");
    log.wait_after(before, &format!(":{} is healthy", ports[0]));
    wait_for_pod(&mut client, &format!("echo-{}", ports[0]));
}

#[test]
fn hc02_a_gateway_that_starts_beside_a_dead_backend_answers_everything() {
    let ports = [free_port(), free_port(), free_port()];
    let _alive = [echo(ports[0], &[]), echo(ports[2], &[])];
    let port = free_port();
    let gateway = Gateway::start(port, &config(port, &ports, PROBES));
    let mut client = Client::connect(gateway.address);
    let expected = [ports[0], ports[2]].map(|port| format!("echo-{port}"));
    assert!(pods(&mut client).is_subset(&expected.into()));
    let line = gateway.process.stderr.wait_after(0, "is unhealthy");
    assert!(
        line.contains("its first probe failed with a refused connection"),
        "{line}"
    );
}

#[test]
fn hc11_hc12_a_backend_that_answers_500_is_ejected_for_a_while() {
    let ports = [free_port(), free_port()];
    let _backends = [echo(ports[0], &[]), echo(ports[1], &["--status", "500"])];
    let port = free_port();
    let passive = "{passive: {consecutive5XxErrors: 3, interval: 50ms, baseEjectionTime: 300ms, maxEjectionPercent: 50}}";
    let gateway = Gateway::start(port, &config(port, &ports, passive));
    let mut client = Client::connect(gateway.address);
    let bad = (0..40).filter(|_| client.get("/", &[]).status == 500).count();
    assert!((3..=9).contains(&bad), "{bad}");
    let log = &gateway.process.stderr;
    let line = log.wait_after(0, "is ejected");
    assert!(
        line.contains("for 0.3 s: 3 5xx or no answers in a row (backend service/default/backend/3000)"),
        "{line}"
    );
    log.wait_after(0, "is back: its ejection is over");
}

#[test]
fn hc01_hc13_services_of_a_tenant_are_probed_at_their_health_path() {
    let ports = [free_port(), free_port()];
    let mut backends: Vec<Process> = ports.iter().map(|port| echo(*port, &[])).collect();
    let services =
        ports.map(|port| format!("{{name: s-{port}, url: \"http://127.0.0.1:{port}\", health: /health}}"));
    let port = free_port();
    let config = format!(
        "tenants: [{{name: api, path_prefix: /, health_interval: 1, services: [{}]}}]\n",
        services.join(", ")
    );
    let gateway = Gateway::start_with(port, &config, &["--addr", &format!("127.0.0.1:{port}")]);
    let log = &gateway.process.stderr;
    for port in ports {
        log.wait_after(0, &format!(":{port} is healthy"));
    }
    let mut client = Client::connect(gateway.address);
    assert_eq!(pods(&mut client), ports.map(|port| format!("echo-{port}")).into());
    drop(backends.remove(0));
    let line = log.wait_after(0, &format!("127.0.0.1:{} is unhealthy", ports[0]));
    assert!(line.contains("3 probes in a row failed"), "{line}");
    assert_eq!(pods(&mut client), BTreeSet::from([format!("echo-{}", ports[1])]));
    backends.push(echo(ports[0], &[]));
    log.wait_after(0, "2 probes in a row were good");
    wait_for_pod(&mut client, &format!("echo-{}", ports[0]));
}

/// Answers like an echo backend named `pod`, with this field.
fn reporting(pod: &'static str, field: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let (mut room, mut seen) = ([0; 4096], Vec::new());
                while let Ok(length @ 1..) = stream.read(&mut room) {
                    seen.extend_from_slice(&room[..length]);
                    if seen.ends_with(b"\r\n\r\n") {
                        seen.clear();
                        let body = format!("{{\"pod\":\"{pod}\"}}");
                        let length = body.len();
                        let answer =
                            format!("HTTP/1.1 200 OK\r\n{field}\r\ncontent-length: {length}\r\n\r\n{body}");
                        if stream.write_all(answer.as_bytes()).is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
    port
}

#[test]
fn hc15_load_reports_count_like_weights() {
    let ports = [
        reporting("weak", "endpoint-load-metrics: TEXT cpu_utilization=0.8"),
        reporting("strong", "endpoint-load-metrics: TEXT cpu_utilization=0"),
    ];
    let port = free_port();
    let config = gateway_and_service(port, &ports)
        + "\
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: only, namespace: default}
spec:
  parentRefs: [{name: eg}]
  rules: [{backendRefs: [{name: backend, port: 3000}]}]
---
apiVersion: weir.dev/v1alpha1
kind: TrafficPolicy
metadata: {name: own, namespace: default}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: only}]
  loadBalancer: {type: RoundRobin, loadReport: {}}
";
    let gateway = Gateway::start(port, &config);
    let mut client = Client::connect(gateway.address);
    let mut weak = 0;
    for _ in 0..400 {
        let response = client.get("/", &[]);
        assert_eq!(response.header("endpoint-load-metrics"), None);
        weak += u32::from(response.pod() == "weak");
    }
    assert!((30..110).contains(&weak), "one to five: {weak}");
}
