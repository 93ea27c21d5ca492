//! A backend that costs as little as possible, so that it never is what limits a measurement.
//!
//! Answers every request on every connection with the same small 200; a request ends at its first empty line, so
//! it understands no bodies. `X-Backend` names the address that answered. Pipelined requests are answered
//! with one write. With `--count-listen` it tells whoever connects there how many requests it has answered so far.
#![allow(clippy::print_stderr, clippy::print_stdout, reason = "a command-line program")]

use std::collections::VecDeque;
use std::io::Write;
use std::net::{SocketAddrV4, TcpListener};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use peers::{Events, Flags, Poller};

/// How much one read takes at most.
const READ_BYTES: usize = 16 * 1024;
/// How many answers one write carries at most.
const ANSWERS_PER_WRITE: usize = 64;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("backend: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let flags = Flags::read(&["listen", "threads", "body-bytes", "delay-ms", "count-listen"])?;
    let listen: Vec<SocketAddrV4> = flags.list("listen")?;
    let threads: usize = flags.optional("threads")?.unwrap_or(2);
    let body_bytes: usize = flags.optional("body-bytes")?.unwrap_or(128);
    let delay = Duration::from_millis(flags.optional("delay-ms")?.unwrap_or(0));
    peers::raise_file_limit(65_536);
    let count_listen: Option<SocketAddrV4> = flags.optional("count-listen")?;
    let (mut workers, mut counts) = (Vec::new(), Vec::new());
    for _ in 0..threads {
        let worker =
            Worker::new(&listen, body_bytes, delay).map_err(|error| format!("{listen:?}: {error}"))?;
        counts.push(Arc::clone(&worker.answered));
        workers.push(std::thread::spawn(move || worker.run()));
    }
    if let Some(address) = count_listen {
        let listener = TcpListener::bind(address).map_err(|error| format!("{address}: {error}"))?;
        std::thread::spawn(move || tell_count(&listener, &counts));
    }
    println!("ready");
    for worker in workers {
        match worker.join() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(error.to_string()),
            Err(_) => return Err("a worker died".to_owned()),
        }
    }
    Ok(())
}

/// A worker's number of answered requests, on a cache line of its own.
#[derive(Default)]
#[repr(align(64))]
struct Count(AtomicU64);

/// Writes the sum of `counts` to every connection and closes it.
fn tell_count(listener: &TcpListener, counts: &[Arc<Count>]) {
    for mut stream in listener.incoming().flatten() {
        let sum: u64 = counts.iter().map(|count| count.0.load(Relaxed)).sum();
        // Whoever has gone does not want to know.
        let _ = writeln!(stream, "{sum}");
    }
}

/// An address and what it answers: the same answer [`ANSWERS_PER_WRITE`] times.
struct Listener {
    socket: OwnedFd,
    answers: Arc<[u8]>,
}

/// One client connection.
struct Connection {
    socket: OwnedFd,
    answers: Arc<[u8]>,
    /// How much of an empty line has been read: 0 none, 1 CR, 2 CRLF, 3 CRLFCR.
    line_end: u8,
    /// Answers due at a time, oldest first; used with a delay only.
    due: VecDeque<(Instant, usize)>,
    /// Bytes that the socket has not taken yet.
    pending: Vec<u8>,
}

impl Connection {
    /// Counts the requests that end in `bytes`.
    fn count_requests(&mut self, bytes: &[u8]) -> usize {
        let mut count = 0;
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            at += 1;
            self.line_end = match (*byte, self.line_end) {
                (b'\r', 2) => 3,
                (b'\r', _) => 1,
                (b'\n', 1) => 2,
                (b'\n', 3) => {
                    count += 1;
                    0
                }
                _ => {
                    at += bytes[at..]
                        .iter()
                        .position(|byte| *byte == b'\r')
                        .unwrap_or(bytes.len() - at);
                    0
                }
            };
        }
        count
    }

    fn answer(&mut self, mut count: usize) -> std::io::Result<()> {
        let size = self.answers.len() / ANSWERS_PER_WRITE;
        while count > 0 {
            let batch = count.min(ANSWERS_PER_WRITE);
            count -= batch;
            let bytes = &self.answers[..batch * size];
            let sent = match self.pending.is_empty() {
                true => peers::write(self.socket.as_raw_fd(), bytes)?.unwrap_or(0),
                false => 0,
            };
            self.pending.extend_from_slice(&bytes[sent..]);
        }
        Ok(())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        if !self.pending.is_empty() {
            let sent = peers::write(self.socket.as_raw_fd(), &self.pending)?.unwrap_or(0);
            self.pending.drain(..sent);
        }
        Ok(())
    }
}

/// One thread's listeners and connections.
struct Worker {
    poller: Poller,
    listeners: Vec<Listener>,
    /// Indexed by descriptor.
    connections: Vec<Option<Connection>>,
    /// Connections in the order in which their answers are due; used with a delay only.
    waiting: VecDeque<RawFd>,
    closing: Vec<RawFd>,
    scratch: Vec<u8>,
    delay: Duration,
    answered: Arc<Count>,
}

impl Worker {
    fn new(listen: &[SocketAddrV4], body_bytes: usize, delay: Duration) -> std::io::Result<Self> {
        let poller = Poller::new()?;
        let mut listeners = Vec::new();
        for address in listen {
            let socket = peers::listen(*address)?;
            poller.add_listener(socket.as_raw_fd())?;
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {body_bytes}\r\nX-Backend: {address}\r\n\r\n{}",
                "w".repeat(body_bytes)
            );
            listeners.push(Listener {
                socket,
                answers: answer.repeat(ANSWERS_PER_WRITE).into_bytes().into(),
            });
        }
        Ok(Self {
            poller,
            listeners,
            connections: Vec::new(),
            waiting: VecDeque::new(),
            closing: Vec::new(),
            scratch: vec![0; READ_BYTES],
            delay,
            answered: Arc::default(),
        })
    }

    fn run(mut self) -> std::io::Result<()> {
        let mut events = Events::new();
        loop {
            let timeout_ms = self.answer_due();
            self.poller.wait(&mut events, timeout_ms)?;
            for fd in events.ready() {
                match self
                    .listeners
                    .iter()
                    .position(|listener| listener.socket.as_raw_fd() == fd)
                {
                    Some(index) => self.accept(index)?,
                    None => {
                        if !self.serve(fd).unwrap_or(false) {
                            self.closing.push(fd);
                        }
                    }
                }
            }
            for fd in self.closing.drain(..) {
                self.connections[fd as usize] = None;
            }
        }
    }

    fn accept(&mut self, index: usize) -> std::io::Result<()> {
        let listener = &self.listeners[index];
        let Some(socket) = peers::accept(listener.socket.as_raw_fd())? else {
            return Ok(());
        };
        let fd = socket.as_raw_fd();
        if self.connections.len() <= fd as usize {
            self.connections.resize_with(fd as usize + 1, || None);
        }
        self.poller.add_stream(fd)?;
        self.connections[fd as usize] = Some(Connection {
            socket,
            answers: listener.answers.clone(),
            line_end: 0,
            due: VecDeque::new(),
            pending: Vec::new(),
        });
        Ok(())
    }

    /// Reads and answers; `false` when the client has closed the connection.
    fn serve(&mut self, fd: RawFd) -> std::io::Result<bool> {
        let Some(connection) = self.connections[fd as usize].as_mut() else {
            return Ok(true);
        };
        connection.flush()?;
        while let Some(length) = peers::read(fd, &mut self.scratch)? {
            if length == 0 {
                return Ok(false);
            }
            let count = connection.count_requests(&self.scratch[..length]);
            // Nobody else writes it.
            let answered = self.answered.0.load(Relaxed);
            self.answered.0.store(answered + count as u64, Relaxed);
            if self.delay.is_zero() {
                connection.answer(count)?;
            } else if count > 0 {
                connection.due.push_back((Instant::now() + self.delay, count));
                self.waiting.push_back(fd);
            }
            if length < READ_BYTES {
                break;
            }
        }
        Ok(true)
    }

    /// Sends the answers whose time has come; returns how long to wait for the next, in ms.
    fn answer_due(&mut self) -> i32 {
        while let Some(fd) = self.waiting.front().copied() {
            let Some(connection) = self.connections[fd as usize].as_mut() else {
                self.waiting.pop_front();
                continue;
            };
            let Some((due, count)) = connection.due.front().copied() else {
                self.waiting.pop_front();
                continue;
            };
            let left = due.saturating_duration_since(Instant::now());
            if !left.is_zero() {
                return left.as_millis() as i32 + 1;
            }
            connection.due.pop_front();
            self.waiting.pop_front();
            if connection.answer(count).is_err() {
                self.connections[fd as usize] = None;
            }
        }
        -1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_across_reads() {
        for (parts, count) in [
            (&["GET / HTTP/1.1\r\nhost: a\r\n\r\n"][..], 1),
            (&["GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n"], 2),
            (
                &[
                    "GET / HTTP/1.1\r",
                    "\n\r",
                    "\nGET / HTTP/1.1\r\nhost: a\r\n",
                    "\r\n",
                ],
                2,
            ),
            (&["GET / HTTP/1.1\r\nhost: a\r\n"], 0),
            (&["GET / HTTP/1.1\r\r\n\n\r\n"], 0),
        ] {
            let socket = peers::listen(SocketAddrV4::new([127, 0, 0, 1].into(), 0)).expect("a socket");
            let mut connection = Connection {
                socket,
                answers: Arc::from(Vec::new()),
                line_end: 0,
                due: VecDeque::new(),
                pending: Vec::new(),
            };
            let counted: usize = parts
                .iter()
                .map(|part| connection.count_requests(part.as_bytes()))
                .sum();
            assert_eq!(counted, count, "{parts:?}");
        }
    }
}
