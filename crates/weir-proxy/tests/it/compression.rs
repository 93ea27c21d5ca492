//! Responses that weir encodes (feature row KT23).

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::mpsc::channel;

use weir_model::{Compressor, ContentEncoding, TrafficSpec};

use crate::harness::{Backend, Client, Plan, Response, Rig, read_request, respond};

const TEXT: &str = "content-type: text/plain\r\n";

fn compressor(encoding: ContentEncoding) -> Compressor {
    Compressor {
        encoding,
        level: None,
        min_bytes: 100,
        content_types: Vec::new(),
    }
}

fn all() -> Vec<Compressor> {
    vec![
        compressor(ContentEncoding::Gzip),
        compressor(ContentEncoding::Brotli),
        compressor(ContentEncoding::Zstd),
    ]
}

fn rig(backend: &Backend, compressors: Vec<Compressor>) -> Rig {
    let mut plan = Plan::to(&[backend.address]);
    plan.rules[0].traffic = Some(Arc::new(TrafficSpec {
        compressors,
        ..TrafficSpec::default()
    }));
    Rig::new(&plan)
}

fn asked(client: &mut Client, method: &str, fields: &str) -> Response {
    client.send(&format!("{method} / HTTP/1.1\r\nHost: test\r\n{fields}\r\n"));
    client.response_to(method).unwrap()
}

/// The body as it was before weir encoded it.
fn decoded(response: &Response) -> Vec<u8> {
    let coded = &response.body[..];
    let mut reader: Box<dyn Read + '_> = match response.field("content-encoding") {
        Some("gzip") => Box::new(flate2::read::GzDecoder::new(coded)),
        Some("br") => Box::new(brotli::Decompressor::new(coded, 4096)),
        other => {
            assert_eq!(other, Some("zstd"));
            Box::new(zstd::Decoder::new(coded).unwrap())
        }
    };
    let mut text = Vec::new();
    reader.read_to_end(&mut text).unwrap();
    text
}

fn long_text() -> Vec<u8> {
    b"some words that come again and again, ".repeat(50)
}

#[test]
fn kt23_the_client_chooses_the_coding() {
    let backend = Backend::answering(|_| respond(200, TEXT, &long_text()));
    let rig = rig(&backend, all());
    let mut client = rig.client();
    for (accepted, expected) in [
        ("gzip", Some("gzip")),
        ("br", Some("br")),
        ("zstd", Some("zstd")),
        ("gzip, br, zstd", Some("gzip")),
        ("gzip;q=0.5, br;q=0.8, zstd;q=0.7", Some("br")),
        ("*", Some("gzip")),
        ("*, gzip;q=0", Some("br")),
        ("gzip;q=0", None),
        ("identity", None),
        ("identity, gzip;q=0.5", None),
        ("identity;q=0.5, gzip", Some("gzip")),
        ("deflate", None),
        ("", None),
    ] {
        let response = asked(&mut client, "GET", &format!("Accept-Encoding: {accepted}\r\n"));
        assert_eq!(response.field("content-encoding"), expected, "{accepted}");
        assert_eq!(response.field("vary"), Some("Accept-Encoding"), "{accepted}");
        match expected {
            None => assert_eq!(response.body, long_text(), "{accepted}"),
            Some(_) => {
                assert!(response.body.len() < 300, "{accepted}: {}", response.body.len());
                assert_eq!(decoded(&response), long_text(), "{accepted}");
                assert_eq!(response.field("content-length"), None, "{accepted}");
            }
        }
    }
    let response = asked(&mut client, "GET", "");
    assert_eq!(response.field("content-encoding"), None);
    assert_eq!(response.body, long_text());
    assert_eq!(
        backend.connections(),
        1,
        "encoded responses leave their connection sound"
    );
    // Endpoints are asked for what weir encodes itself in the plain form only.
    let asked: Vec<_> = backend
        .seen()
        .iter()
        .map(|seen| seen.field("accept-encoding").map(str::to_owned))
        .collect();
    assert_eq!(asked[0], None);
    assert_eq!(asked[11].as_deref(), Some("deflate"));
}

#[test]
fn kt23_what_is_not_encoded() {
    let short = &long_text()[..99];
    let exact = &long_text()[..100];
    // (status, fields of the response, body, fields of the request, whether it is encoded)
    let cases: [(u16, &str, &[u8], &str, bool); 19] = [
        (200, TEXT, short, "", false),
        (200, TEXT, exact, "", true),
        (200, "content-type: image/png\r\n", exact, "", false),
        (200, "", exact, "", false),
        (200, "content-type: Text/HTML; charset=utf-8\r\n", exact, "", true),
        (200, "content-type: application/json\r\n", exact, "", true),
        (200, "content-type: application/problem+json\r\n", exact, "", true),
        (200, "content-type: image/svg+xml\r\n", exact, "", true),
        (404, TEXT, exact, "", true),
        (
            200,
            "content-type: text/plain\r\ncontent-encoding: gzip\r\n",
            exact,
            "",
            false,
        ),
        (
            200,
            "content-type: text/plain\r\ncontent-encoding: identity\r\n",
            exact,
            "",
            true,
        ),
        (
            200,
            "content-type: text/plain\r\ncache-control: public, no-transform\r\n",
            exact,
            "",
            false,
        ),
        (200, TEXT, exact, "Cache-Control: no-transform\r\n", false),
        (
            206,
            "content-type: text/plain\r\ncontent-range: bytes 0-99/200\r\n",
            exact,
            "",
            false,
        ),
        (204, "", b"", "", false),
        (304, "etag: \"a\"\r\n", b"", "", false),
        // Who refuses the plain form gets it in no case that can be helped.
        (200, TEXT, short, "identity;q=0", true),
        (200, "content-type: image/png\r\n", exact, "identity;q=0", true),
        (
            200,
            "content-type: text/plain\r\ncontent-encoding: br\r\n",
            exact,
            "identity;q=0",
            false,
        ),
    ];
    for (status, fields, body, request, is_encoded) in cases {
        let (fields, body) = (fields.to_owned(), body.to_vec());
        let answer = match status {
            204 | 304 => format!("HTTP/1.1 {status} X\r\n{fields}\r\n").into_bytes(),
            _ => respond(status, &fields, &body),
        };
        let backend = Backend::answering(move |_| answer.clone());
        let rig = rig(&backend, all());
        let request = match request.strip_prefix("identity") {
            Some(_) => format!("Accept-Encoding: gzip, {request}\r\n"),
            None => format!("Accept-Encoding: gzip\r\n{request}"),
        };
        let response = asked(&mut rig.client(), "GET", &request);
        let what = format!("{status} {fields:?} {request:?}");
        assert_eq!(response.status, status, "{what}");
        if is_encoded {
            assert_eq!(response.field("content-encoding"), Some("gzip"), "{what}");
            assert_eq!(decoded(&response), body, "{what}");
        } else {
            assert_ne!(response.field("content-encoding"), Some("zstd"), "{what}");
            assert_eq!(response.body, body, "{what}");
            let length = response.field("content-length").map(|value| value.parse());
            assert_eq!(length, (!body.is_empty()).then_some(Ok(body.len())), "{what}");
        }
    }
}

#[test]
fn kt23_the_head_says_what_is_true_of_the_encoded_body() {
    let fields = "content-type: text/plain\r\netag: \"abc\"\r\nvary: Origin\r\naccept-ranges: bytes\r\n\
                  content-md5: x\r\nx-other: kept\r\n";
    let backend = Backend::answering(move |_| respond(200, fields, &long_text()));
    let rig = rig(&backend, all());
    let mut client = rig.client();
    for method in ["GET", "HEAD"] {
        let response = asked(&mut client, method, "Accept-Encoding: br\r\n");
        assert_eq!(response.field("etag"), Some("W/\"abc\""), "{method}");
        assert_eq!(response.field("vary"), Some("Origin,Accept-Encoding"), "{method}");
        assert_eq!(response.field("content-encoding"), Some("br"), "{method}");
        assert_eq!(response.field("x-other"), Some("kept"), "{method}");
        for gone in ["content-length", "accept-ranges", "content-md5"] {
            assert_eq!(response.field(gone), None, "{method} {gone}");
        }
    }
    let plain = asked(&mut client, "HEAD", "Accept-Encoding: identity\r\n");
    assert_eq!(
        plain.field("content-length"),
        Some(&*long_text().len().to_string())
    );
    assert_eq!(plain.field("etag"), Some("\"abc\""));
}

#[test]
fn kt23_levels_and_types_are_those_asked_for() {
    let backend = Backend::answering(|_| respond(200, "content-type: application/x-own\r\n", &long_text()));
    let one = Compressor {
        level: Some(9),
        content_types: vec!["application/x-own".into()],
        ..compressor(ContentEncoding::Gzip)
    };
    let rig = rig(&backend, vec![one]);
    let response = asked(&mut rig.client(), "GET", "Accept-Encoding: gzip\r\n");
    assert_eq!(decoded(&response), long_text());
    // RFC 1952 2.3.1: 2 says that the slowest algorithm was used.
    assert_eq!(response.body[8], 2);
}

#[test]
fn kt23_events_arrive_one_by_one() {
    for encoding in ["gzip", "br", "zstd"] {
        let (next, go) = channel::<()>();
        let go = std::sync::Mutex::new(go);
        let backend = Backend::scripted(move |_, stream| {
            read_request(stream);
            let head =
                "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
            stream.get_mut().write_all(head.as_bytes()).unwrap();
            for event in 0..3 {
                let event = format!("data: {event}\n\n");
                let chunk = format!("{:x}\r\n{event}\r\n", event.len());
                stream.get_mut().write_all(chunk.as_bytes()).unwrap();
                // The next one only when the client has seen this one.
                go.lock().unwrap().recv().unwrap();
            }
            stream.get_mut().write_all(b"0\r\n\r\n").unwrap();
        });
        let rig = rig(&backend, all());
        let mut client = rig.client();
        client.send(&format!(
            "GET / HTTP/1.1\r\nHost: test\r\nAccept-Encoding: {encoding}\r\n\r\n"
        ));
        let head = client.head().unwrap();
        assert!(head.contains(&format!("content-encoding: {encoding}")), "{head}");
        let mut so_far = Response {
            fields: vec![("content-encoding".to_owned(), encoding.to_owned())],
            ..Response::default()
        };
        for event in 0..3 {
            let expected: String = (0..=event).map(|event| format!("data: {event}\n\n")).collect();
            while readable(&so_far) != expected.as_bytes() {
                so_far.body.extend(client.chunk().unwrap());
            }
            next.send(()).unwrap();
        }
        while let Some(rest) = client.chunk() {
            so_far.body.extend(rest);
        }
        assert_eq!(decoded(&so_far).len(), 3 * "data: 0\n\n".len(), "{encoding}");
    }
}

/// What a client that shows what it has can show.
fn readable(response: &Response) -> Vec<u8> {
    let coded = &response.body[..];
    let mut reader: Box<dyn Read + '_> = match response.field("content-encoding") {
        Some("gzip") => Box::new(flate2::read::GzDecoder::new(coded)),
        Some("br") => Box::new(brotli::Decompressor::new(coded, 4096)),
        _ => Box::new(zstd::Decoder::new(coded).unwrap()),
    };
    let (mut text, mut byte) = (Vec::new(), [0]);
    while let Ok(1) = reader.read(&mut byte) {
        text.push(byte[0]);
    }
    text
}

#[test]
fn kt23_http_1_0_gets_a_body_that_ends_with_its_connection() {
    let backend = Backend::answering(|_| respond(200, TEXT, &long_text()));
    let rig = rig(&backend, all());
    let mut client = rig.client();
    client.send("GET / HTTP/1.0\r\nHost: test\r\nAccept-Encoding: gzip\r\nConnection: keep-alive\r\n\r\n");
    let response = client.response();
    assert_eq!(response.field("transfer-encoding"), None);
    assert_eq!(response.field("connection"), Some("close"));
    assert_eq!(decoded(&response), long_text());
    assert_eq!(backend.connections(), 1);
}

#[test]
fn kt23_large_bodies_of_every_framing_arrive_whole() {
    // Hardly compressible, so that a lot has to be written.
    let mut state = 7u64;
    let body: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as u8 & 0x3f
    })
    .take(3_000_000)
    .collect();
    let length = format!("HTTP/1.1 200 X\r\n{TEXT}content-length: {}\r\n\r\n", body.len());
    let framings: [(String, Vec<u8>); 3] = [
        (length, body.clone()),
        (
            format!("HTTP/1.1 200 X\r\n{TEXT}connection: close\r\n\r\n"),
            body.clone(),
        ),
        (
            format!("HTTP/1.1 200 X\r\n{TEXT}trailer: x-sum\r\ntransfer-encoding: chunked\r\n\r\n"),
            chunks(&body),
        ),
    ];
    for (head, sent) in framings {
        let has_trailers = head.contains("trailer");
        let backend = Backend::scripted(move |_, stream| {
            if read_request(stream).is_some() {
                // A client that goes away early is another test's matter.
                let _ = stream.get_mut().write_all(head.as_bytes());
                let _ = stream.get_mut().write_all(&sent);
            }
        });
        let rig = rig(&backend, all());
        for encoding in ["gzip", "br", "zstd"] {
            let request = format!("Accept-Encoding: {encoding}\r\nTE: trailers\r\nConnection: te\r\n");
            let response = asked(&mut rig.client(), "GET", &request);
            assert!(
                decoded(&response) == body,
                "{encoding}: {} bytes",
                response.body.len()
            );
            let trailers = [("x-sum".to_owned(), "1".to_owned())];
            assert_eq!(response.trailers, if has_trailers { &trailers[..] } else { &[] });
        }
    }
}

fn chunks(body: &[u8]) -> Vec<u8> {
    let mut sent = Vec::new();
    for part in body.chunks(50_000) {
        sent.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
        sent.extend_from_slice(part);
        sent.extend_from_slice(b"\r\n");
    }
    sent.extend_from_slice(b"0\r\nx-sum: 1\r\n\r\n");
    sent
}

#[test]
fn kt23_a_body_that_breaks_off_is_cut_for_the_client_too() {
    let backend = Backend::scripted(|_, stream| {
        read_request(stream);
        let head = format!("HTTP/1.1 200 X\r\n{TEXT}content-length: 100000\r\n\r\n");
        stream.get_mut().write_all(head.as_bytes()).unwrap();
        stream.get_mut().write_all(&[b'a'; 1000]).unwrap();
    });
    let rig = rig(&backend, all());
    let mut client = rig.client();
    client.send("GET / HTTP/1.1\r\nHost: test\r\nAccept-Encoding: gzip\r\n\r\n");
    assert!(client.response_to("GET").is_err());
}
