//! Signals, exit codes and files of `weir run`.

use std::net::TcpStream;

use crate::harness::{
    Backends, Client, Folder, Gateway, Process, example_on, free_port, gateway_and_service, weir,
};

/// A gateway on the example with these flags.
fn start(flags: &[&str]) -> (Backends, Gateway) {
    let backends = Backends::start(4);
    let port = free_port();
    let gateway = Gateway::start_with(port, &example_on(port, &backends.ports()), flags);
    (backends, gateway)
}

/// A client with a request in progress that takes `time`.
fn busy(gateway: &Gateway, backends: &Backends, time: &str) -> Client {
    let before: u64 = backends.requests().iter().sum();
    let mut client = Client::connect(gateway.address);
    client.send(format!(
        "GET /round?t={time} HTTP/1.1\r\nHost: www.example.com\r\n\r\n"
    ));
    while backends.requests().iter().sum::<u64>() == before {
        std::thread::yield_now();
    }
    client
}

/// Waits until the process has ended.
fn expect_exit(gateway: &mut Gateway, code: i32) {
    let status = gateway.process.wait();
    assert_eq!(status.code(), Some(code), "{}", gateway.process.stderr.text());
}

#[test]
fn op12_term_finishes_what_is_in_progress_and_takes_nothing_new() {
    for signal in ["TERM", "INT"] {
        let (backends, mut gateway) = start(&[]);
        let mut idle = Client::connect(gateway.address);
        assert_eq!(idle.get("/round", &[]).status, 200);
        let mut client = busy(&gateway, &backends, "400ms");
        gateway.process.signal(signal);
        gateway.process.stderr.wait_after(0, "draining");
        let answer = client.response("GET");
        assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
        drop(client);
        idle.expect_close();
        expect_exit(&mut gateway, 0);
        assert!(TcpStream::connect(gateway.address).is_err());
    }
}

#[test]
fn op12_a_second_signal_ends_at_once_with_5() {
    let (backends, mut gateway) = start(&[]);
    let _client = busy(&gateway, &backends, "600s");
    gateway.process.signal("TERM");
    gateway.process.stderr.wait_after(0, "draining");
    gateway.process.signal("TERM");
    expect_exit(&mut gateway, 5);
}

#[test]
fn op12_quit_and_a_drain_that_takes_too_long_do_not_wait_for_requests() {
    for (signal, flags, code) in [("TERM", &["--drain-timeout", "200ms"][..], 5), ("QUIT", &[], 0)] {
        let (backends, mut gateway) = start(flags);
        let _client = busy(&gateway, &backends, "600s");
        gateway.process.signal(signal);
        expect_exit(&mut gateway, code);
    }
}

#[test]
fn op11_a_configuration_that_serves_nothing_ends_with_3() {
    let folder = Folder::new();
    let example = example_on(free_port(), &[1, 2, 3, 4]);
    let services = example.find("apiVersion: v1\nkind: Service").expect("a Service");
    let routes = example.find("---\n# Each backend in turn.").expect("a route");
    let only_services = &example[services..routes];
    for (text, flags, part) in [
        (
            "kind: [\n",
            vec![],
            "the configuration has errors and no listener",
        ),
        (only_services, vec![], "the configuration has no listener"),
        (
            &*example.replace(
                "name: backend\n          port: 3000",
                "name: nobody\n          port: 3000",
            ),
            vec!["--strict"],
            "the configuration has errors",
        ),
    ] {
        let path = folder.write("weir.yaml", text);
        let mut arguments = vec!["run", "-c", path.to_str().expect("UTF-8")];
        arguments.extend(flags);
        let finished = weir(&arguments, "");
        assert_eq!(finished.code, Some(3), "{part} {finished:?}");
        assert!(
            finished.stderr.contains(&format!("error: {part}\n  where: ")),
            "{part} {}",
            finished.stderr
        );
    }
    let missing = weir(&["run", "-c", "/nonexistent/weir.yaml"], "");
    assert_eq!(missing.code, Some(3), "{missing:?}");
}

#[test]
fn op11_a_taken_port_ends_with_1_when_nothing_else_can_be_served() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port();
    let folder = Folder::new();
    let path = folder.write("weir.yaml", &example_on(port, &[1, 2, 3, 4]));
    let finished = weir(&["run", "-c", path.to_str().expect("UTF-8")], "");
    assert_eq!(finished.code, Some(1), "{finished:?}");
    for part in [
        format!("cannot listen on 127.0.0.1:{port}"),
        "no listener could be opened".to_owned(),
    ] {
        assert!(finished.stderr.contains(&part), "{part} {}", finished.stderr);
    }
}

#[test]
fn op11_a_taken_port_does_not_keep_the_other_listener_from_serving() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken_port = taken.local_addr().expect("an address").port();
    let backends = Backends::start(1);
    let port = free_port();
    let route = "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r}\nspec:\n  \
                 parentRefs: [{name: eg}]\n  rules: [{backendRefs: [{name: backend, port: 3000}]}]\n";
    let config = gateway_and_service(port, &backends.ports()) + route;
    let both = config.replace(
        "  listeners:\n",
        &format!("  listeners:\n    - {{name: taken, protocol: HTTP, port: {taken_port}}}\n"),
    );
    let gateway = Gateway::start(port, &both);
    assert_eq!(Client::connect(gateway.address).get("/", &[]).status, 200);
    assert!(
        gateway.process.stderr.text().contains("cannot listen on"),
        "{}",
        gateway.process.stderr.text()
    );
}

#[test]
fn op11_the_pidfile_holds_the_process_and_goes_with_it() {
    let folder = Folder::new();
    let pidfile = folder.path().join("weir.pid");
    let (_backends, mut gateway) = start(&["--pidfile", pidfile.to_str().expect("UTF-8")]);
    let mut client = Client::connect(gateway.address);
    assert_eq!(client.get("/round", &[]).status, 200);
    let text = std::fs::read_to_string(&pidfile).expect("a pidfile");
    assert_eq!(
        text.trim().parse::<u32>().expect("a number"),
        gateway.process.id()
    );
    gateway.process.signal("TERM");
    expect_exit(&mut gateway, 0);
    assert!(!pidfile.exists());
}

#[test]
fn op11_usr1_opens_the_access_log_again() {
    let folder = Folder::new();
    let log = folder.path().join("access.log");
    let (_backends, mut gateway) = start(&["--access-log", log.to_str().expect("UTF-8")]);
    let mut client = Client::connect(gateway.address);
    assert_eq!(client.get("/round?first", &[]).status, 200);
    let moved = folder.path().join("old.log");
    std::fs::rename(&log, &moved).expect("moved");
    gateway.process.signal("USR1");
    while !log.exists() {
        std::thread::yield_now();
    }
    assert_eq!(client.get("/round?second", &[]).status, 200);
    drop(client);
    gateway.process.signal("TERM");
    expect_exit(&mut gateway, 0);
    let read = |path: &std::path::Path| std::fs::read_to_string(path).expect("a log");
    let (old, new) = (read(&moved), read(&log));
    assert_eq!((old + &new).lines().count(), 2);
    for line in new.lines() {
        let record: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(record["status"], 200, "{record}");
    }
    assert!(new.contains("second"), "{new}");
}

#[test]
fn op11_usr2_is_answered_in_the_log_and_ends_nothing() {
    let (_backends, mut gateway) = start(&[]);
    let mut client = Client::connect(gateway.address);
    assert_eq!(client.get("/round", &[]).status, 200);
    gateway.process.signal("USR2");
    gateway.process.stderr.wait_after(0, "not supported yet");
    assert_eq!(client.get("/round", &[]).status, 200);
    drop(client);
    gateway.process.signal("TERM");
    expect_exit(&mut gateway, 0);
}

#[test]
fn op11_the_log_is_json_lines_when_asked_for() {
    let port = free_port();
    let folder = Folder::new();
    let path = folder.write("weir.yaml", &example_on(port, &[1, 2, 3, 4]));
    let process = Process::start(&["run", "-c", path.to_str().expect("UTF-8"), "--log", "info,json"]);
    let line = process.stderr.wait_after(0, "\"generation\"");
    let event: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(
        (&event["event"], &event["generation"]),
        (&"generation".into(), &1.into())
    );
    assert_eq!((&event["routes"], &event["endpoints"]), (&7.into(), &4.into()));
    for line in process.stderr.text().lines() {
        serde_json::from_str::<serde_json::Value>(line).expect("every line is JSON");
    }
}

#[test]
fn op11_a_local_answer_says_why_when_asked_to() {
    let (_backends, gateway) = start(&["--reason-header"]);
    let missed = Client::connect(gateway.address).get("/nowhere", &[]);
    assert!(
        missed.status == 404 && missed.header("x-weir-reason").is_some(),
        "{missed:?}"
    );
    let (_backends, gateway) = start(&[]);
    let missed = Client::connect(gateway.address).get("/nowhere", &[]);
    assert_eq!((missed.status, missed.header("x-weir-reason")), (404, None));
}
