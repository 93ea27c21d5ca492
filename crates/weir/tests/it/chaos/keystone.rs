//! A day of keystone-gateway's, replayed: its kind of file, three backends of which one is dead and one comes and goes, four
//! stages of load with more connections each, and what its admin API says meanwhile.

use std::time::Instant;

use super::stage::echo;
use crate::harness::{ADMIN, Admin, Folder, PATIENCE, Process, Request, Spread, free_port, load};

/// keystone's keys, and a policy in the same file so that nothing is lost with a backend.
fn tenants(port: u16, ports: &[u16]) -> String {
    let mut text = format!(
        "\
server: {{port: {port}, address: 127.0.0.1}}
tenants:
- name: api
  path_prefix: /api/
  health_interval: 1
  policy: {{retry: {{retryOn: {{triggers: [connect-failure, reset]}}}}}}
  services:
"
    );
    for (number, port) in (1..).zip(ports) {
        text.push_str(&format!(
            "  - {{name: backend-{number}, url: 'http://127.0.0.1:{port}', health: /health}}\n"
        ));
    }
    text
}

/// A stage of load; every request is answered 200. Returns how many answers came from each port.
fn stage(port: u16, connections: usize, ports: &[u16; 3]) -> [u64; 3] {
    let request = Request {
        target: "/api/orders",
        headers: &[],
    };
    let address = ([127, 0, 0, 1], port).into();
    let spread: Spread = load(address, request, connections * 30, connections);
    ports.map(|port| spread.of(&format!("echo-{port}")))
}

/// Waits until `/admin/health` says so, in this status.
fn wait_for(admin: &mut Admin, words: &str, status: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let health = admin.get("/admin/health").json();
        if health["tenants"]["api"] == words {
            assert_eq!(health["status"], status, "{health:#}");
            return;
        }
        assert!(Instant::now() < deadline, "{health:#}");
        std::thread::yield_now();
    }
}

#[test]
fn op01_hc01_hc13_lt11_keystones_load_test_with_one_backend_dead_and_one_that_comes_and_goes() {
    let (port, ports) = (free_port(), [free_port(), free_port(), free_port()]);
    let folder = Folder::new();
    let journal = folder.path().join("journal");
    let start = |index: usize| echo(&[ports[index]], &journal);
    let (_sound, mut flapping) = (start(0), start(2));
    let config = folder.write("tenants.yaml", &tenants(port, &ports));
    let arguments = [&["run", "-c", config.to_str().expect("UTF-8")][..], &ADMIN].concat();
    let weir = Process::start(&arguments);
    weir.stderr.wait_after(0, "generation 1 in force");
    let mut admin = Admin::of(&weir);

    // One was never there. keystone said that all were well, and sent everything to it.
    wait_for(&mut admin, "2/3 healthy", "degraded");
    let [first, second, third] = stage(port, 5, &ports);
    assert!(first > 50 && second == 0 && third > 50, "{first} {third}");

    // One goes and comes again within the time of three probes: nobody notices.
    let [first, second, _] = std::thread::scope(|scope| {
        let stage = scope.spawn(|| stage(port, 10, &ports));
        flapping.signal("KILL");
        flapping.wait();
        flapping = start(2);
        stage.join().expect("every request is answered")
    });
    assert!(first > 0 && second == 0, "{first} {second}");
    wait_for(&mut admin, "2/3 healthy", "degraded");

    // It goes for longer.
    let before = weir.stderr.count();
    flapping.signal("KILL");
    flapping.wait();
    wait_for(&mut admin, "1/3 healthy", "degraded");
    let line = weir.stderr.wait_after(before, "is unhealthy");
    assert!(line.contains("3 probes in a row failed"), "{line}");
    assert_eq!(stage(port, 15, &ports), [450, 0, 0]);

    // Both come.
    let _backends = (start(1), start(2));
    wait_for(&mut admin, "3/3 healthy", "healthy");
    let shares = stage(port, 20, &ports);
    assert!(
        shares.iter().all(|share| (180..=220).contains(share)),
        "{shares:?}"
    );
    let served = std::fs::read_to_string(&journal).expect("a journal");
    let orders = served.matches(" GET /orders\n").count();
    assert!(
        orders >= 30 * (5 + 10 + 15 + 20),
        "{orders}: the prefix is stripped"
    );
}
