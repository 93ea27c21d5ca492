//! Opens many keep-alive connections through a proxy, sends one request on each, and holds them.
//!
//! Prints `ready N` when all stand. Then answers each line on standard input with `open N`, the number of
//! connections that the proxy has not closed, and ends when standard input does.
#![allow(clippy::print_stderr, clippy::print_stdout, reason = "a command-line program")]

use std::io::{BufRead, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use peers::Flags;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("idle: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let flags = Flags::read(&["to", "count"])?;
    let target: SocketAddr = flags.required("to")?;
    let count: usize = flags.optional("count")?.unwrap_or(5_000);
    peers::raise_file_limit(65_536);
    let mut connections = Vec::with_capacity(count);
    for number in 0..count {
        let connection = open(target).map_err(|error| format!("connection {number} to {target}: {error}"))?;
        connections.push(connection);
    }
    println!("ready {count}");
    for line in std::io::stdin().lock().lines() {
        line.map_err(|error| error.to_string())?;
        println!(
            "open {}",
            connections
                .iter()
                .filter(|connection| is_open(connection))
                .count()
        );
    }
    Ok(())
}

/// Connects and has one request answered.
fn open(target: SocketAddr) -> std::io::Result<TcpStream> {
    let mut connection = TcpStream::connect_timeout(&target, Duration::from_secs(5))?;
    connection.set_read_timeout(Some(Duration::from_secs(5)))?;
    connection.write_all(format!("GET / HTTP/1.1\r\nHost: {target}\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    let mut scratch = [0; 4096];
    loop {
        let length = connection.read(&mut scratch)?;
        if length == 0 {
            return Err(std::io::Error::other("closed before the answer was complete"));
        }
        answer.extend_from_slice(&scratch[..length]);
        if is_complete(&answer)? {
            return Ok(connection);
        }
    }
}

/// Whether `answer` is a whole 200 with `Content-Length`.
fn is_complete(answer: &[u8]) -> std::io::Result<bool> {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return Ok(false);
    };
    if !head.starts_with("HTTP/1.1 200") {
        return Err(std::io::Error::other(format!(
            "answered {}",
            head.lines().next().unwrap_or_default()
        )));
    }
    let length = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok());
    match length {
        Some(length) => Ok(body.len() >= length),
        None => Err(std::io::Error::other("the answer has no Content-Length")),
    }
}

fn is_open(connection: &TcpStream) -> bool {
    let mut byte = [0];
    connection.set_nonblocking(true).is_ok()
        && matches!(connection.peek(&mut byte), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_complete_when_its_body_is() {
        for (answer, complete) in [
            ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nab", Some(true)),
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na", Some(false)),
            ("HTTP/1.1 200 OK\r\nContent-Le", Some(false)),
            (
                "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n",
                None,
            ),
            ("HTTP/1.1 200 OK\r\n\r\n", None),
        ] {
            assert_eq!(is_complete(answer.as_bytes()).ok(), complete, "{answer}");
        }
    }
}
