//! Clients that take their time (reliability row 18, scorecard E1 and E2). The waiting runs side by side.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::stage::{End, Line, Raw, Scripted, Then, get, once, site, site_with, statuses};

/// Sends one piece each `pause` until the connection ends; returns when that was, what came, and how.
fn drip(mut client: Raw, pieces: impl Iterator<Item = String>, pause: Duration) -> (Duration, String, End) {
    let started = Instant::now();
    let mut text = String::new();
    for piece in pieces {
        client.send(piece);
        let (more, end) = client.read_for(pause);
        text += &more;
        if end != End::Open || started.elapsed() > Duration::from_secs(25) {
            return (started.elapsed(), text, end);
        }
    }
    let (more, end) = client.read_for(Duration::from_secs(25).saturating_sub(started.elapsed()));
    (started.elapsed(), text + &more, end)
}

/// One request on a connection of its own.
fn assert_served(address: SocketAddr, target: &str) {
    let request = format!("GET {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    assert_eq!(statuses(&once(address, request).0), [200]);
}

/// Answers with `count` blocks of `size` bytes and counts what the system took.
fn flood(line: &mut Line, count: usize, size: usize, sent: &AtomicU64) -> Then {
    let block = vec![b'x'; size];
    line.send(format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
        count * size
    ));
    for _ in 0..count {
        if !line.send(&block) {
            return Then::Close;
        }
        sent.fetch_add(size as u64, Ordering::Relaxed);
    }
    Then::Next
}

/// How much a backend got rid of before it was held back.
fn held_at(sent: &AtomicU64, limit: Duration) -> u64 {
    let deadline = Instant::now() + limit;
    let mut last = u64::MAX;
    loop {
        let now = sent.load(Ordering::Relaxed);
        if now == last && now > 0 {
            return now;
        }
        assert!(
            Instant::now() < deadline,
            "the gateway takes without end: {now} bytes"
        );
        last = now;
        std::thread::sleep(Duration::from_millis(500));
    }
}

#[test]
fn e1_row18_slow_heads_end_after_ten_seconds_and_disturb_nobody() {
    let backend = Scripted::polite();
    let gateway = site(&[backend.port()]);
    let address = gateway.address;
    let every = Duration::from_millis(500);
    let fields = || {
        std::iter::once("GET /slow HTTP/1.1\r\nHost: h\r\n".to_owned())
            .chain((0..).map(|index| format!("X-{index}: y\r\n")))
    };
    let letters = || {
        "GET /slow-letters-slow-letters-slow-letters HTTP/1.1\r\n"
            .chars()
            .map(String::from)
    };
    std::thread::scope(|scope| {
        let slow: Vec<_> = (0..40)
            .map(|index| {
                scope.spawn(move || match index % 4 {
                    // Fields without end.
                    0 => drip(Raw::connect(address), fields(), every),
                    // A request line letter by letter.
                    1 => drip(Raw::connect(address), letters(), every),
                    // Nothing.
                    2 => drip(Raw::connect(address), std::iter::empty(), every),
                    // The same behind a request that was served.
                    _ => {
                        let mut client = Raw::connect(address);
                        client.send(get("/first"));
                        client.expect("GET /first");
                        drip(client, fields(), every)
                    }
                })
            })
            .collect();
        // Others are served meanwhile.
        let mut slowest = Duration::ZERO;
        for _ in 0..100 {
            let started = Instant::now();
            assert_served(address, "/other");
            slowest = slowest.max(started.elapsed());
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(slowest < Duration::from_secs(3), "{slowest:?}");
        for (index, client) in slow.into_iter().enumerate() {
            let (took, text, end) = client.join().expect("a client");
            assert_eq!(end, End::Closed, "{index}: {text}");
            let is_in_time = took >= Duration::from_millis(9_400) && took <= Duration::from_millis(12_500);
            assert!(is_in_time, "{index}: closed after {took:?}: {text}");
            let expected: &[u16] = if index % 4 == 2 { &[] } else { &[408] };
            assert_eq!(statuses(&text), expected, "{index}: {text}");
        }
    });
    assert!(!backend.targets().iter().any(|target| target.contains("slow")));
}

#[test]
fn e1_row18_slow_bodies_end_after_their_grace() {
    let backend = Scripted::polite();
    let gateway = site(&[backend.port()]);
    let address = gateway.address;
    let pieces = |head: &str, piece: &str| {
        let piece = piece.to_owned();
        std::iter::once(head.to_owned()).chain(std::iter::repeat_with(move || piece.clone()))
    };
    let length = "POST /length HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n";
    let chunked = "POST /chunks HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    let every = Duration::from_millis(500);
    std::thread::scope(|scope| {
        let bodies = [
            scope.spawn(move || drip(Raw::connect(address), pieces(length, "x"), every)),
            scope.spawn(move || drip(Raw::connect(address), pieces(chunked, "1\r\nx\r\n"), every)),
            scope.spawn(move || drip(Raw::connect(address), std::iter::once(length.to_owned()), every)),
            // Slow, but not too slow: 1,600 bytes a second.
            scope.spawn(move || {
                let head =
                    "POST /steady HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 16000\r\n\r\n";
                drip(
                    Raw::connect(address),
                    std::iter::once(head.to_owned()).chain((0..20).map(|_| "x".repeat(800))),
                    every,
                )
            }),
        ];
        for (index, body) in bodies.into_iter().enumerate() {
            let (took, text, end) = body.join().expect("a client");
            assert_eq!(end, End::Closed, "{index}: {took:?} {text}");
            if index == 3 {
                assert_eq!(statuses(&text), [200], "{text}");
                continue;
            }
            assert_eq!(statuses(&text), [408], "{index}: {text}");
            assert!(
                took >= Duration::from_secs(4) && took < Duration::from_secs(10),
                "{index}: {took:?}"
            );
        }
    });
    // The backend sees that they were cut.
    let cut: Vec<_> = backend
        .received()
        .into_iter()
        .filter(|received| received.target() != "/steady")
        .collect();
    assert!(cut.iter().all(|received| !received.is_whole), "{cut:?}");
}

#[test]
fn e2_row28_slow_readers_hold_little_memory_and_push_back() {
    const CLIENTS: usize = 40;
    static SENT: AtomicU64 = AtomicU64::new(0);
    let backend = Scripted::start(|request, line| {
        if request.target() != "/large" {
            return line.ok(request.target());
        }
        flood(line, 1000, 64 * 1024, &SENT)
    });
    let gateway = site(&[backend.port()]);
    assert_served(gateway.address, "/small");
    let before = gateway.process.resident_kib();
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| Raw::connect(gateway.address)).collect();
    for client in &mut clients {
        client.send(get("/large"));
    }
    // Nobody reads. The backend is stopped when the sockets and the buffers are full.
    let last = held_at(&SENT, Duration::from_secs(18));
    println!("{last} bytes taken for {CLIENTS} clients that read nothing");
    let grown = gateway.process.resident_kib().saturating_sub(before);
    assert!(
        grown < 64 * CLIENTS as u64 + 20 * 1024,
        "{grown} KiB for {CLIENTS} slow readers"
    );
    let started = Instant::now();
    assert_served(gateway.address, "/other");
    assert!(started.elapsed() < Duration::from_secs(3));
    // One that reads after all gets everything.
    let mut patient = clients.pop().expect("a client");
    let (text, _) = patient.read_until(Duration::from_secs(10), |bytes| {
        bytes.len() > 64_000_000 + 1_536_000
    });
    assert!(text.len() > 65_536_000, "{}", text.len());
}

#[test]
fn e2_row28_uploads_are_held_back_by_a_backend_that_does_not_read() {
    let backend = Scripted::start_early(|_, line| {
        std::thread::sleep(Duration::from_secs(4));
        line.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
        Then::Close
    });
    let gateway = site_with(&[backend.port()], "", &["--threads", "1"]);
    let mut client = Raw::connect(gateway.address);
    client
        .0
        .set_write_timeout(Some(Duration::from_secs(2)))
        .expect("an option");
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000000\r\n\r\n");
    let block = vec![b'x'; 256 * 1024];
    let taken = (0..400).take_while(|_| client.send(&block)).count();
    assert!(
        taken < 200,
        "the gateway took {taken} blocks for a backend that reads nothing"
    );
}

#[test]
fn e1_row18_requests_in_single_bytes_are_served() {
    let backend = Scripted::polite();
    let gateway = site(&[backend.port()]);
    let mut client = Raw::connect(gateway.address);
    let request = "POST /bytes HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX-T: 1\r\n\r\nGET /next HTTP/1.1\r\nHost: h\r\n\r\n";
    for byte in request.bytes() {
        client.send([byte]);
        std::thread::sleep(Duration::from_millis(1));
    }
    client.expect("GET /next");
    assert_eq!(backend.wait_for("/bytes").body, b"hello");
}

// What the system keeps for weir counts too (reliability row 28).
#[test]
fn e2_row28_the_system_keeps_little_for_slow_readers() {
    const CLIENTS: u64 = 16;
    static SENT: AtomicU64 = AtomicU64::new(0);
    let backend = Scripted::start(|_, line| {
        line.keep_little();
        flood(line, 2000, 16 * 1024, &SENT)
    });
    let gateway = site(&[backend.port()]);
    let mut clients: Vec<_> = (0..CLIENTS)
        .map(|_| Raw::connect_narrow(gateway.address))
        .collect();
    for client in &mut clients {
        client.send(get("/large"));
        // A little, so that windows grow as they do for clients that begin well.
        client.read_until(Duration::from_secs(2), |bytes| bytes.len() > 500_000);
    }
    let last = held_at(&SENT, Duration::from_secs(15));
    let each = last / CLIENTS / 1024;
    println!("{each} KiB taken for each client that stopped reading");
    assert!(
        each < 500 + 1024,
        "{each} KiB are held for each client that stopped reading"
    );
}
