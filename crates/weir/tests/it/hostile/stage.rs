//! The stage of the hostile tests: a backend that does as its script says and keeps every byte that it was sent, a
//! client that sends anything and judges nothing, and a gateway between them. None of it shares code with weir.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use socket2::{Domain, SockRef, Socket, Type};

use crate::harness::{Gateway, PATIENCE, free_port, gateway_and_service, listen_on, read_some};

/// How long the client waits for something that should come at once.
pub(crate) const SOON: Duration = Duration::from_secs(8);

/// A request as the backend received it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Received {
    /// Number of the connection, from 0.
    pub(crate) connection: usize,
    /// Number of the request on its connection, from 0.
    pub(crate) index: usize,
    /// The head with its empty line.
    pub(crate) head: String,
    /// The body without its framing.
    pub(crate) body: Vec<u8>,
    /// Lines of the trailer section.
    pub(crate) trailers: Vec<String>,
    /// Whether the body came to its end.
    pub(crate) is_whole: bool,
}

impl Received {
    pub(crate) fn method(&self) -> &str {
        self.head.split(' ').next().unwrap_or_default()
    }

    pub(crate) fn target(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }

    /// All values of a header.
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        let lines = self.head.split("\r\n").skip(1);
        lines
            .filter_map(|line| line.split_once(':'))
            .filter(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .collect()
    }

    /// What every request must be that weir forwards: one framing, one host, nothing that another parser could
    /// read differently (reliability rows 1 to 7).
    fn check(&self) {
        let head = self.head.strip_suffix("\r\n\r\n").expect("a head ends");
        for line in head.split("\r\n") {
            let is_plain = line
                .bytes()
                .all(|byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f));
            assert!(is_plain, "control bytes reached the backend: {head:?}");
        }
        for line in head.split("\r\n").skip(1) {
            let (name, _) = line.split_once(':').expect("a field has a colon");
            // A token (RFC 9110 5.6.2) without `_`, which some servers read as `-`.
            let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^`|~".contains(&byte);
            let is_clean = name.bytes().all(is_token);
            assert!(
                is_clean && !name.is_empty(),
                "an odd name reached the backend: {head:?}"
            );
        }
        let (lengths, codings) = (self.values("content-length"), self.values("transfer-encoding"));
        assert!(
            lengths.len() + codings.len() <= 1,
            "two framings reached the backend: {head:?}"
        );
        assert!(codings.iter().all(|coding| *coding == "chunked"), "{head:?}");
        assert_eq!(self.values("host").len(), 1, "{head:?}");
        assert_eq!(
            head.split("\r\n").next().expect("a line").split(' ').count(),
            3,
            "{head:?}"
        );
    }
}

/// What the backend does after a script has run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// The next request may come.
    Next,
    /// It closes.
    Close,
    /// It resets.
    Reset,
}

/// A connection of the backend, as scripts see it.
#[derive(Debug)]
pub(crate) struct Line {
    stream: TcpStream,
    input: Vec<u8>,
    raw: Vec<u8>,
}

impl Line {
    /// Writes as it is; that the gateway is gone is its right.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// Has the system keep little of what is sent.
    pub(crate) fn keep_little(&self) {
        SockRef::from(&self.stream)
            .set_send_buffer_size(64 * 1024)
            .expect("an option");
    }

    /// Answers 200 with this body.
    pub(crate) fn ok(&mut self, body: &str) -> Then {
        self.send(ok(body));
        Then::Next
    }

    /// Waits until the gateway ends the connection; returns how long that took, `None` when it does not.
    pub(crate) fn wait_end(&mut self, limit: Duration) -> Option<Duration> {
        let started = Instant::now();
        while started.elapsed() < limit {
            match self.more() {
                Ok(0) => return Some(started.elapsed()),
                Ok(_) => {}
                Err(error) if is_timeout(&error) => {}
                Err(_) => return Some(started.elapsed()),
            }
        }
        None
    }

    fn more(&mut self) -> std::io::Result<usize> {
        let mut block = [0; 16 * 1024];
        let length = read_some(&mut self.stream, &mut block)?;
        self.input.extend_from_slice(&block[..length]);
        self.raw.extend_from_slice(&block[..length]);
        Ok(length)
    }

    /// `None` when the connection ends first.
    fn line(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(end) = self.input.iter().position(|byte| *byte == b'\n') {
                return Some(self.input.drain(..=end).collect());
            }
            self.wait()?;
        }
    }

    fn wait(&mut self) -> Option<()> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            match self.more() {
                Ok(1..) => return Some(()),
                Err(error) if is_timeout(&error) => {}
                Ok(0) | Err(_) => return None,
            }
        }
        None
    }

    fn exactly(&mut self, length: usize) -> (Vec<u8>, bool) {
        while self.input.len() < length {
            if self.wait().is_none() {
                return (std::mem::take(&mut self.input), false);
            }
        }
        (self.input.drain(..length).collect(), true)
    }

    fn head(&mut self) -> Option<String> {
        let mut head = Vec::new();
        loop {
            let line = self.line()?;
            head.extend_from_slice(&line);
            if line == b"\r\n" || line == b"\n" {
                return Some(String::from_utf8_lossy(&head).into_owned());
            }
        }
    }

    fn body(&mut self, received: &mut Received) {
        received.is_whole = true;
        if !received.values("transfer-encoding").is_empty() {
            received.is_whole = self.chunks(received).is_some();
        } else if let Some(length) = received.values("content-length").first() {
            let length = length.parse().expect("a plain length reaches the backend");
            (received.body, received.is_whole) = self.exactly(length);
        }
    }

    fn chunks(&mut self, received: &mut Received) -> Option<()> {
        loop {
            let line = String::from_utf8(self.line()?).expect("a chunk line");
            let size = line.strip_suffix("\r\n").expect("CR LF");
            let size =
                usize::from_str_radix(size, 16).expect("a size without extensions reaches the backend");
            if size == 0 {
                loop {
                    let line = String::from_utf8(self.line()?).expect("a trailer line");
                    if line == "\r\n" {
                        return Some(());
                    }
                    received.trailers.push(line.trim_end().to_owned());
                }
            }
            let (data, is_whole) = self.exactly(size);
            received.body.extend(data);
            if !is_whole {
                return None;
            }
            let (end, is_whole) = self.exactly(2);
            if !is_whole {
                return None;
            }
            assert_eq!(end, b"\r\n", "a chunk ends with CR LF");
        }
    }
}

type Script = dyn Fn(&Received, &mut Line) -> Then + Send + Sync;

#[derive(Default)]
struct Log {
    received: Mutex<Vec<Received>>,
    changed: Condvar,
    connections: AtomicUsize,
    is_over: AtomicBool,
    faults: Mutex<Vec<String>>,
}

/// A backend that does as it is told.
pub(crate) struct Scripted {
    port: u16,
    log: Arc<Log>,
}

impl Scripted {
    /// `script` runs once for each request, after its body.
    pub(crate) fn start(script: impl Fn(&Received, &mut Line) -> Then + Send + Sync + 'static) -> Self {
        Self::start_on(free_port(), true, script)
    }

    /// `script` runs after the head; the body is its business.
    pub(crate) fn start_early(script: impl Fn(&Received, &mut Line) -> Then + Send + Sync + 'static) -> Self {
        Self::start_on(free_port(), false, script)
    }

    /// One that answers 200 with `method target` to everything.
    pub(crate) fn polite() -> Self {
        Self::start(|request, line| line.ok(&format!("{} {}", request.method(), request.target())))
    }

    pub(crate) fn start_on(
        port: u16,
        reads_body: bool,
        script: impl Fn(&Received, &mut Line) -> Then + Send + Sync + 'static,
    ) -> Self {
        let log = Arc::new(Log::default());
        let script: Arc<Script> = Arc::new(script);
        let listener = listen_on(port);
        let shared = Arc::clone(&log);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.is_over.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let (log, script) = (Arc::clone(&shared), Arc::clone(&script));
                std::thread::spawn(move || serve(stream, reads_body, &log, &*script));
            }
        });
        Self { port, log }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Every request so far. Panics when one of them should not have been sent as it was.
    pub(crate) fn received(&self) -> Vec<Received> {
        let faults = lock(&self.log.faults);
        assert!(faults.is_empty(), "{faults:?}");
        let received = lock(&self.log.received).clone();
        received.iter().for_each(Received::check);
        received
    }

    /// The targets of all requests so far.
    pub(crate) fn targets(&self) -> Vec<String> {
        self.received()
            .iter()
            .map(|request| request.target().to_owned())
            .collect()
    }

    /// The last request with this target; waits until there is one.
    pub(crate) fn wait_for(&self, target: &str) -> Received {
        let deadline = Instant::now() + PATIENCE;
        let mut received = lock(&self.log.received);
        loop {
            if let Some(found) = received.iter().rev().find(|request| request.target() == target) {
                return found.clone();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no request for {target}: {received:?}");
            received = self
                .log
                .changed
                .wait_timeout(received, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.log.is_over.store(true, Ordering::SeqCst);
        // Wakes the accepting thread; nobody may listen any more.
        let _woken = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn serve(stream: TcpStream, reads_body: bool, log: &Log, script: &Script) {
    let connection = log.connections.fetch_add(1, Ordering::SeqCst);
    stream.set_nodelay(true).expect("an option");
    stream
        .set_read_timeout(Some(Duration::from_millis(200)))
        .expect("an option");
    stream.set_write_timeout(Some(PATIENCE)).expect("an option");
    let mut line = Line {
        stream,
        input: Vec::new(),
        raw: Vec::new(),
    };
    let served = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let mut index = 0;
        while !log.is_over.load(Ordering::SeqCst) {
            let Some(head) = line.head() else { return };
            let mut received = Received {
                connection,
                index,
                head,
                ..Received::default()
            };
            if reads_body {
                line.body(&mut received);
            }
            lock(&log.received).push(received.clone());
            log.changed.notify_all();
            index += 1;
            match script(&received, &mut line) {
                Then::Next => {}
                Then::Close => return,
                Then::Reset => {
                    SockRef::from(&line.stream)
                        .set_linger(Some(Duration::ZERO))
                        .expect("an option");
                    return;
                }
            }
        }
    }));
    if served.is_err() {
        let raw = String::from_utf8_lossy(&line.raw).into_owned();
        lock(&log.faults).push(format!("the backend was sent nonsense: {raw:?}"));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A plain answer.
pub(crate) fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}

/// How a connection ended, for a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Closed,
    Reset,
    /// It did not in the time that was given.
    Open,
}

/// A client that sends anything.
#[derive(Debug)]
pub(crate) struct Raw(pub(crate) TcpStream);

impl Raw {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("a connection");
        stream.set_nodelay(true).expect("an option");
        stream.set_write_timeout(Some(PATIENCE)).expect("an option");
        Self(stream)
    }

    /// Connects with a small receive window.
    pub(crate) fn connect_narrow(address: SocketAddr) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.set_recv_buffer_size(16 * 1024).expect("an option");
        socket.connect(&address.into()).expect("a connection");
        Self(socket.into())
    }

    /// Sends; `false` when the gateway takes no more.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.0.write_all(bytes.as_ref()).is_ok()
    }

    /// Says that nothing more will be sent.
    pub(crate) fn half_close(&self) {
        // The gateway may have been faster.
        let _closed = self.0.shutdown(Shutdown::Write);
    }

    /// Breaks the connection.
    pub(crate) fn abort(self) {
        SockRef::from(&self.0)
            .set_linger(Some(Duration::ZERO))
            .expect("an option");
    }

    /// Everything until the end, for at most `limit`.
    pub(crate) fn read_for(&mut self, limit: Duration) -> (String, End) {
        self.read_until(limit, |_| false)
    }

    /// Everything until the end, which is expected soon.
    pub(crate) fn read_all(&mut self) -> (String, End) {
        self.read_for(SOON)
    }

    /// Everything until `is_enough` or the end.
    pub(crate) fn read_until(&mut self, limit: Duration, is_enough: impl Fn(&[u8]) -> bool) -> (String, End) {
        let deadline = Instant::now() + limit;
        let mut bytes = Vec::new();
        let mut block = [0; 16 * 1024];
        let end = loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || is_enough(&bytes) {
                break End::Open;
            }
            self.0.set_read_timeout(Some(left)).expect("an option");
            match self.0.read(&mut block) {
                Ok(0) => break End::Closed,
                Ok(length) => bytes.extend_from_slice(&block[..length]),
                // Interrupted: this process was stopped for a moment. What is left is less now.
                Err(error) if is_timeout(&error) || error.kind() == ErrorKind::Interrupted => {}
                Err(_) => break End::Reset,
            }
        };
        (String::from_utf8_lossy(&bytes).into_owned(), end)
    }

    /// Waits for an answer whose body has this text in it.
    pub(crate) fn expect(&mut self, part: &str) -> String {
        let (text, end) = self.read_until(SOON, |bytes| String::from_utf8_lossy(bytes).contains(part));
        assert!(text.contains(part), "no {part:?} but {text:?}, {end:?}");
        text
    }
}

/// The statuses of all responses in a text whose bodies have no line that looks like a status line.
pub(crate) fn statuses(text: &str) -> Vec<u16> {
    text.match_indices("HTTP/1.")
        .filter_map(|(at, _)| text.get(at + 9..at + 12)?.parse().ok())
        .collect()
}

/// A gateway that must not have panicked when the test is over.
#[derive(Debug)]
pub(crate) struct Site(Gateway);

impl Deref for Site {
    type Target = Gateway;

    fn deref(&self) -> &Gateway {
        &self.0
    }
}

impl From<Gateway> for Site {
    fn from(gateway: Gateway) -> Self {
        Self(gateway)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let text = self.0.process.stderr.text();
        assert!(std::thread::panicking() || !text.contains("panicked"), "{text}");
    }
}

/// A gateway with one catch-all route to some backends.
pub(crate) fn site(ports: &[u16]) -> Site {
    site_with(ports, "", &[])
}

/// The same, with further documents and flags.
pub(crate) fn site_with(ports: &[u16], more: &str, flags: &[&str]) -> Site {
    let port = free_port();
    Gateway::start_with(
        port,
        &(gateway_and_service(port, ports) + &route("all", "/") + more),
        flags,
    )
    .into()
}

/// A route to the Service `backend`.
pub(crate) fn route(name: &str, prefix: &str) -> String {
    format!(
        "\
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: {name}, namespace: default}}
spec:
  parentRefs: [{{name: eg}}]
  rules:
    - matches: [{{path: {{type: PathPrefix, value: {prefix}}}}}]
      backendRefs: [{{name: backend, port: 3000}}]
"
    )
}

/// A request without a body.
pub(crate) fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: www.example.com\r\n\r\n")
}

/// What an attacker hides behind something else.
pub(crate) const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: www.example.com\r\n\r\n";

/// Sends bytes on a connection of their own and reads until it ends.
pub(crate) fn once(address: SocketAddr, bytes: impl AsRef<[u8]>) -> (String, End) {
    let mut client = Raw::connect(address);
    client.send(bytes);
    client.read_all()
}

/// Runs every case on a thread of its own, a few at a time, and reports all that fail.
pub(crate) fn all<T: Sync>(cases: &[T], check: impl Fn(&T) -> Result<(), String> + Sync) {
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(failure) = check(case) {
                        lock(&failures).push(failure);
                    }
                }
            });
        }
    });
    report(&lock(&failures), cases.len());
}

/// Fails when there is a failure, and tells them all.
pub(crate) fn report(failures: &[String], cases: usize) {
    assert!(
        failures.is_empty(),
        "{} of {cases}:\n{}",
        failures.len(),
        failures.join("\n")
    );
}
