//! Many endpoints, many routes, one check.

use std::time::Duration;

use super::stage::echo;
use crate::harness::{Folder, Gateway, PATIENCE, free_port, gateway_and_service};

const ENDPOINTS: usize = 30;
const ROUTES: usize = 60;
const CHECK: &str =
    "healthCheck: {active: {type: HTTP, interval: 200ms, timeout: 2s, http: {path: /healthz}}}";

fn config(port: u16, ports: &[u16]) -> String {
    let mut config = gateway_and_service(port, ports);
    for route in 0..ROUTES {
        config.push_str(&format!(
            "\
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: route-{route}, namespace: default}}
spec:
  parentRefs: [{{name: eg}}]
  rules:
  - matches: [{{path: {{type: PathPrefix, value: /{route}}}}}]
    backendRefs: [{{name: backend, port: 3000}}]
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: BackendTrafficPolicy
metadata: {{name: route-{route}, namespace: default}}
spec:
  targetRefs: [{{group: gateway.networking.k8s.io, kind: HTTPRoute, name: route-{route}}}]
  {CHECK}
"
        ));
    }
    config
}

/// Files that the process has open, in the best of some moments: a probe under way has one, too.
fn open_files(process: u32) -> usize {
    let count = || {
        let files = std::fs::read_dir(format!("/proc/{process}/fd")).expect("a process");
        std::thread::sleep(Duration::from_millis(3));
        files.count()
    };
    (0..20).map(|_| count()).min().expect("some")
}

#[test]
fn hc08_hc19_probes_are_as_many_as_endpoints_whatever_routes_there_are_and_leave_no_files_open() {
    let ports: Vec<u16> = (0..ENDPOINTS).map(|_| free_port()).collect();
    let folder = Folder::new();
    let journal = folder.path().join("journal");
    let _backends = echo(&ports, &journal);
    let probes = || {
        let text = std::fs::read_to_string(&journal).expect("a journal");
        text.lines()
            .filter(|line| line.ends_with(" GET /healthz"))
            .count()
    };
    let port = free_port();
    let gateway = Gateway::start(port, &config(port, &ports));
    for port in &ports {
        gateway
            .process
            .stderr
            .wait_after(0, &format!(":{port} is healthy"));
    }
    let (before, files, begin) = (
        probes(),
        open_files(gateway.process.id()),
        std::time::Instant::now(),
    );
    std::thread::sleep(Duration::from_secs(2));
    let (after, elapsed) = (probes(), begin.elapsed());
    let expected = ENDPOINTS as f64 * elapsed.as_secs_f64() / 0.2;
    let share = (after - before) as f64 / expected;
    // A busy machine probes late; one probe per route would be sixty times as many.
    assert!(
        (0.6..1.1).contains(&share),
        "{} probes of {expected}",
        after - before
    );
    let deadline = std::time::Instant::now() + PATIENCE;
    while open_files(gateway.process.id()) > files {
        assert!(std::time::Instant::now() < deadline, "{files} files before");
    }
}
