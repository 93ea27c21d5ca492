//! Health checks through the binary: backends that are killed, stopped and started again, and ones that answer badly
//! (rows HC01 to HC13, HC15, LB25).

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::harness::{
    ADMIN, Admin, Client, Gateway, PATIENCE, Process, ROUTE, answer_of, free_port, gateway_and_service,
    route_policy, scripted,
};

/// A Service over these ports whose endpoints are checked as `health_check` says.
fn config(port: u16, backend_ports: &[u16], health_check: &str) -> String {
    gateway_and_service(port, backend_ports)
        + ROUTE
        + &route_policy("checked", &format!("healthCheck: {health_check}"))
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
fn hc01_hc09_hc13_a_killed_backend_loses_its_traffic_and_gets_it_back() {
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

/// The first `count` requests, and what the console has said of ejections after them.
fn asked(config: &str, port: u16, count: usize) -> (Vec<u16>, Gateway) {
    let gateway = Gateway::start(port, config);
    let mut client = Client::connect(gateway.address);
    let statuses = (0..count).map(|_| client.get("/", &[]).status).collect();
    (statuses, gateway)
}

#[test]
fn hc11_gateway_errors_are_counted_by_themselves() {
    let good = scripted(|_| answer_of("good", 200, ""));
    let passive = "{passive: {consecutive5XxErrors: 0, consecutiveGatewayErrors: 3, maxEjectionPercent: 50}}";
    for (status, most) in [(502, 3), (503, 3), (500, 60)] {
        let bad = scripted(move |_| answer_of("bad", status, ""));
        let port = free_port();
        let (statuses, gateway) = asked(&config(port, &[good, bad], passive), port, 60);
        let failed = statuses.iter().filter(|other| **other == status).count();
        if most == 3 {
            let line = gateway.process.stderr.wait_after(0, "is ejected");
            let cause = "for 30 s: 3 answers of 502, 503, 504 or none in a row";
            assert!(
                line.contains(cause) && line.contains(&format!(":{bad} ")),
                "{line}"
            );
            assert_eq!(failed, 3);
        } else {
            assert!(failed > 10, "{failed}");
            assert!(!gateway.process.stderr.text().contains("is ejected"));
        }
    }
}

#[test]
fn hc11_too_large_a_share_of_failures_ejects() {
    let mut ports: Vec<u16> = (0..4).map(|_| scripted(|_| answer_of("good", 200, ""))).collect();
    // Every other answer: never two in a row.
    let turn = Mutex::new(0);
    ports.push(scripted(move |_| {
        let mut turn = turn.lock().expect("not poisoned");
        *turn += 1;
        answer_of("flaky", if *turn % 2 == 0 { 500 } else { 200 }, "")
    }));
    let passive = "{passive: {failurePercentageThreshold: 30, interval: 2s, maxEjectionPercent: 50}}";
    let port = free_port();
    let (_, gateway) = asked(&config(port, &ports, passive), port, 1);
    let mut client = Client::connect(gateway.address);
    let log = &gateway.process.stderr;
    let deadline = Instant::now() + PATIENCE;
    while !log.text().contains("is ejected") {
        assert!(Instant::now() < deadline, "{}", log.text());
        client.get("/", &[]);
    }
    let line = log.wait_after(0, "is ejected");
    assert!(
        line.contains(&format!(":{} is ejected for 30 s: ", ports[4])),
        "{line}"
    );
    assert!(
        line.contains("% of its requests failed, 30 % are too many"),
        "{line}"
    );
    assert_eq!(pods(&mut client), BTreeSet::from(["good".to_owned()]));
}

#[test]
fn hc11_a_greatest_percentage_of_zero_ejects_nobody() {
    let ports =
        [("good", 200), ("bad", 500)].map(|(pod, status)| scripted(move |_| answer_of(pod, status, "")));
    let passive = "{passive: {consecutive5XxErrors: 1, maxEjectionPercent: 0}}";
    let port = free_port();
    let (statuses, gateway) = asked(&config(port, &ports, passive), port, 60);
    let failed = statuses.iter().filter(|status| **status == 500).count();
    assert!((15..=45).contains(&failed), "{failed}");
    assert!(!gateway.process.stderr.text().contains("is ejected"));
}

#[test]
fn lb25_three_of_four_are_dead_and_all_or_only_the_living_one_are_tried() {
    let names = ["live", "dead-1", "dead-2", "dead-3"];
    let ports = names.map(|name| {
        scripted(move |head| {
            let is_ill = head.starts_with("GET /healthz ") && name != "live";
            answer_of(name, if is_ill { 500 } else { 200 }, "")
        })
    });
    let health = |percent| PROBES.replacen('{', &format!("{{panicThreshold: {percent}, "), 1);
    for (percent, tried) in [(50, &names[..]), (25, &names[..1]), (0, &names[..1])] {
        let port = free_port();
        let gateway = Gateway::start_with(port, &config(port, &ports, &health(percent)), &ADMIN);
        let log = &gateway.process.stderr;
        for port in &ports[1..] {
            log.wait_after(0, &format!(":{port} is unhealthy"));
        }
        log.wait_after(0, &format!(":{} is healthy", ports[0]));
        let mut client = Client::connect(gateway.address);
        let tried = tried.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(pods(&mut client), tried, "panicThreshold: {percent}");
        let metrics = String::from_utf8(Admin::of_gateway(&gateway).get("/metrics").body).expect("text");
        let line = format!(
            "weir_backend_in_panic{{backend=\"service/default/backend/3000\"}} {}",
            u8::from(percent == 50)
        );
        assert!(metrics.lines().any(|other| other == line), "{line}\n{metrics}");
    }
}

#[test]
fn hc07_probes_go_to_the_port_host_and_path_that_are_written() {
    let heads: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = Arc::clone(&heads);
    let readiness = scripted(move |head| {
        log.lock().expect("not poisoned").push(head.to_owned());
        answer_of("readiness", 200, "")
    });
    // Every probe of it would fail.
    let serving =
        scripted(|head| answer_of("serving", if head.starts_with("GET / ") { 200 } else { 500 }, ""));
    let health = format!(
        "{{active: {{type: HTTP, interval: 50ms, timeout: 5s, overrides: {{port: {readiness}}}, \
         http: {{path: /readiness, method: OPTIONS, hostname: app.example}}}}}}"
    );
    let port = free_port();
    let gateway = Gateway::start(port, &config(port, &[serving], &health));
    gateway
        .process
        .stderr
        .wait_after(0, &format!(":{serving} is healthy"));
    assert_eq!(Client::connect(gateway.address).get("/", &[]).pod(), "serving");
    let head = heads.lock().expect("not poisoned")[0].to_lowercase();
    assert!(head.starts_with("options /readiness http/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nhost: app.example\r\n"), "{head}");
}

#[test]
fn hc05_a_service_of_a_tenant_without_a_health_path_is_not_probed() {
    let heads: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = Arc::clone(&heads);
    let unprobed = scripted(move |head| {
        log.lock().expect("not poisoned").push(head.to_owned());
        answer_of("unprobed", 200, "")
    });
    let probed = scripted(|_| answer_of("probed", 200, ""));
    let port = free_port();
    let config = format!(
        "tenants: [{{name: api, path_prefix: /, health_interval: 1, services: [\
         {{name: a, url: \"http://127.0.0.1:{probed}\", health: /health}}, \
         {{name: b, url: \"http://127.0.0.1:{unprobed}\"}}]}}]\n"
    );
    let gateway = Gateway::start_with(port, &config, &["--addr", &format!("127.0.0.1:{port}")]);
    gateway
        .process
        .stderr
        .wait_after(0, &format!(":{probed} is healthy"));
    let both = ["probed", "unprobed"].map(str::to_owned).into();
    assert_eq!(pods(&mut Client::connect(gateway.address)), both);
    let heads = heads.lock().expect("not poisoned");
    assert!(heads.iter().all(|head| head.starts_with("GET / ")), "{heads:?}");
}

#[test]
fn hc01_hc03_hc13_services_of_a_tenant_are_probed_at_their_health_path() {
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
    scripted(move |_| answer_of(pod, 200, &format!("{field}\r\n")))
}

#[test]
fn hc15_load_reports_count_like_weights() {
    let ports = [
        reporting("weak", "endpoint-load-metrics: TEXT cpu_utilization=0.8"),
        reporting("strong", "endpoint-load-metrics: TEXT cpu_utilization=0"),
    ];
    let port = free_port();
    let config = gateway_and_service(port, &ports)
        + ROUTE
        + "\
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
