//! `weir echo` (row LT01).

use std::net::SocketAddr;

use crate::harness::{Client, Folder, Process, free_port};

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

#[test]
fn lt01_every_port_of_a_range_is_a_backend_of_its_own() {
    let port = free_port();
    let listen = format!("127.0.0.1:{port},127.0.0.1:{}", free_port());
    let mut echo = Process::start(&[
        "echo",
        "--listen",
        &listen,
        "--service",
        "api",
        "--namespace",
        "shop",
    ]);
    echo.stdout
        .wait_after(0, &format!("http://127.0.0.1:{port}/ is echo-{port}"));
    for part in listen.split(',') {
        let address: SocketAddr = part.parse().expect("an address");
        let seen = Client::connect(address).get("/a?b", &[("X-One", "1")]).json();
        assert_eq!(seen["pod"], format!("echo-{}", address.port()));
        assert_eq!(
            (&seen["service"], &seen["namespace"]),
            (&"api".into(), &"shop".into())
        );
        assert_eq!(seen["headers"]["X-One"][0], "1");
    }
    echo.signal("TERM");
    assert_eq!(echo.wait().code(), Some(0));
    assert!(
        echo.stderr.text().contains("stopping after 2 requests"),
        "{}",
        echo.stderr.text()
    );
}

#[test]
fn lt01_errors_delays_and_names_are_flags() {
    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    let echo = Process::start(&[
        "echo",
        "--listen",
        &listen,
        "--error-rate",
        "100%",
        "--delay",
        "20ms",
        "--name",
        "me",
        "-o",
        "json",
    ]);
    let line = echo.stdout.wait_after(0, "weir.echo/v1");
    let value: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(value["backends"][0]["address"], listen);
    assert_eq!(value["backends"][0]["pod"], "me");
    let start = std::time::Instant::now();
    let answer = Client::connect(address(port)).get("/", &[]);
    assert_eq!((answer.status, &answer.json()["pod"]), (500, &"me".into()));
    assert!(start.elapsed().as_millis() >= 20);
}

#[test]
fn lt01_a_journal_outlives_a_backend_that_is_killed() {
    let folder = Folder::new();
    let journal = folder.path().join("journal");
    let ports = [free_port(), free_port()];
    let listen = ports.map(|port| format!("127.0.0.1:{port}")).join(",");
    let mut echo = Process::start(&[
        "echo",
        "--listen",
        &listen,
        "--journal",
        journal.to_str().expect("UTF-8"),
    ]);
    echo.stdout.wait_after(0, &format!("is echo-{}", ports[1]));
    let mut second = Client::connect(address(ports[1]));
    second.get("/a?b=c", &[]);
    second.send("POST /d HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx");
    second.response("POST");
    Client::connect(address(ports[0])).get("/e", &[]);
    // Nobody waits for this one: it is in the journal before its answer is due.
    second.send("GET /f?t=20s HTTP/1.1\r\nHost: h\r\n\r\n");
    let last = format!("{} GET /f?t=20s\n", ports[1]);
    let read = || std::fs::read_to_string(&journal).expect("a journal");
    let deadline = std::time::Instant::now() + crate::harness::PATIENCE;
    while !read().ends_with(&last) {
        assert!(std::time::Instant::now() < deadline, "{}", read());
        std::thread::yield_now();
    }
    echo.signal("KILL");
    echo.wait();
    let expected = format!(
        "{1} GET /a?b=c\n{1} POST /d\n{0} GET /e\n{last}",
        ports[0], ports[1]
    );
    assert_eq!(read(), expected);
}

#[test]
fn lt01_a_taken_port_is_a_failure_with_a_hint() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let listen = taken.local_addr().expect("an address").to_string();
    let finished = crate::harness::weir(&["echo", "--listen", &listen], "");
    assert_eq!(finished.code, Some(1));
    for part in [
        "error: cannot listen",
        &format!("where: {listen}"),
        "why: ",
        "next: ",
    ] {
        assert!(finished.stderr.contains(part), "{part} {finished:?}");
    }
}

#[test]
fn op12_a_second_signal_stops_echo_at_once() {
    let port = free_port();
    let mut echo = Process::start(&["echo", "--listen", &format!("127.0.0.1:{port}")]);
    echo.stdout.wait_after(0, "echo: http");
    let mut client = Client::connect(address(port));
    client.send("GET /?t=0 HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(client.response("GET").status, 200);
    // A request whose body never comes; that it is awaited shows that the request is in progress.
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n");
    client.expect_bytes("HTTP/1.1 100 Continue\r\n\r\n");
    echo.signal("INT");
    echo.stderr.wait_after(0, "stopping after");
    echo.signal("INT");
    assert_eq!(echo.wait().code(), Some(5));
}
