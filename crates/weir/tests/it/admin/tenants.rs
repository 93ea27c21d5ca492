//! Tenants through the admin API, with keystone's keys (rows OP01 to OP04).

use std::time::Instant;

use crate::harness::{ADMIN, Admin, Backends, Client, Folder, PATIENCE, Process, free_port};

fn tenants(port: u16, ports: &[u16], more: &str) -> String {
    let service = |(number, port): (usize, &u16)| {
        format!(
            "      - {{name: api-{number}, url: 'http://127.0.0.1:{port}/?key=hidden', health: /health}}\n"
        )
    };
    let services: String = (1..).zip(ports).map(service).collect();
    format!(
        "{more}server: {{port: {port}, address: 127.0.0.1}}\ntenants:\n  - name: api\n    path_prefix: /api/\n    health_interval: 1\n    services:\n{services}"
    )
}

fn start(config: &str) -> (Folder, Process, Admin) {
    let folder = Folder::new();
    let path = folder.write("tenants.yaml", config);
    let arguments = [&["run", "-c", path.to_str().expect("UTF-8")][..], &ADMIN].concat();
    let process = Process::start(&arguments);
    process.stderr.wait_after(0, "generation 1 in force");
    let admin = Admin::of(&process);
    (folder, process, admin)
}

fn wait_for(admin: &mut Admin, path: &str, is_it: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = admin.get(path).json();
        if is_it(&found) {
            return found;
        }
        assert!(Instant::now() < deadline, "{found:#}");
    }
}

#[test]
fn op01_op02_op03_a_dead_backend_is_seen_in_keystones_words() {
    let backends = Backends::start(1);
    let dead = free_port();
    let config = tenants(free_port(), &[backends.ports()[0], dead], "");
    let (_folder, _process, mut admin) = start(&config);
    let health = wait_for(&mut admin, "/admin/health", |health| {
        health["tenants"]["api"] == "1/2 healthy"
    });
    assert_eq!(health["status"], "degraded");
    let keys: Vec<&String> = health.as_object().expect("an object").keys().collect();
    assert_eq!(keys, ["status", "tenants", "uptime", "version"]);
    assert!(
        health["uptime"]
            .as_str()
            .is_some_and(|uptime| uptime.ends_with('s'))
    );

    let listed = admin.get("/admin/tenants").json();
    let tenant = &listed["tenants"][0];
    assert_eq!(
        (&tenant["name"], &tenant["status"]),
        (&"api".into(), &"degraded".into())
    );
    assert_eq!(tenant["routing"]["path_prefix"], "/api/");
    assert!(!listed.to_string().contains("key=hidden"), "{listed:#}");

    let path = "/admin/tenants/api/health";
    let found = wait_for(&mut admin, path, |found| {
        !found["services"][1]["last_check"].is_null()
    });
    assert_eq!(found["services"][0]["status"], "healthy");
    assert_eq!(found["services"][1]["status"], "unhealthy");
    let cause = found["services"][1]["cause"].as_str().expect("a cause");
    assert!(cause.contains("refused connection"), "{cause}");
    assert_eq!(admin.get("/admin/tenants/other/health").status, 404);
}

#[test]
fn op01_op03_nothing_healthy_is_503_where_that_is_asked_for() {
    let (_folder, _process, mut admin) = start(&tenants(free_port(), &[free_port()], ""));
    wait_for(&mut admin, "/admin/health", |health| {
        health["tenants"]["api"] == "0/1 healthy"
    });
    assert_eq!(admin.get("/admin/health").status, 200, "as keystone does");
    assert_eq!(admin.get("/admin/health?strict").status, 503);
    assert_eq!(admin.get("/admin/tenants/api/health").status, 503);
}

#[test]
fn op04_a_base_path_of_a_file_is_served_and_shadows_no_tenant() {
    let backends = Backends::start(1);
    let port = free_port();
    let config = tenants(port, &backends.ports(), "admin_base_path: /ops\n").replace("/api/\n", "/admin/\n");
    let (_folder, process, mut admin) = start(&config);
    for base in ["/ops", "/admin"] {
        assert_eq!(admin.get(&format!("{base}/tenants")).status, 200, "{base}");
    }
    process.stderr.wait_after(0, "is healthy");
    let mut client = Client::connect(([127, 0, 0, 1], port).into());
    let answer = client.get("/admin/health", &[]).json();
    assert_eq!(answer["pod"], "backend-1", "the tenant's own path: {answer:#}");
}
