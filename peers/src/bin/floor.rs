//! The floor: a relay that moves bytes and looks at none of them.
//!
//! No proxy that works on TCP sockets through epoll can do less per request than this: two reads, two writes and
//! a share of a wait. It parses nothing, counts nothing and has no timers; each client connection has one
//! upstream connection of its own.
#![allow(clippy::print_stderr, reason = "a command-line program")]

use std::net::SocketAddrV4;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::process::ExitCode;

use peers::{Events, Flags, Poller};

/// How much one read takes at most.
const READ_BYTES: usize = 16 * 1024;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("floor: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let flags = Flags::read(&["listen", "to", "threads"])?;
    let listen: SocketAddrV4 = flags.required("listen")?;
    let upstreams: Vec<SocketAddrV4> = flags.list("to")?;
    let threads: usize = flags.optional("threads")?.unwrap_or(2);
    peers::raise_file_limit(65_536);
    let mut workers = Vec::new();
    for number in 0..threads {
        let worker =
            Worker::new(listen, upstreams.clone(), number).map_err(|error| format!("{listen}: {error}"))?;
        workers.push(std::thread::spawn(move || worker.run()));
    }
    for worker in workers {
        match worker.join() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(error.to_string()),
            Err(_) => return Err("a worker died".to_owned()),
        }
    }
    Ok(())
}

/// One end of a relayed connection.
struct Leg {
    /// Held to be closed with the leg.
    _socket: OwnedFd,
    other: RawFd,
    /// Bytes that this leg's socket has not taken yet. While there are any, the other leg is not read.
    pending: Vec<u8>,
}

/// One thread's listener and connections.
struct Worker {
    poller: Poller,
    listener: OwnedFd,
    upstreams: Vec<SocketAddrV4>,
    next_upstream: usize,
    /// Indexed by descriptor.
    legs: Vec<Option<Leg>>,
    /// Descriptors to close when the batch of events is done: closing at once would let a new connection take
    /// the number of one that still has an event in the batch.
    closing: Vec<RawFd>,
    scratch: Vec<u8>,
}

impl Worker {
    fn new(listen: SocketAddrV4, upstreams: Vec<SocketAddrV4>, number: usize) -> std::io::Result<Self> {
        let poller = Poller::new()?;
        let listener = peers::listen(listen)?;
        poller.add_listener(listener.as_raw_fd())?;
        Ok(Self {
            poller,
            listener,
            upstreams,
            next_upstream: number,
            legs: Vec::new(),
            closing: Vec::new(),
            scratch: vec![0; READ_BYTES],
        })
    }

    fn run(mut self) -> std::io::Result<()> {
        let mut events = Events::new();
        loop {
            self.poller.wait(&mut events, -1)?;
            for fd in events.ready() {
                if fd == self.listener.as_raw_fd() {
                    self.accept()?;
                } else if self.relay(fd).is_err() {
                    self.close(fd);
                }
            }
            for fd in self.closing.drain(..) {
                self.legs[fd as usize] = None;
            }
        }
    }

    fn accept(&mut self) -> std::io::Result<()> {
        let Some(client) = peers::accept(self.listener.as_raw_fd())? else {
            return Ok(());
        };
        let address = self.upstreams[self.next_upstream % self.upstreams.len()];
        self.next_upstream += 1;
        let Ok(upstream) = peers::connect(address) else {
            return Ok(());
        };
        let (client_fd, upstream_fd) = (client.as_raw_fd(), upstream.as_raw_fd());
        let highest = client_fd.max(upstream_fd) as usize;
        if self.legs.len() <= highest {
            self.legs.resize_with(highest + 1, || None);
        }
        self.legs[client_fd as usize] = Some(Leg {
            _socket: client,
            other: upstream_fd,
            pending: Vec::new(),
        });
        self.legs[upstream_fd as usize] = Some(Leg {
            _socket: upstream,
            other: client_fd,
            pending: Vec::new(),
        });
        self.poller.add_stream(client_fd)?;
        self.poller.add_stream(upstream_fd)
    }

    /// Moves what `fd` has to its other leg. When `fd` had bytes waiting to be sent, sends those first and then
    /// moves what the other leg could not be read for.
    fn relay(&mut self, fd: RawFd) -> std::io::Result<()> {
        let Some(leg) = self.legs[fd as usize].as_mut() else {
            return Ok(());
        };
        let other = leg.other;
        if !leg.pending.is_empty() {
            let sent = peers::write(fd, &leg.pending)?.unwrap_or(0);
            leg.pending.drain(..sent);
            if leg.pending.is_empty() {
                self.pump(other, fd)?;
            }
        }
        self.pump(fd, other)
    }

    fn pump(&mut self, from: RawFd, to: RawFd) -> std::io::Result<()> {
        let Some(target) = self.legs[to as usize].as_mut() else {
            return Ok(());
        };
        while target.pending.is_empty() {
            let Some(length) = peers::read(from, &mut self.scratch)? else {
                return Ok(());
            };
            if length == 0 {
                self.close(from);
                return Ok(());
            }
            let sent = peers::write(to, &self.scratch[..length])?.unwrap_or(0);
            target.pending.extend_from_slice(&self.scratch[sent..length]);
            // A short read has emptied the socket: the next bytes bring a new event.
            if length < READ_BYTES {
                return Ok(());
            }
        }
        Ok(())
    }

    fn close(&mut self, fd: RawFd) {
        let other = self.legs[fd as usize].as_ref().map(|leg| leg.other);
        self.closing.extend([Some(fd), other].into_iter().flatten());
    }
}
