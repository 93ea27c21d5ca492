//! Connections over time: reused, found dead, ended; and the end of the gateway.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use crate::harness::{Backend, Client, Plan, Rig, eventually, read_head, read_request, respond};
use weir_proxy::{AccessLog, Options};

#[test]
fn one_connection_each_way_carries_many_requests() {
    let backend = Backend::named("a");
    let rig = Rig::new(&Plan::to(&[backend.address]));
    let mut client = rig.client();
    for _ in 0..50 {
        assert_eq!(client.get("/").text(), "a");
    }
    for _ in 0..10 {
        assert_eq!(rig.get("/").text(), "a");
    }
    assert_eq!(backend.connections(), 1);
}

#[test]
fn an_endpoint_that_closes_after_each_response_is_no_failure() {
    let backend = Backend::scripted(|_, stream| {
        read_request(stream).unwrap();
        stream
            .get_mut()
            .write_all(&respond(200, "Connection: close\r\n", b"bye"))
            .unwrap();
    });
    let rig = Rig::new(&Plan::to(&[backend.address]));
    let mut client = rig.client();
    for _ in 0..20 {
        assert_eq!(client.get("/").text(), "bye");
    }
    assert_eq!(backend.connections(), 20);
}

/// Serves `served` requests on each connection, and closes or resets it when the next one has arrived.
fn dies_after(served: usize, reset: bool) -> (Backend, Arc<AtomicUsize>) {
    let arrived = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&arrived);
    let backend = Backend::scripted(move |_, stream| {
        for _ in 0..served {
            let Some(_) = read_request(stream) else { return };
            counter.fetch_add(1, Ordering::SeqCst);
            stream.get_mut().write_all(&respond(200, "", b"ok")).unwrap();
        }
        if read_head(stream).is_some() {
            counter.fetch_add(1, Ordering::SeqCst);
        }
        if reset {
            socket2::SockRef::from(stream.get_ref())
                .set_linger(Some(Duration::ZERO))
                .unwrap();
        }
    });
    (backend, arrived)
}

#[test]
fn row26_a_connection_that_dies_unanswered_is_replaced_when_that_is_safe() {
    for reset in [false, true] {
        let (backend, _) = dies_after(1, reset);
        let rig = Rig::new(&Plan::to(&[backend.address]));
        let mut client = rig.client();
        for _ in 0..10 {
            assert_eq!(client.get("/").status, 200, "{reset}");
        }
        client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
        assert_eq!(
            client.response().status,
            200,
            "a small body is still there to be sent again"
        );
    }
}

#[test]
fn row26_what_may_count_twice_is_never_sent_twice() {
    for reset in [false, true] {
        let (backend, arrived) = dies_after(1, reset);
        let rig = Rig::new(&Plan::to(&[backend.address]));
        let mut client = rig.client();
        assert_eq!(client.get("/").status, 200);
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
        let response = client.response();
        assert_eq!((response.status, response.reason()), (502, "upstream_closed"));
        assert_eq!(arrived.load(Ordering::SeqCst), 2, "the second one arrived once");
    }
}

#[test]
fn row26_a_fresh_connection_is_not_tried_again() {
    let (backend, arrived) = dies_after(0, false);
    let rig = Rig::new(&Plan::to(&[backend.address]));
    assert_eq!(rig.get("/").status, 502);
    assert_eq!(arrived.load(Ordering::SeqCst), 1);
}

#[test]
fn f1_an_endpoint_that_closes_its_unused_connections_costs_nothing() {
    let (close, commands) = mpsc::channel::<()>();
    let (closed, acknowledged) = mpsc::channel::<()>();
    let ends = std::sync::Mutex::new((commands, closed));
    let backend = Backend::scripted(move |_, stream| {
        read_request(stream).unwrap();
        stream.get_mut().write_all(&respond(200, "", b"ok")).unwrap();
        let (commands, closed) = &*ends.lock().unwrap();
        commands.recv().unwrap();
        stream.get_ref().shutdown(std::net::Shutdown::Both).unwrap();
        closed.send(()).unwrap();
    });
    let rig = Rig::new(&Plan::to(&[backend.address]));
    let mut client = rig.client();
    for number in 0..50 {
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(client.response().status, 200, "{number}");
        close.send(()).unwrap();
        acknowledged.recv().unwrap();
    }
    assert_eq!(backend.connections(), 50);
}

#[test]
fn g3_a_drain_finishes_what_is_under_way_and_ends_the_rest() {
    let (answer, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let backend = Backend::scripted(move |_, stream| {
        while read_request(stream).is_some() {
            wait.lock().unwrap().recv().unwrap();
            stream.get_mut().write_all(&respond(200, "", b"done")).unwrap();
        }
    });
    let rig = Rig::with(
        &Plan::to(&[backend.address]),
        Options {
            workers: 2,
            ..Options::default()
        },
    );
    let mut idle = rig.client();
    let mut busy = rig.client();
    busy.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("the request arrives", || backend.connections() == 1);
    eventually("both are accepted", || rig.gateway.stats().connections_open == 2);
    std::thread::scope(|scope| {
        let drained = scope.spawn(|| rig.gateway.drain(Duration::from_secs(5)));
        assert!(idle.is_closed());
        eventually("nothing new is accepted", || {
            std::net::TcpStream::connect(rig.address).is_err()
        });
        answer.send(()).unwrap();
        let response = busy.response();
        assert_eq!(
            (response.text(), response.field("connection")),
            ("done", Some("close"))
        );
        assert_eq!(drained.join().unwrap().connections_cut, 0);
    });
}

#[test]
fn g3_what_does_not_finish_in_time_is_cut_and_counted() {
    let backend = Backend::scripted(|_, stream| {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
    });
    let rig = Rig::new(&Plan::to(&[backend.address]));
    let mut client = rig.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("the request arrives", || backend.connections() == 1);
    let start = Instant::now();
    assert_eq!(rig.gateway.drain(Duration::from_millis(100)).connections_cut, 1);
    assert!(start.elapsed() < Duration::from_secs(10));
    assert!(client.head().is_err());
}

#[test]
fn connections_spread_over_workers() {
    let backend = Backend::named("a");
    let rig = Rig::with(
        &Plan::to(&[backend.address]),
        Options {
            workers: 4,
            ..Options::default()
        },
    );
    let mut clients: Vec<Client> = (0..40).map(|_| rig.client()).collect();
    for client in &mut clients {
        assert_eq!(client.get("/").status, 200);
    }
    // Each worker has its own endpoint connections: all four have served.
    assert_eq!(backend.connections(), 4);
}

#[test]
fn the_access_log_has_one_line_of_json_for_each_exchange() {
    let backend = Backend::answering(|_| respond(201, "", b"four"));
    let directory = std::env::temp_dir().join(format!("weir-it-log-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let path = directory.join("access.log");
    let mut plan = Plan::to(&[backend.address]);
    plan.rules[0].matches[0].path = weir_model::PathMatch::Prefix("/in".into());
    let options = Options {
        workers: 1,
        access_log: AccessLog::File(path.clone()),
        ..Options::default()
    };
    let rig = Rig::with(&plan, options);
    let mut client = rig.client();
    client.send("POST /in?a=\"b HTTP/1.1\r\nHost: h\r\nUser-Agent: u\\a\r\nContent-Length: 3\r\n\r\nabc");
    assert_eq!(client.response().status, 201);
    assert_eq!(client.get("/out").status, 404);
    rig.gateway.drain(Duration::from_secs(5));
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    let id = backend.take().field("x-request-id").unwrap().to_owned();
    for part in [
        r#""method":"POST""#,
        r#""path":"/in?a=\"b""#,
        r#""status":201"#,
        r#""reason":"via_upstream""#,
        r#""bytes_received":3,"bytes_sent":4"#,
        r#""user_agent":"u\\a""#,
        r#""authority":"h""#,
        &format!(r#""request_id":"{id}""#),
        &format!(r#""endpoint":"{}""#, backend.address),
        r#""backend":"service/default/only/80""#,
        r#""policy":"LeastRequest""#,
        r#""client_ip":"127.0.0.1""#,
        r#""route":"httproute/default/route/rule/0""#,
    ] {
        assert!(lines[0].contains(part), "{part} in {}", lines[0]);
    }
    assert!(
        lines[1].contains(r#""status":404,"reason":"no_route""#),
        "{}",
        lines[1]
    );
    assert!(
        lines
            .iter()
            .all(|line| line.starts_with(r#"{"start_time":"2"#) && line.ends_with('}'))
    );
    std::fs::remove_dir_all(&directory).unwrap();
}
