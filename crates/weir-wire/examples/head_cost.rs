//! Prints what the steps of the hot path cost, in nanoseconds: `cargo run --release -p weir-wire --example head_cost`.
#![allow(clippy::print_stdout)]

use std::hint::black_box;
use std::time::Instant;

use weir_wire::h1::encode;
use weir_wire::{HeadLimits, RequestHead, ResponseHead, connection, forwarded, framing, host, path};

const LIMITS: HeadLimits = HeadLimits {
    head_bytes: 32 * 1024,
    fields: 100,
    field_bytes: 16 * 1024,
    target_bytes: 8 * 1024,
};

const WRK: &[u8] = b"GET /least/one HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nConnection: keep-alive\r\n\r\n";

const EIGHT: &[u8] = b"GET /api/v1/items/12345?expand=owner HTTP/1.1\r\n\
    Host: shop.example.com\r\n\
    User-Agent: curl/8.5.0\r\n\
    Accept: application/json\r\n\
    Accept-Encoding: gzip, deflate, br\r\n\
    Authorization: Bearer 0123456789abcdef0123456789abcdef\r\n\
    X-Request-Id: 7b0c7c1e-6a0e-4e9c-a8a1-0f3a2f8f5b11\r\n\
    X-Forwarded-For: 203.0.113.7\r\n\
    Cookie: session=0123456789abcdef\r\n\r\n";

const BROWSER: &[u8] = b"GET /assets/app/index.html?v=20260817 HTTP/1.1\r\n\
    Host: www.example.com\r\n\
    Connection: keep-alive\r\n\
    Cache-Control: max-age=0\r\n\
    Upgrade-Insecure-Requests: 1\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n\
    Sec-Fetch-Site: same-origin\r\n\
    Sec-Fetch-Mode: navigate\r\n\
    Referer: https://www.example.com/\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Accept-Language: en-GB,en;q=0.9\r\n\
    Cookie: _ga=GA1.1.1234567890.1700000000; session=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcdef; theme=dark\r\n\r\n";

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 120\r\n\
    date: Mon, 17 Aug 2026 10:00:00 GMT\r\n\r\n";

fn main() {
    for (name, bytes) in [
        ("wrk-like, 2 fields", WRK),
        ("api, 8 fields", EIGHT),
        ("browser-like, 12 fields", BROWSER),
    ] {
        let mut head = RequestHead::new(LIMITS);
        let parse = time(|| head.parse(black_box(bytes)).is_ok());
        let decide = time(|| {
            let host = host::request_host(&head, bytes);
            let path = path::normalise(head.form.path().of(bytes));
            let body = framing::request_body(&head, bytes);
            let connection = connection::Connection::of(&head.fields, bytes);
            host.is_ok() && path.is_ok() && body.is_ok() && connection.is_ok()
        });
        let mut out = Vec::with_capacity(4096);
        let encode = time(|| {
            out.clear();
            let Ok(connection) = connection::Connection::of(&head.fields, bytes) else {
                return false;
            };
            let dropped = connection.dropped().union(weir_wire::Known::XForwardedFor.set());
            encode::request_line(&mut out, b"GET", head.target.of(bytes));
            encode::fields(&mut out, bytes, &head.fields, |field| {
                !dropped.contains(field.known) && !connection.nominates(field, &head.fields, bytes)
            });
            let values = head.fields.values(weir_wire::Known::XForwardedFor, bytes);
            forwarded::append(&mut out, values, [127, 0, 0, 1].into());
            encode::end(&mut out);
            !out.is_empty()
        });
        println!(
            "{name:24} {:5} B  parse {parse:6.1} ns  decide {decide:6.1} ns  encode {encode:6.1} ns",
            bytes.len()
        );
    }
    let mut head = ResponseHead::new(LIMITS);
    let parse = time(|| head.parse(black_box(ANSWER)).is_ok());
    println!(
        "{:24} {:5} B  parse {parse:6.1} ns",
        "response, 3 fields",
        ANSWER.len()
    );
}

/// The best of many short rounds, nanoseconds per call: other work on the machine spoils most rounds, not all.
fn time(mut step: impl FnMut() -> bool) -> f64 {
    const CALLS: u32 = 1_000;
    (0..2_000)
        .map(|_| {
            let begin = Instant::now();
            for _ in 0..CALLS {
                assert!(black_box(step()), "the sample is good");
            }
            begin.elapsed().as_nanos() as f64 / f64::from(CALLS)
        })
        .fold(f64::INFINITY, f64::min)
}
