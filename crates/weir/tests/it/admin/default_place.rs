//! Where the admin API is when nobody says where, and a status that is shown again and again.

use std::net::TcpListener;

use super::api::start;
use crate::harness::{
    Backends, Client, Folder, Gateway, PATIENCE, Process, ROUTE, free_port, gateway_and_service,
};

const DEFAULT: &str = "127.0.0.1:19000";

#[test]
fn op04_a_default_port_in_use_is_a_warning_and_everything_else_is_served() {
    let backends = Backends::start(1);
    let (folder, port) = (Folder::new(), free_port());
    let config = gateway_and_service(port, &backends.ports()) + ROUTE;
    let path = folder.write("weir.yaml", &config);
    let path = path.to_str().expect("UTF-8");
    // When it cannot be taken here somebody else has it, which is as good.
    let _taken = TcpListener::bind(DEFAULT);
    let process = Process::start_undirected(&["run", "-c", path]);
    let log = &process.stderr;
    let line = log.wait_after(0, &format!("no admin API on {DEFAULT}"));
    assert!(line.starts_with("weir: warning: "), "{line}");
    assert!(
        line.contains("choose another address with --admin, or --admin off"),
        "{line}"
    );
    log.wait_after(0, "generation 1 in force");
    Client::connect(([127, 0, 0, 1], port).into()).get("/", &[]).pod();
    assert!(
        !log.text().contains(&format!("admin on {DEFAULT}")),
        "{}",
        log.text()
    );
}

#[test]
fn op11_a_status_that_is_watched_follows_what_happens_and_ends_with_the_gateway() {
    let backends = Backends::start(2);
    let (gateway, admin) = start(&backends);
    let place = admin.address.to_string();
    let watch = |flags: &[&str]| {
        let arguments = [&["status", "--watch", "100ms", "--admin", &place][..], flags].concat();
        Process::start(&arguments)
    };
    let (mut shown, json) = (watch(&[]), watch(&["-o", "json"]));
    shown.stdout.wait_after(0, "healthy  generation 1, as on disk");
    json.stdout.wait_after(0, "weir.status/v1");
    // Nothing happens, and it is shown again.
    for process in [&shown, &json] {
        let lines = process.stdout.count();
        process.stdout.wait_after(lines, "generation");
    }
    let fewer = gateway_and_service(gateway.address.port(), &backends.ports()[..1]) + ROUTE;
    gateway.rewrite(&fewer, "generation 2 in force");
    let before = shown.stdout.count();
    shown
        .stdout
        .wait_after(before, "healthy  generation 2, as on disk");
    shown.stdout.wait_after(before, "1 of 1 serving");

    drop(gateway);
    assert_eq!(shown.wait().code(), Some(4));
    shown.stderr.wait_after(0, "cannot reach a running weir");
}

#[test]
fn op11_watching_nobody_is_4_at_once_and_too_short_a_pause_is_no_busy_loop() {
    let nobody = format!("127.0.0.1:{}", free_port());
    let mut watched = Process::start(&["status", "-w", "--admin", &nobody]);
    assert_eq!(watched.wait().code(), Some(4));

    let (gateway, admin) = start(&Backends::start(1));
    let place = admin.address.to_string();
    let begun = std::time::Instant::now();
    let watched = Process::start(&["status", "--watch", "1ms", "--admin", &place]);
    let mut seen = 0;
    while seen < 4 {
        watched.stdout.wait_after(seen, "healthy  generation");
        seen = watched.stdout.text().matches("healthy  generation").count();
        assert!(begun.elapsed() < PATIENCE, "it goes on");
        std::thread::yield_now();
    }
    // Four times with a tenth of a second in between.
    assert!(begun.elapsed().as_millis() >= 300, "{:?}", begun.elapsed());
    drop::<Gateway>(gateway);
}
