//! Backends in the test's process that answer each request as a test wants.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

/// Answers each head that arrives, with the function's bytes, and says where.
pub(crate) fn scripted(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let answer = Arc::clone(&answer);
            std::thread::spawn(move || serve(stream, &*answer));
        }
    });
    port
}

fn serve(mut stream: TcpStream, answer: &dyn Fn(&str) -> Vec<u8>) {
    let (mut room, mut seen) = ([0; 4096], Vec::new());
    while let Ok(length @ 1..) = stream.read(&mut room) {
        seen.extend_from_slice(&room[..length]);
        if seen.ends_with(b"\r\n\r\n") {
            let bytes = answer(&String::from_utf8_lossy(&seen));
            seen.clear();
            if stream.write_all(&bytes).is_err() {
                return;
            }
        }
    }
}

/// What an echo backend named `pod` would answer, with this status and these further lines of its head.
pub(crate) fn answer_of(pod: &str, status: u16, fields: &str) -> Vec<u8> {
    let body = format!("{{\"pod\":\"{pod}\"}}");
    let length = body.len();
    format!("HTTP/1.1 {status} X\r\n{fields}content-length: {length}\r\n\r\n{body}").into_bytes()
}
