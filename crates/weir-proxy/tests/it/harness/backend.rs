//! A backend that does to each connection what a test wants, on a thread each.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::only_value;

/// A request as a backend got it; names lower case.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Which connection, from 0.
    pub(crate) connection: usize,
    pub(crate) line: String,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<(String, String)>,
}

impl Seen {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        only_value(&self.fields, name)
    }
}

pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    pub(crate) connections: Arc<AtomicUsize>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Backend {
    /// Runs `serve` on each connection, numbered from 0.
    pub(crate) fn scripted(serve: impl Fn(usize, &mut BufReader<TcpStream>) + Send + Sync + 'static) -> Self {
        Self::scripted_on(TcpListener::bind("127.0.0.1:0").unwrap(), serve)
    }

    /// The same on a socket of the caller's.
    pub(crate) fn scripted_on(
        listener: TcpListener,
        serve: impl Fn(usize, &mut BufReader<TcpStream>) + Send + Sync + 'static,
    ) -> Self {
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let (counter, serve) = (Arc::clone(&connections), Arc::new(serve));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                stream.set_nodelay(true).unwrap();
                let number = counter.fetch_add(1, Ordering::SeqCst);
                let serve = Arc::clone(&serve);
                std::thread::spawn(move || serve(number, &mut BufReader::new(stream)));
            }
        });
        Self {
            address,
            connections,
            seen: Arc::default(),
        }
    }

    /// Keeps connections alive and answers each request with what `answer` says, remembering it first.
    pub(crate) fn answering(answer: impl Fn(&Seen) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::answering_on(TcpListener::bind("127.0.0.1:0").unwrap(), answer)
    }

    /// The same on a socket of the caller's.
    pub(crate) fn answering_on(
        listener: TcpListener,
        answer: impl Fn(&Seen) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let log = Arc::clone(&seen);
        let backend = Self::scripted_on(listener, move |number, stream| {
            while let Some(mut request) = read_request(stream) {
                request.connection = number;
                log.lock().unwrap().push(request.clone());
                if stream.get_mut().write_all(&answer(&request)).is_err() {
                    return;
                }
            }
        });
        Self { seen, ..backend }
    }

    /// Answers 200 with `name`.
    pub(crate) fn named(name: &'static str) -> Self {
        Self::answering(move |_| respond(200, "", name.as_bytes()))
    }

    /// What [`Self::answering`] has seen so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// The only request seen so far; forgets it.
    pub(crate) fn take(&self) -> Seen {
        let mut seen = self.seen.lock().unwrap();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen.remove(0)
    }

    /// How many requests [`Self::answering`] has seen so far.
    pub(crate) fn requests(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// A response with a length; `fields` are whole lines.
pub(crate) fn respond(status: u16, fields: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!(
        "HTTP/1.1 {status} X\r\n{fields}content-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// Reads one request, strictly; `None` at the end of the connection.
pub(crate) fn read_request(stream: &mut BufReader<TcpStream>) -> Option<Seen> {
    let mut request = read_head(stream)?;
    let length = request
        .field("content-length")
        .map(|value| value.parse::<usize>().unwrap());
    if request.field("transfer-encoding").is_some() {
        assert_eq!(length, None, "both framings: {request:?}");
        loop {
            let size = usize::from_str_radix(&read_line(stream)?, 16).unwrap();
            if size == 0 {
                break;
            }
            let mut data = vec![0; size + 2];
            stream.read_exact(&mut data).ok()?;
            assert_eq!(&data[size..], b"\r\n");
            request.body.extend_from_slice(&data[..size]);
        }
        loop {
            let line = read_line(stream)?;
            let Some((name, value)) = line.split_once(": ") else {
                break;
            };
            request
                .trailers
                .push((name.to_ascii_lowercase(), value.to_owned()));
        }
    } else if let Some(length) = length {
        request.body = vec![0; length];
        stream.read_exact(&mut request.body).ok()?;
    }
    Some(request)
}

/// Reads a head only.
pub(crate) fn read_head(stream: &mut BufReader<TcpStream>) -> Option<Seen> {
    let line = read_line(stream)?;
    let mut request = Seen {
        line,
        ..Seen::default()
    };
    loop {
        let line = read_line(stream)?;
        let Some((name, value)) = line.split_once(": ") else {
            assert_eq!(line, "");
            return Some(request);
        };
        request.fields.push((name.to_ascii_lowercase(), value.to_owned()));
    }
}

fn read_line(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = Vec::new();
    stream.read_until(b'\n', &mut line).ok()?;
    let line = line.strip_suffix(b"\r\n")?;
    Some(String::from_utf8_lossy(line).into_owned())
}
