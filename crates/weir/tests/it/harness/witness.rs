//! A backend in the test's process that notes what arrives, and does with it what a test wants.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::PATIENCE;

/// A request that arrived.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) at: Instant,
    /// Head and body.
    pub(crate) text: String,
}

/// What becomes of a request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// It is answered.
    Bytes(Vec<u8>),
    /// It is answered in two parts, then the connection ends.
    Last(Vec<u8>, Vec<u8>),
    /// The connection is reset.
    Reset,
    /// Nothing.
    Silence,
}

/// A backend that listens on one or more ports.
#[derive(Debug)]
pub(crate) struct Witness {
    pub(crate) ports: Vec<u16>,
    notes: Arc<Notes>,
}

#[derive(Debug, Default)]
struct Notes {
    seen: Mutex<Seen>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Seen {
    arrivals: Vec<Arrival>,
    accepted: usize,
    connections: usize,
}

impl Witness {
    /// Starts it on so many ports. `reply` is told how many requests came before, and this one's text.
    pub(crate) fn start(ports: usize, reply: impl Fn(usize, &str) -> Reply + Send + Sync + 'static) -> Self {
        let (notes, reply) = (Arc::<Notes>::default(), Arc::new(reply));
        let listen = |_| {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
            let port = listener.local_addr().expect("an address").port();
            let (notes, reply) = (Arc::clone(&notes), Arc::clone(&reply));
            std::thread::spawn(move || {
                for stream in listener.incoming().map_while(Result::ok) {
                    let (notes, reply) = (Arc::clone(&notes), Arc::clone(&reply));
                    notes.locked().accepted += 1;
                    std::thread::spawn(move || serve(stream, &notes, &*reply));
                }
            });
            port
        };
        Self {
            ports: (0..ports).map(listen).collect(),
            notes,
        }
    }

    /// All requests so far.
    pub(crate) fn arrivals(&self) -> Vec<Arrival> {
        self.notes.locked().arrivals.clone()
    }

    /// Requests so far.
    pub(crate) fn requests(&self) -> usize {
        self.notes.locked().arrivals.len()
    }

    /// Connections so far.
    pub(crate) fn accepted(&self) -> usize {
        self.notes.locked().accepted
    }

    /// Connections on which requests have come so far.
    pub(crate) fn connections(&self) -> usize {
        self.notes.locked().connections
    }

    /// Waits until so many requests have arrived.
    pub(crate) fn wait_for(&self, requests: usize) {
        let waited = self
            .notes
            .changed
            .wait_timeout_while(self.notes.locked(), PATIENCE, |seen| {
                seen.arrivals.len() < requests
            });
        let (seen, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(
            !timeout.timed_out(),
            "{requests} requests do not arrive: {:?}",
            seen.arrivals
        );
    }
}

impl Notes {
    fn locked(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn serve(mut stream: TcpStream, notes: &Notes, reply: &dyn Fn(usize, &str) -> Reply) {
    let mut is_new = true;
    while let Some(text) = request(&mut stream) {
        let before = {
            let mut seen = notes.locked();
            seen.connections += usize::from(std::mem::take(&mut is_new));
            seen.arrivals.push(Arrival {
                at: Instant::now(),
                text: text.clone(),
            });
            seen.arrivals.len() - 1
        };
        notes.changed.notify_all();
        // The gateway may have given up meanwhile.
        let _written = match reply(before, &text) {
            Reply::Bytes(bytes) => stream.write_all(&bytes),
            Reply::Last(first, rest) => {
                // Apart, so that they are not read as one.
                let _written = stream.write_all(&first);
                std::thread::sleep(Duration::from_millis(50));
                let _written = stream.write_all(&rest);
                return;
            }
            Reply::Reset => {
                SockRef::from(&stream)
                    .set_linger(Some(Duration::ZERO))
                    .expect("an option");
                return;
            }
            Reply::Silence => Ok(()),
        };
    }
}

/// The next request on a connection, with a body of the length it names; `None` when there is none.
fn request(stream: &mut TcpStream) -> Option<String> {
    let (mut room, mut seen) = ([0; 4096], Vec::new());
    loop {
        let Ok(length @ 1..) = stream.read(&mut room) else {
            return None;
        };
        seen.extend_from_slice(&room[..length]);
        let text = String::from_utf8_lossy(&seen).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.trim().parse::<usize>().expect("a length"))
        });
        if body.len() >= length.unwrap_or(0) {
            return Some(text);
        }
    }
}
