//! Bodies in both directions.

use std::io::{Read, Write};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use weir_model::{ConnectionSpec, UpstreamSpec};

use crate::admission::failures;
use crate::harness::{Backend, Client, Plan, Rig, eventually, read_head, read_request, respond};

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index * 31 % 251) as u8).collect()
}

fn echo() -> Backend {
    Backend::answering(|request| respond(200, "", &request.body))
}

#[test]
fn bodies_of_any_size_go_up_and_down_unchanged() {
    let backend = echo();
    let rig = Rig::new(&Plan::to(&[backend.address]));
    let mut client = rig.client();
    for length in [0, 1, 100, 4095, 4096, 4097, 16_384, 65_536, 1_000_000] {
        let body = pattern(length);
        client.send(&format!(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"
        ));
        client.send_bytes(&body);
        assert!(client.response().body == body, "{length}");
    }
    assert_eq!(backend.connections(), 1, "one connection carries all");
}

#[test]
fn chunks_are_framed_anew() {
    let backend = echo();
    let rig = Rig::new(&Plan::to(&[backend.address]));
    let mut client = rig.client();
    for sizes in [&[1, 2, 3][..], &[], &[5000, 1, 5000], &[100_000], &[10; 5000]] {
        let body = pattern(sizes.iter().sum());
        let mut bytes = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n".to_vec();
        let mut rest = &body[..];
        for size in sizes {
            let (data, tail) = rest.split_at(*size);
            rest = tail;
            // Extensions are dropped, but bounded over the whole body.
            write!(
                bytes,
                "{size:X}{}\r\n",
                if sizes.len() < 10 { ";ext=1" } else { "" }
            )
            .unwrap();
            bytes.extend_from_slice(data);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"0\r\n\r\n");
        client.send_bytes(&bytes);
        let echoed = client.response().body;
        let differs = echoed.iter().zip(&body).position(|(left, right)| left != right);
        assert!(
            echoed == body,
            "{} chunks: {} bytes, first difference {differs:?}",
            sizes.len(),
            echoed.len()
        );
    }
    let seen = backend.seen();
    assert!(
        seen.iter()
            .all(|seen| seen.field("transfer-encoding") == Some("chunked"))
    );
}

#[test]
fn every_split_of_a_request_gives_the_same() {
    let backend = echo();
    let rig = Rig::new(&Plan::to(&[backend.address]));
    let mut client = rig.client();
    let request =
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n";
    for split in (1..request.len()).step_by(3) {
        let (first, second) = request.split_at(split);
        client.send(first);
        std::thread::sleep(Duration::from_millis(1));
        client.send(second);
        assert_eq!(client.response().text(), "abcde", "{split}");
    }
}

#[test]
fn a_response_is_streamed_while_the_request_still_is() {
    let backend = Backend::scripted(|_, stream| {
        read_head(stream).unwrap();
        stream
            .get_mut()
            .write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            .unwrap();
        let mut byte = [0];
        for _ in 0..5 {
            stream.read_exact(&mut byte).unwrap();
            stream.get_mut().write_all(b"1\r\n").unwrap();
            stream.get_mut().write_all(&byte).unwrap();
            stream.get_mut().write_all(b"\r\n").unwrap();
        }
        stream.get_mut().write_all(b"0\r\n\r\n").unwrap();
    });
    let rig = Rig::new(&Plan::to(&[backend.address]));
    let mut client = rig.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n");
    assert!(client.head().unwrap().contains("transfer-encoding: chunked"));
    for letter in [b'a', b'b', b'c', b'd', b'e'] {
        client.send_bytes(&[letter]);
        assert_eq!(
            client.take(6).unwrap(),
            [b"1\r\n", &[letter][..], b"\r\n"].concat()
        );
    }
    assert_eq!(client.take(5).unwrap(), b"0\r\n\r\n");
}

#[test]
fn row13_trailers_pass_only_when_wanted_and_allowed() {
    let backend = Backend::answering(|_| {
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\
          Content-Length: 9\r\nSet-Cookie: a=b\r\n\r\n"
            .to_vec()
    });
    let rig = Rig::new(&Plan::to(&[backend.address]));
    let mut client = rig.client();
    let response = client.get("/");
    assert_eq!(
        (response.text(), response.trailers.len(), response.fields.len()),
        ("ok", 0, 1)
    );
    client.send(
        "POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Up: 1\r\nHost: \
         evil\r\n\r\n",
    );
    let response = client.response();
    assert_eq!(response.trailers, [("x-sum".to_owned(), "1".to_owned())]);
    assert_eq!(response.field("trailer"), Some("x-sum"));
    let seen = backend.seen().remove(1);
    assert_eq!(
        (seen.field("te"), seen.field("connection")),
        (Some("trailers"), Some("te"))
    );
    assert_eq!(seen.trailers, [("x-up".to_owned(), "1".to_owned())]);
}

#[test]
fn row12_responses_without_body_have_none_and_excess_is_discarded() {
    let backend = Backend::answering(|request| match &*request.line {
        "HEAD / HTTP/1.1" => b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n".to_vec(),
        "GET /204 HTTP/1.1" => b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n".to_vec(),
        "GET /304 HTTP/1.1" => b"HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n".to_vec(),
        "GET /excess HTTP/1.1" => {
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n".to_vec()
        }
        "HEAD /body HTTP/1.1" => b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody".to_vec(),
        _ => respond(200, "", b"fine"),
    });
    let rig = Rig::new(&Plan::to(&[backend.address]));
    let mut client = rig.client();
    client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(
        client.response_to("HEAD").unwrap().field("content-length"),
        Some("10")
    );
    assert_eq!(client.get("/204").field("content-length"), None);
    assert_eq!(client.get("/304").field("content-length"), Some("10"));
    assert_eq!(backend.connections(), 1);
    assert_eq!(client.get("/excess").text(), "ok");
    assert_eq!(client.get("/").text(), "fine");
    client.send("HEAD /body HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response_to("HEAD").unwrap().status, 200);
    assert_eq!(client.get("/").text(), "fine");
    assert_eq!(
        backend.connections(),
        3,
        "connections with excess bytes are not used again"
    );
    eventually("both are counted", || {
        failures(&rig, "upstream_excess_bytes") == 2
    });
}

#[test]
fn a_response_that_ends_with_its_connection() {
    let backend = Backend::scripted(|_, stream| {
        let version = if read_head(stream).unwrap().line.contains("old") {
            "1.0"
        } else {
            "1.1"
        };
        write!(stream.get_mut(), "HTTP/{version} 200 OK\r\n\r\nall of it").unwrap();
    });
    let rig = Rig::new(&Plan::to(&[backend.address]));
    let mut client = rig.client();
    for path in ["/", "/old"] {
        let response = client.get(path);
        assert_eq!(
            (response.text(), response.field("transfer-encoding")),
            ("all of it", Some("chunked"))
        );
    }
    client.send("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
    let response = client.response();
    assert_eq!(
        (response.text(), response.field("connection")),
        ("all of it", Some("close"))
    );
}

#[test]
fn clients_of_http_1_0() {
    let backend = Backend::answering(|request| match &*request.line {
        "GET /chunks HTTP/1.1" => {
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n".to_vec()
        }
        _ => respond(200, "", b"plain"),
    });
    let rig = Rig::new(&Plan::to(&[backend.address]));
    let mut client = rig.client();
    client.send("GET / HTTP/1.0\r\nHost: a\r\nConnection: Keep-Alive\r\n\r\n");
    let response = client.response();
    assert_eq!(
        (response.text(), response.field("connection")),
        ("plain", Some("keep-alive"))
    );
    client.send("GET /chunks HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    let response = client.response();
    assert_eq!(
        (response.text(), response.field("transfer-encoding")),
        ("ab", None)
    );
    assert_eq!(backend.seen()[1].field("host"), Some(""));
    let mut client = rig.client();
    client.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().field("connection"), Some("close"));
    assert!(client.is_closed());
}

#[test]
fn a11_a_thousand_pipelined_requests_are_answered_in_order() {
    let backend = Backend::answering(|request| respond(200, "", request.line.as_bytes()));
    let rig = Rig::new(&Plan::to(&[backend.address]));
    let mut client = rig.client();
    let mut sender = Client::from_stream(client.stream.try_clone().unwrap());
    let thread = std::thread::spawn(move || {
        for number in 0..1000 {
            let body = "x".repeat(number % 7);
            let length = body.len();
            sender.send(&format!(
                "POST /{number} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}"
            ));
        }
    });
    for number in 0..1000 {
        assert_eq!(client.response().text(), format!("POST /{number} HTTP/1.1"));
    }
    thread.join().unwrap();
    assert_eq!(backend.connections(), 1);
}

#[test]
fn row9_the_body_is_asked_for_when_it_is_wanted() {
    let backend = echo();
    let mut plan = Plan::to(&[backend.address]);
    plan.rules[0].matches[0].path = weir_model::PathMatch::Prefix("/in".into());
    let rig = Rig::new(&plan);
    let mut client = rig.client();
    client.send("POST /in HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.response().status, 100);
    client.send("abc");
    assert_eq!(client.response().text(), "abc");
    assert_eq!(backend.take().field("expect"), None);
    // Sent at once: nobody waits to be asked.
    client.send("POST /in HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc");
    assert_eq!(client.response().text(), "abc");
    // A final answer instead: the client may or may not send the body, so the connection ends.
    client.send("POST /out HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    let response = client.response();
    assert_eq!(
        (response.status, response.field("connection")),
        (404, Some("close"))
    );
    assert!(client.is_closed());
}

#[test]
fn row11_early_hints_pass_but_not_to_http_1_0() {
    let backend = Backend::answering(|_| {
        let mut bytes =
            b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n".to_vec();
        bytes.extend(respond(200, "", b"end"));
        bytes
    });
    let rig = Rig::new(&Plan::to(&[backend.address]));
    let mut client = rig.client();
    let hints = client.get("/");
    assert_eq!((hints.status, hints.field("link")), (103, Some("</a>")));
    assert_eq!(client.response().text(), "end");
    let mut client = rig.client();
    client.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().status, 200);
}

#[test]
fn row8_an_early_answer_ends_the_upload() {
    let backend = Backend::scripted(|number, stream| {
        if number == 0 {
            read_head(stream).unwrap();
            stream
                .get_mut()
                .write_all(&respond(413, "", b"too much"))
                .unwrap();
            // The connection stays open: whoever used it again would write into the middle of a body.
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest);
            return;
        }
        while read_request(stream).is_some() {
            stream.get_mut().write_all(&respond(200, "", b"next")).unwrap();
        }
    });
    let rig = Rig::new(&Plan::to(&[backend.address]));
    // Little is missing: it is read, and the connection goes on.
    let mut client = rig.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n");
    assert_eq!(client.response().text(), "too much");
    client.send(&"x".repeat(1000));
    assert_eq!(client.get("/").text(), "next");
    assert_eq!(
        backend.connections(),
        2,
        "the connection with an unfinished request is not used again"
    );
}

#[test]
fn row8_a_long_body_after_an_early_answer_ends_the_connection() {
    let backend = Backend::scripted(|_, stream| {
        read_head(stream).unwrap();
        stream
            .get_mut()
            .write_all(&respond(413, "", b"too much"))
            .unwrap();
    });
    let rig = Rig::new(&Plan::to(&[backend.address]));
    let mut client = rig.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n");
    assert_eq!(client.response().text(), "too much");
    let mut sent = 0;
    while client.stream.write_all(&[0; 65_536]).is_ok() {
        sent += 65_536;
        assert!(sent < 50_000_000, "nobody stops the client");
    }
}

#[test]
fn row8_a_local_answer_reads_a_short_body_and_goes_on() {
    let backend = echo();
    let mut plan = Plan::to(&[backend.address]);
    plan.rules[0].matches[0].path = weir_model::PathMatch::Prefix("/in".into());
    let rig = Rig::new(&plan);
    let mut client = rig.client();
    client.send("POST /out HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    assert_eq!(client.response().status, 404);
    client.send("2\r\nde\r\n0\r\n\r\n");
    assert_eq!(client.get("/in").status, 200);
    client.send("POST /out HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\n\r\n");
    assert_eq!(client.response().field("connection"), Some("close"));
}

#[test]
fn row27_a_client_that_sends_no_more_still_gets_its_answer() {
    let (answer, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let backend = Backend::answering(move |_| {
        wait.lock().unwrap().recv().unwrap();
        respond(200, "", b"late")
    });
    let rig = Rig::new(&Plan::to(&[backend.address]));
    let mut client = rig.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("the request arrives", || backend.seen().len() == 1);
    client.finish_sending();
    std::thread::sleep(Duration::from_millis(20));
    answer.send(()).unwrap();
    assert_eq!(client.response().text(), "late");
    assert!(client.is_closed());
}

#[test]
fn f10_a_client_that_breaks_its_connection_ends_the_request() {
    // Before the response's head, behind a pipelined request, and in the middle of a response that stalls.
    for (pipelined, answer) in [
        ("", ""),
        ("GET /2 HTTP/1.1\r\n", ""),
        ("", "HTTP/1.1 200 OK\r\n\r\nhalf"),
    ] {
        let ended = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&ended);
        let backend = Backend::scripted(move |_, stream| {
            read_request(stream).unwrap();
            stream.get_mut().write_all(answer.as_bytes()).unwrap();
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest);
            counter.fetch_add(1, Ordering::SeqCst);
        });
        let rig = Rig::new(&Plan::to(&[backend.address]));
        let mut client = rig.client();
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        eventually("the request arrives", || backend.connections() == 1);
        client.send(pipelined);
        if !answer.is_empty() {
            client.head().unwrap();
        }
        std::thread::sleep(Duration::from_millis(20));
        socket2::SockRef::from(&client.stream)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        drop(client);
        eventually("the endpoint's connection ends", || {
            ended.load(Ordering::SeqCst) == 1
        });
    }
}

#[test]
fn row27_a_response_that_breaks_off_is_never_a_clean_end() {
    let heads = [
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz",
        "HTTP/1.1 200 OK\r\n\r\n",
    ];
    for head in heads {
        for reset in [true, false] {
            let is_until_close = head.ends_with("OK\r\n\r\n");
            if is_until_close && !reset {
                continue;
            }
            let backend = Backend::scripted(move |_, stream| {
                read_request(stream).unwrap();
                write!(stream.get_mut(), "{head}half").unwrap();
                std::thread::sleep(Duration::from_millis(20));
                if reset {
                    socket2::SockRef::from(stream.get_ref())
                        .set_linger(Some(Duration::ZERO))
                        .unwrap();
                }
            });
            let rig = Rig::new(&Plan::to(&[backend.address]));
            for version in ["1.1", "1.0"] {
                let mut client = rig.client();
                client.send(&format!("GET / HTTP/{version}\r\nHost: a\r\n\r\n"));
                let outcome = client.response_to("GET");
                assert!(outcome.is_err(), "{head:?} {reset} {version}: {outcome:?}");
            }
        }
    }
}

#[test]
fn row28_a_slow_reader_holds_back_the_sender() {
    let (progress, received) = mpsc::channel();
    let progress = std::sync::Mutex::new(progress);
    let backend = Backend::scripted(move |_, stream| {
        read_request(stream).unwrap();
        socket2::SockRef::from(stream.get_ref())
            .set_send_buffer_size(64 * 1024)
            .unwrap();
        let total = 64 * 1024 * 1024;
        write!(
            stream.get_mut(),
            "HTTP/1.1 200 OK\r\nContent-Length: {total}\r\n\r\n"
        )
        .unwrap();
        for _ in 0..total / 65_536 {
            stream.get_mut().write_all(&[7; 65_536]).unwrap();
            progress.lock().unwrap().send(65_536).unwrap();
        }
    });
    let rig = Rig::new(&Plan::to(&[backend.address]));
    let mut client = rig.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client.head().unwrap();
    let mut written = 0;
    while let Ok(length) = received.recv_timeout(Duration::from_millis(300)) {
        written += length;
    }
    assert!(
        written < 24 * 1024 * 1024,
        "{written} bytes for a client that reads none"
    );
    client.take(64 * 1024 * 1024).unwrap();
}

#[test]
fn no_more_is_in_flight_than_the_policy_allows() {
    let body = pattern(300_000);
    for (buffer_bytes, chunk_max) in [
        (None, 16_384),
        (NonZeroU32::new(4_096), 2_048),
        (NonZeroU32::new(1), 512),
    ] {
        let sent = body.clone();
        let backend = Backend::scripted(move |_, stream| {
            if let Some(request) = read_request(stream) {
                let head = "HTTP/1.1 200 X\r\nconnection: close\r\n\r\n";
                stream.get_mut().write_all(head.as_bytes()).unwrap();
                // What comes with the head is read with it, whatever it is.
                std::thread::sleep(Duration::from_millis(50));
                stream.get_mut().write_all(&sent).unwrap();
                assert!(request.body == sent);
            }
        });
        let plan = Plan::to(&[backend.address]).forward(|forward| {
            forward.upstream = Arc::new(UpstreamSpec {
                connection: ConnectionSpec {
                    buffer_bytes,
                    ..ConnectionSpec::default()
                },
                ..UpstreamSpec::default()
            });
        });
        let rig = Rig::new(&plan);
        let mut client = rig.client();
        client.send(&format!(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
            body.len()
        ));
        client.send_bytes(&body);
        client.head().unwrap();
        let (mut received, mut longest) = (Vec::new(), 0);
        while let Some(chunk) = client.chunk() {
            longest = longest.max(chunk.len());
            received.extend(chunk);
        }
        assert!(received == body, "{buffer_bytes:?}");
        assert!(longest <= chunk_max, "{buffer_bytes:?}: {longest}");
        assert!(longest > chunk_max / 2, "{buffer_bytes:?}: {longest}");
    }
}
