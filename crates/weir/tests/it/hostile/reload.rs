//! A configuration that is broken, half written, taken away or changed all the time (scorecard G1 and G6): what runs goes
//! on, and what can be served is.

use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::stage::{End, Raw, SOON, Scripted, Site, get, once, route, statuses};
use crate::harness::{Gateway, PATIENCE, free_port, gateway_and_service, listen_on};

fn status_of(address: SocketAddr, target: &str) -> u16 {
    let (text, _) = once(
        address,
        format!("GET {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"),
    );
    match statuses(&text)[..] {
        [status] => status,
        _ => panic!("{target}: {text:?}"),
    }
}

/// A listener more for the Gateway of [`gateway_and_service`].
fn with_listener(config: &str, port: u16, more: u16) -> String {
    let first = format!("    - {{name: http, protocol: HTTP, port: {port}}}\n");
    assert!(config.contains(&first));
    config.replace(
        &first,
        &format!("{first}    - {{name: more, protocol: HTTP, port: {more}}}\n"),
    )
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn g6_garbage_over_a_live_file_changes_nothing() {
    let backend = Scripted::polite();
    let port = free_port();
    let good = gateway_and_service(port, &[backend.port()]) + &route("all", "/a");
    let gateway = Site::from(Gateway::start(port, &good));
    let deep = "[".repeat(100_000);
    let aliases = "a: &a [x,x,x,x,x,x,x,x]\n".to_owned()
        + &(1..30)
            .map(|index| {
                format!(
                    "b{index}: &b{index} [*{prev},*{prev},*{prev},*{prev},*{prev},*{prev},*{prev},*{prev}]\n",
                    prev = if index == 1 {
                        "a".to_owned()
                    } else {
                        format!("b{}", index - 1)
                    }
                )
            })
            .collect::<String>();
    let regex = route("all", "/a").replace(
        "PathPrefix, value: /a",
        "RegularExpression, value: '(((((a{100}){100}){100}){100}){100})'",
    );
    let broken: Vec<Vec<u8>> = vec![
        b"kind: [".to_vec(),
        b"\0\0\0\0".to_vec(),
        vec![0xff; 4096],
        b"\xef\xbb\xbf---\nkind: {".to_vec(),
        good.as_bytes()[..good.len() / 2].to_vec(),
        good.as_bytes()[..good.len() - 20].to_vec(),
        good.replace("  ", "\t").into_bytes(),
        good.replace("port: 3000", "port: 300000").into_bytes(),
        good.replace("kind: HTTPRoute", "kind: [HTTPRoute]").into_bytes(),
        good.replace("rules:", "rulez:")
            .replace("HTTPRoute", "HTTPRouter")
            .into_bytes()[..200]
            .to_vec(),
        deep.into_bytes(),
        aliases.into_bytes(),
        (gateway_and_service(port, &[backend.port()]) + &regex).into_bytes(),
        b"!!binary |\n  R0lGODlhDAAMAIQAAP\n".to_vec(),
        b"&a [*a]\n".to_vec(),
        b"? [\n".to_vec(),
        "kind: Gateway\n".repeat(20_000).into_bytes(),
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: {}, namespace: default}}\n",
            "x".repeat(1_000_000)
        )
        .into_bytes(),
    ];
    let mut client = Raw::connect(gateway.address);
    for (number, bytes) in broken.iter().enumerate() {
        // Written in place, as a careless tool does, and long enough to be noticed.
        std::fs::write(gateway.path(), bytes).expect("written");
        gateway.process.signal("HUP");
        let until = Instant::now() + Duration::from_millis(250);
        while Instant::now() < until {
            client.send(get("/a/still"));
            let (text, end) = client.read_until(SOON, |bytes| {
                bytes.ends_with(b"/a/still") || bytes.ends_with(b"\n")
            });
            assert_eq!(
                (statuses(&text), end),
                (vec![200], End::Open),
                "broken file {number}: {text}"
            );
        }
    }
    // Good again, with a change that shows.
    let better = gateway_and_service(port, &[backend.port()]) + &route("all", "/b");
    std::fs::write(gateway.path(), better).expect("written");
    wait_until("the good file is taken again", || {
        status_of(gateway.address, "/b") == 200
    });
    assert_eq!(status_of(gateway.address, "/a"), 404);
}

#[test]
fn g1_fifty_reloads_under_load_lose_nothing() {
    let backends = [Scripted::polite(), Scripted::polite(), Scripted::polite()];
    let ports: Vec<u16> = backends.iter().map(Scripted::port).collect();
    let (port, more) = (free_port(), free_port());
    let config = |round: usize| {
        // Routes, endpoints, policies and a second listener come and go.
        let base = gateway_and_service(port, &ports[..1 + round % 3]);
        let base = if round.is_multiple_of(4) {
            base
        } else {
            with_listener(&base, port, more)
        };
        let spec = ["RoundRobin", "Random", "LeastRequest"][round % 3];
        base + &route("all", "/")
            + &route("other", &format!("/other/{round}"))
            + &format!(
                "\
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: BackendTrafficPolicy
metadata: {{name: balance, namespace: default}}
spec:
  targetRefs: [{{group: gateway.networking.k8s.io, kind: HTTPRoute, name: all}}]
  loadBalancer: {{type: {spec}}}
"
            )
    };
    let gateway = Site::from(Gateway::start(port, &config(0)));
    let is_over = AtomicBool::new(false);
    let served = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..10)
            .map(|number| {
                let (gateway, is_over, served) = (&gateway, &is_over, &served);
                scope.spawn(move || {
                    let mut client = Raw::connect(gateway.address);
                    let mut index = 0;
                    while !is_over.load(Ordering::Relaxed) {
                        let target = format!("/{number}-{index}");
                        let (request, answer) = match index % 3 {
                            0 => (get(&target), format!("\r\n\r\nGET {target}")),
                            1 => (
                                format!(
                                    "POST {target} HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"
                                ),
                                format!("\r\n\r\nPOST {target}"),
                            ),
                            _ => {
                                // A connection of its own.
                                let text = once(
                                    gateway.address,
                                    format!("GET {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"),
                                )
                                .0;
                                assert!(text.ends_with(&format!("GET {target}")), "{text:?}");
                                (get(&target), format!("\r\n\r\nGET {target}"))
                            }
                        };
                        client.send(request);
                        client.expect(&answer);
                        served.fetch_add(1, Ordering::Relaxed);
                        index += 1;
                    }
                })
            })
            .collect();
        for round in 1..=50 {
            gateway.rewrite(&config(round), &format!("generation {} in force", round + 1));
        }
        is_over.store(true, Ordering::Relaxed);
        for client in clients {
            client.join().expect("no request is lost");
        }
    });
    assert!(served.into_inner() > 200);
}

#[test]
fn g1_a_removed_route_ends_for_new_requests_and_not_for_one_under_way() {
    let backend = Scripted::start(|request, line| {
        if request.target() == "/a/slow" {
            line.send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf");
            std::thread::sleep(Duration::from_millis(700));
            line.send("half");
            return super::stage::Then::Next;
        }
        if request.target() == "/a/wait" {
            std::thread::sleep(Duration::from_millis(700));
        }
        line.ok(request.target())
    });
    let port = free_port();
    let base = gateway_and_service(port, &[backend.port()]);
    let gateway = Site::from(Gateway::start(
        port,
        &(base.clone() + &route("one", "/a") + &route("two", "/b")),
    ));
    let mut slow = Raw::connect(gateway.address);
    slow.send(get("/a/slow"));
    let mut waiting = Raw::connect(gateway.address);
    waiting.send(get("/a/wait"));
    slow.expect("half");
    backend.wait_for("/a/wait");
    // The route goes, and its endpoints with it.
    gateway.rewrite(
        &(crate::harness::gateway(port) + &route("two", "/b")),
        "generation 2 in force",
    );
    assert_eq!(status_of(gateway.address, "/a"), 404);
    waiting.expect("/a/wait");
    let (text, _) = slow.read_until(SOON, |bytes| bytes == b"half");
    assert_eq!(text, "half");
    // The same connection asks again: the route is gone.
    slow.send(get("/a/slow"));
    let (text, _) = slow.read_until(SOON, |bytes| bytes.ends_with(b"\n"));
    assert_eq!(statuses(&text), [404], "{text}");
}

#[test]
fn g1_listeners_come_and_go() {
    let backend = Scripted::start(|request, line| {
        if request.target().starts_with("/slow") {
            std::thread::sleep(Duration::from_millis(500));
        }
        line.ok(request.target())
    });
    let (port, more) = (free_port(), free_port());
    let one = gateway_and_service(port, &[backend.port()]) + &route("all", "/");
    let two = with_listener(&one, port, more);
    let gateway = Site::from(Gateway::start(port, &one));
    let other = SocketAddr::from(([127, 0, 0, 1], more));
    for generation in [2, 4, 6] {
        assert!(TcpStream::connect(other).is_err());
        gateway.rewrite(&two, &format!("generation {generation} in force"));
        wait_until("the listener is open", || TcpStream::connect(other).is_ok());
        assert_eq!(
            (status_of(other, "/"), status_of(gateway.address, "/")),
            (200, 200)
        );
        let mut idle = Raw::connect(other);
        idle.send(get("/idle"));
        idle.expect("/idle");
        let mut busy = Raw::connect(other);
        let slow = format!("/slow/{generation}");
        busy.send(get(&slow));
        backend.wait_for(&slow);
        gateway.rewrite(&one, &format!("generation {} in force", generation + 1));
        wait_until("the listener is closed", || TcpStream::connect(other).is_err());
        // What was under way is answered; an idle connection ends, and in order.
        busy.expect(&slow);
        let (text, end) = idle.read_all();
        assert_eq!((text.as_str(), end), ("", End::Closed));
        assert_eq!(status_of(gateway.address, "/"), 200);
    }
}

#[test]
fn g6_a_port_in_use_costs_that_listener_until_it_is_free() {
    let backend = Scripted::polite();
    let (port, more) = (free_port(), free_port());
    let config =
        with_listener(&gateway_and_service(port, &[backend.port()]), port, more) + &route("all", "/");
    let occupied = listen_on(more);
    let gateway = Site::from(Gateway::start(port, &config));
    assert_eq!(status_of(gateway.address, "/"), 200);
    wait_until("it says so", || {
        gateway.process.stderr.text().contains(&more.to_string())
    });
    // Another change does not hurt what works.
    gateway.rewrite(
        &(config.clone() + &route("other", "/other")),
        "generation 2 in force",
    );
    assert_eq!(status_of(gateway.address, "/other"), 200);
    drop(occupied);
    // Nobody has to ask for it.
    let other = SocketAddr::from(([127, 0, 0, 1], more));
    let deadline = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(other).is_err() {
        assert!(
            Instant::now() < deadline,
            "the port is free and nobody listens: {}",
            gateway.process.stderr.text()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(status_of(other, "/"), 200);
}

// Documents that are whole while the file is not.
#[test]
fn g6_a_slow_writer_is_waited_for() {
    use std::io::Write;
    let backend = Scripted::polite();
    let port = free_port();
    let base = gateway_and_service(port, &[backend.port()]);
    let gateway = Site::from(Gateway::start(port, &(base.clone() + &route("all", "/a"))));
    let mut file = std::fs::File::create(gateway.path()).expect("a file");
    file.write_all(base.as_bytes()).expect("written");
    let until = Instant::now() + Duration::from_millis(700);
    while Instant::now() < until {
        assert_eq!(
            status_of(gateway.address, "/a"),
            200,
            "half of the file is in force"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    file.write_all((route("all", "/a") + &route("more", "/b")).as_bytes())
        .expect("written");
    drop(file);
    wait_until("the whole file is in force", || {
        status_of(gateway.address, "/b") == 200
    });
}

#[test]
fn g6_a_file_that_is_written_in_pieces_or_vanishes_costs_nothing() {
    let backend = Scripted::polite();
    let port = free_port();
    // In flow style no part of the file is a whole document.
    let good = format!(
        r#"{{"apiVersion": "v1", "kind": "List", "items": [
  {{"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {{"name": "eg", "namespace": "default"}},
    "spec": {{"gatewayClassName": "eg", "addresses": [{{"type": "IPAddress", "value": "127.0.0.1"}}],
             "listeners": [{{"name": "http", "protocol": "HTTP", "port": {port}}}]}}}},
  {{"apiVersion": "v1", "kind": "Service", "metadata": {{"name": "backend", "namespace": "default"}},
    "spec": {{"ports": [{{"name": "http", "port": 3000, "targetPort": "http"}}]}}}},
  {{"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
    "metadata": {{"name": "backend", "namespace": "default", "labels": {{"kubernetes.io/service-name": "backend"}}}},
    "ports": [{{"name": "http", "port": {}}}], "endpoints": [{{"addresses": ["127.0.0.1"]}}]}},
  {{"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {{"name": "all", "namespace": "default"}},
    "spec": {{"parentRefs": [{{"name": "eg"}}], "rules": [{{"matches": [{{"path": {{"type": "PathPrefix", "value": "/a"}}}}],
      "backendRefs": [{{"name": "backend", "port": 3000}}]}}]}}}}
]}}
"#,
        backend.port()
    );
    let gateway = Site::from(Gateway::start(port, &good));
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let client = scope.spawn(|| {
            let mut client = Raw::connect(gateway.address);
            let mut count = 0;
            while !is_over.load(Ordering::Relaxed) {
                client.send(get("/a/x"));
                let (text, end) =
                    client.read_until(SOON, |bytes| bytes.ends_with(b"/a/x") || bytes.ends_with(b"\n"));
                assert_eq!(
                    (statuses(&text), end),
                    (vec![200], End::Open),
                    "after {count}: {text}"
                );
                count += 1;
            }
            count
        });
        for _ in 0..4 {
            use std::io::Write;
            let mut file = std::fs::File::create(gateway.path()).expect("a file");
            for piece in good.as_bytes().chunks(97) {
                file.write_all(piece).expect("written");
                std::thread::sleep(Duration::from_millis(15));
            }
            drop(file);
            std::fs::remove_file(gateway.path()).expect("removed");
            std::thread::sleep(Duration::from_millis(100));
            std::fs::write(gateway.path(), &good).expect("written");
            std::thread::sleep(Duration::from_millis(100));
        }
        is_over.store(true, Ordering::Relaxed);
        assert!(client.join().expect("no request is lost") > 50);
    });
    // It still follows.
    std::fs::write(
        gateway.path(),
        gateway_and_service(port, &[backend.port()]) + &route("all", "/b"),
    )
    .expect("written");
    wait_until("the change is followed", || {
        status_of(gateway.address, "/b") == 200
    });
}

#[test]
fn g6_an_empty_file_keeps_what_runs() {
    let backend = Scripted::polite();
    let port = free_port();
    let good = gateway_and_service(port, &[backend.port()]) + &route("all", "/a");
    let gateway = Site::from(Gateway::start(port, &good));
    for text in ["", "\n", "# nothing\n", "---\n---\n"] {
        gateway.rewrite(text, "running differs from disk");
        assert_eq!(status_of(gateway.address, "/a"), 200, "{text:?}");
        gateway.rewrite(&good, "in force");
    }
}
