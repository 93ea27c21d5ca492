//! Sound messages with a few bytes changed, at random but the same in every run (row RL05). Nothing that comes out of weir may
//! be odd, nothing may panic, and whoever comes next is served.

use std::time::Duration;

use super::stage::{End, HIDDEN, Raw, Scripted, Then, all, ok, once, site, site_with, statuses};

/// xorshift64*: enough for choosing bytes.
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % below
    }
}

const PIECES: [&[u8]; 30] = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b"\t",
    b":",
    b",",
    b";",
    b"0\r\n\r\n",
    b"\r\n\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length: 0\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"chunked",
    b"Connection: close\r\n",
    b"Connection: content-length\r\n",
    b"Host: a\r\n",
    b"\x80",
    b"\xff",
    b"HTTP/1.1",
    b"HTTP/1.0",
    b"%2f",
    b"..",
    b"/",
    b"#",
    b"_",
    b"Expect: 100-continue\r\n",
    b"ffffffffffffffff",
    b"-1",
];

fn changed(seed: usize, corpus: &[String]) -> Vec<u8> {
    let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ (seed as u64 + 1).wrapping_mul(0x00d1_342f_9b5e_a1b7));
    let mut bytes = corpus[random.next(corpus.len())].clone().into_bytes();
    for _ in 0..=random.next(3) {
        let at = random.next(bytes.len());
        let piece = PIECES[random.next(PIECES.len())];
        match random.next(5) {
            0 => bytes[at] = random.next(256) as u8,
            1 => drop(bytes.splice(at..at, piece.iter().copied())),
            2 => drop(bytes.splice(at..(at + piece.len()).min(bytes.len()), piece.iter().copied())),
            3 => drop(bytes.drain(at..(at + 1 + random.next(4)).min(bytes.len()))),
            _ => {
                let copy = bytes[at..(at + 20).min(bytes.len())].to_vec();
                drop(bytes.splice(at..at, copy));
            }
        }
        if bytes.is_empty() {
            bytes.push(b'\r');
        }
    }
    bytes
}

#[test]
fn rl05_changed_requests_bring_nothing_odd_to_backends() {
    let backend = Scripted::polite();
    let gateway = site(&[backend.port()]);
    let corpus = [
        "GET /a?b=c HTTP/1.1\r\nHost: www.example.com\r\nAccept: */*\r\nCookie: a=b\r\n\r\n".to_owned(),
        format!("POST /b HTTP/1.1\r\nHost: www.example.com\r\nContent-Length: {}\r\n\r\n{HIDDEN}", HIDDEN.len()),
        format!("POST /c HTTP/1.1\r\nHost: h\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n{:x};x=y\r\n{HIDDEN}\r\n0\r\nX-T: 1\r\n\r\n", HIDDEN.len()),
        "GET http://www.example.com/../d HTTP/1.1\r\nHost: www.example.com\r\nConnection: keep-alive, x-y\r\nX-Y: z\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n".to_owned(),
        "PUT /e HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello".to_owned(),
    ];
    let seeds: Vec<usize> = (0..1500).collect();
    all(&seeds, |seed| {
        let bytes = changed(*seed, &corpus);
        let mut client = Raw::connect(gateway.address);
        client.send(&bytes);
        client.half_close();
        match client.read_for(Duration::from_secs(10)) {
            (_, End::Open) => Err(format!(
                "{seed}: nothing ends {:?}",
                String::from_utf8_lossy(&bytes)
            )),
            // A status that weir makes up says what was wrong, or the backend's stands.
            (text, _)
                if statuses(&text)
                    .iter()
                    .any(|status| *status >= 500 && ![501, 505].contains(status)) =>
            {
                Err(format!(
                    "{seed}: {:?} gave {text}",
                    String::from_utf8_lossy(&bytes)
                ))
            }
            _ => Ok(()),
        }
    });
    assert!(backend.received().len() > 100);
    let (text, _) = once(
        gateway.address,
        "GET /after HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    );
    assert!(text.ends_with("GET /after"), "{text}");
}

#[test]
fn rl05_changed_responses_reach_nobody_else() {
    const POISON: &str = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";
    let corpus = [
        ok("hello"),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n".to_owned(),
        "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 2\r\nConnection: x\r\nX: y\r\n\r\nno".to_owned(),
        "HTTP/1.1 204 No Content\r\nX: y\r\n\r\n".to_owned(),
        "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello".to_owned(),
    ];
    let backend = Scripted::start(move |request, line| {
        let seed = request
            .target()
            .strip_prefix("/seed/")
            .and_then(|text| text.parse().ok());
        let Some(seed) = seed else {
            return line.ok(request.target());
        };
        line.send([&changed(seed, &corpus)[..], POISON.as_bytes()].concat());
        // Half of them leave the connection to whoever comes next.
        if seed % 2 == 0 { Then::Close } else { Then::Next }
    });
    let gateway = site_with(&[backend.port()], "", &["--threads", "1"]);
    let seeds: Vec<usize> = (0..600).collect();
    all(&seeds, |seed| {
        let mut client = Raw::connect(gateway.address);
        client.send(format!(
            "GET /seed/{seed} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
        ));
        // A length that grew makes weir wait for more; the client need not.
        client.read_for(Duration::from_millis(300));
        drop(client);
        let (text, end) = once(
            gateway.address,
            format!("GET /after/{seed} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"),
        );
        if text.ends_with(&format!("\r\n\r\n/after/{seed}")) && end == End::Closed {
            Ok(())
        } else {
            Err(format!("{seed}: {end:?} {text}"))
        }
    });
    backend.received();
}
