//! What happens between weir and its backends when these fail (scorecard F1, F4 and F10; reliability rows 8, 26 and 27),
//! and when clients leave.

use std::io::Write;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use super::stage::{End, HIDDEN, Raw, SOON, Scripted, Then, get, ok, once, site, site_with, statuses};
use crate::harness::{free_port, listen_on};

const CLOSE: &str = " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n";

/// Answers once on each connection, and when the second request is there, ends it like `then` without an answer.
fn dies_when_reused(then: Then) -> Scripted {
    Scripted::start(move |request, line| match request.index {
        0 => line.ok(&format!("fresh {}", request.connection)),
        _ => then,
    })
}

#[test]
fn f1_row26_a_reused_connection_that_dies_is_retried_for_requests_that_may_be() {
    for then in [Then::Close, Then::Reset] {
        for (method, lines, is_retried) in [
            ("GET", "\r\n", true),
            ("HEAD", "\r\n", true),
            ("OPTIONS", "\r\n", true),
            ("DELETE", "\r\n", true),
            ("PUT", "Content-Length: 5\r\n\r\nhello", true),
            (
                "PUT",
                "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
                true,
            ),
            ("POST", "Content-Length: 5\r\n\r\nhello", false),
            ("POST", "\r\n", false),
            ("PATCH", "Content-Length: 5\r\n\r\nhello", false),
            ("QUERY", "\r\n", false),
            ("get", "\r\n", false),
        ] {
            let backend = dies_when_reused(then);
            let gateway = site_with(&[backend.port()], "", &["--threads", "1"]);
            once(gateway.address, format!("GET /first{CLOSE}\r\n"));
            let (text, end) = once(gateway.address, format!("{method} /second{CLOSE}{lines}"));
            let expected = if is_retried { 200 } else { 502 };
            assert_eq!(
                (statuses(&text), end),
                (vec![expected], End::Closed),
                "{method}, {then:?}: {text}"
            );
            let tries = backend
                .targets()
                .iter()
                .filter(|target| *target == "/second")
                .count();
            assert_eq!(tries, if is_retried { 2 } else { 1 }, "{method}, {then:?}");
            if is_retried && lines.contains("hello") {
                assert!(
                    backend
                        .received()
                        .iter()
                        .skip(1)
                        .all(|received| received.body == b"hello"),
                    "{method}"
                );
            }
        }
    }
}

#[test]
fn f1_row26_a_connection_closed_while_unused_costs_nobody_anything() {
    // Each connection is closed right after its answer: the race that every pool has.
    let backend = Scripted::start(|request, line| {
        line.send(ok(request.target()));
        Then::Close
    });
    let gateway = site_with(&[backend.port()], "", &["--threads", "1"]);
    let mut client = Raw::connect(gateway.address);
    for index in 0..200 {
        client.send(get(&format!("/{index}")));
        client.expect(&format!("\r\n\r\n/{index}"));
        if index % 10 == 0 {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    assert_eq!(backend.received().len(), 200, "each arrived once");
    // With a moment in between, also requests that cannot be sent twice never fail.
    for index in 0..20 {
        std::thread::sleep(Duration::from_millis(5));
        client.send(format!(
            "POST /post/{index} HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"
        ));
        client.expect(&format!("\r\n\r\n/post/{index}"));
    }
}

#[test]
fn f1_row26_a_fresh_connection_that_dies_is_not_retried() {
    for then in [Then::Close, Then::Reset] {
        let backend = Scripted::start(move |_, _| then);
        let gateway = site(&[backend.port()]);
        let (text, _) = once(gateway.address, format!("GET /{CLOSE}\r\n"));
        assert_eq!(statuses(&text), [502], "{text}");
        assert_eq!(backend.received().len(), 1);
    }
}

#[test]
fn f1_row26_a_large_body_is_not_sent_twice_in_part() {
    let backend = dies_when_reused(Then::Close);
    let gateway = site_with(&[backend.port()], "", &["--threads", "1"]);
    once(gateway.address, format!("GET /first{CLOSE}\r\n"));
    let (text, _) = once(
        gateway.address,
        format!(
            "PUT /second{CLOSE}Content-Length: 300000\r\n\r\n{}",
            "x".repeat(300_000)
        ),
    );
    assert_eq!(statuses(&text), [502], "{text}");
    let seconds: Vec<_> = backend
        .received()
        .into_iter()
        .filter(|received| received.target() == "/second")
        .collect();
    assert_eq!(seconds.len(), 1);
    assert_eq!(seconds[0].body.len(), 300_000);
}

#[test]
fn f1_a_refused_connection_goes_to_another_endpoint() {
    let backend = Scripted::polite();
    let (dead, dead_too) = (free_port(), free_port());
    let gateway = site(&[dead, backend.port(), dead_too]);
    let mut client = Raw::connect(gateway.address);
    for index in 0..30 {
        let target = format!("/{index}");
        if index % 2 == 0 {
            client.send(get(&target));
        } else {
            // Nothing was sent, so everything may be tried elsewhere.
            client.send(format!(
                "POST {target} HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"
            ));
        }
        client.expect(&format!(" {target}"));
    }
    assert_eq!(backend.received().len(), 30);
    let nobody = site(&[dead, dead_too]);
    let (text, _) = once(nobody.address, format!("GET /{CLOSE}\r\n"));
    assert!(matches!(statuses(&text)[..], [502 | 503]), "{text}");
}

/// An address that takes no connections and refuses none: its backlog is full.
fn black_hole() -> (Socket, Vec<Socket>, u16) {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    listener.bind(&address.into()).expect("a free port");
    listener.listen(1).expect("a backlog");
    let fill = (0..8)
        .map(|_| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
            socket.set_nonblocking(true).expect("an option");
            // Some are taken, the rest wait for ever.
            let _waiting = socket.connect(&address.into());
            socket
        })
        .collect();
    (listener, fill, address.port())
}

fn connect_timeout(time: &str) -> String {
    format!(
        "\
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: BackendTrafficPolicy
metadata: {{name: timeouts, namespace: default}}
spec:
  targetRefs: [{{group: gateway.networking.k8s.io, kind: HTTPRoute, name: all}}]
  timeout: {{tcp: {{connectTimeout: {time}}}}}
"
    )
}

#[test]
fn f1_a_black_hole_costs_the_connect_timeout_and_no_more() {
    let (_listener, _fill, port) = black_hole();
    let gateway = site_with(&[port], &connect_timeout("700ms"), &[]);
    let started = Instant::now();
    let (text, _) = once(gateway.address, format!("GET /{CLOSE}\r\n"));
    let took = started.elapsed();
    assert!(matches!(statuses(&text)[..], [503 | 504]), "{text}");
    assert!(
        took >= Duration::from_millis(600) && took < Duration::from_millis(2500),
        "{took:?}"
    );
    // Beside a good one, every request is served, some a little later.
    let backend = Scripted::polite();
    let gateway = site_with(&[port, backend.port()], &connect_timeout("300ms"), &[]);
    let clients: Vec<usize> = (0..8).collect();
    super::stage::all(&clients, |_| {
        match once(gateway.address, format!("GET /{CLOSE}\r\n")).0 {
            text if statuses(&text) == [200] => Ok(()),
            text => Err(text),
        }
    });
}

/// A backend in a process of its own, so that it can be killed.
fn process_backend(port: u16, delay: &str) -> Child {
    let child = Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(["echo", "--listen", &format!("127.0.0.1:{port}"), "--delay", delay])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts");
    let deadline = Instant::now() + SOON;
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < deadline, "the backend does not start");
        std::thread::sleep(Duration::from_millis(10));
    }
    child
}

#[test]
fn f1_kill_9_of_one_backend_under_load_loses_only_what_was_in_flight_there() {
    let ports = [free_port(), free_port(), free_port()];
    let mut backends: Vec<_> = ports.iter().map(|port| process_backend(*port, "5ms")).collect();
    let gateway = site(&ports);
    let (answered, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let until = Instant::now() + Duration::from_millis(2500);
    std::thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| {
                let mut client = Raw::connect(gateway.address);
                while Instant::now() < until {
                    client.send(get("/load"));
                    // An echo's answer ends with its JSON, weir's own with its phrase.
                    let (text, end) = client.read_until(SOON, |bytes| {
                        let text = String::from_utf8_lossy(bytes);
                        text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
                            let length = head.lines().find_map(|line| {
                                line.to_ascii_lowercase()
                                    .strip_prefix("content-length: ")
                                    .map(str::to_owned)
                            });
                            length.is_some_and(|length| length.trim().parse() == Ok(body.len()))
                        })
                    });
                    if statuses(&text).first() == Some(&200) {
                        answered.fetch_add(1, Ordering::Relaxed);
                    } else {
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                    if end != End::Open {
                        client = Raw::connect(gateway.address);
                    }
                }
            });
        }
        std::thread::sleep(Duration::from_millis(800));
        backends[0].kill().expect("kill -9");
        let _status = backends[0].wait();
    });
    let (answered, failed) = (answered.into_inner(), failed.into_inner());
    for backend in &mut backends {
        let _ended = backend.kill();
        let _status = backend.wait();
    }
    // GETs on reused connections are sent again, so only those on fresh connections can fail.
    assert!(answered > 500, "{answered} answered");
    assert!(
        failed <= 12,
        "{failed} of {answered} failed: more than were in flight"
    );
}

#[test]
fn f4_row27_kill_9_in_the_middle_of_a_response_is_a_visible_cut() {
    for (name, head) in [
        ("length", "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"),
        (
            "chunks",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nf4240\r\n",
        ),
    ] {
        for then in [Then::Close, Then::Reset] {
            let backend = Scripted::start(move |_, line| {
                line.send(head);
                line.send(vec![b'x'; 100_000]);
                std::thread::sleep(Duration::from_millis(30));
                then
            });
            let gateway = site(&[backend.port()]);
            // On a connection that would live on: the cut must end it.
            let mut client = Raw::connect(gateway.address);
            client.send(get("/"));
            let (text, end) = client.read_all();
            assert_ne!(end, End::Open, "{name}, {then:?}");
            assert!(
                text.len() < 1_000_000 && !text.ends_with("0\r\n\r\n"),
                "{name}, {then:?}"
            );
            assert_eq!(statuses(&text), [200], "{name}, {then:?}: nothing may follow");
        }
    }
}

#[test]
fn f10_row27_a_client_that_has_said_all_still_gets_its_answer() {
    let backend = Scripted::start(|request, line| {
        std::thread::sleep(Duration::from_millis(300));
        line.ok(&format!("{} {}", request.target(), request.body.len()))
    });
    let gateway = site(&[backend.port()]);
    for (request, answer) in [
        (get("/half"), "/half 0"),
        (
            "POST /half HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello".to_owned(),
            "/half 5",
        ),
        (
            "POST /half HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
                .to_owned(),
            "/half 5",
        ),
        ("GET /half HTTP/1.0\r\n\r\n".to_owned(), "/half 0"),
        (get("/one") + &get("/two") + &get("/half"), "/half 0"),
    ] {
        let mut client = Raw::connect(gateway.address);
        client.send(request);
        client.half_close();
        let (text, end) = client.read_all();
        assert!(text.ends_with(answer), "{text}");
        assert_eq!(end, End::Closed);
    }
}

/// How long after a client left the backend noticed; `how` runs when the backend has the request.
fn time_to_cancel(request: &str, reads_body: bool, how: impl FnOnce(Raw)) -> Duration {
    let noticed = Arc::new(std::sync::Mutex::new(None));
    let slot = Arc::clone(&noticed);
    let script = move |request: &super::stage::Received, line: &mut super::stage::Line| {
        if request.target() == "/body" {
            line.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello");
        }
        let _end = line.wait_end(Duration::from_secs(5));
        *slot.lock().expect("a slot") = Some(Instant::now());
        Then::Close
    };
    let backend = Scripted::start_on(free_port(), reads_body, script);
    let gateway = site(&[backend.port()]);
    let mut client = Raw::connect(gateway.address);
    client.send(request);
    let target = request.split(' ').nth(1).expect("a target");
    backend.wait_for(target);
    if target == "/body" {
        client.expect("hello");
    }
    let left = Instant::now();
    how(client);
    loop {
        if let Some(noticed) = *noticed.lock().expect("a slot") {
            return noticed.saturating_duration_since(left);
        }
        assert!(left.elapsed() < Duration::from_secs(6), "nobody noticed");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn f10_row27_an_abort_reaches_the_backend_at_once() {
    // 50 ms is the goal; a busy machine adds its own.
    let limit = Duration::from_millis(400);
    let upload = "POST /upload HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\nhello";
    let took = time_to_cancel(&get("/wait"), true, Raw::abort);
    assert!(took < limit, "while waiting: {took:?}");
    let took = time_to_cancel(upload, false, Raw::abort);
    assert!(took < limit, "uploading: {took:?}");
    let took = time_to_cancel(upload, false, drop);
    assert!(took < limit, "an upload that ends early: {took:?}");
    let took = time_to_cancel(
        "POST /upload HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        false,
        |client| {
            client.half_close();
            std::thread::sleep(Duration::from_millis(300));
        },
    );
    assert!(took < limit, "chunks that end early: {took:?}");
}

// As browsers do: FIN first, and a reset when something comes after all.
#[test]
fn f10_row27_a_closed_client_frees_the_backend_with_its_first_bytes() {
    let stopped = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&stopped);
    let backend = Scripted::start(move |_, line| {
        line.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        for _ in 0..200 {
            if !line.send("5\r\nhello\r\n") {
                count.fetch_add(1, Ordering::SeqCst);
                return Then::Close;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Then::Close
    });
    let gateway = site(&[backend.port()]);
    let mut client = Raw::connect(gateway.address);
    client.send(get("/"));
    client.expect("hello");
    drop(client);
    let deadline = Instant::now() + Duration::from_millis(1500);
    while stopped.load(Ordering::SeqCst) == 0 {
        assert!(Instant::now() < deadline, "the backend still sends to nobody");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn f4_row27_aborts_of_all_kinds_leave_the_gateway_sound() {
    let backend = Scripted::start(|request, line| {
        if request.connection % 3 == 1 {
            line.send("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhal");
            return Then::Reset;
        }
        line.ok(request.target())
    });
    let gateway = site(&[backend.port()]);
    let clients: Vec<usize> = (0..400).collect();
    super::stage::all(&clients, |number| {
        let mut client = Raw::connect(gateway.address);
        match number % 8 {
            0 => {
                client.send(get("/x"));
                client.abort();
            }
            1 => {
                client.send("GET / HT");
                client.abort();
            }
            2 => {
                client.send(format!(
                    "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n{HIDDEN}"
                ));
                client.abort();
            }
            3 => {
                client.send(get("/x").repeat(20));
                drop(client);
            }
            4 => {
                client.send("POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe");
                client.abort();
            }
            5 => drop(client),
            6 => client.abort(),
            _ => {
                client.send(format!("GET /x{CLOSE}\r\n"));
                client.read_all();
            }
        }
        Ok(())
    });
    assert!(!backend.targets().contains(&"/hidden".to_owned()));
    // Everything that was opened is closed: files go back to what they were.
    let files = || {
        std::fs::read_dir(format!("/proc/{}/fd", gateway.process.id()))
            .expect("it lives")
            .count()
    };
    let deadline = Instant::now() + Duration::from_secs(5);
    while files() > 60 {
        assert!(Instant::now() < deadline, "{} files are open", files());
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut served = 0;
    for _ in 0..30 {
        let (text, _) = once(gateway.address, format!("GET /end{CLOSE}\r\n"));
        served += usize::from(text.ends_with("/end"));
    }
    assert!(served >= 15, "{served}");
}

#[test]
fn f5_a_backend_that_returns_is_used_at_once() {
    let port = free_port();
    let gateway = site(&[port]);
    let (text, _) = once(gateway.address, format!("GET /{CLOSE}\r\n"));
    assert!(matches!(statuses(&text)[..], [502 | 503]), "{text}");
    let listener = listen_on(port);
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        stream.write_all(ok("back").as_bytes()).expect("it is read");
        std::thread::sleep(Duration::from_millis(200));
    });
    let (text, _) = once(gateway.address, format!("GET /{CLOSE}\r\n"));
    assert!(text.ends_with("back"), "{text}");
    server.join().expect("the server ends");
}

/// Timeouts of the route itself.
fn timed(timeouts: &str) -> String {
    super::stage::route("timed", "/timed").replace(
        "    - matches",
        &format!("    - timeouts: {timeouts}\n      matches"),
    )
}

#[test]
fn f2_a_backend_that_stalls_costs_its_timeout() {
    let backend = Scripted::start(|request, line| {
        let (first, rest) = match request.target() {
            "/timed/mute" => ("", ""),
            "/timed/head" => ("HTTP/1.1 200 OK\r\nX: ", "y"),
            _ => ("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", "x"),
        };
        line.send(first);
        for _ in 0..60 {
            std::thread::sleep(Duration::from_millis(50));
            if !line.send(rest) {
                break;
            }
        }
        Then::Close
    });
    let gateway = site_with(&[backend.port()], &timed("{request: 500ms}"), &[]);
    for (target, status) in [("/timed/mute", 504), ("/timed/head", 504), ("/timed/body", 200)] {
        let started = Instant::now();
        let (text, end) = once(gateway.address, format!("GET {target}{CLOSE}\r\n"));
        let took = started.elapsed();
        assert_eq!(statuses(&text), [status], "{target}: {text}");
        assert_ne!(end, End::Open, "{target}");
        assert!(status == 504 || text.len() < 1000, "{target}: {text}");
        assert!(
            took >= Duration::from_millis(400) && took < Duration::from_millis(2000),
            "{target}: {took:?}"
        );
    }
}

// A client that has sent something behind its request and then breaks the connection.
#[test]
fn f10_row27_an_abort_behind_a_pipelined_request_reaches_the_backend() {
    let took = time_to_cancel(&(get("/wait") + &get("/second")), true, Raw::abort);
    assert!(took < Duration::from_millis(500), "{took:?}");
    let took = time_to_cancel(&get("/wait"), true, |mut client| {
        client.send(get("/second"));
        std::thread::sleep(Duration::from_millis(100));
        client.abort();
    });
    assert!(took < Duration::from_millis(700), "{took:?}");
}

// A client that breaks the connection in the middle of a response that stalls.
#[test]
fn f10_row27_an_abort_in_a_stalled_response_reaches_the_backend() {
    let took = time_to_cancel(&get("/body"), true, Raw::abort);
    assert!(took < Duration::from_millis(500), "{took:?}");
}

#[test]
fn f10_row8_an_early_refusal_of_an_upload_reaches_the_client() {
    // Like servers that refuse large bodies: an answer, and a close that becomes a reset because nothing was read.
    let backend = Scripted::start_early(|_, line| {
        line.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig");
        Then::Close
    });
    let gateway = site(&[backend.port()]);
    let data = "x".repeat(4_000_000);
    // Neither comes to its end: sockets might take all of it before a slow backend answers, and a connection whose
    // request is over lives on.
    let requests = [
        format!(
            "POST /up HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{data}",
            data.len() + 1
        ),
        format!(
            "PUT /up HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{data}\r\n",
            data.len()
        ),
    ];
    let rounds: Vec<usize> = (0..20).collect();
    super::stage::all(&rounds, |round| {
        // Reads beside its writing, as clients should.
        let mut writer = Raw::connect(gateway.address);
        let mut reader = Raw(writer.0.try_clone().expect("a second handle"));
        let request = &requests[round % 2];
        let (text, end) = std::thread::scope(|scope| {
            scope.spawn(move || writer.send(request));
            let answer = reader.read_for(SOON);
            // Whoever still writes is stopped.
            let _stopped = reader.0.shutdown(std::net::Shutdown::Both);
            answer
        });
        match statuses(&text)[..] {
            [413] if end != End::Open => Ok(()),
            _ => Err(format!("{round}: {end:?} {text:?}")),
        }
    });
    assert_eq!(backend.received().len(), rounds.len(), "nothing is sent twice");
}
