//! Services without a health path: checked by connecting, or taken to be there with one warning (row HC05).

use std::collections::BTreeSet;

use serde_json::Value;

use crate::harness::{ADMIN, Admin, Client, Gateway, Process, free_port, weir};

fn echo(port: u16) -> Process {
    let process = Process::start(&["echo", "--listen", &format!("127.0.0.1:{port}")]);
    process.stdout.wait_after(0, "echo: http");
    process
}

fn pods(gateway: &Gateway) -> BTreeSet<String> {
    let mut client = Client::connect(gateway.address);
    (0..20).map(|_| client.get("/t/", &[]).pod()).collect()
}

#[test]
fn hc05_a_service_is_checked_by_connecting_to_it() {
    let ports = [free_port(), free_port()];
    let names = ports.map(|port| format!("echo-{port}"));
    let port = free_port();
    let config = format!(
        "\
server: {{port: {port}}}
tenants:
  - name: t
    path_prefix: /t/
    health_interval: 250ms
    services:
      - {{name: a, url: 'http://127.0.0.1:{}', health_type: tcp}}
      - {{name: b, url: 'http://127.0.0.1:{}', health_type: tcp}}
",
        ports[0], ports[1]
    );
    let _first = echo(ports[0]);
    let gateway = Gateway::start_with(port, &config, &ADMIN);
    let mut admin = Admin::of_gateway(&gateway);
    let log = &gateway.process.stderr;
    log.wait_after(0, &format!("127.0.0.1:{} is healthy", ports[0]));
    let line = log.wait_after(0, &format!("127.0.0.1:{} is unhealthy", ports[1]));
    assert!(
        line.ends_with("its first probe failed with a refused connection (check TCP connect)"),
        "{line}"
    );
    assert_eq!(pods(&gateway), BTreeSet::from([names[0].clone()]));
    assert_eq!(admin.get("/admin/health").json()["tenants"]["t"], "1/2 healthy");
    let services = admin.get("/admin/tenants").json()["tenants"][0]["services"].clone();
    assert_eq!(services[0]["health"], "tcp", "{services:#}");

    let second = echo(ports[1]);
    log.wait_after(0, &format!("127.0.0.1:{} is healthy", ports[1]));
    assert_eq!(pods(&gateway), names.iter().cloned().collect());

    let before = log.count();
    drop(second);
    let line = log.wait_after(before, &format!("127.0.0.1:{} is unhealthy", ports[1]));
    assert!(line.contains("3 probes in a row failed"), "{line}");
    assert_eq!(pods(&gateway), BTreeSet::from([names[0].clone()]));
}

/// A file of two tenants, with these further keys of their three services and of the second tenant.
fn file(services: [&str; 3], tenant: &str) -> String {
    format!(
        "\
tenants:
  - name: one
    path_prefix: /one/
    services:
      - {{name: a, url: 'http://10.0.0.1:80'{}}}
      - {{name: b, url: 'http://10.0.0.2:80'{}}}
  - name: two
    path_prefix: /two/
    services: [{{name: c, url: 'http://10.0.0.3:80'{}}}]
{tenant}
",
        services[0], services[1], services[2]
    )
}

#[test]
fn hc05_services_that_nobody_checks_are_one_warning() {
    let all = "nobody checks whether 3 services of this file are there";
    let policy = |check: &str| format!("    policy: {{healthCheck: {{{check}}}}}");
    let (active, passive) = (policy("active: {type: TCP, tcp: {}}"), policy("passive: {}"));
    for (services, tenant, expected) in [
        (["", "", ""], "", Some((5, all))),
        (
            [", health: /x", "", ""],
            "",
            Some((6, "nobody checks whether 2 services of this file are there")),
        ),
        (
            [", health_type: tcp", ", health: ''", ""],
            "",
            Some((9, "nobody checks whether the service c is there")),
        ),
        ([", health_type: none", ", health: ''", ", health: /x"], "", None),
        ([", health: /x", ", health: /x", ""], &active, None),
        ([", health: /x", ", health: /x", ""], &passive, None),
        // It takes a path, and there is none.
        (
            [", health: /x", ", health: /x", ", health_type: http"],
            "",
            Some((9, "nobody checks whether the service c is there")),
        ),
    ] {
        let text = file(services, tenant);
        let finished = weir(&["check", "-o", "json", "-"], &text);
        let report: Value = serde_json::from_str(&finished.stdout).expect("JSON");
        let problems = report["problems"].as_array().expect("a list");
        let found: Vec<_> = problems
            .iter()
            .map(|problem| {
                assert_eq!(problem["code"], "W0417", "{problem:#}");
                (problem["line"].as_u64(), problem["message"].as_str())
            })
            .collect();
        let expected: Vec<_> = expected
            .into_iter()
            .map(|(line, message)| (Some(line), Some(message)))
            .collect();
        assert_eq!(found, expected, "{text}");
        assert_eq!(finished.code, Some(0), "{text}");
    }
}

#[test]
fn hc05_a_reload_does_not_warn_again() {
    let port = free_port();
    let config = |path: &str| {
        format!(
            "server: {{port: {port}}}\ntenants: [{{name: t, path_prefix: {path}, services: \
             [{{name: s, url: 'http://127.0.0.1:1'}}]}}]\n"
        )
    };
    let gateway = Gateway::start(port, &config("/a/"));
    gateway.rewrite(&config("/b/"), "generation 2 in force");
    let said = gateway.process.stderr.text();
    assert_eq!(said.matches("W0417").count(), 1, "{said}");
}

#[test]
fn hc05_a_check_that_cannot_be_is_an_error() {
    for (keys, code, column, effect) in [
        (
            ", health: /x, health_type: tcp",
            "E0105",
            46,
            "the service is checked by connecting to it",
        ),
        (
            ", health: /x, health_type: none",
            "E0105",
            46,
            "the service is used, but not checked",
        ),
        (
            ", health_type: udp",
            "E0104",
            59,
            "the service is used, but not checked",
        ),
        (
            ", health_type: tpc, health: nothing",
            "E0104",
            59,
            "the service is used, but not checked",
        ),
    ] {
        let good = ", health: /x";
        let finished = weir(&["check", "-o", "json", "-"], &file([keys, good, good], ""));
        let report: Value = serde_json::from_str(&finished.stdout).expect("JSON");
        let problems = report["problems"].as_array().expect("a list");
        let problem = problems.iter().find(|problem| problem["code"] == code);
        let problem = problem.unwrap_or_else(|| panic!("{keys}: {problems:#?}"));
        assert_eq!(
            (problem["line"].as_u64(), problem["column"].as_u64()),
            (Some(5), Some(column)),
            "{problem:#}"
        );
        assert_eq!(problem["effect"], effect, "{problem:#}");
        assert!(
            problems.iter().all(|problem| problem["code"] != "W0417"),
            "{problems:#?}"
        );
        assert_eq!(finished.code, Some(3));
    }
}
