//! Backends with a capacity: so many requests at a time, each for a while, the others wait their turn.
//!
//! They sleep instead of working, so ten of them fit on a machine that also has a proxy and its clients to run, and a slow
//! one is slow because it is slow and not because of its neighbours.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io;
use std::net::SocketAddrV4;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::{Events, Poller, Random};

/// How long the thread sleeps at most, which is how soon it notices that it is to end.
const NAP: Duration = Duration::from_millis(50);

/// One backend.
#[derive(Clone, Copy, Debug)]
pub struct Backend {
    /// Where it listens.
    pub address: SocketAddrV4,
    /// Requests that it works on at a time.
    pub seats: usize,
    /// Mean time for a request; exponentially distributed. Zero: it answers at once.
    pub service: Duration,
    /// The status of its answers.
    pub status: u16,
}

impl Backend {
    /// Requests per second that it can do.
    pub fn capacity(&self) -> f64 {
        self.seats as f64 / self.service.as_secs_f64()
    }
}

/// Running backends. Dropping it ends them.
pub struct Queues {
    requests: Arc<[AtomicU64]>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Queues {
    /// Starts all of them on one thread. Fails when an address is taken.
    pub fn start(backends: &[Backend], seed: u64) -> io::Result<Self> {
        let requests: Arc<[AtomicU64]> = backends.iter().map(|_| AtomicU64::new(0)).collect();
        let ended = Arc::new(AtomicBool::new(false));
        let mut server = Server::new(backends, seed, Arc::clone(&requests))?;
        let until = Arc::clone(&ended);
        let thread = std::thread::spawn(move || server.run(&until));
        Ok(Self {
            requests,
            ended,
            thread: Some(thread),
        })
    }

    /// Requests that each has received so far.
    pub fn requests(&self) -> Vec<u64> {
        self.requests.iter().map(|count| count.load(Relaxed)).collect()
    }
}

impl Drop for Queues {
    fn drop(&mut self) {
        self.ended.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            // What it failed with has been seen by whoever got no answers.
            let _ended = thread.join();
        }
    }
}

struct Server {
    poller: Poller,
    queues: Vec<Queue>,
    /// Indexed by descriptor.
    connections: Vec<Option<Connection>>,
    /// Requests in work by the time of their end.
    work: BinaryHeap<Reverse<(Instant, Ticket)>>,
    tickets: u64,
    random: Random,
    requests: Arc<[AtomicU64]>,
}

struct Queue {
    backend: Backend,
    listener: OwnedFd,
    answer: String,
    free: usize,
    waiting: VecDeque<Ticket>,
}

/// A request; its connection may be another one's by the time it is done.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Ticket {
    number: u64,
    queue: usize,
    fd: RawFd,
}

struct Connection {
    socket: OwnedFd,
    queue: usize,
    /// The request that is waiting or in work.
    ticket: Option<u64>,
    input: Vec<u8>,
}

impl Server {
    fn new(backends: &[Backend], seed: u64, requests: Arc<[AtomicU64]>) -> io::Result<Self> {
        let poller = Poller::new()?;
        let mut queues = Vec::new();
        for backend in backends {
            let listener = crate::listen(backend.address)?;
            poller.add_listener(listener.as_raw_fd())?;
            queues.push(Queue {
                backend: *backend,
                listener,
                answer: format!("HTTP/1.1 {} x\r\nContent-Length: 2\r\n\r\nok", backend.status),
                free: backend.seats,
                waiting: VecDeque::new(),
            });
        }
        Ok(Self {
            poller,
            queues,
            connections: Vec::new(),
            work: BinaryHeap::new(),
            tickets: 0,
            random: Random::new(seed),
            requests,
        })
    }

    fn run(&mut self, ended: &AtomicBool) -> io::Result<()> {
        let mut events = Events::new();
        while !ended.load(Relaxed) {
            let next = self.work.peek().map(|Reverse((done_at, _))| *done_at);
            let left = next.map(|next| next.saturating_duration_since(Instant::now()));
            self.poller.wait_for(&mut events, left.unwrap_or(NAP).min(NAP))?;
            for fd in events.ready() {
                let listens = |queue: &Queue| queue.listener.as_raw_fd() == fd;
                match self.queues.iter().position(listens) {
                    Some(queue) => self.accept(queue)?,
                    None if self.read(fd).is_err() => self.connections[fd as usize] = None,
                    None => {}
                }
            }
            self.finish();
        }
        Ok(())
    }

    fn accept(&mut self, queue: usize) -> io::Result<()> {
        let Some(socket) = crate::accept(self.queues[queue].listener.as_raw_fd())? else {
            return Ok(());
        };
        let fd = socket.as_raw_fd();
        self.poller.add_stream(fd)?;
        if self.connections.len() <= fd as usize {
            self.connections.resize_with(fd as usize + 1, || None);
        }
        self.connections[fd as usize] = Some(Connection {
            socket,
            queue,
            ticket: None,
            input: Vec::new(),
        });
        Ok(())
    }

    /// Takes a request in when it is whole, which for one without a body is its first empty line.
    fn read(&mut self, fd: RawFd) -> io::Result<()> {
        let Some(Some(connection)) = self.connections.get_mut(fd as usize) else {
            return Ok(());
        };
        let mut scratch = [0; 4096];
        while let Some(length) = crate::read(fd, &mut scratch)? {
            if length == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            connection.input.extend_from_slice(&scratch[..length]);
        }
        if !connection.input.ends_with(b"\r\n\r\n") || connection.ticket.is_some() {
            return Ok(());
        }
        connection.input.clear();
        let queue = connection.queue;
        self.tickets += 1;
        connection.ticket = Some(self.tickets);
        self.requests[queue].fetch_add(1, Relaxed);
        self.queues[queue].waiting.push_back(Ticket {
            number: self.tickets,
            queue,
            fd,
        });
        self.begin(queue);
        Ok(())
    }

    /// Gives the free seats of a queue to those who wait.
    fn begin(&mut self, queue: usize) {
        let Queue {
            backend,
            free,
            waiting,
            ..
        } = &mut self.queues[queue];
        while *free > 0
            && let Some(ticket) = waiting.pop_front()
        {
            *free -= 1;
            let service = backend.service.mul_f64(self.random.exponential());
            self.work.push(Reverse((Instant::now() + service, ticket)));
        }
    }

    /// Answers what is done.
    fn finish(&mut self) {
        while let Some(Reverse((done_at, ticket))) = self.work.peek().copied()
            && done_at <= Instant::now()
        {
            self.work.pop();
            let queue = &mut self.queues[ticket.queue];
            queue.free += 1;
            // Who has gone meanwhile has been worked for all the same.
            if let Some(Some(connection)) = self.connections.get_mut(ticket.fd as usize)
                && connection.ticket == Some(ticket.number)
            {
                connection.ticket = None;
                let sent = crate::write(connection.socket.as_raw_fd(), queue.answer.as_bytes());
                if !matches!(sent, Ok(Some(_))) {
                    self.connections[ticket.fd as usize] = None;
                }
            }
            self.begin(ticket.queue);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pace::{self, Plan};

    fn free_address() -> SocketAddrV4 {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        SocketAddrV4::new([127, 0, 0, 1].into(), port)
    }

    #[test]
    fn seats_bound_what_a_backend_does_at_a_time() {
        let backend = |seats, status| Backend {
            address: free_address(),
            seats,
            service: Duration::from_millis(10),
            status,
        };
        let backends = [backend(1, 200), backend(100, 503)];
        assert!((backends[0].capacity() - 100.0).abs() < 1e-6);
        let queues = Queues::start(&backends, 1).expect("free ports");
        // Three times what one seat can do: the last ones wait for two thirds of the time.
        let busy = Plan::new(backends[0].address, 300.0, Duration::from_millis(500));
        let outcome = pace::run(&busy).expect("this machine works");
        assert_eq!(outcome.lost(false), 0);
        assert!(outcome.latency(0.99) > Duration::from_millis(400), "{outcome:?}");
        let idle = Plan::new(backends[1].address, 300.0, Duration::from_millis(500));
        let outcome = pace::run(&idle).expect("this machine works");
        assert_eq!(outcome.losses(), "GET 503 x 150");
        assert_eq!(queues.requests(), [150, 150]);
    }
}
