//! Every limit at its edge (scorecard A12), floods, and running out of files (E5, reliability row 30).

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::stage::{End, Raw, SOON, Scripted, Then, get, once, route, site, statuses};
use crate::harness::{Folder, free_port, gateway_and_service};

/// `GET /` with a head of exactly this many bytes in fields that are each below their own limit.
fn head_of(bytes: usize) -> String {
    let start = "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n";
    let mut head = start.to_owned();
    while head.len() + 2 + 10_000 < bytes {
        head += &format!("X-{}: {}\r\n", head.len(), "x".repeat(8_000));
    }
    let left = bytes - head.len() - "X: \r\n\r\n".len();
    head += &format!("X: {}\r\n\r\n", "y".repeat(left));
    assert_eq!(head.len(), bytes);
    head
}

fn fields_of(count: usize) -> String {
    format!(
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{}\r\n",
        "X: y\r\n".repeat(count - 2)
    )
}

fn target_of(bytes: usize) -> String {
    format!(
        "GET /{} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
        "x".repeat(bytes - 1)
    )
}

/// Name and value together, as the limit counts them.
fn field_of(bytes: usize) -> String {
    format!(
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nX-Field: {}\r\n\r\n",
        "x".repeat(bytes - "X-Field".len())
    )
}

fn extension_of(bytes: usize) -> String {
    format!(
        "POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n1;{}\r\nx\r\n0\r\n\r\n",
        "x".repeat(bytes - 1)
    )
}

#[test]
fn a12_row19_limits_of_requests_are_exact() {
    let backend = Scripted::polite();
    let gateway = site(&[backend.port()]);
    let kib = 1024;
    type Maker = fn(usize) -> String;
    let makers: [(&str, Maker, usize, u16); 5] = [
        ("head", head_of, 32 * kib, 431),
        ("fields", fields_of, 100, 431),
        ("target", target_of, 8 * kib, 414),
        ("field", field_of, 16 * kib, 431),
        ("chunk extension", extension_of, 256, 400),
    ];
    for (name, make, limit, refused) in makers {
        for (size, status) in [
            (limit - 1, 200),
            (limit, 200),
            (limit + 1, refused),
            (limit + 2, refused),
        ] {
            let request = make(size);
            // At once, and with a pause before the last bytes.
            for pause_at in [None, Some(request.len() / 2), Some(request.len() - 1)] {
                let mut client = Raw::connect(gateway.address);
                match pause_at {
                    None => client.send(&request),
                    Some(at) => {
                        client.send(&request[..at]);
                        std::thread::sleep(Duration::from_millis(10));
                        client.send(&request[at..])
                    }
                };
                let (text, end) = client.read_all();
                assert_eq!(
                    (statuses(&text), end),
                    (vec![status], End::Closed),
                    "{name} of {size}, pause {pause_at:?}: {text}"
                );
            }
        }
    }
    let before = backend.received().len();
    // Far over: answered all the same, though the client is not done sending.
    for request in [head_of(3_000_000), target_of(1_000_000), fields_of(50_000)] {
        let (text, end) = once(gateway.address, &request);
        assert!(end != End::Open, "{} bytes", request.len());
        assert!(matches!(statuses(&text)[..], [431 | 414] | []), "{text}");
    }
    assert_eq!(backend.received().len(), before);
}

#[test]
fn a12_row19_limits_of_responses_are_exact() {
    let kib = 1024;
    let response = |kind: &str, size: usize| {
        let start = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n".to_owned();
        let head = match kind {
            "fields" => start + &"X: y\r\n".repeat(size - 1),
            "field" => start + &format!("X: {}\r\n", "x".repeat(size - 1)),
            _ => {
                let mut head = start;
                while head.len() + 2 + 10_000 < size {
                    head += &format!("X: {}\r\n", "x".repeat(8_000));
                }
                let left = size - head.len() - "X: \r\n\r\n".len();
                head + &format!("X: {}\r\n", "x".repeat(left))
            }
        };
        head + "\r\n"
    };
    let backend = Scripted::start(move |request, line| {
        let mut words = request.target().trim_start_matches('/').split('/');
        let (kind, size) = (words.next().expect("a kind"), words.next().expect("a size"));
        line.send(response(kind, size.parse().expect("a number")));
        Then::Close
    });
    let gateway = site(&[backend.port()]);
    for (kind, limit) in [("head", 32 * kib), ("fields", 100), ("field", 16 * kib)] {
        for (size, status) in [(limit - 1, 200), (limit, 200), (limit + 1, 502), (limit + 2, 502)] {
            let (text, _) = once(
                gateway.address,
                format!("GET /{kind}/{size} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"),
            );
            assert_eq!(
                statuses(&text),
                [status],
                "{kind} of {size}: {}",
                &text[..text.len().min(300)]
            );
        }
    }
}

#[test]
fn e7_idle_connections_do_not_keep_others_out() {
    let backend = Scripted::polite();
    let gateway = site(&[backend.port()]);
    let idle: Vec<_> = (0..1500).map(|_| Raw::connect(gateway.address)).collect();
    for round in 0..20 {
        let started = Instant::now();
        let (text, _) = once(
            gateway.address,
            "GET /served HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
        );
        assert_eq!(statuses(&text), [200], "round {round}");
        assert!(
            started.elapsed() < Duration::from_secs(2),
            "round {round} took {:?}",
            started.elapsed()
        );
    }
    drop(idle);
    // Short ones, one after the other.
    for _ in 0..1000 {
        drop(Raw::connect(gateway.address));
    }
    let mut client = Raw::connect(gateway.address);
    client.send(get("/still"));
    client.expect("GET /still");
}

/// A gateway with only so many files.
struct Poor {
    child: Child,
    address: std::net::SocketAddr,
    _folder: Folder,
}

impl Poor {
    fn start(files: u32, backend: &Scripted) -> Self {
        let port = free_port();
        Self::start_with(
            files,
            port,
            &(gateway_and_service(port, &[backend.port()]) + &route("all", "/")),
        )
    }

    fn start_with(files: u32, port: u16, config: &str) -> Self {
        let folder = Folder::new();
        let path = folder.write("weir.yaml", config);
        let mut child = Command::new("sh")
            .args([
                "-c",
                &format!("ulimit -n {files}; exec \"$0\" run -c \"$1\" --threads 2"),
                env!("CARGO_BIN_EXE_weir"),
            ])
            .arg(&path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("sh starts");
        let mut seen = Vec::new();
        let mut stderr = child.stderr.take().expect("piped");
        while !String::from_utf8_lossy(&seen).contains("generation 1 in force") {
            let mut block = [0; 1024];
            let length = stderr.read(&mut block).expect("its standard error");
            assert!(length > 0, "it ended: {}", String::from_utf8_lossy(&seen));
            seen.extend_from_slice(&block[..length]);
        }
        std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
        Self {
            child,
            address: ([127, 0, 0, 1], port).into(),
            _folder: folder,
        }
    }

    /// Processor time so far, in hundredths of a second.
    fn ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("it lives");
        let fields: Vec<_> = stat
            .rsplit(')')
            .next()
            .expect("fields")
            .split_whitespace()
            .collect();
        fields[11].parse::<u64>().expect("user") + fields[12].parse::<u64>().expect("system")
    }
}

impl Drop for Poor {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

fn running_out_of_files(files: u32) {
    let backend = Scripted::polite();
    let mut gateway = Poor::start(files, &backend);
    let serves = |round: &str| {
        let (text, _) = once(
            gateway.address,
            "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
        );
        assert_eq!(statuses(&text), [200], "{files} files, {round}: {text:?}");
    };
    serves("alone");
    // More clients than files, each in the middle of a head.
    let mut flood: Vec<_> = (0..files * 3).map(|_| Raw::connect(gateway.address)).collect();
    for client in &mut flood {
        client.send("GET /flood HTTP/1.1\r\n");
    }
    std::thread::sleep(Duration::from_millis(300));
    let (before, started) = (gateway.ticks(), Instant::now());
    std::thread::sleep(Duration::from_millis(1500));
    let ticks = gateway.ticks() - before;
    let percent = ticks as f64 * 1000.0 / started.elapsed().as_millis() as f64;
    assert!(
        percent < 25.0,
        "{files} files: it spins at {percent:.0} % of a core"
    );
    drop(flood);
    let started = Instant::now();
    let (text, _) = once(
        gateway.address,
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    );
    assert_eq!(statuses(&text), [200], "{files} files, after the flood: {text:?}");
    assert!(
        started.elapsed() < Duration::from_secs(3),
        "{files} files: back only after {:?}",
        started.elapsed()
    );
    assert!(gateway.child.try_wait().expect("a child").is_none(), "it ended");
}

#[test]
fn e5_row30_some_files() {
    running_out_of_files(256);
}

#[test]
fn e5_row30_a_backend_that_holds_everything_up() {
    // Requests wait in the backend; nobody can be answered, but when it lets go everybody is.
    let backend = Scripted::start(|request, line| {
        if request.target() == "/slow" {
            std::thread::sleep(Duration::from_millis(1500));
        }
        line.ok(request.target())
    });
    let gateway = Poor::start(128, &backend);
    let mut clients: Vec<_> = (0..100).map(|_| Raw::connect(gateway.address)).collect();
    for client in &mut clients {
        client.send("GET /slow HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    }
    for (index, client) in clients.iter_mut().enumerate() {
        let (text, _) = client.read_for(SOON);
        assert_eq!(statuses(&text), [200], "{index}: {text}");
    }
}

// Was: 64 / 100 * 45 = 0 connections, because it divided first; nothing was served at all.
#[test]
fn e5_row30_few_files() {
    running_out_of_files(64);
}

/// A Service `name` with one endpoint, and a route to it.
fn service(name: &str, port: u16) -> String {
    let endpoints = crate::harness::endpoints(&[port]).replace("backend", name);
    format!(
        "\
---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: default}}
spec:
  ports: [{{name: http, port: 3000, targetPort: http}}]
"
    ) + &endpoints
        + &route(name, &format!("/{name}")).replace(
            "backendRefs: [{name: backend",
            &format!("backendRefs: [{{name: {name}"),
        )
}

// Unused connections to one endpoint take the files that connections to another one need.
#[test]
fn e5_row30_unused_connections_make_room_for_used_ones() {
    let slow = || {
        Scripted::start(|request, line| {
            std::thread::sleep(Duration::from_millis(150));
            line.ok(request.target())
        })
    };
    let backends = [slow(), slow(), slow(), slow()];
    let port = free_port();
    let config = crate::harness::gateway(port)
        + &backends
            .iter()
            .enumerate()
            .map(|(index, backend)| service(&format!("s{index}"), backend.port()))
            .collect::<String>();
    let gateway = Poor::start_with(200, port, &config);
    let mut clients: Vec<_> = (0..70).map(|_| Raw::connect(gateway.address)).collect();
    for round in 0..4 {
        for client in &mut clients {
            client.send(get(&format!("/s{round}/x")));
        }
        for (index, client) in clients.iter_mut().enumerate() {
            let (text, end) =
                client.read_until(SOON, |bytes| bytes.ends_with(b"/x") || bytes.ends_with(b"\n"));
            assert_eq!(
                (statuses(&text), end),
                (vec![200], End::Open),
                "service {round}, client {index}: {text}"
            );
        }
    }
}
